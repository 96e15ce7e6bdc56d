// SPDX-License-Identifier: GPL-2.0

//! The handshake. For its bytes and keys see `snow.rs`.

use super::Numbers;
use crate::crypto::Secret;
use crate::protocol::messages::{Initiation, Response, INITIATION_INTERVAL};
use crate::protocol::noise::{
    open_initiation, Handshake, OpenedInitiation, Rejected, SessionKeys, State, StaticIdentity,
};
use crate::protocol::tai64n::Tai64n;

const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64) -> Tai64n {
    Tai64n::from_unix_ns(seconds * SECOND)
}

fn identity(private: &[u8; 32]) -> StaticIdentity {
    StaticIdentity::new(&Secret::new(private)).unwrap()
}

/// Two that know each other.
struct Pair {
    initiator: StaticIdentity,
    responder: StaticIdentity,
    /// The initiator's handshake with the responder.
    ours: Handshake,
    /// The responder's handshake with the initiator.
    theirs: Handshake,
}

impl Pair {
    fn new(psk: &[u8; 32]) -> Self {
        let initiator = StaticIdentity::new(&Secret::random()).unwrap();
        let responder = StaticIdentity::new(&Secret::random()).unwrap();
        Self {
            ours: Handshake::new(responder.public(), &Secret::new(psk)),
            theirs: Handshake::new(initiator.public(), &Secret::new(psk)),
            initiator,
            responder,
        }
    }

    fn initiate(&mut self, seconds: u64) -> Initiation {
        self.ours
            .create_initiation(&self.initiator, 11, at(seconds))
            .unwrap()
    }

    fn open(&self, initiation: &Initiation) -> OpenedInitiation {
        open_initiation(&self.responder, initiation).unwrap()
    }

    fn accept(&mut self, initiation: &Initiation, now_ns: u64) -> Result<(), Rejected> {
        let opened = self.open(initiation);
        self.theirs
            .accept_initiation(&self.responder, opened, now_ns)
    }

    /// A handshake from start to end.
    fn shake(&mut self, seconds: u64) -> (SessionKeys, SessionKeys) {
        let initiation = self.initiate(seconds);
        self.accept(&initiation, seconds * SECOND).unwrap();
        let response = self.theirs.create_response(22).unwrap();
        assert!(self.ours.consume_response(&self.initiator, &response));
        (
            self.ours.begin_session().unwrap(),
            self.theirs.begin_session().unwrap(),
        )
    }
}

fn assert_keys_fit(ours: &SessionKeys, theirs: &SessionKeys) {
    assert!(ours.sending == theirs.receiving);
    assert!(ours.receiving == theirs.sending);
    assert!(ours.sending != ours.receiving);
    assert!(!ours.sending.is_zero() && !ours.receiving.is_zero());
    assert!(ours.we_initiated && !theirs.we_initiated);
    assert_eq!((ours.local_index, ours.remote_index), (11, 22));
    assert_eq!((theirs.local_index, theirs.remote_index), (22, 11));
}

#[test]
fn a_handshake() {
    for psk in [[0; 32], [7; 32]] {
        let mut pair = Pair::new(&psk);
        let opened = pair.initiate(1);
        let opened = pair.open(&opened);
        assert_eq!(opened.remote_static(), pair.theirs.remote_static());
        let (ours, theirs) = pair.shake(1);
        assert_keys_fit(&ours, &theirs);
        let (again, _) = pair.shake(2);
        assert!(again.sending != ours.sending);
        assert!(pair.ours.begin_session().is_none() && pair.theirs.begin_session().is_none());
    }
}

#[test]
fn states_and_indices() {
    let mut pair = Pair::new(&[0; 32]);
    assert_eq!(pair.ours.state(), State::Idle);
    assert_eq!(pair.ours.local_index(), None);
    let initiation = pair.initiate(1);
    assert_eq!(initiation.sender, 11);
    assert_eq!(pair.ours.state(), State::InitiationSent);
    assert_eq!(pair.ours.local_index(), Some(11));
    assert!(pair.theirs.create_response(22).is_none());
    pair.accept(&initiation, 0).unwrap();
    assert_eq!(pair.theirs.state(), State::InitiationReceived);
    assert_eq!(pair.theirs.local_index(), None);
    assert!(pair.theirs.begin_session().is_none());
    let response = pair.theirs.create_response(22).unwrap();
    assert_eq!((response.sender, response.receiver), (22, 11));
    assert_eq!(pair.theirs.state(), State::ResponseSent);
    assert_eq!(pair.theirs.local_index(), Some(22));
    assert!(pair.theirs.create_response(33).is_none());
    assert!(pair.ours.begin_session().is_none());
    assert!(pair.ours.consume_response(&pair.initiator, &response));
    assert_eq!(pair.ours.state(), State::ResponseReceived);
    // Once only.
    assert!(!pair.ours.consume_response(&pair.initiator, &response));
    assert!(pair.ours.begin_session().is_some());
    assert_eq!(pair.ours.state(), State::Idle);
    assert_eq!(pair.ours.local_index(), None);
}

#[test]
fn nothing_altered_is_accepted() {
    let mut pair = Pair::new(&[3; 32]);
    let initiation = pair.initiate(1);
    let bytes = initiation.to_bytes();
    for bit in 8 * 8..8 * 116 {
        let mut altered = bytes;
        altered[bit / 8] ^= 1 << (bit % 8);
        let altered = Initiation::parse(&altered).unwrap();
        // The highest bit of a Curve25519 public key is ignored, but is in the transcript.
        let Some(opened) = open_initiation(&pair.responder, &altered) else {
            assert!(bit < 8 * 88, "bit {bit} is in the timestamp");
            continue;
        };
        assert!(bit >= 8 * 88, "bit {bit} is not in the timestamp");
        assert_eq!(
            pair.theirs.accept_initiation(&pair.responder, opened, 0),
            Err(Rejected::NotAuthentic)
        );
        assert_eq!(pair.theirs.state(), State::Idle);
    }
    pair.accept(&initiation, 0).unwrap();

    let response = pair.theirs.create_response(22).unwrap();
    let bytes = response.to_bytes();
    for bit in 8 * 8..8 * 60 {
        let mut altered = bytes;
        altered[bit / 8] ^= 1 << (bit % 8);
        let altered = Response::parse(&altered).unwrap();
        assert!(!pair.ours.consume_response(&pair.initiator, &altered));
        // Our handshake is undisturbed.
        assert_eq!(pair.ours.state(), State::InitiationSent);
    }
    assert!(pair.ours.consume_response(&pair.initiator, &response));
    assert_keys_fit(
        &pair.ours.begin_session().unwrap(),
        &pair.theirs.begin_session().unwrap(),
    );
}

#[test]
fn an_initiation_is_accepted_once() {
    let mut pair = Pair::new(&[0; 32]);
    let old = pair.initiate(5);
    let new = pair.initiate(6);
    pair.accept(&new, SECOND).unwrap();
    for now in [SECOND, 10 * SECOND, u64::MAX] {
        assert_eq!(pair.accept(&new, now), Err(Rejected::Replayed));
        assert_eq!(pair.accept(&old, now), Err(Rejected::Replayed));
    }
    // The handshake under way is the one accepted.
    assert_eq!(pair.theirs.state(), State::InitiationReceived);
    let response = pair.theirs.create_response(22).unwrap();
    assert!(pair.ours.consume_response(&pair.initiator, &response));

    // It stays so over everything that ends a handshake.
    pair.theirs.clear();
    assert_eq!(pair.accept(&new, u64::MAX), Err(Rejected::Replayed));
    pair.theirs.identity_changed();
    assert_eq!(pair.accept(&new, u64::MAX), Err(Rejected::Replayed));
}

#[test]
fn one_initiation_per_interval() {
    let mut pair = Pair::new(&[0; 32]);
    let initiations: Vec<_> = (1..6).map(|seconds| pair.initiate(seconds)).collect();
    let start = 1000 * SECOND;
    assert_eq!(INITIATION_INTERVAL, 20_000_000);
    assert_eq!(pair.accept(&initiations[0], start), Ok(()));
    for now in [
        start,
        start + 1,
        start + INITIATION_INTERVAL - 1,
        start - 1,
        0,
    ] {
        assert_eq!(pair.accept(&initiations[1], now), Err(Rejected::TooSoon));
    }
    // What came too soon has not been remembered as seen.
    let now = start + INITIATION_INTERVAL;
    assert_eq!(pair.accept(&initiations[1], now), Ok(()));
    assert_eq!(
        pair.accept(&initiations[2], now + 1),
        Err(Rejected::TooSoon)
    );
    assert_eq!(pair.accept(&initiations[2], u64::MAX), Ok(()));
    assert_eq!(
        pair.accept(&initiations[3], u64::MAX),
        Err(Rejected::TooSoon)
    );
}

#[test]
fn the_first_initiation_may_come_right_after_boot() {
    let mut pair = Pair::new(&[0; 32]);
    let initiation = pair.initiate(1);
    assert_eq!(pair.accept(&initiation, 0), Ok(()));
}

#[test]
fn preshared_keys_must_be_the_same() {
    let mut pair = Pair::new(&[1; 32]);
    let initiation = pair.initiate(1);
    pair.accept(&initiation, 0).unwrap();
    pair.theirs.set_preshared_key(&Secret::new(&[2; 32]));
    assert!(pair.theirs.preshared_key() == &Secret::new(&[2; 32]));
    let response = pair.theirs.create_response(22).unwrap();
    assert!(!pair.ours.consume_response(&pair.initiator, &response));
    // Set on the other side too, the handshake under way works out.
    pair.ours.set_preshared_key(&Secret::new(&[2; 32]));
    assert!(pair.ours.consume_response(&pair.initiator, &response));
    // None is all zero.
    pair.ours.set_preshared_key(&Secret::zero());
    pair.theirs.set_preshared_key(&Secret::zero());
    pair.shake(2);
}

#[test]
fn whatever_becomes_of_the_clock() {
    let mut pair = Pair::new(&[0; 32]);
    let mut now = 0;
    for start in [0, 3000] {
        // Set forth, set back, set back further, and standing still.
        for seconds in [1000, 2000, 1500, 0, 0, 1999, 2000] {
            let initiation = pair.initiate(start + seconds);
            now += INITIATION_INTERVAL;
            assert_eq!(pair.accept(&initiation, now), Ok(()));
        }
        // The link goes down and up, or its key changes.
        pair.ours.clear();
        pair.ours.identity_changed();
    }
    // A clock that has nothing to make up for is not run ahead of: it would be by another handshake.
    let initiation = pair.initiate(9000);
    assert_eq!(pair.accept(&initiation, u64::MAX / 2), Ok(()));
    pair.ours = Handshake::new(pair.responder.public(), &Secret::zero());
    let initiation = pair.initiate(9001);
    assert_eq!(pair.accept(&initiation, u64::MAX), Ok(()));
}

#[test]
fn who_does_not_own_the_static_key_is_refused() {
    // Mallory knows the initiator's public key only. She can make an initiation that names it, but
    // not its second half.
    let mut pair = Pair::new(&[0; 32]);
    let mallory = StaticIdentity::new(&Secret::random()).unwrap();
    let mut handshake = Handshake::new(pair.responder.public(), &Secret::zero());
    let initiation = handshake.create_initiation(&mallory, 1, at(9)).unwrap();
    let opened = pair.open(&initiation);
    assert_eq!(opened.remote_static(), mallory.public());
    assert_eq!(
        pair.theirs.accept_initiation(&pair.responder, opened, 0),
        Err(Rejected::NotAuthentic)
    );
    // An initiation for another device does not open at all.
    let initiation = pair.initiate(1);
    assert!(open_initiation(&mallory, &initiation).is_none());
}

#[test]
fn a_response_to_another_initiation_is_refused() {
    let mut pair = Pair::new(&[0; 32]);
    let first = pair.initiate(1);
    pair.accept(&first, 0).unwrap();
    let response = pair.theirs.create_response(22).unwrap();
    let second = pair.initiate(2);
    // Same index, other keys.
    assert!(!pair.ours.consume_response(&pair.initiator, &response));
    pair.accept(&second, SECOND).unwrap();
    let mut response = pair.theirs.create_response(22).unwrap();
    response.receiver = 12;
    assert!(!pair.ours.consume_response(&pair.initiator, &response));
    response.receiver = 11;
    assert!(pair.ours.consume_response(&pair.initiator, &response));
}

#[test]
fn clearing_ends_a_handshake() {
    let mut pair = Pair::new(&[0; 32]);
    let initiation = pair.initiate(1);
    pair.accept(&initiation, 0).unwrap();
    let response = pair.theirs.create_response(22).unwrap();
    pair.ours.clear();
    assert!(!pair.ours.consume_response(&pair.initiator, &response));
    pair.theirs.clear();
    assert!(pair.theirs.begin_session().is_none());
    pair.shake(2);
}

#[test]
fn a_new_identity_makes_new_secrets() {
    let mut pair = Pair::new(&[0; 32]);
    pair.shake(1);
    let initiation = pair.initiate(2);

    pair.initiator = StaticIdentity::new(&Secret::random()).unwrap();
    // The device has the new one already, and has not come to this peer yet.
    pair.theirs = Handshake::new(pair.initiator.public(), &Secret::zero());
    let early = pair.initiate(3);
    assert_eq!(pair.accept(&early, 0), Ok(()));

    pair.ours.identity_changed();
    assert_eq!(pair.ours.state(), State::Idle);
    pair.theirs = Handshake::new(pair.initiator.public(), &Secret::zero());
    // Made with the old identity: opens, but is another peer's.
    assert_eq!(pair.accept(&initiation, 0), Err(Rejected::NotAuthentic));
    let (ours, theirs) = pair.shake(4);
    assert_keys_fit(&ours, &theirs);
}

#[test]
fn keys_that_share_no_secret() {
    let identity = StaticIdentity::new(&Secret::random()).unwrap();
    // A peer with a public key of small order can be configured but not talked to.
    let mut handshake = Handshake::new(&[0; 32], &Secret::zero());
    for _ in 0..2 {
        assert!(handshake.create_initiation(&identity, 1, at(1)).is_none());
        assert_eq!(handshake.state(), State::Idle);
    }

    // An initiation with such an ephemeral key.
    let mut pair = Pair::new(&[0; 32]);
    let mut initiation = pair.initiate(1);
    let ephemeral = std::mem::take(&mut initiation.ephemeral);
    assert!(open_initiation(&pair.responder, &initiation).is_none());
    initiation.ephemeral = ephemeral;

    // A response with such an ephemeral key.
    pair.accept(&initiation, 0).unwrap();
    let mut response = pair.theirs.create_response(22).unwrap();
    let ephemeral = std::mem::take(&mut response.ephemeral);
    assert!(!pair.ours.consume_response(&pair.initiator, &response));
    response.ephemeral = ephemeral;
    assert!(pair.ours.consume_response(&pair.initiator, &response));

    assert!(StaticIdentity::new(&Secret::zero()).is_none());
}

#[test]
fn identities_are_clamped() {
    let identity = identity(&[0xff; 32]);
    assert_eq!(identity.private().expose()[0], 0xf8);
    assert_eq!(identity.private().expose()[31], 0x7f);
    let same = StaticIdentity::new(identity.private()).unwrap();
    assert_eq!(identity.public(), same.public());
}

#[test]
fn random_messages_do_no_harm() {
    let mut numbers = Numbers(51);
    let mut pair = Pair::new(&[0; 32]);
    pair.initiate(1);
    for round in 0..300 {
        let mut message: [u8; 148] = numbers.bytes();
        message[..4].copy_from_slice(&[1, 0, 0, 0]);
        let initiation = Initiation::parse(&message).unwrap();
        assert!(open_initiation(&pair.responder, &initiation).is_none());

        let mut message: [u8; 92] = numbers.bytes();
        message[..4].copy_from_slice(&[2, 0, 0, 0]);
        // Half of them with the right index.
        if round % 2 == 0 {
            message[8..12].copy_from_slice(&11u32.to_le_bytes());
        }
        let response = Response::parse(&message).unwrap();
        assert!(!pair.ours.consume_response(&pair.initiator, &response));
    }
    assert_eq!(pair.ours.state(), State::InitiationSent);
}
