// SPDX-License-Identifier: GPL-2.0

//! The handshake, byte by byte as another implementation made it, from either side.
//!
//! The ephemeral keys are random here as everywhere. So the initiator is put into the state in which
//! the vector's is, and must find the session in the vector's response; and the responder, that has
//! read the vector's initiation, must answer so that this initiator agrees with it.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use super::{
    open_initiation, Handshake, OpenedInitiation, Rejected, SessionKeys, State, StaticIdentity,
};
use crate::crypto::{x25519_clamp, Secret};
use crate::protocol::messages::{Initiation, Response, INITIATION_INTERVAL};
use crate::protocol::tai64n::Tai64n;
use crate::tests::vectors::{Vector, VECTORS};

const OUR_INDEX: u32 = 0x0102_0304;

/// What both sides of a vector are and know.
struct Pair {
    vector: &'static Vector,
    initiator: StaticIdentity,
    responder: StaticIdentity,
    ours: Handshake,
    theirs: Handshake,
}

impl Pair {
    fn new(vector: &'static Vector) -> Result<Self> {
        let identity = |private| StaticIdentity::new(&Secret::new(private)).ok_or(EINVAL);
        let psk = Secret::new(&vector.psk);
        Ok(Self {
            vector,
            initiator: identity(&vector.initiator_private)?,
            responder: identity(&vector.responder_private)?,
            ours: Handshake::new(&vector.responder_public, &psk),
            theirs: Handshake::new(&vector.initiator_public, &psk),
        })
    }

    /// Puts the initiator where the vector's is after its initiation.
    fn resume_initiator(&mut self) {
        let mut ephemeral = Secret::new(&self.vector.ephemeral);
        x25519_clamp(&mut ephemeral);
        self.ours.clear();
        self.ours.ephemeral = ephemeral;
        self.ours.chaining_key = Secret::new(&self.vector.chaining_key);
        self.ours.hash = self.vector.hash;
        self.ours.local_index = self.vector.initiator_index;
        self.ours.state = State::InitiationSent;
    }

    fn initiation(&self) -> Result<Initiation> {
        Initiation::parse(&self.vector.initiation).ok_or(EINVAL)
    }

    fn open(&self, initiation: &Initiation) -> Result<OpenedInitiation> {
        open_initiation(&self.responder, initiation).ok_or(EINVAL)
    }

    fn accept(&mut self, initiation: &Initiation, now_ns: u64) -> Result<(), Rejected> {
        match open_initiation(&self.responder, initiation) {
            Some(opened) => self
                .theirs
                .accept_initiation(&self.responder, opened, now_ns),
            None => Err(Rejected::NotAuthentic),
        }
    }

    fn respond(&mut self) -> Result<Response> {
        self.theirs.create_response(OUR_INDEX).ok_or(EINVAL)
    }

    fn consume(&mut self, response: &Response) -> bool {
        self.ours.consume_response(&self.initiator, response)
    }
}

fn agree(ours: &SessionKeys, theirs: &SessionKeys) -> bool {
    ours.sending == theirs.receiving
        && ours.receiving == theirs.sending
        && ours.sending != ours.receiving
        && ours.we_initiated
        && !theirs.we_initiated
}

#[kunit_tests(wireguard_noise)]
mod suite {
    use super::*;

    #[test]
    fn public_keys() -> Result {
        for vector in &VECTORS {
            let pair = Pair::new(vector)?;
            assert!(*pair.initiator.public() == vector.initiator_public);
            assert!(*pair.responder.public() == vector.responder_public);
        }
        assert!(StaticIdentity::new(&Secret::zero()).is_none());
        Ok(())
    }

    #[test]
    fn the_responder_reads_the_initiation() -> Result {
        for vector in &VECTORS {
            let mut pair = Pair::new(vector)?;
            let initiation = pair.initiation()?;
            assert_eq!(initiation.sender, vector.initiator_index);
            assert!(*pair.open(&initiation)?.remote_static() == vector.initiator_public);
            assert_eq!(pair.accept(&initiation, 0), Ok(()));
            let theirs = &pair.theirs;
            assert!(*theirs.chaining_key.expose() == vector.chaining_key);
            assert!(theirs.hash == vector.hash);
            assert!(*theirs.latest_timestamp.as_bytes() == vector.timestamp);
            assert_eq!(theirs.remote_index, vector.initiator_index);
        }
        Ok(())
    }

    #[test]
    fn the_initiator_reads_the_response() -> Result {
        for vector in &VECTORS {
            let mut pair = Pair::new(vector)?;
            pair.resume_initiator();
            let response = Response::parse(&vector.response).ok_or(EINVAL)?;
            assert!(pair.consume(&response));
            // Once.
            assert!(!pair.consume(&response));
            let keys = pair.ours.begin_session().ok_or(EINVAL)?;
            assert!(*keys.sending.expose() == vector.first_key);
            assert!(*keys.receiving.expose() == vector.second_key);
            assert_eq!(keys.remote_index, vector.responder_index);
            assert!(keys.we_initiated);
            assert!(pair.ours.begin_session().is_none());
            assert!(pair.ours.chaining_key.is_zero() && pair.ours.ephemeral.is_zero());
        }
        Ok(())
    }

    /// The vector's initiator, which the test above has proved, and our responder.
    #[test]
    fn the_responder_answers() -> Result {
        for vector in &VECTORS {
            let mut pair = Pair::new(vector)?;
            let initiation = pair.initiation()?;
            assert_eq!(pair.accept(&initiation, 0), Ok(()));
            let response = pair.respond()?;
            assert_eq!(response.receiver, vector.initiator_index);
            assert!(pair.theirs.create_response(1).is_none());
            pair.resume_initiator();
            assert!(pair.consume(&response));
            let ours = pair.ours.begin_session().ok_or(EINVAL)?;
            let theirs = pair.theirs.begin_session().ok_or(EINVAL)?;
            assert!(agree(&ours, &theirs));
            assert_eq!(ours.remote_index, OUR_INDEX);
            assert_eq!(theirs.remote_index, vector.initiator_index);
        }
        Ok(())
    }

    /// Our initiator, and the responder that the tests above have proved.
    #[test]
    fn the_initiator_begins() -> Result {
        for vector in &VECTORS {
            let mut pair = Pair::new(vector)?;
            let stamp = Tai64n::from_bytes(vector.timestamp);
            let initiation = pair.ours.create_initiation(&pair.initiator, 7, stamp);
            let initiation = initiation.ok_or(EINVAL)?;
            // Nothing of it is as in the vector: the ephemeral key is fresh.
            assert!(initiation.to_bytes().get(8..116) != vector.initiation.get(8..116));
            assert_eq!(pair.accept(&initiation, 0), Ok(()));
            assert!(pair.ours.chaining_key == pair.theirs.chaining_key);
            assert!(pair.ours.hash == pair.theirs.hash);
            let response = pair.respond()?;
            assert!(pair.consume(&response));
            let ours = pair.ours.begin_session().ok_or(EINVAL)?;
            assert!(agree(&ours, &pair.theirs.begin_session().ok_or(EINVAL)?));
        }
        Ok(())
    }

    #[test]
    fn nothing_altered_is_accepted() -> Result {
        let [_, vector] = &VECTORS;
        let mut pair = Pair::new(vector)?;
        pair.resume_initiator();
        for at in 8..60 {
            let mut altered = vector.response;
            if let Some(byte) = altered.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
            assert!(!pair.consume(&Response::parse(&altered).ok_or(EINVAL)?));
            assert_eq!(pair.ours.state, State::InitiationSent);
        }
        for at in 8..116 {
            let mut altered = vector.initiation;
            if let Some(byte) = altered.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
            let altered = Initiation::parse(&altered).ok_or(EINVAL)?;
            assert_eq!(pair.accept(&altered, 0), Err(Rejected::NotAuthentic));
            assert_eq!(pair.theirs.state, State::Idle);
        }
        // What is whole still is.
        assert!(pair.consume(&Response::parse(&vector.response).ok_or(EINVAL)?));
        let initiation = pair.initiation()?;
        assert_eq!(pair.accept(&initiation, 0), Ok(()));
        Ok(())
    }

    #[test]
    fn an_initiation_is_accepted_once_and_not_too_often() -> Result {
        let [vector, _] = &VECTORS;
        let mut pair = Pair::new(vector)?;
        let initiation = pair.initiation()?;
        let start = 1_000_000_000;
        assert_eq!(pair.accept(&initiation, start), Ok(()));
        assert_eq!(pair.accept(&initiation, start), Err(Rejected::Replayed));
        assert_eq!(pair.accept(&initiation, u64::MAX), Err(Rejected::Replayed));
        pair.theirs.identity_changed();
        assert_eq!(pair.accept(&initiation, u64::MAX), Err(Rejected::Replayed));
        let mut stamp = vector.timestamp;
        if let Some(last) = stamp.last_mut() {
            *last = last.wrapping_add(1);
        }
        let stamp = Tai64n::from_bytes(stamp);
        let later = pair.ours.create_initiation(&pair.initiator, 7, stamp);
        let later = later.ok_or(EINVAL)?;
        let end = start + INITIATION_INTERVAL;
        assert_eq!(pair.accept(&later, start), Err(Rejected::TooSoon));
        assert_eq!(pair.accept(&later, end - 1), Err(Rejected::TooSoon));
        assert_eq!(pair.accept(&later, end), Ok(()));
        Ok(())
    }

    #[test]
    fn another_preshared_key_is_refused() -> Result {
        let [_, vector] = &VECTORS;
        let mut pair = Pair::new(vector)?;
        pair.resume_initiator();
        let response = Response::parse(&vector.response).ok_or(EINVAL)?;
        pair.ours.set_preshared_key(&Secret::zero());
        assert!(!pair.consume(&response));
        pair.ours.set_preshared_key(&Secret::new(&vector.psk));
        assert!(pair.consume(&response));
        Ok(())
    }
}
