// SPDX-License-Identifier: GPL-2.0

//! Parsing of messages, and their MACs, against the whitepaper's offsets.

use super::Choices;
use crate::crypto::Secret;
use crate::protocol::cookie::{mac1_of, mac2_is_valid, CookieSecret, MacKeys, PeerCookie};
use crate::protocol::messages::{
    padding, CookieReply, DataHeader, Initiation, Kind, Response, COOKIE_SECRET_LIFETIME,
};
use blake2::digest::{consts::U16, consts::U32, Digest, FixedOutput, Update};

/// Keyed BLAKE2s of 16 bytes, by another implementation than the driver's.
fn mac(key: &[u8], pieces: &[&[u8]]) -> [u8; 16] {
    let mut mac = blake2::Blake2sMac::<U16>::new_with_salt_and_personal(key, &[], &[]).unwrap();
    pieces.iter().for_each(|piece| mac.update(piece));
    mac.finalize_fixed().into()
}

fn u32_at(message: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(message[at..at + 4].try_into().unwrap())
}

/// The input is a message.
pub fn messages(message: &[u8]) {
    let kind = match (message, message.len()) {
        ([1, 0, 0, 0, ..], 148) => Some(Kind::Initiation),
        ([2, 0, 0, 0, ..], 92) => Some(Kind::Response),
        ([3, 0, 0, 0, ..], 64) => Some(Kind::CookieReply),
        ([4, 0, 0, 0, ..], 32..) => Some(Kind::Data),
        _ => None,
    };
    assert_eq!(Kind::of_message(message), kind);

    let initiation = Initiation::parse(message);
    assert_eq!(initiation.is_some(), kind == Some(Kind::Initiation));
    if let Some(initiation) = initiation {
        assert_eq!(initiation.sender, u32_at(message, 4));
        assert_eq!(initiation.ephemeral, message[8..40]);
        assert_eq!(initiation.encrypted_static, message[40..88]);
        assert_eq!(initiation.encrypted_timestamp, message[88..116]);
        assert_eq!(initiation.to_bytes()[..116], message[..116]);
        assert_eq!(initiation.to_bytes()[116..], [0; 32]);
    }
    let response = Response::parse(message);
    assert_eq!(response.is_some(), kind == Some(Kind::Response));
    if let Some(response) = response {
        assert_eq!(response.sender, u32_at(message, 4));
        assert_eq!(response.receiver, u32_at(message, 8));
        assert_eq!(response.ephemeral, message[12..44]);
        assert_eq!(response.encrypted_nothing, message[44..60]);
        assert_eq!(response.to_bytes()[..60], message[..60]);
        assert_eq!(response.to_bytes()[60..], [0; 32]);
    }
    let reply = CookieReply::parse(message);
    assert_eq!(reply.is_some(), kind == Some(Kind::CookieReply));
    if let Some(reply) = &reply {
        assert_eq!(reply.receiver, u32_at(message, 4));
        assert_eq!(reply.nonce, message[8..32]);
        assert_eq!(reply.encrypted_cookie, message[32..64]);
        assert_eq!(reply.to_bytes(), message);
    }
    if let Some(start) = message.first_chunk::<16>() {
        let header = DataHeader::parse(start);
        assert_eq!(header.is_some(), start[..4] == [4, 0, 0, 0]);
        if let Some(header) = header {
            assert_eq!(header.receiver, u32_at(message, 4));
            assert_eq!(header.counter.to_le_bytes(), start[8..]);
            assert_eq!(header.to_bytes(), *start);
        }
    }
    macs(message, reply);
    padded(message);
}

/// A length and an MTU.
fn padded(message: &[u8]) {
    let mut choices = Choices(message);
    let mut number = || choices.array().map(u64::from_le_bytes);
    let (Some(len), Some(mtu)) = (number(), number()) else {
        return;
    };
    // Small numbers as well as any, and one near the other.
    for (len, mtu) in [
        (len, mtu),
        (len >> 52, mtu >> 52),
        (mtu.wrapping_add(len >> 60), mtu),
    ] {
        let added = padding(len as usize, mtu as usize) as u64;
        assert!(added < 16);
        let unit = match mtu {
            0 => u128::from(len),
            _ if len > mtu => u128::from(len % mtu),
            _ => u128::from(len),
        };
        let full = unit.next_multiple_of(16);
        let most = if mtu == 0 { u128::MAX } else { u128::from(mtu) };
        if full <= u128::from(u64::MAX) || mtu == 0 {
            assert_eq!(u128::from(added), full.min(most) - unit, "{len} {mtu}");
        }
    }
}

/// Both MACs of a message that ends with them, whatever it is.
fn macs(message: &[u8], reply: Option<CookieReply>) {
    let public = [9; 32];
    let keys = MacKeys::new(&public);
    let hash = |label: &[u8; 8]| -> [u8; 32] {
        let hash: blake2::Blake2s<U32> = Digest::new();
        hash.chain(label).chain(public).finalize_fixed().into()
    };
    let mac1_key = hash(b"mac1----");
    let mut sender = PeerCookie::new();
    // Nothing was sent, so there is nothing to answer.
    assert!(!reply.is_some_and(|reply| sender.consume_reply(&keys, &reply, 0)));

    let mut secret = CookieSecret::new();
    let address = "192.0.2.1:51820".parse().unwrap();
    let cookie = secret.cookie_for(&address, 5);
    let Some(body_len) = message.len().checked_sub(32) else {
        assert!(!keys.mac1_is_valid(message) && !mac2_is_valid(&cookie, message));
        assert!(mac1_of(message).is_none());
        let mut stamped = message.to_vec();
        sender.stamp(&keys, &mut stamped, 0);
        assert_eq!(stamped, message);
        return;
    };
    let (body, end) = message.split_at(body_len);
    assert_eq!(mac1_of(message).unwrap()[..], end[..16]);
    assert_eq!(
        keys.mac1_is_valid(message),
        mac(&mac1_key, &[body]) == end[..16]
    );
    let expected = mac(cookie.expose(), &[body, &end[..16]]);
    assert_eq!(mac2_is_valid(&cookie, message), expected == end[16..]);

    // A first message has no second MAC.
    let mut stamped = message.to_vec();
    sender.stamp(&keys, &mut stamped, 5);
    let mac1 = mac(&mac1_key, &[body]);
    assert_eq!(stamped, [body, &mac1, &[0; 16]].concat());
    assert!(keys.mac1_is_valid(&stamped));
    // With a cookie it has.
    let reply = keys.create_reply(7, &mac1, &cookie);
    let reply = CookieReply::parse(&reply.to_bytes()).unwrap();
    assert!(sender.consume_reply(&keys, &reply, 5) && !sender.consume_reply(&keys, &reply, 5));
    sender.stamp(&keys, &mut stamped, 6);
    assert!(keys.mac1_is_valid(&stamped) && mac2_is_valid(&cookie, &stamped));
    // Another secret, or another sender, and it is no longer valid.
    let later = secret.cookie_for(&address, 5 + COOKIE_SECRET_LIFETIME);
    assert!(!mac2_is_valid(&later, &stamped));
    assert!(!mac2_is_valid(&Secret::zero(), &stamped));
    // Neither is what was altered.
    if let Some(&at) = message.first() {
        let at = usize::from(at) % (body_len + 16);
        stamped[at] ^= 1 << (message[message.len() - 1] & 7);
        assert!(!keys.mac1_is_valid(&stamped) && !mac2_is_valid(&cookie, &stamped));
    }
}
