// SPDX-License-Identifier: GPL-2.0

//! Memory for parts of packets.
//!
//! Locking: none; a piece has one owner. Its memory goes with the last packet that has a part of it.

use core::{mem::ManuallyDrop, ptr::NonNull};
use kernel::prelude::*;

use super::{Keepable, SkBuff};
use crate::bindings;

/// A kind of buffer that is made here, and that has no clones which would share its pieces.
pub(crate) trait Made: Keepable {}

/// Memory for a piece of a packet, in one or several adjacent pages.
///
/// # Invariants
///
/// `data` points at `len` bytes in pages on which this object owns a reference, and nobody else uses these bytes.
/// `size` bytes of the pages are accounted to it.
pub(crate) struct Piece {
    data: NonNull<u8>,
    len: usize,
    size: usize,
}

// SAFETY: It is memory of the kernel's, which belongs to no CPU.
unsafe impl Send for Piece {}

impl Piece {
    /// The most bytes that a piece can have: as many as the page allocator keeps at hand.
    pub(crate) const MAX: usize = 32768;

    /// Allocates a piece, with whatever the memory held before: who sends any of it must write that first.
    ///
    /// Context: any but hard interrupts. Errors: `ENOMEM`, also if it is longer than [`Self::MAX`].
    pub(crate) fn alloc(len: usize) -> Result<Self> {
        if len == 0 || len > Self::MAX {
            return Err(ENOMEM);
        }
        // SAFETY: No requirements.
        let (order, data) = unsafe {
            let order = bindings::get_order(len);
            (order, bindings::alloc_packet_pages(order))
        };
        // INVARIANT: Just allocated, and at least as long as asked for. To Rust these bytes have values, as they come from
        // a foreign function, though nobody knows which.
        Ok(Self {
            data: NonNull::new(data.cast::<u8>()).ok_or(ENOMEM)?,
            len,
            size: kernel::page::PAGE_SIZE << order,
        })
    }

    /// Gives up the bytes from `len` on.
    pub(crate) fn shorten(&mut self, len: usize) {
        // INVARIANT: The bytes before are still ours alone.
        self.len = self.len.min(len);
    }

    /// Returns how many bytes the piece has.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Splits the first `at` bytes off. `None` if there are not more than these.
    pub(crate) fn split_to(&mut self, at: usize) -> Option<Self> {
        let rest = self.len.checked_sub(at).filter(|rest| *rest != 0)?;
        // SAFETY: The pages are valid.
        unsafe { bindings::get_packet_pages(self.data.as_ptr().cast()) };
        // INVARIANT: The bytes are shared out, each of them to one piece, and so is what is accounted; the new one's
        // reference was just taken.
        let first = Self {
            data: self.data,
            len: at,
            size: at.min(self.size),
        };
        // SAFETY: There are more than `at` bytes.
        self.data = unsafe { self.data.add(at) };
        self.len = rest;
        self.size -= first.size;
        Some(first)
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

/// Memory of the last large pieces that were allocated, to be used again when the packets that they went into are gone.
/// That saves allocating them, and the zeroing that goes with it on a kernel with `init_on_alloc`.
///
/// # Invariants
///
/// What is kept are pages of [`Piece::MAX`] bytes, on which this object owns a reference.
pub(crate) struct PieceStock {
    kept: [Option<NonNull<u8>>; Self::MOST],
    oldest: usize,
}

// SAFETY: It is memory of the kernel's, which belongs to no CPU.
unsafe impl Send for PieceStock {}

impl PieceStock {
    /// How many are kept.
    const MOST: usize = 8;

    /// A stock of nothing.
    pub(crate) const fn new() -> Self {
        Self {
            kept: [None; Self::MOST],
            oldest: 0,
        }
    }

    /// Allocates a piece, as [`Piece::alloc`].
    pub(crate) fn alloc(&mut self, len: usize) -> Result<Piece> {
        if len <= Piece::MAX / 2 || len > Piece::MAX {
            return Piece::alloc(len);
        }
        let index = self.oldest;
        self.oldest = (index + 1) % Self::MOST;
        let place = self.kept.get_mut(index).ok_or(EINVAL)?;
        // SAFETY: By the type invariant.
        let unused = place.filter(|data| unsafe { bindings::is_only_user(data.as_ptr().cast()) });
        let (data, piece) = match unused {
            // INVARIANT: The only reference to the pages is the stock's, so nobody uses them; the new one is taken below.
            Some(data) => (
                data,
                Piece {
                    data,
                    len,
                    size: Piece::MAX,
                },
            ),
            None => {
                let mut piece = Piece::alloc(Piece::MAX)?;
                piece.shorten(len);
                (piece.data, piece)
            }
        };
        // SAFETY: The pages are valid, and there is a reference to them.
        unsafe { bindings::get_packet_pages(data.as_ptr().cast()) };
        if unused.is_none() {
            // INVARIANT: The reference is the one just taken.
            if let Some(former) = place.replace(data) {
                // SAFETY: The reference is ours and given up here.
                unsafe { bindings::skb_free_frag(former.as_ptr().cast()) };
            }
        }
        Ok(piece)
    }
}

impl Drop for PieceStock {
    fn drop(&mut self) {
        for data in self.kept.iter().flatten() {
            // SAFETY: The reference is ours and given up here.
            unsafe { bindings::skb_free_frag(data.as_ptr().cast()) };
        }
    }
}

impl<K: Made> SkBuff<K> {
    /// Appends the bytes of a piece from `offset` on.
    ///
    /// Errors: `ENOSPC` if the packet has as many pieces as it can, `EINVAL` if there is nothing
    /// behind `offset`, or the packet's size was accounted to a socket already.
    pub(crate) fn append(&mut self, piece: Piece, offset: usize) -> Result {
        let len = piece.len.checked_sub(offset).ok_or(EINVAL)?;
        if !self.skb().sk.is_null() {
            return Err(EINVAL);
        }
        // SAFETY: The shared info of a valid buffer is valid.
        let count = usize::from(unsafe { (*self.shared_info()).nr_frags });
        if len == 0 {
            return Err(EINVAL);
        }
        if count >= bindings::MAX_SKB_FRAGS as usize {
            return Err(ENOSPC);
        }
        let piece = ManuallyDrop::new(piece);
        // SAFETY: The piece's memory has `len` bytes behind `offset`, and the buffer takes over its
        // reference to the page; there is room for another fragment, and no clone that has the same.
        unsafe {
            bindings::skb_add_rx_frag(
                self.raw(),
                count as i32,
                piece.data.as_ptr().add(offset).cast(),
                len as i32,
                piece.size as u32,
            )
        };
        Ok(())
    }
}
