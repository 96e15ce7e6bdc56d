// SPDX-License-Identifier: GPL-2.0

//! Packets: bytes in one piece.

use super::{device::NetDevice, drop_reason::DropReason, skb_list::SkbList};
use crate::gfp::Gfp;
use kernel::prelude::*;
use std::marker::PhantomData;
use std::net::IpAddr;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Ipv4,
    Ipv6,
}

impl Protocol {
    pub(crate) fn source(self, _: &[u8]) -> Option<IpAddr> {
        Some([192, 0, 2, 1].into())
    }

    pub(crate) fn destination(self, _: &[u8]) -> Option<IpAddr> {
        Some([192, 0, 2, 2].into())
    }
}

/// What its first byte says: in these models the CPU that a packet comes from.
pub(crate) type Flow = u8;

#[derive(Clone, Copy, Default)]
pub(crate) struct Control {
    pub(crate) number: u64,
    pub(crate) length: u32,
    pub(crate) messages: u32,
    pub(crate) ds: u8,
}

pub(crate) enum Routed {}
pub(crate) enum PacketOut {}
pub(crate) enum DatagramOut {}
pub(crate) enum DatagramIn {}
pub(crate) enum PacketIn {}

pub(crate) struct SkBuff<K> {
    _kind: PhantomData<fn() -> K>,
    bytes: Vec<u8>,
    control: Control,
    /// How many packets the stack counts it as.
    parts: usize,
    /// The length of each of several datagrams, zero if it is one.
    size: usize,
}

impl<K> SkBuff<K> {
    pub(crate) fn of_bytes(bytes: Vec<u8>, parts: usize) -> Self {
        Self {
            _kind: PhantomData,
            bytes,
            control: Control::default(),
            parts,
            size: 0,
        }
    }

    pub(crate) fn empty(_: Gfp) -> Result<Self> {
        Ok(Self::of_bytes(Vec::new(), 1))
    }

    /// The datagrams in it.
    pub(crate) fn into_messages(self) -> Vec<Vec<u8>> {
        match self.size {
            0 => vec![self.bytes],
            size => self.bytes.chunks(size).map(<[u8]>::to_vec).collect(),
        }
    }

    pub(crate) fn alloc_with(
        _headroom: usize,
        scratch: usize,
        len: usize,
        _: Gfp,
        fill: impl FnOnce(&mut [u8]) -> Result,
    ) -> Result<Self> {
        let mut bytes = vec![0; scratch + len];
        fill(&mut bytes)?;
        Ok(Self::of_bytes(bytes.split_off(scratch), 1))
    }

    pub(crate) fn alloc_received(
        _: &NetDevice,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result,
    ) -> Result<Self> {
        Self::alloc_with(0, 64, len, Gfp::Atomic, fill)
    }

    pub(crate) fn alloc_empty(_: usize, _: Gfp) -> Result<Self> {
        Ok(Self::of_bytes(Vec::new(), 1))
    }

    pub(crate) fn append(&mut self, piece: Piece, offset: usize) -> Result {
        self.bytes.extend(&piece.0[offset..]);
        Ok(())
    }

    pub(crate) fn set_datagrams(&mut self, size: usize, count: usize) -> Result {
        assert_eq!(self.bytes.len().div_ceil(size), count);
        self.size = size;
        Ok(())
    }

    pub(crate) fn parts(&self) -> usize {
        self.parts
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn linear(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn trim(&mut self, len: usize) -> Result {
        self.bytes.truncate(len);
        Ok(())
    }

    pub(crate) fn copy_bits(&self, offset: usize, to: &mut [u8]) -> Result {
        let from = self.bytes.get(offset..offset + to.len()).ok_or(EINVAL)?;
        to.copy_from_slice(from);
        Ok(())
    }

    pub(crate) fn copy_finished(&self, to: &mut [u8]) -> bool {
        to.copy_from_slice(&self.bytes);
        true
    }

    pub(crate) fn ip_protocol(&self) -> Option<Protocol> {
        Some(Protocol::Ipv4)
    }

    pub(crate) fn network_header(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn ds_field(&self) -> u8 {
        0
    }

    pub(crate) fn ecn_for_outer(&self, _: u8) -> u8 {
        0
    }

    pub(crate) fn is_gso(&self) -> bool {
        false
    }

    pub(crate) fn segment(self) -> Result<SkbList<K>> {
        Err(EINVAL)
    }

    pub(crate) fn route_mtu(&self) -> usize {
        0
    }

    pub(crate) fn orphan(&mut self) {}

    pub(crate) fn into_packet(self) -> Option<SkBuff<PacketOut>> {
        Some(SkBuff::of_bytes(self.bytes, self.parts))
    }

    pub(crate) fn share_owner<T>(&mut self, _: &SkBuff<T>) {}

    pub(crate) fn plain_tcp_gso(&self) -> Option<(usize, usize)> {
        None
    }

    pub(crate) fn copy_and_sum(&self, _: usize, _: &mut [u8]) -> Option<u32> {
        None
    }

    pub(crate) fn take_owner<T>(&mut self, _: &mut SkBuff<T>) {}

    pub(crate) fn wants_timestamp(&self) -> bool {
        false
    }

    pub(crate) fn flow(&self) -> Flow {
        self.bytes[0]
    }

    pub(crate) fn datagram_size(&self) -> usize {
        self.size
    }

    pub(crate) fn copy_flow_hash<T>(&mut self, _: &SkBuff<T>) {}

    pub(crate) fn control(&self) -> Control {
        self.control
    }

    pub(crate) fn set_control(&mut self, control: Control) {
        self.control = control;
    }

    pub(crate) fn set_received(&mut self, _: &NetDevice, _: Protocol) {}

    pub(crate) fn apply_outer_ecn(&mut self, _: u8, _: u8) {}

    pub(crate) fn drop_for(self, reason: DropReason) {
        panic!("a packet is dropped: {reason:?}");
    }

    pub(crate) fn consume(self) {}
}

pub(crate) struct Piece(Vec<u8>);

impl Piece {
    pub(crate) const MAX: usize = 32768;

    pub(crate) fn alloc(len: usize) -> Result<Self> {
        Ok(Self(vec![0; len]))
    }

    pub(crate) fn shorten(&mut self, len: usize) {
        self.0.truncate(len);
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}
