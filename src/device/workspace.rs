// SPDX-License-Identifier: GPL-2.0

//! Where messages are decrypted from: a copy that nobody else can change meanwhile.

#![forbid(unsafe_code)]

use kernel::{alloc::flags::__GFP_NOWARN, prelude::*};

use crate::sync::{new_spinlock_bh, SpinLockBh};

/// Room for the copy of one message at a time.
pub(crate) struct Workspace(KVec<u8>);

impl Workspace {
    /// Enough for most messages on most networks, and a size that the allocator has.
    const USUAL: usize = 2048;

    /// Returns room for a copy, with anything in it. Context: any. Errors: `ENOMEM`.
    #[inline]
    pub(crate) fn room(&mut self, len: usize) -> Result<&mut [u8]> {
        if self.0.len() < len {
            // There is another way if this fails, and strangers can ask for much.
            let flags = GFP_ATOMIC | __GFP_NOWARN;
            self.0 = KVec::from_elem(0, len.max(Self::USUAL), flags)?;
        }
        self.0.get_mut(..len).ok_or(EINVAL)
    }
}

/// Where a workspace lies between one use and the next.
#[pin_data]
pub(crate) struct Shelf {
    #[pin]
    unused: SpinLockBh<Workspace>,
}

impl Shelf {
    /// An empty shelf.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            unused <- new_spinlock_bh!(Workspace(KVec::new()), "Shelf::unused"),
        })
    }

    /// Takes the workspace; if somebody else has it, a new one. Context: any but hard interrupts.
    pub(crate) fn take(&self) -> Workspace {
        self.exchange(Workspace(KVec::new()))
    }

    /// Puts a workspace here, in place of another one if there is one.
    pub(crate) fn put(&self, workspace: Workspace) {
        self.exchange(workspace);
    }

    fn exchange(&self, workspace: Workspace) -> Workspace {
        core::mem::replace(&mut *self.unused.lock(), workspace)
    }
}
