// SPDX-License-Identifier: GPL-2.0

//! TCP coalescing against segmentation: what is merged must come apart again as what it was, byte for byte.

use super::{
    segment::{checksum, packet, Bytes},
    Numbers,
};
use crate::data::{
    coalesce::{may_begin, TcpRun},
    segment::TcpSegments,
};

/// Gives a packet the checksums that it ought to have.
fn finish(bytes: &mut [u8], tcp: usize) {
    if tcp == 20 {
        bytes[10..12].fill(0);
        let sum = checksum(&[&bytes[..20]]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    bytes[tcp + 16..tcp + 18].fill(0);
    let addresses = if tcp == 20 { 12..20 } else { 8..40 };
    let len = ((bytes.len() - tcp) as u16).to_be_bytes();
    let sum = checksum(&[&bytes[addresses], &[0, 6, len[0], len[1]], &bytes[tcp..]]);
    bytes[tcp + 16..tcp + 18].copy_from_slice(&sum.to_be_bytes());
}

/// Where IP's header says how long the packet is. What is behind that end does not belong to it.
fn length_of_ip(tcp: usize) -> core::ops::Range<usize> {
    if tcp == 20 {
        2..4
    } else {
        4..6
    }
}

/// The packets of a flow as a sender makes them.
fn flow(numbers: &mut Numbers, is_v6: bool, size: usize) -> (Vec<Vec<u8>>, usize) {
    let options = (0, numbers.below(11) as usize);
    let payload = 1 + numbers.below(30 * size as u64) as usize;
    let mut gso = packet(numbers, is_v6, options, payload);
    gso.bytes[gso.tcp + 13] = 0x10 | (numbers.below(2) as u8) << 6 | (numbers.below(2) as u8) << 3;
    let segments = TcpSegments::parse(&gso.bytes[..gso.len], gso.bytes.len(), size).unwrap();
    let packets = (0..segments.count()).map(|number| {
        let mut to = vec![0; segments.len_of(number)];
        assert!(segments.write(number, &Bytes(&gso.bytes), &mut to));
        to
    });
    (packets.collect(), gso.tcp)
}

/// Cuts a run apart again.
fn cut(run: &TcpRun, merged: &mut [u8]) -> Vec<Vec<u8>> {
    let (_, size, count) = run.shape();
    assert_eq!(merged.len(), run.total_len());
    assert!(run.write_headers(merged));
    let merged = &*merged;
    if count == 1 {
        return Vec::new();
    }
    let segments = TcpSegments::parse(merged, merged.len(), size).unwrap();
    assert_eq!(segments.count(), usize::from(count));
    let packets = (0..segments.count()).map(|number| {
        let mut to = vec![0; segments.len_of(number)];
        assert!(segments.write(number, &Bytes(merged), &mut to));
        to
    });
    packets.collect()
}

#[test]
fn what_is_merged_comes_apart_as_it_was() {
    let mut numbers = Numbers(91);
    let (mut merged_packets, mut kept_apart) = (0, 0);
    for round in 0..4000 {
        let is_v6 = round % 2 == 0;
        let size = 1 + numbers.below(1400) as usize;
        let (mut packets, tcp) = flow(&mut numbers, is_v6, size);
        // Some are lost, some changed in a byte of their headers.
        for _ in 0..numbers.below(4) {
            let at = numbers.below(packets.len() as u64) as usize;
            if numbers.below(3) == 0 && packets.len() > 1 {
                packets.remove(at);
            } else {
                let headers = tcp + 20;
                let byte = numbers.below(headers as u64) as usize;
                if !length_of_ip(tcp).contains(&byte) {
                    packets[at][byte] ^= 1 << numbers.below(8);
                    finish(&mut packets[at], tcp);
                }
            }
        }
        let mut run: Option<(TcpRun, Vec<u8>, Vec<Vec<u8>>)> = None;
        for packet in packets {
            // With padding, as it comes out of a message.
            let mut padded = packet.clone();
            padded.resize(packet.len().next_multiple_of(16), 0);
            if let Some((tcp_run, merged, originals)) = &mut run {
                if tcp_run.has_room_for(padded.len()) {
                    if let Some(payload) = tcp_run.add(&padded) {
                        let start = tcp_run.headers_len();
                        merged.extend_from_slice(&padded[start..start + payload]);
                        originals.push(packet);
                        continue;
                    }
                }
                kept_apart += 1;
            }
            if let Some((tcp_run, mut merged, originals)) = run.take() {
                let apart = cut(&tcp_run, &mut merged);
                if !apart.is_empty() {
                    assert_eq!(apart, originals);
                    merged_packets += apart.len();
                }
            }
            if let Some(tcp_run) = TcpRun::begin(&padded) {
                assert!(may_begin(&padded));
                let merged = padded[..tcp_run.first_len()].to_vec();
                run = Some((tcp_run, merged, vec![packet]));
            }
        }
        if let Some((tcp_run, mut merged, originals)) = run {
            let apart = cut(&tcp_run, &mut merged);
            if !apart.is_empty() {
                assert_eq!(apart, originals);
                merged_packets += apart.len();
            }
        }
    }
    // Both happen, and what was whole was merged for the most part.
    assert!(merged_packets > 20_000, "{merged_packets}");
    assert!(kept_apart > 2000, "{kept_apart}");
}

#[test]
fn what_must_not_follow_does_not() {
    let mut numbers = Numbers(92);
    for is_v6 in [false, true] {
        let mut gso = packet(&mut numbers, is_v6, (0, 3), 3000);
        let tcp = gso.tcp;
        gso.bytes[tcp + 13] = 0x10;
        let segments = TcpSegments::parse(&gso.bytes[..gso.len], gso.bytes.len(), 1000).unwrap();
        let packets: Vec<_> = (0..3)
            .map(|number| {
                let mut to = vec![0; segments.len_of(number)];
                assert!(segments.write(number, &Bytes(&gso.bytes), &mut to));
                to
            })
            .collect();
        let mut run = TcpRun::begin(&packets[0]).unwrap();
        assert_eq!(run.add(&packets[1]), Some(1000));
        // Any bit of the headers but those of TCP's checksum matters: it is another packet then, with a right checksum
        // and without.
        let checksums = [tcp + 16, tcp + 17];
        let checksum_of_ip: &[usize] = if is_v6 { &[] } else { &[10, 11] };
        for byte in 0..gso.len {
            if checksums.contains(&byte) || length_of_ip(tcp).contains(&byte) {
                continue;
            }
            for bit in 0..8 {
                // PSH may be set in the last one.
                if (byte, bit) == (tcp + 13, 3) {
                    continue;
                }
                let mut other = packets[2].clone();
                other[byte] ^= 1 << bit;
                assert_eq!(run.add(&other), None, "byte {byte}, bit {bit}");
                if !checksum_of_ip.contains(&byte) {
                    finish(&mut other, tcp);
                    assert_eq!(run.add(&other), None, "byte {byte}, bit {bit}, finished");
                }
            }
        }
        for cut in 0..packets[2].len() {
            assert_eq!(run.add(&packets[2][..cut]), None);
        }
        // Shorter than its predecessors it may be, but longer neither than these nor than it is.
        let mut longer = packets[2].clone();
        longer.push(0);
        let length = length_of_ip(tcp);
        let says = u16::from_be_bytes([longer[length.start], longer[length.start + 1]]) + 1;
        longer[length].copy_from_slice(&says.to_be_bytes());
        finish(&mut longer, tcp);
        assert_eq!(run.add(&longer), None);
        assert_eq!(run.add(&longer[..longer.len() - 1]), None);
        let mut pushed = packets[2].clone();
        pushed[tcp + 13] |= 8;
        assert_eq!(run.add(&pushed), Some(1000));
        assert!(!run.has_room_for(1));
        // A wrong checksum of IPv4 is not made right.
        for &byte in checksum_of_ip {
            let mut first = packets[0].clone();
            first[byte] ^= 1;
            assert!(TcpRun::begin(&first).is_none());
        }
        // Flags that make a packet something of its own.
        for flag in [0, 1, 2, 5, 7] {
            let mut first = packets[0].clone();
            first[tcp + 13] ^= 1 << flag;
            assert!(TcpRun::begin(&first).is_none(), "flag {flag}");
        }
    }
}

#[test]
fn no_packet_is_longer_than_ip_can_say() {
    let mut numbers = Numbers(93);
    let mut gso = packet(&mut numbers, false, (0, 0), 65_000);
    gso.bytes[gso.tcp + 13] = 0x10;
    let segments = TcpSegments::parse(&gso.bytes[..gso.len], gso.bytes.len(), 1000).unwrap();
    let mut of = |number: usize, shift: u32| {
        let mut to = vec![0; segments.len_of(number)];
        assert!(segments.write(number, &Bytes(&gso.bytes), &mut to));
        let sequence = u32::from_be_bytes(to[24..28].try_into().unwrap()).wrapping_add(shift);
        to[24..28].copy_from_slice(&sequence.to_be_bytes());
        to
    };
    let mut run = TcpRun::begin(&of(0, 0)).unwrap();
    for number in 1..65 {
        assert_eq!(run.add(&of(number, 0)), Some(1000));
    }
    let mut next = of(1, 64_000);
    let id = u16::from_be_bytes([next[4], next[5]]).wrapping_add(64);
    next[4..6].copy_from_slice(&id.to_be_bytes());
    finish(&mut next, 20);
    assert_eq!(run.add(&next), None);
    assert_eq!(run.shape().2, 65);
}
