// SPDX-License-Identifier: GPL-2.0

//! A list of socket buffers that belong together.
//!
//! Context: any but hard interrupts. Locking: none; a list has one owner. Nothing can fail.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::{marker::PhantomData, ptr::NonNull};

use super::{
    drop_reason::DropReason,
    skb::{Keepable, PacketIn, SkBuff},
};
use crate::bindings;

/// An owned list of socket buffers, linked through their `next` fields like the kernel's lists of
/// GSO segments.
///
/// # Invariants
///
/// `head` and `tail` are the ends of a null-terminated chain of `len` buffers of kind `K`, each owned by the
/// list; both are `None` exactly when `len` is zero.
pub(crate) struct SkbList<K: Keepable> {
    head: Option<NonNull<bindings::sk_buff>>,
    tail: Option<NonNull<bindings::sk_buff>>,
    len: usize,
    _kind: PhantomData<K>,
}

// SAFETY: Buffers of these kinds may be handed from thread to thread.
unsafe impl<K: Keepable> Send for SkbList<K> {}
// SAFETY: Shared access allows no access to the buffers.
unsafe impl<K: Keepable> Sync for SkbList<K> {}

impl<K: Keepable> SkbList<K> {
    /// Creates an empty list.
    pub(crate) const fn new() -> Self {
        // INVARIANT: Nothing is in it.
        Self {
            head: None,
            tail: None,
            len: 0,
            _kind: PhantomData,
        }
    }

    /// Takes over a null-terminated chain.
    ///
    /// # Safety
    ///
    /// `first` must be null or start a chain of buffers without routes that the caller owns and gives up.
    pub(super) unsafe fn from_chain(first: *mut bindings::sk_buff) -> Self {
        let mut list = Self::new();
        let mut next = first;
        while let Some(skb) = NonNull::new(next) {
            // SAFETY: The chain is valid by the safety requirement.
            next = unsafe { *skb_next(skb) };
            // SAFETY: As above, the buffer is the list's now.
            list.push_back(unsafe { SkBuff::from_raw(skb) });
        }
        list
    }

    /// Returns how many buffers the list holds.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the list is empty.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a buffer.
    #[inline]
    pub(crate) fn push_back(&mut self, skb: SkBuff<K>) {
        let skb = skb.into_raw();
        // SAFETY: The buffer is ours; the tail is valid by the type invariant.
        unsafe {
            *skb_next(skb) = core::ptr::null_mut();
            match self.tail {
                Some(tail) => *skb_next(tail) = skb.as_ptr(),
                None => self.head = Some(skb),
            }
        }
        // INVARIANT: The buffer ends the chain now.
        self.tail = Some(skb);
        self.len += 1;
    }

    /// Takes the first buffer out.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<SkBuff<K>> {
        let skb = self.head?;
        // SAFETY: The chain is valid by the type invariant.
        self.head = NonNull::new(unsafe { *skb_next(skb) });
        if self.head.is_none() {
            self.tail = None;
        }
        self.len -= 1;
        // SAFETY: The buffer was the list's and is handed to the caller; it is on no list.
        unsafe {
            *skb_next(skb) = core::ptr::null_mut();
            Some(SkBuff::from_raw(skb))
        }
    }

    /// Appends all buffers of another list, which is empty afterwards.
    pub(crate) fn append(&mut self, other: &mut Self) {
        if let Some(head) = other.head.take() {
            match self.tail {
                // SAFETY: Both chains are valid by the type invariant.
                Some(tail) => unsafe { *skb_next(tail) = head.as_ptr() },
                None => self.head = Some(head),
            }
            self.tail = other.tail.take();
            self.len += core::mem::take(&mut other.len);
        }
    }

    /// Drops all packets for a reason. Always inline: the kernel notes who called it.
    #[inline(always)]
    pub(crate) fn drop_for(mut self, reason: DropReason) {
        while let Some(skb) = self.pop_front() {
            skb.drop_for(reason);
        }
    }

    /// Calls a function for each buffer, which may put another one in its place.
    pub(crate) fn for_each(&mut self, mut f: impl FnMut(&mut SkBuff<K>)) {
        let mut rest = core::mem::replace(self, Self::new());
        while let Some(mut skb) = rest.pop_front() {
            f(&mut skb);
            self.push_back(skb);
        }
    }
}

impl SkbList<PacketIn> {
    /// Hands all packets to the stack, together (`netif_receive_skb_list`). Context: softirqs disabled.
    pub(super) fn receive(mut self) {
        let mut head = bindings::list_head::default();
        let ends = &raw mut head;
        // SAFETY: The head is a list of its own, and not moved until the callee has emptied it. The buffers are ours to give,
        // and on no list.
        unsafe {
            (*ends).next = ends;
            (*ends).prev = ends;
            while let Some(skb) = self.pop_front() {
                bindings::skb_list_add_tail(skb.into_raw().as_ptr(), ends);
            }
            bindings::netif_receive_skb_list(ends);
        }
    }
}

impl<K: Keepable> Drop for SkbList<K> {
    fn drop(&mut self) {
        while let Some(skb) = self.pop_front() {
            drop(skb);
        }
    }
}

/// Returns the address of a buffer's `next` field.
///
/// # Safety
///
/// `skb` must be valid.
#[inline]
unsafe fn skb_next(skb: NonNull<bindings::sk_buff>) -> *mut *mut bindings::sk_buff {
    // SAFETY: By the safety requirement. `next` is the first field, in unions with other links.
    unsafe { &raw mut (*skb.as_ptr()).__bindgen_anon_1.__bindgen_anon_1.next }
}
