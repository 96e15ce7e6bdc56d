// SPDX-License-Identifier: GPL-2.0

//! Packets that are to be sent through a tunnel.
//!
//! Context: any but hard interrupts. Locking: none; a buffer has one owner. What takes a buffer and fails has dropped it.

use core::ptr::NonNull;
use kernel::{alloc::Flags, error::from_err_ptr, prelude::*};

use super::{DatagramOut, PacketOut, Protocol, Routed, SkBuff};
use crate::{
    bindings, gfp,
    net::{drop_reason::DropReason, skb_list::SkbList},
};

/// What tells flows of packets and their senders apart: a hash of addresses and ports, and the socket that a
/// packet is accounted to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    hash: u32,
    socket: usize,
}

/// Packets on their way into a device's transmit function.
impl SkBuff<Routed> {
    /// Returns the MTU of the route that the packet was sent by, zero if it has none.
    #[inline]
    pub(crate) fn route_mtu(&self) -> usize {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_dst_mtu(self.raw()) as usize }
    }

    /// Takes the packet, which has an IP header, over, to be kept: without the route that it was sent by, and in a buffer that
    /// nobody else uses, which is a copy of its descriptor if it was shared. Returns `None` if memory is short.
    ///
    /// Finds the hash of the flow that it belongs to, if it is not known yet: once it is encrypted, queues below cannot
    /// (`skb_get_hash`). Not of ICMP over IPv4, which has no ports: the IP layer keeps no hash of addresses alone
    /// (`skb_clear_hash_if_not_l4`).
    #[inline]
    pub(crate) fn into_packet(self, protocol: Protocol) -> Option<SkBuff<PacketOut>> {
        const PROTOCOL: usize = 9;
        const ICMP: u8 = bindings::IPPROTO_ICMP as u8;

        let ptr = self.into_raw().as_ptr();
        // SAFETY: The buffer is valid; the callee takes our use and returns one, which is ours, and has no route
        // after that. The device that it was routed to, whose transmit function this is, is still there.
        unsafe {
            let ptr = NonNull::new(bindings::skb_share_check(ptr, gfp::raw(GFP_ATOMIC)))?;
            bindings::skb_dst_drop(ptr.as_ptr());
            let packet = SkBuff::<PacketOut>::from_raw(ptr);
            if protocol == Protocol::Ipv6 || packet.linear().get(PROTOCOL) != Some(&ICMP) {
                bindings::skb_get_hash(packet.raw());
            }
            Some(packet)
        }
    }
}

impl SkBuff<PacketOut> {
    /// Allocates a packet of no bytes. Context: that of `flags`. Errors: `ENOMEM`.
    pub(crate) fn empty(flags: Flags) -> Result<Self> {
        // SAFETY: No requirements.
        let ptr = unsafe { bindings::alloc_skb(0, gfp::raw(flags)) };
        let ptr = NonNull::new(ptr).ok_or(ENOMEM)?;
        // SAFETY: The new buffer is ours, and has no route.
        Ok(unsafe { Self::from_raw(ptr) })
    }

    /// Returns the DS field for an outer header: `ds` with the ECN bits of the packet's IP header
    /// as RFC 6040 wants them when encapsulating.
    #[inline]
    pub(crate) fn ecn_for_outer(&self, ds: u8) -> u8 {
        if self.ip_protocol().is_none() {
            return ds;
        }
        // SAFETY: The buffer is valid, and begins with an IP header.
        unsafe { bindings::ip_tunnel_ecn_encap(ds, self.raw()) }
    }

    /// Returns whether the packet stands for several that are yet to be cut (GSO).
    #[inline]
    pub(crate) fn is_gso(&self) -> bool {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_is_gso(self.raw()) }
    }

    /// Cuts a GSO packet. The pieces share its memory and may have their checksums unfinished.
    ///
    /// Errors: `ENOMEM`, `EINVAL` if its headers are broken, `EPROTONOSUPPORT`; it is dropped. A
    /// packet that needs no cutting comes back as it is.
    pub(crate) fn segment(self) -> Result<SkbList<PacketOut>> {
        // SAFETY: The buffer is valid.
        let segments = from_err_ptr(unsafe {
            bindings::skb_gso_segment(self.raw(), bindings::segment_features())
        });
        let segments = match segments {
            Ok(segments) => segments,
            Err(e) => {
                self.drop_for(DropReason::SkbGsoSeg);
                return Err(e);
            }
        };
        let mut list;
        if segments.is_null() {
            list = SkbList::new();
            list.push_back(self);
        } else {
            // SAFETY: The callee returned a chain of buffers that is ours. They have the route of this one: none.
            list = unsafe { SkbList::from_chain(segments) };
            self.consume();
        }
        Ok(list)
    }

    /// Lets go of the socket that the packet is accounted to.
    pub(crate) fn orphan(&mut self) {
        // SAFETY: The buffer is valid.
        unsafe { bindings::skb_orphan(self.raw()) };
    }

    /// Makes a datagram of the packet where it stands, with `head` bytes in front of it, and `tail` behind, all of which
    /// `fill` writes; it gets the `scratch` bytes in front of the packet, the packet, the tail, and `spare` bytes more.
    /// The checksum that was left for the hardware is computed before.
    ///
    /// Gives the packet back, with `EINVAL` and whole, if it is in several pieces, shared, or has no room for that, and
    /// `headroom` more in front; with the error of `fill` if that returns one.
    pub(crate) fn into_datagram(
        mut self,
        (headroom, head, scratch): (usize, usize, usize),
        (tail, spare): (usize, usize),
        fill: impl FnOnce(&mut [u8]) -> Result,
    ) -> core::result::Result<SkBuff<DatagramOut>, (Self, Error)> {
        let len = self.len();
        let most = headroom.saturating_add(head).max(scratch);
        // SAFETY: The buffer is valid.
        let (is_shared, tailroom) = unsafe {
            (
                bindings::skb_cloned(self.raw()),
                bindings::skb_tailroom(self.raw()),
            )
        };
        let is_fit = !is_shared && !self.is_gso() && len != 0 && len == self.linear().len();
        // Where headers begin 16 bits are noted.
        let has_room = (most..=usize::from(u16::MAX)).contains(&self.headroom())
            && tailroom as usize >= tail.saturating_add(spare);
        if !is_fit || !has_room {
            return Err((self, EINVAL));
        }
        // SAFETY: The buffer is valid, linear, and nobody else's.
        let is_summed = unsafe {
            !bindings::skb_is_csum_partial(self.raw())
                || bindings::skb_checksum_help(self.raw()) == 0
        };
        if !is_summed {
            return Err((self, EINVAL));
        }
        let data = self.skb().data;
        // SAFETY: The bytes are in the buffer's allocation, which no clone shares.
        let bytes = unsafe {
            core::slice::from_raw_parts_mut(data.sub(scratch), scratch + len + tail + spare)
        };
        if let Err(e) = fill(bytes) {
            return Err((self, e));
        }
        // SAFETY: The buffer is valid, and has that room. What it was is taken off it, but for the hash of its flow and its
        // owner.
        unsafe {
            let skb = self.raw();
            bindings::skb_put(skb, tail as u32);
            bindings::skb_push(skb, head as u32);
            bindings::skb_scrub_packet(skb, true);
            let headers = self.headers_mut();
            let (hash, is_l4, is_sw) = (headers.hash, headers.l4_hash(), headers.sw_hash());
            (&raw mut *headers).write_bytes(0, 1);
            headers.hash = hash;
            headers.set_l4_hash(is_l4);
            headers.set_sw_hash(is_sw);
            Ok(SkBuff::from_raw(self.into_raw()))
        }
    }

    /// Copies the whole packet out, computing the checksum that was left for the hardware on the
    /// way (`skb_copy_and_csum_dev`). Where that is zero it becomes all ones, which is the same number
    /// to a receiver: in UDP, zero stands for none, and over IPv6 there must be one.
    ///
    /// Returns `false`, and writes nothing useful, if `to` is not as long as the packet or the
    /// packet's checksum fields are out of its bounds.
    pub(crate) fn copy_finished(&self, to: &mut [u8]) -> bool {
        if to.len() != self.len() {
            return false;
        }
        // SAFETY: The buffer is valid.
        if unsafe { bindings::skb_is_csum_partial(self.raw()) } {
            // SAFETY: All views of the union are plain integers.
            let fields = unsafe { self.headers().__bindgen_anon_1.__bindgen_anon_1 };
            let start = usize::from(fields.csum_start).checked_sub(self.headroom());
            let Some(start) = start.filter(|start| *start <= self.linear().len()) else {
                return false;
            };
            let at = start.saturating_add(usize::from(fields.csum_offset));
            if at.saturating_add(2) > to.len() {
                return false;
            }
            // SAFETY: `to` has room for the whole packet, and the checksum fields were checked.
            unsafe { bindings::skb_copy_and_csum_dev(self.raw(), to.as_mut_ptr()) };
            if let Some(sum @ [0, 0]) = to.get_mut(at..at + 2) {
                sum.fill(0xff);
            }
            return true;
        }
        self.copy_bits(0, to).is_ok()
    }

    /// Returns how the packet is to be cut, if it is a TCP GSO packet over IPv4 or IPv6 with nothing special about
    /// it: how much payload each piece gets, and where the header with the checksum begins.
    ///
    /// Special are tunnels, checksums that are there already, IPv4 numbers that stay the same, accurate ECN,
    /// what user space says without proof (`SKB_GSO_DODGY`), and pages that the CPU cannot read.
    #[inline]
    pub(crate) fn plain_tcp_gso(&self) -> Option<(usize, usize)> {
        const PLAIN: u32 =
            (bindings::SKB_GSO_TCPV4 | bindings::SKB_GSO_TCPV6 | bindings::SKB_GSO_TCP_ECN) as u32;
        const TCP_CHECKSUM: u16 = 16;

        // SAFETY: The buffer and its shared info are valid; all views of the union are plain integers.
        let (kind, size, fields) = unsafe {
            let shared = self.shared_info();
            let fields = self.headers().__bindgen_anon_1.__bindgen_anon_1;
            ((*shared).gso_type, (*shared).gso_size, fields)
        };
        if kind == 0 || kind & !PLAIN != 0 || fields.csum_offset != TCP_CHECKSUM {
            return None;
        }
        // SAFETY: The buffer is valid.
        if !unsafe { bindings::skb_is_simple_to_cut(self.raw()) } {
            return None;
        }
        let start = usize::from(fields.csum_start).checked_sub(self.headroom())?;
        Some((usize::from(size), start))
    }

    /// Returns whether the sender wants to be told when the packet leaves (`SO_TIMESTAMPING`).
    #[inline]
    pub(crate) fn wants_timestamp(&self) -> bool {
        // SAFETY: The shared info of a valid buffer is valid.
        unsafe { (*self.shared_info()).tx_flags != 0 }
    }

    /// Returns whether a socket of this machine sent the packet, and did not only forward it.
    pub(crate) fn has_socket(&self) -> bool {
        !self.skb().sk.is_null()
    }

    /// Returns the flow that the packet belongs to, as far as that was found.
    #[inline]
    pub(crate) fn flow(&self) -> Flow {
        Flow {
            hash: self.headers().hash,
            socket: self.skb().sk as usize,
        }
    }
}
