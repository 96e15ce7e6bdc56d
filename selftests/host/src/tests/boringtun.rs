// SPDX-License-Identifier: GPL-2.0

//! Whole messages, MACs and data included, exchanged with another implementation (the crate
//! `boringtun`).

use super::Numbers;
use crate::fuzz::Tunnel;
use crate::protocol::messages::{CookieReply, Kind};
use crate::protocol::noise::SessionKeys;

/// Data both ways with the keys of a session.
fn exchange_data(tunnel: &mut Tunnel, keys: &SessionKeys, numbers: &mut Numbers) {
    for (counter, length) in [20usize, 28, 576, 1420].into_iter().enumerate() {
        let mut packet = numbers.vec(length);
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());

        let message = tunnel.data(keys, counter as u64, &packet);
        assert_eq!(
            tunnel.their_packet(&message).as_deref(),
            Some(&packet[..]),
            "ours to boringtun"
        );
        let message = tunnel.their_data(&packet);
        let opened = tunnel.open(keys, &message).expect("boringtun's to us");
        assert_eq!(opened[..length], packet);
        assert!(opened[length..].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn we_initiate() {
    let mut numbers = Numbers(90);
    for psk in [None, Some(numbers.bytes())] {
        let mut tunnel = Tunnel::new(psk, u64::MAX);
        let initiation = tunnel.initiation();
        let answer = tunnel.answer(&initiation);
        assert!(tunnel.take_response(&answer));
        let keys = tunnel.handshake.begin_session().unwrap();
        assert!(keys.we_initiated);
        exchange_data(&mut tunnel, &keys, &mut numbers);
    }
}

#[test]
fn boringtun_initiates() {
    let mut numbers = Numbers(91);
    for psk in [None, Some(numbers.bytes())] {
        let mut tunnel = Tunnel::new(psk, u64::MAX);
        let initiation = tunnel.their_initiation();
        let response = tunnel.respond(&initiation, 0).expect("our response");
        let keepalive = tunnel.answer(&response);
        assert_eq!(Kind::of_message(&keepalive), Some(Kind::Data));
        assert_eq!(keepalive.len(), 32);
        let keys = tunnel.handshake.begin_session().unwrap();
        assert!(!keys.we_initiated);
        exchange_data(&mut tunnel, &keys, &mut numbers);
    }
}

#[test]
fn boringtun_under_load_wants_a_cookie() {
    // With a limit of nothing per second it is always under load.
    let mut tunnel = Tunnel::new(None, 0);
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
