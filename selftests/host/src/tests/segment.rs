// SPDX-License-Identifier: GPL-2.0

//! TCP segmentation against what the headers mean, computed another way.

use super::Numbers;
use crate::data::segment::{Payload, TcpSegments};

/// A packet as it lies in memory.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Payload for Bytes<'_> {
    fn copy_and_sum(&self, offset: usize, to: &mut [u8]) -> Option<u32> {
        let from = self.0.get(offset..offset + to.len())?;
        to.copy_from_slice(from);
        let mut sum = 0u32;
        for word in from.chunks(2) {
            let word = u16::from_ne_bytes([word[0], *word.get(1).unwrap_or(&0)]);
            sum += u32::from(word);
        }
        Some(sum)
    }
}

/// The Internet checksum of bytes in network order.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let bytes: Vec<u8> = parts.concat();
    let mut sum = 0u64;
    for word in bytes.chunks(2) {
        sum += u64::from(word[0]) << 8 | u64::from(*word.get(1).unwrap_or(&0));
    }
    while sum >> 16 != 0 {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    pub(super) tcp: usize,
    pub(super) len: usize,
}

/// A GSO packet with random contents, whose checksums are not yet there.
pub(super) fn packet(
    numbers: &mut Numbers,
    is_v6: bool,
    options: (usize, usize),
    payload: usize,
) -> Packet {
    let tcp = if is_v6 { 40 } else { 20 + 4 * options.0 };
    let len = tcp + 20 + 4 * options.1;
    let mut bytes = numbers.vec(len + payload);
    let total = bytes.len();
    if is_v6 {
        bytes[0] = 6 << 4 | bytes[0] & 0xf;
        bytes[4..6].copy_from_slice(&(total as u16 - 40).to_be_bytes());
        bytes[6] = 6;
    } else {
        bytes[0] = 4 << 4 | (tcp / 4) as u8;
        bytes[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        bytes[6] = 0x40;
        bytes[7] = 0;
        bytes[9] = 6;
    }
    bytes[tcp + 12] = ((5 + options.1) << 4) as u8;
    Packet { bytes, tcp, len }
}

#[test]
fn every_packet_is_right() {
    let mut numbers = Numbers(77);
    for round in 0..2000 {
        let is_v6 = round % 2 == 0;
        let options = (0, numbers.below(11) as usize);
        let size = 1 + numbers.below(1500) as usize;
        let payload = 1 + numbers.below(20_000) as usize;
        let gso = packet(&mut numbers, is_v6, options, payload);
        let (bytes, tcp, len) = (&gso.bytes, gso.tcp, gso.len);
        let segments = TcpSegments::parse(&bytes[..len], bytes.len(), size).unwrap();
        let pieces: Vec<_> = bytes[len..].chunks(size).collect();
        assert_eq!(segments.count(), pieces.len());
        for (number, piece) in pieces.iter().enumerate() {
            assert_eq!(segments.len_of(number), len + piece.len());
            let mut to = vec![0xa5; len + piece.len()];
            assert!(segments.write(number, &Bytes(bytes), &mut to));
            assert_eq!(&to[len..], *piece);
            let total = to.len();
            // What is the same in all of them, and what is not.
            let mut expected = bytes[..len].to_vec();
            if is_v6 {
                expected[4..6].copy_from_slice(&(total as u16 - 40).to_be_bytes());
            } else {
                let id = u16::from_be_bytes([bytes[4], bytes[5]]).wrapping_add(number as u16);
                expected[2..4].copy_from_slice(&(total as u16).to_be_bytes());
                expected[4..6].copy_from_slice(&id.to_be_bytes());
                assert_eq!(checksum(&[&to[..tcp]]), 0, "IPv4's checksum");
                expected[10..12].copy_from_slice(&to[10..12]);
            }
            let sequence = u32::from_be_bytes(bytes[tcp + 4..tcp + 8].try_into().unwrap());
            let sequence = sequence.wrapping_add((number * size) as u32);
            expected[tcp + 4..tcp + 8].copy_from_slice(&sequence.to_be_bytes());
            let is_last = number + 1 == pieces.len();
            expected[tcp + 13] &= if is_last { 0xff } else { !9 };
            expected[tcp + 13] &= if number == 0 { 0xff } else { !0x80 };
            expected[tcp + 16..tcp + 18].copy_from_slice(&to[tcp + 16..tcp + 18]);
            assert_eq!(&to[..len], expected);
            let addresses = if is_v6 { &to[8..40] } else { &to[12..20] };
            let tcp_len = ((total - tcp) as u16).to_be_bytes();
            let pseudo = [0, 6, tcp_len[0], tcp_len[1]];
            assert_eq!(
                checksum(&[addresses, &pseudo, &to[tcp..]]),
                0,
                "TCP's checksum"
            );
        }
        let mut one = [0; 100];
        assert_eq!(segments.len_of(pieces.len()), 0);
        assert!(!segments.write(pieces.len(), &Bytes(bytes), &mut one));
    }
}

#[test]
fn what_is_not_understood_is_left_alone() {
    let mut numbers = Numbers(78);
    let good = packet(&mut numbers, false, (0, 3), 5000);
    let total = good.bytes.len();
    let parse = |bytes: &[u8], total| TcpSegments::parse(bytes, total, 1000).is_some();
    assert!(parse(&good.bytes, total));
    for (at, value) in [
        (0, 0x44),
        (0, 0x35),
        (6, 0x20),
        (7, 1),
        (9, 17),
        (2, 0),
        (20 + 12, 0x40),
    ] {
        let mut bad = good.bytes.clone();
        bad[at] = value;
        assert!(!parse(&bad, total), "byte {at} is {value}");
    }
    // Cut anywhere in the headers.
    for cut in 0..good.len {
        assert!(!parse(&good.bytes[..cut], total));
    }
    assert!(!parse(&good.bytes, total - 1));
    assert!(!parse(&good.bytes[..good.len], good.len));
    assert!(TcpSegments::parse(&good.bytes, total, 0).is_none());
    // Options of IPv4: with a source route, the header's destination is not that of the checksum.
    let routed = packet(&mut numbers, false, (2, 3), 5000);
    assert!(!parse(&routed.bytes, routed.bytes.len()));
    let v6 = packet(&mut numbers, true, (0, 0), 3000);
    assert!(parse(&v6.bytes, v6.bytes.len()));
    for (at, value) in [(0, 0x50), (4, 0xff), (6, 0), (6, 43), (40 + 12, 0x10)] {
        let mut bad = v6.bytes.clone();
        bad[at] = value;
        assert!(!parse(&bad, v6.bytes.len()), "byte {at} is {value}");
    }
    // A payload that is shorter than its headers say.
    let segments = TcpSegments::parse(&good.bytes[..good.len], total, 1000).unwrap();
    let mut to = vec![0; segments.len_of(4)];
    assert!(!segments.write(4, &Bytes(&good.bytes[..total - 1]), &mut to));
    assert!(!segments.write(0, &Bytes(&good.bytes), &mut to[1..]));
}
