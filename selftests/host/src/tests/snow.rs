// SPDX-License-Identifier: GPL-2.0

//! The handshake, compared byte by byte with another implementation of Noise (the crate `snow`), and
//! that with the published vector.

use super::{hex, Numbers};
use crate::bindings::plan_random;
use crate::crypto::{DataKey, Secret};
use crate::messages::{Initiation, Response};
use crate::noise::{open_initiation, Handshake, SessionKeys, StaticIdentity};
use crate::tai64n::Tai64n;
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
    fn snow(&self, prologue: &[u8], initiator: bool) -> HandshakeState {
        let builder = snow::Builder::new(PARAMETERS.parse().unwrap())
            .prologue(prologue)
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
        let mut sealed = [&[0; DataKey::SCRATCH][..], &plain, &[0; 16]].concat();
        assert!(DataKey::new(&ours.sending).seal_in_place(counter, &mut sealed));
        let sealed = &sealed[DataKey::SCRATCH..];
        assert_eq!(sealed, sealed_by_snow(twin, counter, &plain));
        let mut opened = vec![0; length + 16];
        assert_eq!(
            theirs.read_message(counter, sealed, &mut opened),
            Ok(length)
        );
        assert_eq!(opened[..length], plain);

        let sealed = sealed_by_snow(theirs, counter, &plain);
        let mut message = [&[0; DataKey::SCRATCH][..], &sealed].concat();
        let mut opened = vec![0; DataKey::SCRATCH + length];
        assert!(DataKey::new(&ours.receiving).open(counter, &mut message, &mut opened));
        assert_eq!(opened[DataKey::SCRATCH..], plain);
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
        let mut twin = keys.snow(PROLOGUE, we_initiate);
        let mut theirs = keys.snow(PROLOGUE, !we_initiate);
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

/// The vector of this Noise protocol among those of Cacophony, which implementations of Noise share.
///
/// Its prologue and payloads are not WireGuard's, so the driver's functions cannot make it: they have
/// the prologue inside of them, and the payloads' lengths in their types. It shows that what they are
/// compared with above is right.
#[test]
fn snow_makes_the_published_vector() {
    let key = |digits| hex(digits).try_into().unwrap();
    let keys = Keys {
        initiator: key("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1"),
        responder: key("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893"),
        responder_public: key("31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62"),
        initiator_ephemeral: key(
            "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
        ),
        responder_ephemeral: key(
            "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
        ),
        psk: *b"This is my Austrian perspective!",
    };
    let mut initiator = keys.snow(b"John Galt", true);
    let mut responder = keys.snow(b"John Galt", false);

    let message = written(&mut initiator, b"Ludwig von Mises");
    assert_eq!(
        message,
        hex(
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944
             001e21de9f98ddd8e2ad57527207feb56253c9c94a9e496782ecfcb2a75fbcaf
             1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985
             464cf17e51ee93109008399a21f7e13f"
        ),
    );
    assert_eq!(read(&mut responder, &message), b"Ludwig von Mises");
    let message = written(&mut responder, b"Murray Rothbard");
    assert_eq!(
        message,
        hex(
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843
             cb765f2caef0751b8f007572dab0322217755c0632f365717edbf34d33e87a"
        ),
    );
    assert_eq!(read(&mut initiator, &message), b"Murray Rothbard");
    assert_eq!(
        initiator.get_handshake_hash(),
        hex("f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5"),
    );

    let initiator = initiator.into_stateless_transport_mode().unwrap();
    let responder = responder.into_stateless_transport_mode().unwrap();
    for (sender, counter, payload, sealed) in [
        (
            &initiator,
            0,
            "F. A. Hayek",
            "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7",
        ),
        (
            &responder,
            0,
            "Carl Menger",
            "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef",
        ),
        (
            &initiator,
            1,
            "Jean-Baptiste Say",
            "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d",
        ),
        (
            &responder,
            1,
            "Eugen B\u{f6}hm von Bawerk",
            "dfc346c0d2296ae6cf1acf6f12b8456a1dba228cf8d8b774aacf1c47fc53aa80ebc7a4c292",
        ),
    ] {
        // The payloads are in Latin-1.
        let payload: Vec<u8> = payload.chars().map(|letter| letter as u8).collect();
        assert_eq!(sealed_by_snow(sender, counter, &payload), hex(sealed));
    }
}
