// SPDX-License-Identifier: GPL-2.0

//! Memory for parts of packets.
//!
//! Locking: none; a fragment has one owner. Its memory goes with the last packet that has a part of it.

use core::{mem::ManuallyDrop, ptr::NonNull};
use kernel::{error::from_err_ptr, prelude::*};

use super::{Keepable, SkBuff};
use crate::bindings;

/// A kind of buffer that is made here, and that has no clones which would share its fragments.
pub(crate) trait Made: Keepable {}

/// Memory for a fragment of a packet.
///
/// # Invariants
///
/// `data` points at `len` bytes in pages of a [`PagePool`], on which this object owns a use, and nobody else uses these
/// bytes. `size` bytes of the pages are accounted to it.
pub(crate) struct PageFrag {
    data: NonNull<u8>,
    len: usize,
    size: usize,
}

// SAFETY: It is memory of the kernel's, which belongs to no CPU.
unsafe impl Send for PageFrag {}

impl PageFrag {
    /// The most bytes that a fragment can have: as many as the page allocator keeps at hand.
    pub(crate) const MAX: usize = 32768;

    /// Gives up the bytes from `len` on.
    pub(crate) fn shorten(&mut self, len: usize) {
        // INVARIANT: The bytes before are still ours alone.
        self.len = self.len.min(len);
    }

    /// Returns how many bytes the frag has.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Splits the first `at` bytes off. `None` if there are not more than these.
    pub(crate) fn split_to(&mut self, at: usize) -> Option<Self> {
        let rest = self.len.checked_sub(at).filter(|rest| *rest != 0)?;
        // SAFETY: The pages are of a pool, and there is a use of them.
        unsafe { bindings::page_pool_ref_va(self.data.as_ptr().cast()) };
        // INVARIANT: The bytes are shared out, each of them to one fragment, and so is what is accounted; the new one's
        // use was just taken.
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
        // SAFETY: By the type invariant. To Rust these bytes have values, as they come from a foreign function, though
        // nobody knows which.
        unsafe { core::slice::from_raw_parts_mut(self.data.as_ptr(), self.len) }
    }
}

impl Drop for PageFrag {
    fn drop(&mut self) {
        // SAFETY: The use is ours and given up here.
        unsafe { bindings::page_pool_put_va(self.data.as_ptr().cast()) };
    }
}

/// Where fragments come from, and where their pages go when the packets that they went into are gone (`struct page_pool`).
/// That saves allocating them, and the zeroing that goes with it on a kernel with `init_on_alloc`.
///
/// C header: [`include/net/page_pool/helpers.h`](srctree/include/net/page_pool/helpers.h)
///
/// # Invariants
///
/// The pool is valid, has pages of [`PageFrag::MAX`] bytes or more, and nobody else takes anything from it.
pub(crate) struct PagePool(NonNull<bindings::page_pool>);

// SAFETY: The pool belongs to no CPU and no NAPI instance.
unsafe impl Send for PagePool {}

impl PagePool {
    /// How many pages the pool keeps at most: those of a large TCP window.
    const MOST: u32 = 64;

    /// Creates a pool. Context: process context. Errors: `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        let mut params = bindings::page_pool_params::default();
        params.__bindgen_anon_1.__bindgen_anon_1 =
            bindings::page_pool_params__bindgen_ty_1__bindgen_ty_1 {
                order: PageFrag::MAX
                    .ilog2()
                    .saturating_sub(kernel::page::PAGE_SIZE.ilog2()),
                pool_size: Self::MOST,
                nid: bindings::NUMA_NO_NODE,
                ..Default::default()
            };
        // SAFETY: The parameters are valid.
        let pool = from_err_ptr(unsafe { bindings::page_pool_create(&raw const params) })?;
        // INVARIANT: Just created.
        Ok(Self(NonNull::new(pool).ok_or(ENOMEM)?))
    }

    /// Allocates a fragment, with what the memory held before: the caller must write what it sends.
    ///
    /// Context: any but hard interrupts. Errors: `ENOMEM`, also if it is longer than [`PageFrag::MAX`].
    pub(crate) fn alloc(&mut self, len: usize) -> Result<PageFrag> {
        if len == 0 || len > PageFrag::MAX {
            return Err(ENOMEM);
        }
        let mut size = len as u32;
        // SAFETY: The pool is valid, and `self` is borrowed exclusively.
        let data = unsafe { bindings::page_pool_dev_alloc_va(self.0.as_ptr(), &raw mut size) };
        // INVARIANT: Just allocated, `size` bytes, which are as many as asked for or more.
        Ok(PageFrag {
            data: NonNull::new(data.cast::<u8>()).ok_or(ENOMEM)?,
            len,
            size: size as usize,
        })
    }
}

impl Drop for PagePool {
    fn drop(&mut self) {
        // SAFETY: The pool is ours. The kernel keeps what pages that are still in use need.
        unsafe { bindings::page_pool_destroy(self.0.as_ptr()) };
    }
}

impl<K: Made> SkBuff<K> {
    /// Appends the bytes of a fragment from `offset` on.
    ///
    /// Errors: `ENOSPC` if the packet has as many fragments as it can, `EINVAL` if there is nothing
    /// behind `offset`, or the packet's size was accounted to a socket already.
    pub(crate) fn append(&mut self, frag: PageFrag, offset: usize) -> Result {
        let len = frag.len.checked_sub(offset).ok_or(EINVAL)?;
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
        let frag = ManuallyDrop::new(frag);
        // SAFETY: The fragment's memory has `len` bytes behind `offset`, and the buffer, which knows how to give pages of
        // pools back, takes over its use; there is room for another fragment, and no clone that has the same.
        unsafe {
            bindings::skb_mark_for_recycle(self.raw());
            bindings::skb_add_rx_frag(
                self.raw(),
                count as i32,
                frag.data.as_ptr().add(offset).cast(),
                len as i32,
                frag.size as u32,
            )
        };
        Ok(())
    }
}
