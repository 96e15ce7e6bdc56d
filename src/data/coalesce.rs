// SPDX-License-Identifier: GPL-2.0

//! TCP coalescing: which packets one GSO packet may stand for, the counterpart of [`crate::data::segment`]
//! (`net/ipv4/tcp_offload.c`, Documentation/networking/segmentation-offloads.rst).
//!
//! A packet may follow another of its flow if cutting the two apart again gives what they were. This is what GRO finds
//! out packet by packet; here it is found out while packets are decrypted, so that their payload is put where it belongs
//! at once.

#![forbid(unsafe_code)]

use crate::data::segment::{
    folded, sum, Layout, IPV4_LEN, IPV6_LEN, MOST_HEADERS, PROTOCOL_TCP, TCP_LEN,
};

/// TCP's flags.
const PSH: u8 = 1 << 3;
const ACK: u8 = 1 << 4;
const ECE: u8 = 1 << 6;

/// The longest packet that IP can name the length of.
const MOST_BYTES: usize = 65535;

/// Packets of one TCP flow, each of which follows the one before.
pub(crate) struct TcpRun {
    /// The headers of the first one.
    headers: [u8; MOST_HEADERS],
    /// Where the TCP header begins.
    tcp: usize,
    /// How long both headers are.
    len: usize,
    /// How many bytes of payload each packet has, but for the last.
    size: usize,
    /// How many bytes of payload there are.
    payload: usize,
    count: u16,
    /// Whether nothing may follow the last one.
    is_complete: bool,
}

/// Where the TCP header of a packet begins, how long both headers are, and how long the packet is. `None` unless
/// these are headers that any number of packets may have had.
#[inline]
fn layout(packet: &[u8]) -> Option<(usize, usize, usize)> {
    let Layout { tcp, len, total } = Layout::read(packet)?;
    // No options in IPv4's header, and the reserved bit is not set.
    if *packet.first()? >> 4 == 4 && (tcp != IPV4_LEN || *packet.get(6)? & 1 << 7 != 0) {
        return None;
    }
    let header: &[u8; TCP_LEN] = packet.get(tcp..)?.first_chunk()?;
    // No flag but these, the ninth included (RFC 9768).
    let has_plain_flags = header[12] & 0xf == 0 && header[13] & !(PSH | ECE) == ACK;
    (has_plain_flags && len < total && total <= packet.len()).then_some((tcp, len, total))
}

/// Returns whether it is worthwhile to look whether other packets follow this one.
#[inline]
pub(crate) fn may_begin(packet: &[u8]) -> bool {
    match packet.first().map(|first| first >> 4) {
        Some(4) => packet.get(9) == Some(&PROTOCOL_TCP),
        Some(6) => packet.get(6) == Some(&PROTOCOL_TCP),
        _ => false,
    }
}

/// Returns whether two TCP headers of the same length have the same options, which are whole words. Not by `memcmp`: they are
/// few.
#[inline]
fn same_options(one: &[u8], other: &[u8]) -> bool {
    let options = |header| <[u8]>::get(header, TCP_LEN..).unwrap_or_default();
    let (mut one, mut other) = (options(one), options(other));
    while let (Some((first, rest)), Some((second, rest_of_other))) =
        (one.split_first_chunk::<4>(), other.split_first_chunk::<4>())
    {
        if first != second {
            return false;
        }
        (one, other) = (rest, rest_of_other);
    }
    true
}

impl TcpRun {
    /// Begins with a packet, behind which there may be padding. `None` if nothing may follow it.
    #[inline]
    pub(crate) fn begin(packet: &[u8]) -> Option<Self> {
        let (tcp, len, total) = layout(packet)?;
        if *packet.get(tcp + 13)? & PSH != 0 {
            return None;
        }
        let mut headers = [0; MOST_HEADERS];
        headers.get_mut(..len)?.copy_from_slice(packet.get(..len)?);
        Some(Self {
            headers,
            tcp,
            len,
            size: total - len,
            payload: total - len,
            count: 1,
            is_complete: false,
        })
    }

    /// Returns how long the headers of each packet are.
    #[inline]
    pub(crate) fn headers_len(&self) -> usize {
        self.len
    }

    /// Returns how long the first packet is, without padding.
    #[inline]
    pub(crate) fn first_len(&self) -> usize {
        self.len + self.size
    }

    /// Returns how long the packet is that stands for all.
    #[inline]
    pub(crate) fn total_len(&self) -> usize {
        self.len + self.payload
    }

    /// Returns where the TCP header begins, how many bytes of payload each packet has, and how many they are.
    #[inline]
    pub(crate) fn shape(&self) -> (usize, usize, u16) {
        (self.tcp, self.size, self.count)
    }

    /// Returns whether a packet of `len` bytes with its padding may follow.
    #[inline]
    pub(crate) fn has_room_for(&self, len: usize) -> bool {
        !self.is_complete && self.len + self.payload + len <= MOST_BYTES
    }

    /// Adds a packet if it follows the last one. Returns how many bytes of payload it has.
    #[inline]
    pub(crate) fn add(&mut self, packet: &[u8]) -> Option<usize> {
        let (tcp, len, total) = layout(packet)?;
        let payload = total - len;
        if tcp != self.tcp || len != self.len || payload > self.size || !self.has_room_for(total) {
            return None;
        }
        let (ip, header) = packet.get(..len)?.split_at_checked(tcp)?;
        let (first_ip, first) = self.headers.get(..len)?.split_at_checked(tcp)?;
        let is_same_way = if tcp == IPV4_LEN {
            let number = |ip: &[u8]| Some(u16::from_be_bytes(*ip.get(4..6)?.first_chunk()?));
            ip.get(1) == first_ip.get(1)
                && number(ip)? == number(first_ip)?.wrapping_add(self.count)
                && ip.get(6..10) == first_ip.get(6..10)
                && ip.get(12..) == first_ip.get(12..)
        } else {
            ip.get(..4) == first_ip.get(..4) && ip.get(6..) == first_ip.get(6..)
        };
        let sequence = |tcp: &[u8]| Some(u32::from_be_bytes(*tcp.get(4..8)?.first_chunk()?));
        let flags = *header.get(13)?;
        let follows = is_same_way
            && sequence(header)? == sequence(first)?.wrapping_add(self.payload as u32)
            && header.get(..4) == first.get(..4)
            && header.get(8..13) == first.get(8..13)
            && flags & !PSH == *first.get(13)?
            // Window; not the checksum; urgent pointer, options.
            && header.get(14..16) == first.get(14..16)
            && header.get(18..TCP_LEN) == first.get(18..TCP_LEN)
            && same_options(header, first);
        if !follows {
            return None;
        }
        self.payload += payload;
        self.count = self.count.checked_add(1)?;
        if payload < self.size || flags & PSH != 0 {
            self.is_complete = true;
            // The last packet of what they are cut into gets it.
            let at = tcp + 13;
            *self.headers.get_mut(at)? |= flags & PSH;
        }
        Some(payload)
    }

    /// Writes the headers of the packet that stands for all, with the checksum that segmentation expects: that of the
    /// pseudo header. Returns `false` if `to` is too short.
    pub(crate) fn write_headers(&self, to: &mut [u8]) -> bool {
        self.try_write_headers(to).is_some()
    }

    fn try_write_headers(&self, to: &mut [u8]) -> Option<()> {
        let to = to.get_mut(..self.len)?;
        to.copy_from_slice(self.headers.get(..self.len)?);
        let (ip, tcp) = to.split_at_mut_checked(self.tcp)?;
        let total = u16::try_from(self.len + self.payload).ok()?;
        let addresses = if self.tcp == IPV4_LEN {
            ip.get_mut(2..4)?.copy_from_slice(&total.to_be_bytes());
            ip.get_mut(10..12)?.fill(0);
            let check = !folded(sum(ip));
            ip.get_mut(10..12)?.copy_from_slice(&check.to_ne_bytes());
            ip.get(12..20)?
        } else {
            let payload_len = total.checked_sub(IPV6_LEN as u16)?;
            ip.get_mut(4..6)?
                .copy_from_slice(&payload_len.to_be_bytes());
            ip.get(8..40)?
        };
        let tcp_len = total.checked_sub(self.tcp as u16)?;
        let pseudo = u64::from(u16::from(PROTOCOL_TCP).to_be()) + u64::from(tcp_len.to_be());
        let check = folded(sum(addresses) + pseudo);
        tcp.get_mut(16..18)?.copy_from_slice(&check.to_ne_bytes());
        Some(())
    }
}
