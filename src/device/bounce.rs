// SPDX-License-Identifier: GPL-2.0

//! Bounce buffers: a message that other contexts could change is copied into one, and decrypted from there.

#![forbid(unsafe_code)]

use kernel::{alloc::flags::__GFP_NOWARN, prelude::*};

use crate::sync::{new_spinlock_bh, SpinLockBh};

/// Memory for the copy of one message at a time.
pub(crate) struct BounceBuffer(KVec<u8>);

impl BounceBuffer {
    /// Enough for most messages on most networks, and a size that the allocator has.
    const USUAL: usize = 2048;

    /// Returns `len` bytes, with anything in them. Context: any. Errors: `ENOMEM`.
    #[inline]
    pub(crate) fn with_len(&mut self, len: usize) -> Result<&mut [u8]> {
        if self.0.len() < len {
            // There is another way if this fails, and strangers can ask for much.
            let flags = GFP_ATOMIC | __GFP_NOWARN;
            self.0 = KVec::from_elem(0, len.max(Self::USUAL), flags)?;
        }
        self.0.get_mut(..len).ok_or(EINVAL)
    }
}

/// Keeps a bounce buffer from one use to the next.
#[pin_data]
pub(crate) struct BounceCache {
    #[pin]
    unused: SpinLockBh<BounceBuffer>,
}

impl BounceCache {
    /// An empty cache.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            unused <- new_spinlock_bh!(BounceBuffer(KVec::new()), "BounceCache::unused"),
        })
    }

    /// Takes the buffer; if it is in use, a new one. Context: any but hard interrupts.
    pub(crate) fn take(&self) -> BounceBuffer {
        self.exchange(BounceBuffer(KVec::new()))
    }

    /// Gives a buffer back. If there is one here already, that is freed. Context: any but hard interrupts.
    pub(crate) fn put(&self, buffer: BounceBuffer) {
        self.exchange(buffer);
    }

    fn exchange(&self, buffer: BounceBuffer) -> BounceBuffer {
        core::mem::replace(&mut *self.unused.lock(), buffer)
    }
}
