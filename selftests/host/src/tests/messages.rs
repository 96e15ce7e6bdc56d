// SPDX-License-Identifier: GPL-2.0

use super::Numbers;
use crate::protocol::messages::*;

#[test]
fn kinds_by_type_and_length() {
    for kind in 0..=255u8 {
        for length in 0..=200usize {
            let expected = match (kind, length) {
                (1, 148) => Some(Kind::Initiation),
                (2, 92) => Some(Kind::Response),
                (3, 64) => Some(Kind::CookieReply),
                (4, 32..) => Some(Kind::Data),
                _ => None,
            };
            assert_eq!(Kind::of([kind, 0, 0, 0], length), expected);
            let mut message = vec![0; length];
            if let Some(first) = message.first_mut() {
                *first = kind;
                assert_eq!(Kind::of_message(&message), expected);
            }
        }
    }
    assert_eq!(Kind::of_message(&[]), None);
    assert_eq!(Kind::of_message(&[4, 0, 0]), None);
}

#[test]
fn reserved_bytes_are_zero() {
    for (kind, length) in [(1, 148), (2, 92), (3, 64), (4, 32), (4, 1500)] {
        for reserved in 1..4 {
            for bit in 0..8 {
                let mut start = [kind, 0, 0, 0];
                start[reserved] = 1 << bit;
                assert_eq!(Kind::of(start, length), None);
            }
        }
    }
}

#[test]
fn layouts() {
    // Each field filled with a byte of its own.
    let initiation = Initiation {
        sender: 0x0403_0201,
        ephemeral: [5; 32],
        encrypted_static: [6; 48],
        encrypted_timestamp: [7; 28],
    };
    let expected = [
        &[1, 0, 0, 0, 1, 2, 3, 4][..],
        &[5; 32],
        &[6; 48],
        &[7; 28],
        &[0; 32],
    ]
    .concat();
    assert_eq!(initiation.to_bytes()[..], expected);

    let response = Response {
        sender: 0x0403_0201,
        receiver: 0x0807_0605,
        ephemeral: [9; 32],
        encrypted_nothing: [10; 16],
    };
    let expected = [
        &[2, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8][..],
        &[9; 32],
        &[10; 16],
        &[0; 32],
    ]
    .concat();
    assert_eq!(response.to_bytes()[..], expected);

    let reply = CookieReply {
        receiver: 0x0403_0201,
        nonce: [5; 24],
        encrypted_cookie: [6; 32],
    };
    let expected = [&[3, 0, 0, 0, 1, 2, 3, 4][..], &[5; 24], &[6; 32]].concat();
    assert_eq!(reply.to_bytes()[..], expected);

    let header = DataHeader {
        receiver: 0x0403_0201,
        counter: 0x0c0b_0a09_0807_0605,
    };
    assert_eq!(
        header.to_bytes(),
        [4, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    );
}

#[test]
fn parsing_returns_what_was_written() {
    let mut numbers = Numbers(10);
    for _ in 0..100 {
        let mut message = numbers.bytes::<INITIATION_LEN>();
        message[..4].copy_from_slice(&[1, 0, 0, 0]);
        let again = Initiation::parse(&message).unwrap().to_bytes();
        assert_eq!(again[..116], message[..116]);

        let mut message = numbers.bytes::<RESPONSE_LEN>();
        message[..4].copy_from_slice(&[2, 0, 0, 0]);
        let again = Response::parse(&message).unwrap().to_bytes();
        assert_eq!(again[..60], message[..60]);

        let mut message = numbers.bytes::<COOKIE_REPLY_LEN>();
        message[..4].copy_from_slice(&[3, 0, 0, 0]);
        assert_eq!(CookieReply::parse(&message).unwrap().to_bytes(), message);

        let mut header = numbers.bytes::<DATA_HEADER_LEN>();
        header[..4].copy_from_slice(&[4, 0, 0, 0]);
        assert_eq!(DataHeader::parse(&header).unwrap().to_bytes(), header);
    }
}

#[test]
fn nothing_else_parses() {
    let mut numbers = Numbers(11);
    for length in 0..300 {
        let mut message = numbers.vec(length);
        for kind in 0..6 {
            for (place, byte) in message.iter_mut().zip([kind, 0, 0, 0]) {
                *place = byte;
            }
            assert_eq!(
                Initiation::parse(&message).is_some(),
                kind == 1 && length == 148
            );
            assert_eq!(
                Response::parse(&message).is_some(),
                kind == 2 && length == 92
            );
            assert_eq!(
                CookieReply::parse(&message).is_some(),
                kind == 3 && length == 64
            );
            if let Some(header) = message.first_chunk() {
                assert_eq!(DataHeader::parse(header).is_some(), kind == 4);
            }
        }
    }
}

#[test]
fn padding_is_to_sixteen_but_not_past_the_mtu() {
    for mtu in (0..100).chain([1280, 1420, 1421, 65535]) {
        for length in 0..3000 {
            let padded = length + padding(length, mtu);
            assert!(padded - length < 16);
            if mtu == 0 {
                assert_eq!(padded % 16, 0);
            } else if length <= mtu {
                assert!(padded == mtu || padded % 16 == 0, "{length} {mtu}");
                assert!(padded <= mtu);
            } else {
                // As its last unit would be.
                assert_eq!(padded - length, padding(length % mtu, mtu));
            }
        }
    }
    assert_eq!(padding(usize::MAX, 0), 1);
    for mtu in [0, 1, 1420, usize::MAX] {
        for length in [0, usize::MAX - 16, usize::MAX - 1, usize::MAX] {
            assert!(padding(length, mtu) < 16);
        }
    }
}

#[test]
fn constants_in_seconds_and_pieces() {
    const SECOND: u64 = 1_000_000_000;
    assert_eq!(REKEY_AFTER_MESSAGES, 1_152_921_504_606_846_976);
    assert_eq!(REJECT_AFTER_MESSAGES, u64::MAX - 8128 - 1);
    assert_eq!(REKEY_AFTER_TIME, 120 * SECOND);
    assert_eq!(REJECT_AFTER_TIME, 180 * SECOND);
    assert_eq!(REKEY_ATTEMPT_TIME, 90 * SECOND);
    assert_eq!(MAX_HANDSHAKE_ATTEMPTS, 18);
    assert_eq!(REKEY_TIMEOUT, 5 * SECOND);
    assert_eq!(REKEY_TIMEOUT_JITTER_MAX, 333_333_333);
    assert_eq!(KEEPALIVE_TIMEOUT, 10 * SECOND);
    assert_eq!(ERASE_KEYS_AFTER, 540 * SECOND);
    assert_eq!(COOKIE_SECRET_LIFETIME, 120 * SECOND);
    assert_eq!(COOKIE_USE_TIME, 115 * SECOND);
    assert_eq!(MAX_STAGED_PACKETS, 128);
    assert_eq!(MAX_QUEUED_PACKETS, 1024);
    assert_eq!((MAX_QUEUED_HANDSHAKES, UNDER_LOAD_QUEUED), (4096, 512));
    assert_eq!(UNDER_LOAD_TIME, SECOND);
    assert_eq!(MAX_PEERS, 1_048_576);
    assert_eq!(HANDSHAKE_DS, 0b100_010_00);
}
