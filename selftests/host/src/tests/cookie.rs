// SPDX-License-Identifier: GPL-2.0

use super::Numbers;
use crate::protocol::cookie::{mac1_of, mac2_is_valid, CookieSecret, MacKeys, PeerCookie};
use crate::protocol::messages::{
    CookieReply, COOKIES_AT_ONCE, COOKIE_INTERVAL, COOKIE_SECRET_LIFETIME, COOKIE_USE_TIME,
};
use std::net::SocketAddr;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn macs(message: &[u8]) -> (&[u8], &[u8], &[u8]) {
    let (body, macs) = message.split_at(message.len() - 32);
    (body, &macs[..16], &macs[16..])
}

/// `Mac` and `Hash` of the whitepaper, of another implementation.
fn mac_of_crate(key: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
    use blake2::digest::{consts::U16, Mac};
    let mut mac = blake2::Blake2sMac::<U16>::new_from_slice(key).unwrap();
    for piece in pieces {
        mac.update(piece);
    }
    mac.finalize().into_bytes().to_vec()
}

fn hash_of_crate(pieces: &[&[u8]]) -> [u8; 32] {
    use blake2::Digest;
    blake2::Blake2s256::digest(pieces.concat()).into()
}

#[test]
fn mac1_as_in_the_whitepaper() {
    let mut numbers = Numbers(60);
    for length in [148, 92] {
        let public = numbers.bytes();
        let keys = MacKeys::new(&public);
        let mut message = numbers.vec(length);
        PeerCookie::new().stamp(&keys, &mut message, 0);
        let (body, mac1, mac2) = macs(&message);
        let key = hash_of_crate(&[b"mac1----", &public]);
        assert_eq!(mac1, mac_of_crate(&key, &[body]));
        assert_eq!(mac2, [0; 16]);
        assert_eq!(mac1_of(&message).unwrap(), mac1);
        assert!(keys.mac1_is_valid(&message));
        assert!(!MacKeys::new(&numbers.bytes()).mac1_is_valid(&message));
        for bit in 0..8 * (length - 16) {
            message[bit / 8] ^= 1 << (bit % 8);
            assert!(!keys.mac1_is_valid(&message), "bit {bit}");
            message[bit / 8] ^= 1 << (bit % 8);
        }
        // It does not cover mac2.
        message[length - 1] ^= 1;
        assert!(keys.mac1_is_valid(&message));
    }
}

#[test]
fn cookies_belong_to_address_port_and_time() {
    let mut secret = CookieSecret::new();
    let start = 5;
    let senders = [
        address("192.0.2.1:51820"),
        address("192.0.2.1:51821"),
        address("192.0.2.2:51820"),
        address("[2001:db8::1]:51820"),
        address("[2001:db8::2]:51820"),
        address("[2001:db8::1]:51821"),
    ];
    for (i, one) in senders.iter().enumerate() {
        let cookie = secret.cookie_for(one, start);
        assert!(cookie == secret.cookie_for(one, start + COOKIE_SECRET_LIFETIME - 1));
        for other in &senders[i + 1..] {
            assert!(cookie != secret.cookie_for(other, start));
        }
    }
    let old = secret.cookie_for(&senders[0], start + COOKIE_SECRET_LIFETIME - 1);
    // A clock that was read before another CPU made the secret.
    assert!(old == secret.cookie_for(&senders[0], start - 1));
    let new = secret.cookie_for(&senders[0], start + COOKIE_SECRET_LIFETIME);
    assert!(old != new);
    // Two responders have different secrets.
    assert!(new != CookieSecret::new().cookie_for(&senders[0], start));
}

/// A sender, a responder under load, and what passes between them.
struct Exchange {
    keys: MacKeys,
    secret: CookieSecret,
    sender: PeerCookie,
    message: Vec<u8>,
}

impl Exchange {
    fn new(numbers: &mut Numbers) -> Self {
        Self {
            keys: MacKeys::new(&numbers.bytes()),
            secret: CookieSecret::new(),
            sender: PeerCookie::new(),
            message: numbers.vec(148),
        }
    }

    fn send(&mut self, now_ns: u64) {
        self.sender.stamp(&self.keys, &mut self.message, now_ns);
        assert!(self.keys.mac1_is_valid(&self.message));
    }

    fn reply(&mut self, now_ns: u64) -> CookieReply {
        let cookie = self.secret.cookie_for(&address("192.0.2.1:1000"), now_ns);
        let mac1 = mac1_of(&self.message).unwrap();
        self.keys.create_reply(77, mac1, &cookie)
    }

    fn mac2_is_valid(&mut self, from: &str, now_ns: u64) -> bool {
        let cookie = self.secret.cookie_for(&address(from), now_ns);
        mac2_is_valid(&cookie, &self.message)
    }

    fn consume(&mut self, reply: &CookieReply, now_ns: u64) -> bool {
        self.sender.consume_reply(&self.keys, reply, now_ns)
    }
}

#[test]
fn a_cookie_makes_mac2_valid() {
    let mut exchange = Exchange::new(&mut Numbers(61));
    exchange.send(0);
    assert!(!exchange.mac2_is_valid("192.0.2.1:1000", 0));
    let reply = exchange.reply(0);
    assert_eq!(reply.receiver, 77);
    assert!(exchange.consume(&reply, 0));
    exchange.send(1);
    assert!(exchange.mac2_is_valid("192.0.2.1:1000", 1));
    assert!(!exchange.mac2_is_valid("192.0.2.1:1001", 1));
    assert!(!exchange.mac2_is_valid("192.0.2.9:1000", 1));
    assert!(!exchange.mac2_is_valid("[2001:db8::1]:1000", 1));
    // mac2 covers the body, mac1, and itself.
    for bit in 0..8 * 148 {
        exchange.message[bit / 8] ^= 1 << (bit % 8);
        assert!(!exchange.mac2_is_valid("192.0.2.1:1000", 1), "bit {bit}");
        exchange.message[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(exchange.mac2_is_valid("192.0.2.1:1000", 1));
}

#[test]
fn mac2_and_the_reply_as_in_the_whitepaper() {
    use chacha20poly1305::{aead::Aead, aead::Payload, KeyInit, XChaCha20Poly1305};
    let mut numbers = Numbers(62);
    let public = numbers.bytes();
    let keys = MacKeys::new(&public);
    let mut sender = PeerCookie::new();
    let mut message = numbers.vec(92);
    sender.stamp(&keys, &mut message, 0);

    // A reply made by other means.
    let cookie: [u8; 16] = numbers.bytes();
    let nonce: [u8; 24] = numbers.bytes();
    let payload = Payload {
        msg: &cookie,
        aad: macs(&message).1,
    };
    let encrypted = XChaCha20Poly1305::new(&hash_of_crate(&[b"cookie--", &public]).into())
        .encrypt(&nonce.into(), payload)
        .unwrap();
    let reply = CookieReply {
        receiver: 0,
        nonce,
        encrypted_cookie: encrypted.try_into().unwrap(),
    };
    assert!(sender.consume_reply(&keys, &reply, 0));
    sender.stamp(&keys, &mut message, 0);
    let (body, mac1, mac2) = macs(&message);
    assert_eq!(mac2, mac_of_crate(&cookie, &[body, mac1]));
}

#[test]
fn a_cookie_is_used_for_its_time() {
    let mut exchange = Exchange::new(&mut Numbers(63));
    exchange.send(0);
    let reply = exchange.reply(0);
    let got = 1000;
    assert!(exchange.consume(&reply, got));
    exchange.send(got + COOKIE_USE_TIME - 1);
    assert!(exchange.mac2_is_valid("192.0.2.1:1000", 0));
    exchange.send(got + COOKIE_USE_TIME);
    assert_eq!(macs(&exchange.message).2, [0; 16]);
}

#[test]
fn a_reply_counts_once_and_for_the_last_message() {
    let mut exchange = Exchange::new(&mut Numbers(64));
    exchange.send(0);
    let first = exchange.reply(0);
    exchange.message[0] ^= 1;
    exchange.send(0);
    // An answer to the message before.
    assert!(!exchange.consume(&first, 0));
    let second = exchange.reply(0);
    assert!(exchange.consume(&second, 0));
    assert!(!exchange.consume(&second, 0));

    // Nothing was sent.
    exchange.sender = PeerCookie::new();
    assert!(!exchange.consume(&second, 0));
}

#[test]
fn an_altered_reply_does_no_harm() {
    let mut exchange = Exchange::new(&mut Numbers(65));
    exchange.send(0);
    let reply = exchange.reply(0);
    let bytes = reply.to_bytes();
    for bit in 8 * 8..8 * 64 {
        let mut altered = bytes;
        altered[bit / 8] ^= 1 << (bit % 8);
        let altered = CookieReply::parse(&altered).unwrap();
        assert!(!exchange.consume(&altered, 0), "bit {bit}");
    }
    assert!(exchange.consume(&reply, 0));
}

#[test]
fn short_messages_have_no_macs() {
    let keys = MacKeys::new(&[1; 32]);
    let cookie = CookieSecret::new().cookie_for(&address("192.0.2.1:1"), 0);
    for length in 0..32 {
        let mut message = vec![7; length];
        assert!(mac1_of(&message).is_none());
        assert!(!keys.mac1_is_valid(&message));
        assert!(!mac2_is_valid(&cookie, &message));
        PeerCookie::new().stamp(&keys, &mut message, 0);
        assert_eq!(message, vec![7; length]);
    }
    let mut numbers = Numbers(66);
    for length in 32..300 {
        let message = numbers.vec(length);
        assert!(!keys.mac1_is_valid(&message));
        assert!(!mac2_is_valid(&cookie, &message));
    }
}

#[test]
fn so_many_cookies_are_sent() {
    let mut secret = CookieSecret::new();
    let mut now = 1 << 40;
    let mut count = |now| {
        (0..2 * COOKIES_AT_ONCE)
            .filter(|_| {
                let could = secret.could_reply(now);
                assert_eq!(secret.may_reply(now), could);
                could
            })
            .count() as u64
    };
    assert_eq!(count(now), COOKIES_AT_ONCE);
    let later = [
        (0, 0),
        (COOKIE_INTERVAL - 1, 0),
        (1, 1),
        (7 * COOKIE_INTERVAL, 7),
        (1 << 60, COOKIES_AT_ONCE),
    ];
    for (time, sent) in later {
        now += time;
        assert_eq!(count(now), sent);
        // A clock that was read before another CPU's gives no further ones, now or later.
        assert_eq!(count(now - 1), 0);
    }
}
