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

/// The bits of their headers that all packets have in common. What may differ is how long a packet is, IPv4's number and
/// checksum; sequence, PSH and checksum.
static COMMON_V4: [u8; MOST_HEADERS] = common(IPV4_LEN, &[2, 3, 4, 5, 10, 11]);
static COMMON_V6: [u8; MOST_HEADERS] = common(IPV6_LEN, &[4, 5]);

const fn common(tcp: usize, mut differs: &[usize]) -> [u8; MOST_HEADERS] {
    let mut common = [0xff; MOST_HEADERS];
    while let [at, rest @ ..] = differs {
        common[*at] = 0;
        differs = rest;
    }
    differs = &[4, 5, 6, 7, 16, 17];
    while let [at, rest @ ..] = differs {
        common[tcp + *at] = 0;
        differs = rest;
    }
    common[tcp + 13] = !PSH;
    common
}

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
    /// The number in IPv4's header, and the sequence in TCP's, that the next one has.
    next_number: u16,
    next_sequence: u32,
    /// The sum of what differs in IPv4's headers, zero in IPv6: the same in all, as their checksum is right.
    differing: u16,
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
    // A wrong checksum would be made right.
    if tcp == IPV4_LEN && folded(sum(packet.get(..IPV4_LEN)?)) != 0xffff {
        return None;
    }
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

/// Reads numbers out of headers.
#[inline]
fn read_u16(header: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*header.get(at..)?.first_chunk()?))
}

#[inline]
fn read_u32(header: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*header.get(at..)?.first_chunk()?))
}

/// Sums what differs in the headers of IPv4 packets of a run: length, number, checksum.
#[inline]
fn differing(packet: &[u8], is_v4: bool) -> Option<u16> {
    if !is_v4 {
        return Some(0);
    }
    let word = |at| Some(u64::from(read_u16(packet, at)?));
    Some(folded(word(2)? + word(4)? + word(10)?))
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
        let payload = total - len;
        Some(Self {
            headers,
            tcp,
            len,
            size: payload,
            payload,
            count: 1,
            next_number: read_u16(packet, 4)?.wrapping_add(1),
            next_sequence: read_u32(packet, tcp + 4)?.wrapping_add(payload as u32),
            differing: differing(packet, tcp == IPV4_LEN)?,
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
        let is_v4 = self.tcp == IPV4_LEN;
        let total = match is_v4 {
            true => usize::from(read_u16(packet, 2)?),
            false => usize::from(read_u16(packet, 4)?) + IPV6_LEN,
        };
        let payload = total.checked_sub(self.len)?;
        let flags = *packet.get(self.tcp + 13)?;
        let follows = self.has_same_headers(packet)?
            && (1..=self.size).contains(&payload)
            && total <= packet.len()
            && self.has_room_for(total)
            && (!is_v4 || read_u16(packet, 4)? == self.next_number)
            && read_u32(packet, self.tcp + 4)? == self.next_sequence
            && differing(packet, is_v4)? == self.differing;
        if !follows {
            return None;
        }
        self.count = self.count.checked_add(1)?;
        self.payload += payload;
        self.next_number = self.next_number.wrapping_add(1);
        self.next_sequence = self.next_sequence.wrapping_add(payload as u32);
        if payload < self.size || flags & PSH != 0 {
            self.is_complete = true;
            // The last packet of what they are cut into gets it.
            *self.headers.get_mut(self.tcp + 13)? |= flags & PSH;
        }
        Some(payload)
    }

    /// Returns whether the headers of a packet are these, in what all have in common.
    #[inline]
    fn has_same_headers(&self, packet: &[u8]) -> Option<bool> {
        let common = match self.tcp {
            IPV4_LEN => &COMMON_V4,
            _ => &COMMON_V6,
        };
        let (one, other) = (packet.get(..self.len)?, self.headers.get(..self.len)?);
        let word = |header: &[u8], at: usize| -> Option<u64> {
            Some(u64::from_ne_bytes(*header.get(at..)?.first_chunk()?))
        };
        let differs = |at: usize| Some((word(one, at)? ^ word(other, at)?) & word(common, at)?);
        // All words, the last of which may overlap with the one before.
        let last = self.len.checked_sub(8)?;
        let mut differing = differs(last)?;
        let mut at = 0;
        while at < last {
            differing |= differs(at)?;
            at += 8;
        }
        Some(differing == 0)
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
