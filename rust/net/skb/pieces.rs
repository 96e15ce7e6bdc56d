// SPDX-License-Identifier: GPL-2.0

//! Reading a received buffer from its front to its back.
//!
//! Context: softirq, or process context with the RCU read side held. Locking: none; the buffer is borrowed meanwhile. What is not
//! found in its pieces is left to `skb_copy_bits`, which says `EFAULT` if it is not there.

use core::{
    ops::{Deref, Range},
    ptr::NonNull,
};
use kernel::prelude::*;

use super::{DatagramIn, SkBuff};
use crate::bindings;

/// The bytes of a received buffer, for who reads them from the front to the back: the next ones are looked for from where the last
/// ones were. What GRO has merged may be in hundreds of pieces, among which `skb_copy_bits` begins with the first each time.
///
/// # Invariants
///
/// - `part` is the buffer, or one of those in the list of its shared info; `index` is that of a piece of the part (0: the linear
///   part; then its fragments).
/// - `start` is how far that piece is behind the first byte of the buffer. It is the `len` bytes at `data`, which is null if they
///   cannot be read.
/// - `memory`, if it is known and not [`Memory::NONE`], is that of the piece, a fragment, and only the owner of the buffer
///   reads or writes it. So it stays, as nobody else can have begun to use it.
pub(crate) struct Pieces<'a> {
    skb: &'a mut SkBuff<DatagramIn>,
    part: NonNull<bindings::sk_buff>,
    index: usize,
    start: usize,
    data: *mut u8,
    len: usize,
    memory: Option<Memory>,
}

/// The memory that a piece is in: how many bytes there are in front of its first, and how many from that on.
#[derive(Clone, Copy)]
struct Memory {
    in_front: usize,
    from_start: usize,
}

impl Memory {
    /// Nothing that could be lent.
    const NONE: Self = Self {
        in_front: 0,
        from_start: 0,
    };
}

impl<'a> Pieces<'a> {
    /// The bytes of a buffer.
    #[inline]
    pub(crate) fn of(skb: &'a mut SkBuff<DatagramIn>) -> Self {
        let (part, data, len) = (skb.ptr, skb.skb().data, skb.linear().len());
        // INVARIANT: The linear part is the first piece of all.
        Self {
            skb,
            part,
            index: 0,
            start: 0,
            data,
            len,
            memory: None,
        }
    }

    /// Goes to a part. Returns `None`, and stays, if that has parts itself, as those that GRO makes have not. The caller sets
    /// `start`.
    ///
    /// # Safety
    ///
    /// `part` is the buffer, or in its list.
    unsafe fn enter(&mut self, part: NonNull<bindings::sk_buff>) -> Option<()> {
        // SAFETY: By the safety requirement the part is valid, and so is its shared info.
        let (skb, is_nested) = unsafe {
            let nested = (*bindings::skb_shinfo(part.as_ptr())).frag_list;
            (part.as_ref(), !nested.is_null())
        };
        if is_nested && part != self.skb.ptr {
            return None;
        }
        // INVARIANT: That is its linear part.
        (self.part, self.index) = (part, 0);
        (self.data, self.len) = (skb.data, (skb.len - skb.data_len) as usize);
        self.memory = None;
        Some(())
    }

    /// Goes to the next piece. Returns `None`, and stays, if there is none.
    fn advance(&mut self) -> Option<()> {
        // SAFETY: The part is valid by the type invariant, and so is its shared info.
        let (shared, next) = unsafe {
            let shared = bindings::skb_shinfo(self.part.as_ptr());
            // Those of a list are linked by `next`.
            let next = match self.part == self.skb.ptr {
                true => (*shared).frag_list,
                false => self.part.as_ref().__bindgen_anon_1.__bindgen_anon_1.next,
            };
            (&*shared, next)
        };
        let start = self.start + self.len;
        let frags = shared.frags.get(..usize::from(shared.nr_frags))?;
        match frags.get(self.index) {
            Some(frag) => {
                self.index += 1;
                // SAFETY: The fragment is valid; it has an address if it is memory that can be read.
                self.data = unsafe { bindings::skb_frag_address_safe(frag) }.cast();
                self.len = frag.len as usize;
                self.memory = None;
            }
            // SAFETY: It is in the list.
            None => unsafe { self.enter(NonNull::new(next)?)? },
        }
        // INVARIANT: It begins where the other one ended.
        self.start = start;
        Some(())
    }

    /// Goes to the piece that has the byte `at`. Returns where in it that is; `None` if it is not found.
    #[inline]
    fn seek(&mut self, at: usize) -> Option<usize> {
        match at.checked_sub(self.start) {
            Some(offset) if offset < self.len => Some(offset),
            _ => self.seek_elsewhere(at),
        }
    }

    /// As [`Self::seek`], for another piece than this.
    #[inline(never)]
    fn seek_elsewhere(&mut self, at: usize) -> Option<usize> {
        if at < self.start {
            // SAFETY: That is the buffer.
            unsafe { self.enter(self.skb.ptr)? };
            self.start = 0;
        }
        loop {
            let offset = at - self.start;
            if offset < self.len {
                return Some(offset);
            }
            self.advance()?;
        }
    }

    /// Copies bytes out of the buffer. Quick if they are in one piece, and not in front of those that were copied before.
    ///
    /// Errors: `EFAULT` if it does not reach that far.
    #[inline]
    pub(crate) fn copy(&mut self, at: usize, to: &mut [u8]) -> Result {
        match self.seek(at) {
            Some(offset) if to.len() <= self.len - offset && !self.data.is_null() => {
                // SAFETY: The piece has these bytes. Others may write to them meanwhile, which makes no difference to C.
                unsafe {
                    let from = self.data.add(offset).cast();
                    kernel::bindings::memcpy(to.as_mut_ptr().cast(), from, to.len());
                }
                Ok(())
            }
            _ => self.skb.copy_bits(at, to),
        }
    }

    /// Lends bytes of the buffer where they are, with `before` bytes in front of them and `behind` bytes behind, if all
    /// these are in one piece of memory which nobody else uses: not in pages that a sender may still write to, those of a
    /// file that was spliced or of the ring of a packet socket, nor in what a clone shares.
    ///
    /// What is around them is the buffer's, too, or was.
    pub(crate) fn lend(
        &mut self,
        bytes: Range<usize>,
        before: usize,
        behind: usize,
    ) -> Option<&mut [u8]> {
        let len = bytes.len();
        let offset = self.seek(bytes.start)?;
        let memory = match self.memory {
            Some(memory) => memory,
            None => self.find_memory(),
        };
        let end = offset.checked_add(len)?.checked_add(behind)?;
        let is_there = len <= self.len - offset
            && before <= memory.in_front + offset
            && end <= memory.from_start;
        if !is_there || memory.from_start == 0 {
            return None;
        }
        // SAFETY: All of this is in the memory of the piece, and by the type invariant only the owner of the buffer, which is
        // borrowed, reads or writes it.
        Some(unsafe {
            let first = self.data.add(offset).sub(before);
            core::slice::from_raw_parts_mut(first, before + len + behind)
        })
    }

    /// Finds the memory of the piece, if it may be lent.
    fn find_memory(&mut self) -> Memory {
        let data = self.data;
        let shared = self.skb.shared_info();
        let is_fragment = self.part == self.skb.ptr && self.index != 0 && !data.is_null();
        // SAFETY: The buffer and its shared info are valid. The address of a fragment is that of bytes in pages.
        let memory = unsafe {
            let is_shared = (*shared).flags != 0 || bindings::skb_cloned(self.skb.raw());
            if is_shared || !is_fragment || !bindings::is_only_use_of_page(data.cast()) {
                Memory::NONE
            } else {
                let in_front = data as usize - bindings::page_start(data.cast()) as usize;
                let room = bindings::page_room(data.cast());
                Memory {
                    in_front,
                    from_start: room.saturating_sub(in_front),
                }
            }
        };
        // INVARIANT: The bytes are in pages of which this buffer's fragment is the only user.
        self.memory = Some(memory);
        memory
    }
}

impl Deref for Pieces<'_> {
    type Target = SkBuff<DatagramIn>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        self.skb
    }
}
