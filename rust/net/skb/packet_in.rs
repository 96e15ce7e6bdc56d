// SPDX-License-Identifier: GPL-2.0

//! Packets that have come out of a tunnel.
//!
//! Context: any but hard interrupts. Locking: none; a buffer has one owner.

use core::ptr::NonNull;
use kernel::{error::to_result, prelude::*};

use super::{PacketIn, Protocol, SkBuff, MOST_BYTES};
use crate::{bindings, net::device::NetDevice};

impl SkBuff<PacketIn> {
    /// Allocates a buffer for a received packet of `len` bytes with at least 64 bytes of headroom,
    /// and lets `fill` write the last 64 bytes of the headroom and the data, which hold whatever the memory held before.
    ///
    /// Context: any but hard interrupts. Errors: `ENOMEM`, and those of `fill`.
    pub(crate) fn alloc_received(
        dev: &NetDevice,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result,
    ) -> Result<Self> {
        const SCRATCH: usize = 64;
        if len > MOST_BYTES {
            return Err(ENOMEM);
        }
        // SAFETY: The device is valid.
        let ptr = unsafe { bindings::netdev_alloc_skb(dev.as_raw(), len as u32) };
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        // SAFETY: The new buffer is ours, and has no route.
        let mut skb = unsafe { Self::from_raw(ptr) };
        if skb.headroom() < SCRATCH {
            return Err(ENOMEM);
        }
        // SAFETY: The buffer was allocated for `len` bytes, and has the headroom just checked.
        fill(unsafe { skb.extend(SCRATCH, len, 0) })?;
        Ok(skb)
    }

    /// Returns the part of the packet that is in one piece at its start.
    #[inline]
    pub(crate) fn linear_mut(&mut self) -> &mut [u8] {
        let skb = self.skb();
        let (data, len) = (skb.data, (skb.len - skb.data_len) as usize);
        // SAFETY: The first `len - data_len` bytes are at `data`, and nobody else uses the buffer.
        unsafe { core::slice::from_raw_parts_mut(data, len) }
    }

    /// Makes the packet stand for `count` TCP packets over IP with `size` bytes of payload each, the last one possibly
    /// less. The TCP header, with the checksum of its pseudo header, begins at `tcp`.
    ///
    /// Errors: `EINVAL` if that cannot be.
    pub(crate) fn set_tcp_segments(
        &mut self,
        protocol: Protocol,
        tcp: usize,
        size: usize,
        count: u16,
    ) -> Result {
        const TCP_HEADER: usize = 20;
        const TCP_CHECKSUM: u16 = 16;

        let is_there = tcp
            .checked_add(TCP_HEADER)
            .is_some_and(|end| end <= self.linear().len());
        if !is_there || size == 0 || count < 2 {
            return Err(EINVAL);
        }
        let size = u16::try_from(size).map_err(|_| EINVAL)?;
        let start = u16::try_from(self.headroom() + tcp).map_err(|_| EINVAL)?;
        let fields = bindings::sk_buff__bindgen_ty_4__bindgen_ty_2__bindgen_ty_1__bindgen_ty_1 {
            csum_start: start,
            csum_offset: TCP_CHECKSUM,
        };
        self.headers_mut().__bindgen_anon_1.__bindgen_anon_1 = fields;
        // SAFETY: The buffer and its shared info are valid, and no clone has the same.
        unsafe {
            let shared = self.shared_info();
            (*shared).gso_size = size;
            (*shared).gso_segs = count;
            (*shared).gso_type = match protocol {
                Protocol::Ipv4 => bindings::SKB_GSO_TCPV4,
                Protocol::Ipv6 => bindings::SKB_GSO_TCPV6,
            } as u32;
            bindings::skb_set_csum_partial(self.raw());
        }
        Ok(())
    }

    /// Returns whether another fragment can be appended.
    #[inline]
    pub(crate) fn has_room_for_fragment(&self) -> bool {
        // SAFETY: The shared info of a valid buffer is valid.
        let count = unsafe { (*self.shared_info()).nr_frags };
        u32::from(count) < bindings::MAX_SKB_FRAGS
    }

    /// Shortens the packet. Errors: `ENOMEM`.
    pub(crate) fn trim(&mut self, len: usize) -> Result {
        if len >= self.len() {
            return Ok(());
        }
        // SAFETY: The buffer is valid.
        to_result(unsafe { bindings::pskb_trim(self.raw(), len as u32) })
    }

    /// Turns a buffer with an IP packet at its start into one received by `dev`, whose contents
    /// are known to be what the other side sent: all checksums count as verified. (That of one that stands for several
    /// is not needed.)
    pub(crate) fn set_received(&mut self, dev: &NetDevice, protocol: Protocol) {
        let offset = self.headroom() as u16;
        let headers = self.headers_mut();
        headers.protocol = match protocol {
            Protocol::Ipv4 => (bindings::ETH_P_IP as u16).to_be(),
            Protocol::Ipv6 => (bindings::ETH_P_IPV6 as u16).to_be(),
        };
        headers.mac_header = offset;
        headers.network_header = offset;
        headers.transport_header = offset;
        // SAFETY: The buffer and the device are valid.
        unsafe {
            (*self.raw())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev = dev.as_raw();
            if self.gso_size() == 0 {
                bindings::skb_set_csum_unnecessary(self.raw());
            }
        }
    }

    /// Applies the congestion mark of the outer header that the packet came in (RFC 6040).
    ///
    /// `inner` is the packet's own DS field. A combination that the RFC calls invalid is let
    /// through unchanged.
    pub(crate) fn apply_outer_ecn(&mut self, outer: u8, inner: u8) {
        // SAFETY: The buffer is valid and its network header is set.
        let _ = unsafe { bindings::INET_ECN_decapsulate(self.raw(), outer, inner) };
    }
}
