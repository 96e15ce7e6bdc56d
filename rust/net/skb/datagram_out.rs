// SPDX-License-Identifier: GPL-2.0

//! Datagrams to be sent through a socket of the kernel's own.
//!
//! Context: any but hard interrupts. Locking: none; a buffer has one owner.

use core::ptr::NonNull;
use kernel::{alloc::Flags, prelude::*};

use super::{DatagramOut, Kind, SkBuff, MOST_BYTES};
use crate::{bindings, gfp, net::device::NetDevice};

/// No buffer is allocated with more headroom, so that all offsets of headers fit.
const MOST_HEADROOM: usize = 4096;

/// Buffers that hold the payload of one datagram, or of several.
impl SkBuff<DatagramOut> {
    /// Allocates a buffer with `headroom` bytes reserved in front of `len` bytes of data, and lets `fill` write the
    /// latter, all of the headroom's last `scratch` bytes, and `spare` bytes behind the data.
    ///
    /// `fill` gets one slice: the scratch, the data, and the spare bytes, with whatever the memory held before. All of
    /// the data is sent, so `fill` must write all of it. Context: that of `flags`. Errors: `ENOMEM`, and those of `fill`.
    pub(crate) fn alloc_with(
        headroom: usize,
        scratch: usize,
        len: usize,
        spare: usize,
        flags: Flags,
        fill: impl FnOnce(&mut [u8]) -> Result,
    ) -> Result<Self> {
        if scratch > headroom {
            return Err(EINVAL);
        }
        if headroom > MOST_HEADROOM || len > MOST_BYTES || spare > MOST_BYTES {
            return Err(ENOMEM);
        }
        // SAFETY: No requirements.
        let ptr = unsafe { bindings::alloc_skb((headroom + len + spare) as u32, gfp::raw(flags)) };
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        // SAFETY: The new buffer has room for `headroom + len + spare` bytes.
        unsafe {
            bindings::skb_reserve(ptr.as_ptr(), headroom as i32);
            // The new buffer is ours, and has no route.
            let mut skb = Self::from_raw(ptr);
            fill(skb.extend(scratch, len, spare))?;
            Ok(skb)
        }
    }

    /// Allocates a buffer with `headroom` bytes reserved and nothing in it, for pieces to be added.
    ///
    /// Context: that of `flags`. Errors: `ENOMEM`.
    pub(crate) fn alloc_empty(headroom: usize, flags: Flags) -> Result<Self> {
        Self::alloc_with(headroom, 0, 0, 0, flags, |_| Ok(()))
    }

    /// Makes the packet stand for `count` datagrams of `size` bytes each, the last one possibly
    /// shorter, which the device or the IP layer cuts it into (UDP GSO). Its UDP header is pushed
    /// next.
    ///
    /// Errors: `EINVAL` if that cannot be the packet's length.
    pub(crate) fn set_datagrams(&mut self, size: usize, count: usize) -> Result {
        const UDP_HEADER: usize = 8;
        const UDP_CHECKSUM: u16 = 6;

        let fits = count > 1
            && size.checked_mul(count).is_some_and(|all| all >= self.len())
            && size
                .checked_mul(count - 1)
                .is_some_and(|most| most < self.len());
        let start = self.headroom().checked_sub(UDP_HEADER).ok_or(EINVAL)?;
        let start = u16::try_from(start).map_err(|_| EINVAL)?;
        if !fits {
            return Err(EINVAL);
        }
        let size = u16::try_from(size).map_err(|_| EINVAL)?;
        let count = u16::try_from(count).map_err(|_| EINVAL)?;
        let fields = bindings::sk_buff__bindgen_ty_4__bindgen_ty_2__bindgen_ty_1__bindgen_ty_1 {
            csum_start: start,
            csum_offset: UDP_CHECKSUM,
        };
        self.headers_mut().__bindgen_anon_1.__bindgen_anon_1 = fields;
        // SAFETY: The buffer and its shared info are valid.
        unsafe {
            let shared = self.shared_info();
            (*shared).gso_size = size;
            (*shared).gso_segs = count;
            (*shared).gso_type = bindings::SKB_GSO_UDP_L4 as u32;
            bindings::skb_set_csum_partial(self.raw());
        }
        Ok(())
    }

    /// Accounts this packet to the socket that `from` is accounted to, instead of `from`.
    ///
    /// Used when a packet is re-encoded into another buffer, so that the sender keeps waiting
    /// until that one has left, and is told when, if it asked for that.
    pub(crate) fn take_owner<K: Kind>(&mut self, from: &mut SkBuff<K>) {
        // SAFETY: Both buffers are valid.
        unsafe {
            let (to, from) = (self.raw(), from.raw());
            let sk = (*from).sk;
            if sk.is_null() || !bindings::is_skb_wmem(from) {
                return;
            }
            // The destructor will give back the new buffer's size instead of the old one's.
            let delta = (*to).truesize as i32 - (*from).truesize as i32;
            bindings::refcount_add_wmem(sk, delta);
            (*to).sk = sk;
            (*to).__bindgen_anon_3.__bindgen_anon_1.destructor =
                (*from).__bindgen_anon_3.__bindgen_anon_1.destructor;
            (*from).sk = core::ptr::null_mut();
            (*from).__bindgen_anon_3.__bindgen_anon_1.destructor = None;
            let (to, from) = (bindings::skb_shinfo(to), bindings::skb_shinfo(from));
            (*to).tx_flags = (*from).tx_flags;
            (*to).tskey = (*from).tskey;
        }
    }

    /// As [`Self::take_owner`], but for a part of what is in `from`, another part of which takes the owner
    /// later: until then both are accounted.
    pub(crate) fn share_owner<K: Kind>(&mut self, from: &SkBuff<K>) {
        // SAFETY: Both buffers are valid. The socket lives for as long as one of them is accounted to it, and
        // the new one is from here on.
        unsafe {
            let (to, from) = (self.raw(), from.raw());
            let sk = (*from).sk;
            if sk.is_null() || !(*to).sk.is_null() || !bindings::is_skb_wmem(from) {
                return;
            }
            bindings::refcount_add_wmem(sk, (*to).truesize as i32);
            (*to).sk = sk;
            (*to).__bindgen_anon_3.__bindgen_anon_1.destructor =
                (*from).__bindgen_anon_3.__bindgen_anon_1.destructor;
        }
    }

    /// Has queues count at least so many bytes of memory for this buffer, unless a socket is charged for it.
    pub(crate) fn weigh_at_least(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // SAFETY: The buffer is valid and ours. Nothing has been charged with its size that is given back later.
        unsafe {
            let skb = self.raw();
            if (*skb).sk.is_null() {
                (*skb).truesize = bytes.max((*skb).truesize);
            }
        }
    }

    /// Gives this packet the flow hash of another, so that the flow stays together on multi-queue devices though its
    /// headers can no longer be seen.
    pub(crate) fn copy_flow_hash<K: Kind>(&mut self, from: &SkBuff<K>) {
        // SAFETY: Both buffers are valid.
        unsafe { bindings::skb_copy_hash(self.raw(), from.as_raw()) };
    }

    /// Gets a buffer that holds the payload of a datagram ready to be sent through `dev`.
    pub(in crate::net) fn prepare_sending(&mut self, dev: &NetDevice, mark: u32) -> Result {
        const UDP_AND_IPV6: usize = 8 + 40;

        if self.headroom() < UDP_AND_IPV6 {
            return Err(EINVAL);
        }
        let offset = u16::try_from(self.headroom()).map_err(|_| EINVAL)?;
        let headers = self.headers_mut();
        headers.inner_network_header = offset;
        headers.network_header = offset;
        headers.transport_header = offset;
        headers.__bindgen_anon_4.mark = mark;
        // SAFETY: The buffer and the device are valid.
        unsafe {
            (*self.raw())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev = dev.as_raw();
            bindings::skb_set_ignore_df(self.raw());
        }
        Ok(())
    }
}
