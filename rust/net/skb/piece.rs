// SPDX-License-Identifier: GPL-2.0

//! Memory for parts of packets.

use core::ptr::NonNull;
use kernel::prelude::*;

use crate::bindings;

/// Memory for a piece of a packet, in one or several adjacent pages.
///
/// # Invariants
///
/// `data` points at `len` initialised bytes at the start of pages of `size` bytes in all, on which
/// this object owns a reference.
pub(crate) struct Piece {
    pub(super) data: NonNull<u8>,
    pub(super) len: usize,
    pub(super) size: usize,
}

impl Piece {
    /// The most bytes that a piece can have: as many as the page allocator keeps at hand.
    pub(crate) const MAX: usize = 32768;

    /// Allocates a piece of zeros. Context: any but hard interrupts. Errors: `ENOMEM`, also if it is
    /// longer than [`Self::MAX`].
    pub(crate) fn alloc(len: usize) -> Result<Self> {
        if len == 0 || len > Self::MAX {
            return Err(ENOMEM);
        }
        // SAFETY: No requirements.
        let (order, data) = unsafe {
            let order = bindings::get_order(len);
            (order, bindings::alloc_zeroed_pages(order))
        };
        // INVARIANT: Just allocated, zeroed, and at least as long as asked for.
        Ok(Self {
            data: NonNull::new(data.cast::<u8>()).ok_or(ENOMEM)?,
            len,
            size: kernel::page::PAGE_SIZE << order,
        })
    }

    /// Gives up the bytes from `len` on.
    pub(crate) fn shorten(&mut self, len: usize) {
        // INVARIANT: The bytes before are as initialised as they were.
        self.len = self.len.min(len);
    }

    /// Returns the bytes.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: By the type invariant; the reference to the page is ours alone.
        unsafe { core::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // SAFETY: The reference is ours and given up here.
        unsafe { bindings::skb_free_frag(self.data.as_ptr().cast()) };
    }
}
