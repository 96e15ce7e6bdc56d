// SPDX-License-Identifier: GPL-2.0

//! Whole messages, MACs and data included, exchanged with another implementation (the crate
//! `boringtun`).

use super::Numbers;
use crate::cookie::{MacKeys, PeerCookie};
use crate::crypto::{DataKey, Secret};
use crate::messages::{CookieReply, DataHeader, Initiation, Kind, Response};
use crate::noise::{open_initiation, Handshake, SessionKeys, StaticIdentity};
use crate::tai64n::Tai64n;
use boringtun::noise::{rate_limiter::RateLimiter, Tunn, TunnResult};
use boringtun::x25519::{PublicKey, StaticSecret};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// We and boringtun.
struct Tunnel {
    identity: StaticIdentity,
    our_keys: MacKeys,
    handshake: Handshake,
    their_keys: MacKeys,
    cookie: PeerCookie,
    boringtun: Tunn,
}

impl Tunnel {
    fn new(psk: Option<[u8; 32]>, limit: Option<u64>) -> Self {
        let identity = StaticIdentity::new(&Secret::random()).unwrap();
        let private = StaticSecret::from(*Secret::<32>::random().expose());
        let public = PublicKey::from(&private);
        let limiter = limit.map(|limit| Arc::new(RateLimiter::new(&public, limit)));
        let boringtun = Tunn::new(
            private,
            PublicKey::from(*identity.public()),
            psk,
            None,
            7,
            limiter,
        );
        Self {
            our_keys: MacKeys::new(identity.public()),
            handshake: Handshake::new(public.as_bytes(), &Secret::new(&psk.unwrap_or_default())),
            their_keys: MacKeys::new(public.as_bytes()),
            cookie: PeerCookie::new(),
            identity,
            boringtun,
        }
    }

    fn initiation(&mut self) -> [u8; 148] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let timestamp = Tai64n::from_unix_ns(now.as_nanos() as u64);
        let mut message = self
            .handshake
            .create_initiation(&self.identity, 0x1234, timestamp)
            .unwrap()
            .to_bytes();
        self.cookie.stamp(&self.their_keys, &mut message, 0);
        message
    }

    /// What boringtun sends when it gets a message.
    fn answer(&mut self, message: &[u8]) -> Vec<u8> {
        let mut buffer = [0; 2048];
        let from = Some("192.0.2.1".parse().unwrap());
        match self.boringtun.decapsulate(from, message, &mut buffer) {
            TunnResult::WriteToNetwork(answer) => answer.to_vec(),
            other => panic!("boringtun does not answer: {other:?}"),
        }
    }

    /// Data both ways with the keys of a session.
    fn exchange_data(&mut self, keys: &SessionKeys, numbers: &mut Numbers) {
        let (sending, receiving) = (DataKey::new(&keys.sending), DataKey::new(&keys.receiving));
        for (counter, length) in [20usize, 28, 576, 1420].into_iter().enumerate() {
            let mut packet = numbers.vec(length);
            packet[0] = 0x45;
            packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());

            // Ours to boringtun.
            let header = DataHeader {
                receiver: keys.remote_index,
                counter: counter as u64,
            };
            let padding = crate::messages::padding(length, 1420);
            let mut buffer = [&[0; 64][..], &packet, &vec![0; padding], &[0; 16]].concat();
            assert!(sending.seal_in_place(header.counter, &mut buffer));
            buffer[48..64].copy_from_slice(&header.to_bytes());
            let mut out = [0; 2048];
            match self.boringtun.decapsulate(None, &buffer[48..], &mut out) {
                TunnResult::WriteToTunnelV4(received, _) => assert_eq!(received, packet),
                other => panic!("boringtun does not take our data: {other:?}"),
            }

            // boringtun's to us.
            let mut out = [0; 2048];
            let message = match self.boringtun.encapsulate(&packet, &mut out) {
                TunnResult::WriteToNetwork(message) => message.to_vec(),
                other => panic!("boringtun does not send: {other:?}"),
            };
            assert_eq!(Kind::of_message(&message), Some(Kind::Data));
            let (start, rest) = message.split_first_chunk().unwrap();
            let header = DataHeader::parse(start).unwrap();
            assert_eq!(header.receiver, keys.local_index);
            let (text, tag) = rest.split_last_chunk().unwrap();
            let mut buffer = [&[0; 64][..], text].concat();
            assert!(receiving.open_in_place(header.counter, text, &mut buffer, tag));
            assert_eq!(buffer[64..64 + length], packet);
            assert!(buffer[64 + length..].iter().all(|&byte| byte == 0));
        }
    }
}

#[test]
fn we_initiate() {
    let mut numbers = Numbers(90);
    for psk in [None, Some(numbers.bytes())] {
        let mut tunnel = Tunnel::new(psk, None);
        let initiation = tunnel.initiation();
        let answer = tunnel.answer(&initiation);
        assert!(tunnel.our_keys.mac1_is_valid(&answer));
        let response = Response::parse(&answer).unwrap();
        assert!(tunnel
            .handshake
            .consume_response(&tunnel.identity, &response));
        let keys = tunnel.handshake.begin_session().unwrap();
        assert!(keys.we_initiated);
        tunnel.exchange_data(&keys, &mut numbers);
    }
}

#[test]
fn boringtun_initiates() {
    let mut numbers = Numbers(91);
    for psk in [None, Some(numbers.bytes())] {
        let mut tunnel = Tunnel::new(psk, None);
        let mut buffer = [0; 2048];
        let initiation = match tunnel
            .boringtun
            .format_handshake_initiation(&mut buffer, false)
        {
            TunnResult::WriteToNetwork(message) => message.to_vec(),
            other => panic!("boringtun does not initiate: {other:?}"),
        };
        assert!(tunnel.our_keys.mac1_is_valid(&initiation));
        let initiation = Initiation::parse(&initiation).unwrap();
        let opened = open_initiation(&tunnel.identity, &initiation).unwrap();
        assert_eq!(opened.remote_static(), tunnel.handshake.remote_static());
        tunnel
            .handshake
            .accept_initiation(&tunnel.identity, opened, 0)
            .unwrap();
        let mut response = tunnel.handshake.create_response(0x5678).unwrap().to_bytes();
        tunnel.cookie.stamp(&tunnel.their_keys, &mut response, 0);
        let keepalive = tunnel.answer(&response);
        assert_eq!(Kind::of_message(&keepalive), Some(Kind::Data));
        assert_eq!(keepalive.len(), 32);
        let keys = tunnel.handshake.begin_session().unwrap();
        assert!(!keys.we_initiated);
        tunnel.exchange_data(&keys, &mut numbers);
    }
}

#[test]
fn boringtun_under_load_wants_a_cookie() {
    // With a limit of nothing per second it is always under load.
    let mut tunnel = Tunnel::new(None, Some(0));
    let initiation = tunnel.initiation();
    let answer = tunnel.answer(&initiation);
    let reply = CookieReply::parse(&answer).unwrap();
    assert_eq!(reply.receiver, 0x1234);
    assert!(tunnel.cookie.consume_reply(&tunnel.their_keys, &reply, 0));
    let again = tunnel.initiation();
    assert_ne!(again[132..], [0; 16]);
    let answer = tunnel.answer(&again);
    assert_eq!(Kind::of_message(&answer), Some(Kind::Response));
}
