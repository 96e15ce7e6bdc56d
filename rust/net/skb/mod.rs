// SPDX-License-Identifier: GPL-2.0

//! Socket buffers: packets on their way through the kernel.
//!
//! Context: any but hard interrupts. Locking: none; a buffer has one owner, and is freed with it. What can fail leaves the
//! buffer as it was, unless it says otherwise.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::{marker::PhantomData, mem::ManuallyDrop, ptr::NonNull};
use kernel::{error::to_result, prelude::*};

use super::drop_reason::DropReason;
use crate::bindings;

mod datagram_in;
mod datagram_out;
mod packet_in;
mod packet_out;
mod page_pool;
mod pieces;
mod protocol;

use self::page_pool::Made;
pub(crate) use self::{
    packet_out::Flow,
    page_pool::{PageFrag, PagePool},
    pieces::Pieces,
    protocol::Protocol,
};

/// What a buffer holds, and which way it goes.
pub(crate) trait Kind {}

/// A kind of buffer that may be kept, and handed from thread to thread.
///
/// # Safety
///
/// A buffer of the kind has no route: that of a received one is only valid on the RCU read side that it came in
/// on, and that of one to be sent for as long as its network namespace.
pub(crate) unsafe trait Keepable: Kind {}

/// A packet that was routed to a device, with its route.
pub(crate) enum Routed {}

/// A packet that is to be sent through a tunnel.
pub(crate) enum PacketOut {}

/// A datagram, or several, to be sent through a socket.
pub(crate) enum DatagramOut {}

/// A datagram that a socket has received.
pub(crate) enum DatagramIn {}

/// A packet that came out of a tunnel.
pub(crate) enum PacketIn {}

macro_rules! kinds {
    ($($kind:ident: $($keepable:ident)?;)*) => {$(
        impl Kind for $kind {}
        $(
            // SAFETY: By the invariants of `SkBuff`.
            unsafe impl $keepable for $kind {}
        )?
    )*};
}

kinds! {
    Routed:;
    PacketOut: Keepable;
    DatagramOut: Keepable;
    DatagramIn: Keepable;
    PacketIn: Keepable;
}

impl Made for DatagramOut {}
impl Made for PacketIn {}

/// An owned socket buffer (`struct sk_buff`).
///
/// Dropping it frees it as a dropped packet (`kfree_skb`), [`Self::drop_for`] as one that was dropped
/// for a reason; [`Self::consume`] frees it as one that was delivered.
///
/// # Invariants
///
/// - `ptr` is a valid buffer of which this object owns one use, and which is on no list.
/// - Unless `K` is [`Routed`], it has no route, and nobody else uses it.
#[repr(transparent)]
pub(crate) struct SkBuff<K: Kind> {
    ptr: NonNull<bindings::sk_buff>,
    _kind: PhantomData<K>,
}

// SAFETY: Socket buffers may be handed from thread to thread, but for what their routes need.
unsafe impl<K: Keepable> Send for SkBuff<K> {}
// SAFETY: Shared access only reads.
unsafe impl<K: Keepable> Sync for SkBuff<K> {}

/// What a driver notes with a packet while it owns it (in the control block, `skb->cb`): a type for each stage of its way.
///
/// What was never written reads as zeros or as anything, but nothing unsafe depends on it.
pub(crate) trait Control<K: Keepable>: Copy {
    /// What is written into the control block.
    fn to_words(self) -> Words;

    /// The reverse of [`Self::to_words`], and something for all other values.
    fn from_words(words: Words) -> Self;
}

/// What drivers have of the control block.
type Words = [u64; 3];

// Behind it is what cuts GSO packets (`SKB_GSO_CB_OFFSET`).
const _: () = assert!(size_of::<Words>() <= 32);

/// No buffer is allocated for more data, so that no sum of sizes overflows: far more than the largest
/// packet.
const MOST_BYTES: usize = 1 << 20;

impl<K: Kind> SkBuff<K> {
    /// Takes over a buffer.
    ///
    /// # Safety
    ///
    /// The caller owns one use of the valid buffer `ptr`, which is on no list, and gives it up. Unless `K` is
    /// [`Routed`], the buffer has no route, and no other users.
    #[inline]
    pub(super) unsafe fn from_raw(ptr: NonNull<bindings::sk_buff>) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            ptr,
            _kind: PhantomData,
        }
    }

    /// Gives the buffer away.
    #[inline]
    pub(super) fn into_raw(self) -> NonNull<bindings::sk_buff> {
        ManuallyDrop::new(self).ptr
    }

    /// Lends the C object.
    pub(super) fn with_raw<R>(&mut self, f: impl FnOnce(*mut bindings::sk_buff) -> R) -> R {
        f(self.raw())
    }

    /// Returns the C object, for reading.
    #[inline]
    pub(super) fn as_raw(&self) -> *const bindings::sk_buff {
        self.ptr.as_ptr()
    }

    #[inline]
    fn raw(&self) -> *mut bindings::sk_buff {
        self.ptr.as_ptr()
    }

    #[inline]
    fn skb(&self) -> &bindings::sk_buff {
        // SAFETY: The buffer is valid by the type invariant.
        unsafe { self.ptr.as_ref() }
    }

    #[inline]
    fn headers(&self) -> &bindings::sk_buff__bindgen_ty_4__bindgen_ty_2 {
        // SAFETY: Both views of the union are the same fields (`struct_group`).
        unsafe { self.skb().__bindgen_anon_4.headers.as_ref() }
    }

    #[inline]
    fn headers_mut(&mut self) -> &mut bindings::sk_buff__bindgen_ty_4__bindgen_ty_2 {
        // SAFETY: Both views of the union are the same fields (`struct_group`); the buffer is
        // ours.
        unsafe { (*self.raw()).__bindgen_anon_4.headers.as_mut() }
    }

    #[inline]
    fn shared_info(&self) -> *mut bindings::skb_shared_info {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_shinfo(self.raw()) }
    }

    /// Extends the data by `len` bytes, with whatever the memory held before, and returns them with `scratch` bytes of
    /// what is in front of them, and `spare` behind.
    ///
    /// # Safety
    ///
    /// The buffer is linear, empty, and has `scratch` bytes of headroom and `len + spare` of tailroom.
    unsafe fn extend(&mut self, scratch: usize, len: usize, spare: usize) -> &mut [u8] {
        // SAFETY: By the safety requirements, all of this is inside the buffer's allocation. To Rust its bytes have
        // values, as they come from a foreign function, though nobody knows which.
        unsafe {
            let data = bindings::skb_put(self.raw(), len as u32).cast::<u8>();
            core::slice::from_raw_parts_mut(data.sub(scratch), scratch + len + spare)
        }
    }

    /// Returns how many datagrams or packets this one stands for.
    #[inline]
    pub(crate) fn parts(&self) -> usize {
        // SAFETY: The shared info of a valid buffer is valid.
        let (size, parts) = unsafe {
            let shared = self.shared_info();
            ((*shared).gso_size, (*shared).gso_segs)
        };
        // What was cut off such a packet may still have its number (`skb_segment`).
        match size {
            0 => 1,
            _ => usize::from(parts).max(1),
        }
    }

    /// Returns how many bytes of payload each of the datagrams or packets has that this one stands for, but for the last;
    /// zero if it stands for itself (`skb_shinfo(skb)->gso_size`).
    #[inline]
    pub(crate) fn gso_size(&self) -> usize {
        // SAFETY: The shared info of a valid buffer is valid.
        usize::from(unsafe { (*self.shared_info()).gso_size })
    }

    /// Returns the length of the packet in bytes, from its current start.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.skb().len as usize
    }

    /// Returns how many bytes are free in front of the data.
    #[inline]
    fn headroom(&self) -> usize {
        // CAST: `data` never is in front of `head`.
        self.skb().data as usize - self.skb().head as usize
    }

    /// Returns the part of the packet that is in one piece at its start.
    #[inline]
    pub(crate) fn linear(&self) -> &[u8] {
        let skb = self.skb();
        // SAFETY: The first `len - data_len` bytes are at `data`.
        unsafe { core::slice::from_raw_parts(skb.data, (skb.len - skb.data_len) as usize) }
    }

    /// Makes the first `len` bytes one piece and returns them; `None` if the packet is shorter or
    /// memory is short.
    #[inline]
    pub(crate) fn pull_linear(&mut self, len: usize) -> Option<&[u8]> {
        if self.linear().len() < len {
            // SAFETY: The buffer is valid.
            let pulled = unsafe { bindings::pskb_may_pull(self.raw(), u32::try_from(len).ok()?) };
            if !pulled {
                return None;
            }
        }
        self.linear().get(..len)
    }

    /// Takes `len` bytes off the front, which stay available as headers.
    ///
    /// Returns `false`, and does nothing, if they are not in the linear part.
    #[inline]
    pub(crate) fn pull(&mut self, len: usize) -> bool {
        if self.linear().len() < len {
            return false;
        }
        // SAFETY: The buffer is valid and has these bytes in its linear part.
        unsafe { bindings::skb_pull(self.raw(), len as u32) };
        true
    }

    /// Copies bytes out of the packet, whatever pieces it consists of.
    ///
    /// Errors: `EFAULT` if the packet does not reach that far.
    #[inline]
    pub(crate) fn copy_bits(&self, offset: usize, to: &mut [u8]) -> Result {
        let offset = i32::try_from(offset).map_err(|_| EFAULT)?;
        let len = i32::try_from(to.len()).map_err(|_| EFAULT)?;
        // SAFETY: The buffer is valid, and `to` is valid for writes of its length.
        to_result(unsafe {
            bindings::skb_copy_bits(self.raw(), offset, to.as_mut_ptr().cast(), len)
        })
    }

    /// Copies bytes out of the packet. Returns their Internet checksum, not folded (`skb_copy_and_csum_bits`);
    /// `None`, and copies nothing, if the packet does not reach that far.
    #[inline]
    pub(crate) fn copy_and_sum(&self, offset: usize, to: &mut [u8]) -> Option<u32> {
        if offset.checked_add(to.len())? > self.len() {
            return None;
        }
        let (at, len) = (i32::try_from(offset).ok()?, i32::try_from(to.len()).ok()?);
        if let Some(from) = self.in_fragment(offset, to.len()) {
            // SAFETY: Both have these bytes. Others may write to those of the packet meanwhile, which makes no difference to C.
            return Some(unsafe {
                bindings::csum_partial_copy_nocheck(from.cast(), to.as_mut_ptr().cast(), len)
            });
        }
        // SAFETY: The buffer is valid and has these bytes, and `to` is valid for writes of as many.
        Some(unsafe { bindings::skb_copy_and_csum_bits(self.raw(), at, to.as_mut_ptr(), len) })
    }

    /// Returns where bytes are, if they are in one fragment that has an address.
    #[inline]
    fn in_fragment(&self, offset: usize, len: usize) -> Option<*const u8> {
        // SAFETY: The shared info of a valid buffer is valid.
        let shared = unsafe { &*self.shared_info() };
        let mut at = offset.checked_sub(self.linear().len())?;
        for frag in shared.frags.get(..usize::from(shared.nr_frags))? {
            let size = frag.len as usize;
            if at < size {
                // SAFETY: The fragment is valid; it has an address if it is memory that can be read.
                let start = unsafe { bindings::skb_frag_address_safe(frag) }.cast::<u8>();
                let is_there = len <= size - at && !start.is_null();
                return is_there.then(|| start.wrapping_add(at).cast_const());
            }
            at -= size;
        }
        None
    }

    /// Returns the protocol of a packet that starts with an IP header of the version its
    /// `skb->protocol` says; `None` for anything else.
    #[inline]
    pub(crate) fn ip_protocol(&self) -> Option<Protocol> {
        // SAFETY: The buffer is valid.
        let parsed = unsafe { bindings::ip_tunnel_parse_protocol(self.raw()) };
        if parsed == 0 || parsed != self.headers().protocol {
            return None;
        }
        match u32::from(u16::from_be(parsed)) {
            bindings::ETH_P_IP => Some(Protocol::Ipv4),
            bindings::ETH_P_IPV6 => Some(Protocol::Ipv6),
            _ => None,
        }
    }

    /// Returns the linear part from the network header on.
    #[inline]
    pub(crate) fn network_header(&self) -> &[u8] {
        self.linear_from(self.headers().network_header)
    }

    /// Returns the linear part from an offset into the buffer on.
    #[inline]
    fn linear_from(&self, offset: u16) -> &[u8] {
        // Elsewhere `tail` is a pointer.
        const { assert!(usize::BITS == 64) };

        let skb = self.skb();
        let end = skb.tail as usize;
        let start = usize::from(offset).min(end);
        // SAFETY: `head` is where the buffer's allocation begins, whose bytes up to `tail` are
        // initialised memory of the buffer.
        unsafe { core::slice::from_raw_parts(skb.head.add(start), end - start) }
    }

    /// Drops the packet for a reason. Always inline: the kernel notes who called it.
    #[inline(always)]
    pub(crate) fn drop_for(self, reason: DropReason) {
        let ptr = self.into_raw().as_ptr();
        // SAFETY: The use is ours and given up here.
        unsafe { bindings::sk_skb_reason_drop(core::ptr::null_mut(), ptr, reason as u32) };
    }

    /// Frees the buffer of a packet that met no misfortune (`consume_skb`).
    #[inline]
    pub(crate) fn consume(self) {
        let ptr = self.into_raw();
        // SAFETY: The use is ours and given up here.
        unsafe { bindings::consume_skb(ptr.as_ptr()) };
    }
}

/// What the driver writes into a buffer.
impl<K: Keepable> SkBuff<K> {
    /// Reads what [`Self::set_control`] wrote, if that was of the same type.
    #[inline(always)]
    pub(crate) fn control<C: Control<K>>(&self) -> C {
        // SAFETY: The control block is larger than `Words`, which any bytes are valid for.
        C::from_words(unsafe { self.skb().cb.as_ptr().cast::<Words>().read_unaligned() })
    }

    /// Notes something about the packet.
    #[inline(always)]
    pub(crate) fn set_control<C: Control<K>>(&mut self, control: C) {
        let words = control.to_words();
        // SAFETY: The control block is larger than `Words`, and ours.
        unsafe {
            (*self.raw())
                .cb
                .as_mut_ptr()
                .cast::<Words>()
                .write_unaligned(words)
        };
    }
}

impl<K: Kind> Drop for SkBuff<K> {
    #[inline]
    fn drop(&mut self) {
        let reason = DropReason::NotSpecified as u32;
        // SAFETY: The use is ours and given up here.
        unsafe { bindings::sk_skb_reason_drop(core::ptr::null_mut(), self.raw(), reason) };
    }
}
