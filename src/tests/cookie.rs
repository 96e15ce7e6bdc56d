// SPDX-License-Identifier: GPL-2.0

//! MACs and cookies: against what another implementation made, and over time.

#![forbid(unsafe_code)]

use core::net::SocketAddr;
use kernel::prelude::*;

use super::vectors::{Vector, VECTORS};
use crate::protocol::cookie::{mac1_of, mac2_is_valid, CookieSecret, MacKeys, PeerCookie};
use crate::protocol::messages::{CookieReply, COOKIE_SECRET_LIFETIME, COOKIE_USE_TIME};

fn sender(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], port))
}

/// The MACs at the end of an initiation.
fn macs(message: &[u8; 148]) -> Option<(&[u8; 16], &[u8; 16])> {
    let (rest, mac2) = message.split_last_chunk()?;
    Some((rest.last_chunk()?, mac2))
}

/// The initiation of a vector, stamped once more by us.
fn stamp(cookie: &mut PeerCookie, vector: &Vector, now_ns: u64) -> [u8; 148] {
    let mut message = vector.initiation;
    if let Some(macs) = message.last_chunk_mut::<32>() {
        *macs = [0xee; 32];
    }
    cookie.stamp(
        &MacKeys::new(&vector.responder_public),
        &mut message,
        now_ns,
    );
    message
}

#[kunit_tests(wireguard_cookie)]
mod suite {
    use super::*;

    #[test]
    fn mac1_as_the_vectors_have_it() {
        for vector in &VECTORS {
            let responder = MacKeys::new(&vector.responder_public);
            let initiator = MacKeys::new(&vector.initiator_public);
            assert!(responder.mac1_is_valid(&vector.initiation));
            assert!(initiator.mac1_is_valid(&vector.response));
            assert!(!initiator.mac1_is_valid(&vector.initiation));
            assert!(!responder.mac1_is_valid(&vector.response));
            let stamped = stamp(&mut PeerCookie::new(), vector, 0);
            assert!(stamped == vector.initiation);
            for at in 0..132 {
                let mut altered = vector.initiation;
                if let Some(byte) = altered.get_mut(at) {
                    *byte ^= 1 << (at % 8);
                }
                assert!(!responder.mac1_is_valid(&altered));
            }
        }
    }

    #[test]
    fn mac2_as_the_vectors_have_it() -> Result {
        for vector in &VECTORS {
            let keys = MacKeys::new(&vector.responder_public);
            let reply = CookieReply::parse(&vector.cookie_reply).ok_or(EINVAL)?;
            let mut ours = PeerCookie::new();
            // It answers nothing yet.
            assert!(!ours.consume_reply(&keys, &reply, 0));
            stamp(&mut ours, vector, 0);
            for at in 8..64 {
                let mut altered = vector.cookie_reply;
                if let Some(byte) = altered.get_mut(at) {
                    *byte ^= 1 << (at % 8);
                }
                let altered = CookieReply::parse(&altered).ok_or(EINVAL)?;
                assert!(!ours.consume_reply(&keys, &altered, 0));
            }
            assert!(ours.consume_reply(&keys, &reply, 0));
            assert!(!ours.consume_reply(&keys, &reply, 0));
            let stamped = stamp(&mut ours, vector, 0);
            assert_eq!(macs(&stamped).map(|macs| *macs.1), Some(vector.mac2));
            // For its time, and no longer.
            let stamped = stamp(&mut ours, vector, COOKIE_USE_TIME - 1);
            assert_eq!(macs(&stamped).map(|macs| *macs.1), Some(vector.mac2));
            let stamped = stamp(&mut ours, vector, COOKIE_USE_TIME);
            assert_eq!(macs(&stamped).map(|macs| *macs.1), Some([0; 16]));
        }
        Ok(())
    }

    #[test]
    fn the_secret_changes_every_two_minutes() {
        assert_eq!(COOKIE_SECRET_LIFETIME, 120 * 1_000_000_000);
        let mut secret = CookieSecret::new();
        let start = 5;
        let old = secret.cookie_for(&sender(1, 1), start);
        assert!(old == secret.cookie_for(&sender(1, 1), start));
        assert!(old == secret.cookie_for(&sender(1, 1), start + COOKIE_SECRET_LIFETIME - 1));
        // A clock that was read before another CPU made the secret.
        assert!(old == secret.cookie_for(&sender(1, 1), start - 1));
        let new = secret.cookie_for(&sender(1, 1), start + COOKIE_SECRET_LIFETIME);
        assert!(old != new);
        // That one lives from when it was made.
        let later = start + 2 * COOKIE_SECRET_LIFETIME - 1;
        assert!(new == secret.cookie_for(&sender(1, 1), later));
        assert!(new != secret.cookie_for(&sender(1, 1), later + 1));
        // Nobody else has the same.
        let mut others = CookieSecret::new();
        assert!(others.cookie_for(&sender(1, 1), start) != old);
    }

    #[test]
    fn no_mac2_is_right_for_no_cookie() {
        let [vector, ..] = &VECTORS;
        let cookie = CookieSecret::new().cookie_for(&sender(1, 1), 0);
        let message = stamp(&mut PeerCookie::new(), vector, 0);
        assert!(macs(&message).is_some_and(|(_, mac2)| *mac2 == [0; 16]));
        assert!(!mac2_is_valid(&cookie, &message));
    }

    #[test]
    fn cookies_belong_to_an_address_and_port() {
        let mut secret = CookieSecret::new();
        let six = |last| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 1));
        let senders = [sender(1, 1), sender(1, 2), sender(2, 1), six(1), six(2)];
        for (i, one) in senders.iter().enumerate() {
            for (j, other) in senders.iter().enumerate() {
                let same = secret.cookie_for(one, 0) == secret.cookie_for(other, 0);
                assert_eq!(same, i == j);
            }
        }
    }

    /// A responder under load, a sender, and a secret that changes between them.
    #[test]
    fn a_cookie_dies_with_its_secret() -> Result {
        let [vector, ..] = &VECTORS;
        let keys = MacKeys::new(&vector.responder_public);
        let mut secret = CookieSecret::new();
        let mut ours = PeerCookie::new();
        let message = stamp(&mut ours, vector, 0);
        assert!(!mac2_is_valid(
            &secret.cookie_for(&sender(1, 1), 0),
            &message
        ));
        let mac1 = mac1_of(&message).ok_or(EINVAL)?;
        let cookie = secret.cookie_for(&sender(1, 1), 0);
        let reply = keys.create_reply(77, mac1, &cookie);
        assert_eq!(reply.receiver, 77);
        assert!(ours.consume_reply(&keys, &reply, 0));
        let message = stamp(&mut ours, vector, 1);
        let mut valid = |from, now| mac2_is_valid(&secret.cookie_for(&from, now), &message);
        assert!(valid(sender(1, 1), 1));
        assert!(!valid(sender(1, 2), 1));
        assert!(!valid(sender(2, 1), 1));
        assert!(valid(sender(1, 1), COOKIE_SECRET_LIFETIME - 1));
        assert!(!valid(sender(1, 1), COOKIE_SECRET_LIFETIME));
        // Time that steps back does not bring the old one back.
        assert!(!valid(sender(1, 1), 1));
        Ok(())
    }
}
