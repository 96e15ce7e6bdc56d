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

/// How many words the longest headers have.
const MOST_WORDS: usize = MOST_HEADERS / 8;

/// Packets of one TCP flow, each of which follows the one before.
pub(crate) struct TcpRun {
    /// The headers of the first one.
    headers: [u8; MOST_HEADERS],
    /// The same in words, and which of their bits all packets have in common.
    common: [Word; MOST_WORDS],
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
    /// Whether nothing may follow the last one.
    is_complete: bool,
}

/// Eight bytes of headers.
#[derive(Clone, Copy)]
struct Word {
    first: u64,
    common: u64,
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

/// Puts headers, and which of their bits are common, into words.
fn words(headers: &[u8; MOST_HEADERS], common: &[u8; MOST_HEADERS]) -> [Word; MOST_WORDS] {
    let word = |bytes: &[u8], at: usize| {
        let chunk = bytes.get(at * 8..).and_then(<[u8]>::first_chunk);
        chunk.map_or(0, |chunk| u64::from_ne_bytes(*chunk))
    };
    core::array::from_fn(|at| Word {
        first: word(headers, at),
        common: word(common, at),
    })
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
        // What may differ: how long the packet is, IPv4's number and checksum; sequence, PSH and checksum.
        let mut common = [0u8; MOST_HEADERS];
        common.get_mut(..len)?.fill(0xff);
        if tcp == IPV4_LEN {
            common.get_mut(2..6)?.fill(0);
            common.get_mut(10..12)?.fill(0);
        } else {
            common.get_mut(4..6)?.fill(0);
        }
        common.get_mut(tcp + 4..tcp + 8)?.fill(0);
        *common.get_mut(tcp + 13)? = !PSH;
        common.get_mut(tcp + 16..tcp + 18)?.fill(0);
        let payload = total - len;
        Some(Self {
            headers,
            common: words(&headers, &common),
            tcp,
            len,
            size: payload,
            payload,
            count: 1,
            next_number: read_u16(packet, 4)?.wrapping_add(1),
            next_sequence: read_u32(packet, tcp + 4)?.wrapping_add(payload as u32),
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
            && read_u32(packet, self.tcp + 4)? == self.next_sequence;
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

    /// Returns whether a packet has all that the headers of all have in common; `None`, as if it had not, if it is no longer
    /// than these, up to a whole word.
    #[inline]
    fn has_same_headers(&self, packet: &[u8]) -> Option<bool> {
        let mut differing = 0;
        let mut rest = packet;
        for word in self.common.get(..self.len.div_ceil(8))? {
            let bytes;
            (bytes, rest) = rest.split_first_chunk()?;
            differing |= (u64::from_ne_bytes(*bytes) ^ word.first) & word.common;
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
