// SPDX-License-Identifier: GPL-2.0

//! The handshake, compared byte by byte with another implementation of Noise (the crate `snow`).

use super::Numbers;
use crate::bindings::plan_random;
use crate::buffers;
use crate::crypto::{DataKey, Secret};
use crate::protocol::messages::{Initiation, Response};
use crate::protocol::noise::{open_initiation, Handshake, SessionKeys, StaticIdentity};
use crate::protocol::tai64n::Tai64n;
use snow::{HandshakeState, StatelessTransportState};

const PARAMETERS: &str = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";

/// What both sides of a handshake are made of.
struct Keys {
    initiator: [u8; 32],
    responder: [u8; 32],
    responder_public: [u8; 32],
    initiator_ephemeral: [u8; 32],
    responder_ephemeral: [u8; 32],
    psk: [u8; 32],
}

impl Keys {
    fn snow(&self, initiator: bool) -> HandshakeState {
        let builder = snow::Builder::new(PARAMETERS.parse().unwrap())
            .prologue(PROLOGUE)
            .psk(2, &self.psk);
        if initiator {
            builder
                .local_private_key(&self.initiator)
                .remote_public_key(&self.responder_public)
                .fixed_ephemeral_key_for_testing_only(&self.initiator_ephemeral)
                .build_initiator()
        } else {
            builder
                .local_private_key(&self.responder)
                .fixed_ephemeral_key_for_testing_only(&self.responder_ephemeral)
                .build_responder()
        }
        .unwrap()
    }
}

fn written(snow: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 256];
    let length = snow.write_message(payload, &mut message).unwrap();
    message.truncate(length);
    message
}

fn read(snow: &mut HandshakeState, message: &[u8]) -> Vec<u8> {
    let mut payload = vec![0; 256];
    let length = snow.read_message(message, &mut payload).unwrap();
    payload.truncate(length);
    payload
}

fn sealed_by_snow(snow: &StatelessTransportState, counter: u64, plain: &[u8]) -> Vec<u8> {
    let mut sealed = vec![0; plain.len() + 16];
    assert_eq!(
        snow.write_message(counter, plain, &mut sealed),
        Ok(sealed.len())
    );
    sealed
}

/// Data both ways between us and snow. `twin` is a snow in our place.
fn exchange_data(
    ours: &SessionKeys,
    twin: &StatelessTransportState,
    theirs: &StatelessTransportState,
    numbers: &mut Numbers,
) {
    for length in [0, 1, 100, 1424] {
        let counter = numbers.next() >> 1;
        let plain = numbers.vec(length);
        let sealed = buffers::seal(&DataKey::new(&ours.sending), counter, &plain);
        assert_eq!(sealed, sealed_by_snow(twin, counter, &plain));
        let mut opened = vec![0; length + 16];
        assert_eq!(
            theirs.read_message(counter, &sealed, &mut opened),
            Ok(length)
        );
        assert_eq!(opened[..length], plain);

        let sealed = sealed_by_snow(theirs, counter, &plain);
        let opened = buffers::open(&DataKey::new(&ours.receiving), counter, &sealed);
        assert_eq!(opened, Some(plain));
    }
}

/// Handshakes with snow, the messages of a snow in our place being the same.
fn shake_hands(we_initiate: bool, with_psk: bool) {
    let mut numbers = Numbers(50);
    for round in 1..11 {
        let [initiator, responder, initiator_ephemeral, responder_ephemeral] =
            std::array::from_fn(|_| numbers.bytes());
        let psk = if with_psk { numbers.bytes() } else { [0; 32] };
        let identity = |private| StaticIdentity::new(&Secret::new(private)).unwrap();
        let (our_identity, their_public) = if we_initiate {
            (identity(&initiator), *identity(&responder).public())
        } else {
            (identity(&responder), *identity(&initiator).public())
        };
        let keys = Keys {
            responder_public: *identity(&responder).public(),
            initiator,
            responder,
            initiator_ephemeral,
            responder_ephemeral,
            psk,
        };
        let mut twin = keys.snow(we_initiate);
        let mut theirs = keys.snow(!we_initiate);
        let mut ours = Handshake::new(&their_public, &Secret::new(&psk));
        let timestamp = Tai64n::from_unix_ns(round * 1_000_000_000);

        if we_initiate {
            plan_random(&initiator_ephemeral);
            let initiation = ours.create_initiation(&our_identity, 1, timestamp).unwrap();
            let initiation = &initiation.to_bytes()[8..116];
            assert_eq!(initiation, written(&mut twin, timestamp.as_bytes()));
            assert_eq!(read(&mut theirs, initiation), timestamp.as_bytes());

            let noise = written(&mut theirs, &[]);
            assert!(read(&mut twin, &noise).is_empty());
            // Kind, indices, what Noise made, and the MACs.
            let response = [&[2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0], &noise[..], &[0; 32]].concat();
            let response = Response::parse(&response).unwrap();
            assert!(ours.consume_response(&our_identity, &response));
        } else {
            let noise = written(&mut theirs, timestamp.as_bytes());
            assert_eq!(read(&mut twin, &noise), timestamp.as_bytes());
            let initiation = [&[1, 0, 0, 0, 1, 0, 0, 0], &noise[..], &[0; 32]].concat();
            let initiation = Initiation::parse(&initiation).unwrap();
            let opened = open_initiation(&our_identity, &initiation).unwrap();
            assert_eq!(opened.remote_static(), &their_public);
            ours.accept_initiation(&our_identity, opened, 0).unwrap();

            plan_random(&responder_ephemeral);
            let response = ours.create_response(2).unwrap().to_bytes();
            let response = &response[12..60];
            assert_eq!(response, written(&mut twin, &[]));
            assert!(read(&mut theirs, response).is_empty());
        }

        let session = ours.begin_session().unwrap();
        assert_eq!(session.we_initiated, we_initiate);
        exchange_data(
            &session,
            &twin.into_stateless_transport_mode().unwrap(),
            &theirs.into_stateless_transport_mode().unwrap(),
            &mut numbers,
        );
    }
}

#[test]
fn we_initiate_without_a_preshared_key() {
    shake_hands(true, false);
}

#[test]
fn we_initiate_with_a_preshared_key() {
    shake_hands(true, true);
}

#[test]
fn we_respond_without_a_preshared_key() {
    shake_hands(false, false);
}

#[test]
fn we_respond_with_a_preshared_key() {
    shake_hands(false, true);
}
