// SPDX-License-Identifier: GPL-2.0

//! Datagrams that a socket of the kernel's own has received.
//!
//! Context: softirq, or process context with the RCU read side held. Locking: none; a buffer has one owner.

use core::ptr::NonNull;
use kernel::prelude::*;

use super::{DatagramIn, PacketIn, Protocol, SkBuff};
use crate::{bindings, gfp, net::skb_list::SkbList};

/// Buffers with the payload of a datagram, whose network and transport headers are those of the datagram.
impl SkBuff<DatagramIn> {
    /// Returns how long the datagrams are that the buffer stands for; the last of several may be shorter.
    #[inline]
    pub(crate) fn datagram_len(&self) -> usize {
        match self.gso_size() {
            0 => self.len(),
            size => size.min(self.len()),
        }
    }

    /// Returns how many datagrams the buffer stands for.
    #[inline]
    pub(crate) fn datagrams(&self) -> usize {
        match self.gso_size() {
            0 => 1,
            size => self.len().div_ceil(size),
        }
    }

    /// Returns `skb->protocol` if it is one of IP, whatever the packet holds.
    #[inline]
    pub(crate) fn declared_protocol(&self) -> Option<Protocol> {
        match u32::from(u16::from_be(self.headers().protocol)) {
            bindings::ETH_P_IP => Some(Protocol::Ipv4),
            bindings::ETH_P_IPV6 => Some(Protocol::Ipv6),
            _ => None,
        }
    }

    /// Returns the linear part from the transport header on.
    #[inline]
    pub(crate) fn transport_header(&self) -> &[u8] {
        self.linear_from(self.headers().transport_header)
    }

    /// Returns the index of the interface that a datagram of a socket came in by; if that is one of a
    /// VRF, the interface and not the VRF.
    #[inline]
    pub(crate) fn incoming_interface(&self) -> i32 {
        // SAFETY: The buffer is valid. Whatever its control buffer holds, a number is read from it.
        unsafe { bindings::skb_ingress_ifindex(self.raw()) }
    }

    /// Returns the DS field (type of service, traffic class) of the packet's IP header.
    #[inline]
    pub(crate) fn ds_field(&self) -> u8 {
        // SAFETY: The buffer is valid; its network header was set by the IP layer.
        unsafe { bindings::ip_tunnel_get_dsfield(self.raw()) }
    }

    /// Makes a packet of the buffer: of what `fill` writes into it, `len` bytes, `head` bytes behind the start of the
    /// datagram. `fill` gets the `scratch` bytes in front of these as well.
    ///
    /// Gives the buffer back, with `EINVAL` and as it was if it is in several pieces, or shared, or came as one that stands
    /// for several, or has no room for that; with the error of `fill` if that returns one.
    pub(crate) fn into_packet(
        mut self,
        head: usize,
        len: usize,
        scratch: usize,
        fill: impl FnOnce(&mut [u8]) -> Result,
    ) -> core::result::Result<SkBuff<PacketIn>, (Self, Error)> {
        // SAFETY: The buffer is valid.
        let is_shared = unsafe { bindings::skb_cloned(self.raw()) };
        let linear = self.linear().len();
        let start = self.headroom().saturating_add(head);
        // The packet's headers begin at `start`, of which 16 bits are noted.
        let is_there = head.checked_add(len).is_some_and(|end| end <= linear)
            && (scratch..=usize::from(u16::MAX)).contains(&start);
        if is_shared || !is_there || linear != self.len() || self.gso_size() != 0 {
            return Err((self, EINVAL));
        }
        let data = self.skb().data;
        // SAFETY: The bytes are in the buffer's allocation, which no clone shares.
        let bytes =
            unsafe { core::slice::from_raw_parts_mut(data.add(head).sub(scratch), scratch + len) };
        if let Err(e) = fill(bytes) {
            return Err((self, e));
        }
        // SAFETY: The buffer is valid, and has these bytes. What it was, and where it came from, is taken off it.
        unsafe {
            let skb = self.raw();
            bindings::skb_pull(skb, head as u32);
            bindings::skb_trim(skb, len as u32);
            bindings::skb_orphan(skb);
            bindings::skb_scrub_packet(skb, true);
            let headers = self.headers_mut();
            // On that CPU it is freed.
            let alloc_cpu = headers.alloc_cpu;
            (&raw mut *headers).write_bytes(0, 1);
            headers.alloc_cpu = alloc_cpu;
            (*skb).queue_mapping = 0;
            Ok(SkBuff::from_raw(self.into_raw()))
        }
    }

    /// Takes a buffer apart that stands for several datagrams. They share its memory. Those for which there is none stay in
    /// the buffer, which is given back with their number.
    #[cold]
    pub(crate) fn split(self) -> (SkbList<DatagramIn>, Option<(Self, usize)>) {
        let count = self.datagrams();
        let mut datagrams = SkbList::new();
        let (len, size) = (self.len(), self.gso_size());
        // SAFETY: The buffer is valid; what it shares with clones is copied before it is changed.
        let is_ours = unsafe {
            bindings::skb_linearize(self.raw()) == 0
                && bindings::skb_unclone(self.raw(), gfp::raw(GFP_ATOMIC)) == 0
        };
        if !is_ours || size == 0 {
            return (datagrams, Some((self, count)));
        }
        // SAFETY: The buffer is valid, and nobody shares it.
        unsafe { bindings::skb_gso_reset(self.raw()) };
        let mut at = 0usize;
        while at < len {
            // SAFETY: The buffer is valid.
            let clone = unsafe { bindings::skb_clone(self.raw(), gfp::raw(GFP_ATOMIC)) };
            let Some(clone) = NonNull::new(clone) else {
                break;
            };
            // SAFETY: The new buffer is ours, linear, and has `len` bytes; like the old one it has no route.
            unsafe {
                bindings::skb_pull(clone.as_ptr(), at as u32);
                bindings::skb_trim(clone.as_ptr(), size.min(len - at) as u32);
                datagrams.push_back(SkBuff::from_raw(clone));
            }
            at += size;
        }
        let missing = count - datagrams.len();
        if missing != 0 {
            return (datagrams, Some((self, missing)));
        }
        self.consume();
        (datagrams, None)
    }
}
