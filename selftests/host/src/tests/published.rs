// SPDX-License-Identifier: GPL-2.0

//! The published vector of this Noise protocol: that of Cacophony, which implementations of Noise share.
//!
//! Its prologue and payloads are not WireGuard's, so it is made step by step from the transcript, which
//! is private to the handshake's module; so this is part of that module.

use super::{Handshake, State, StaticIdentity, Transcript};
use crate::buffers;
use crate::crypto::{x25519, x25519_public, Blake2s, DataKey, Secret};
use crate::protocol::transcript::CONSTRUCTION;
use crate::tests::hex;

fn array<const N: usize>(digits: &str) -> [u8; N] {
    hex(digits).try_into().unwrap()
}

#[test]
fn the_published_vector() {
    let identity = |digits| StaticIdentity::new(&Secret::new(&array(digits))).unwrap();
    let initiator = identity("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
    let responder = identity("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
    let ephemeral = |digits| {
        let private = Secret::new(&array(digits));
        let public = x25519_public(&private).unwrap();
        (private, public)
    };
    let (our, our_public) =
        ephemeral("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a");
    let (their, their_public) =
        ephemeral("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b");
    let initiation = hex(
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944
         001e21de9f98ddd8e2ad57527207feb56253c9c94a9e496782ecfcb2a75fbcaf
         1b52948cc48daefe660c62119ab5000980c84831215f2441eba616548e832985
         464cf17e51ee93109008399a21f7e13f",
    );
    let response = hex(
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843
         cb765f2caef0751b8f007572dab0322217755c0632f365717edbf34d33e87a",
    );

    // As `Transcript::new` but for the prologue.
    let mut start = Blake2s::new();
    start.update(CONSTRUCTION);
    let start = start.finish();
    let mut ours = Transcript {
        chaining_key: Secret::new(&start),
        hash: start,
    };
    ours.mix_hash(b"John Galt");
    ours.mix_hash(responder.public());
    let mut theirs = Transcript::resume(&ours.chaining_key, &ours.hash);

    // The initiation, written and read.
    ours.mix_ephemeral(&our_public);
    let key = ours.mix_shared(&x25519(&our, responder.public()).unwrap());
    let encrypted_static: [u8; 48] = ours.seal(&key, initiator.public());
    let key = ours.mix_shared(&x25519(initiator.private(), responder.public()).unwrap());
    let payload: [u8; 32] = ours.seal(&key, b"Ludwig von Mises");
    assert_eq!(
        initiation,
        [&our_public[..], &encrypted_static, &payload].concat()
    );
    theirs.mix_ephemeral(&our_public);
    let key = theirs.mix_shared(&x25519(responder.private(), &our_public).unwrap());
    assert_eq!(
        theirs.open(&key, &encrypted_static),
        Some(*initiator.public())
    );
    let key = theirs.mix_shared(&x25519(responder.private(), initiator.public()).unwrap());
    assert_eq!(theirs.open(&key, &payload), Some(*b"Ludwig von Mises"));

    // The response, likewise.
    let psk = Secret::new(b"This is my Austrian perspective!");
    theirs.mix_ephemeral(&their_public);
    theirs.mix_shared(&x25519(&their, &our_public).unwrap());
    theirs.mix_shared(&x25519(&their, initiator.public()).unwrap());
    let key = theirs.mix_psk(&psk);
    let payload: [u8; 31] = theirs.seal(&key, b"Murray Rothbard");
    assert_eq!(response, [&their_public[..], &payload].concat());
    ours.mix_ephemeral(&their_public);
    ours.mix_shared(&x25519(&our, &their_public).unwrap());
    ours.mix_shared(&x25519(initiator.private(), &their_public).unwrap());
    let key = ours.mix_psk(&psk);
    assert_eq!(ours.open(&key, &payload), Some(*b"Murray Rothbard"));
    let hash = array("f5191b875290abcd41347ac3622d9679688a7e980229cb937ef748336cfde0e5");
    assert_eq!((ours.hash, theirs.hash), (hash, hash));

    // The session's keys, by what they encrypt and decrypt.
    let session = |transcript: &Transcript, state| {
        let mut handshake = Handshake::new(&[0; 32], &psk);
        handshake.chaining_key.copy_from(&transcript.chaining_key);
        handshake.state = state;
        handshake.begin_session().unwrap()
    };
    let ours = session(&ours, State::ResponseReceived);
    let theirs = session(&theirs, State::ResponseSent);
    for (from, to, counter, plain, sealed) in [
        (
            &ours,
            &theirs,
            0,
            &b"F. A. Hayek"[..],
            "8153ca9833bc3c1b91a7e66e5f4d4f5b59bf9e64c2f20d15f0bba7",
        ),
        (
            &theirs,
            &ours,
            0,
            b"Carl Menger",
            "07af0c9c86e1b4e80f36b04ff7688d51141af3debd0332f0a705ef",
        ),
        (
            &ours,
            &theirs,
            1,
            b"Jean-Baptiste Say",
            "6ab1467c0448cc78394494abaaf23afce0e234315d6e2624dcbfa8a21c1c4d073d",
        ),
        (
            &theirs,
            &ours,
            1,
            b"Eugen B\xf6hm von Bawerk",
            "dfc346c0d2296ae6cf1acf6f12b8456a1dba228cf8d8b774aacf1c47fc53aa80ebc7a4c292",
        ),
    ] {
        let message = buffers::seal(&DataKey::new(&from.sending), counter, plain);
        assert_eq!(message, hex(sealed));
        let opened = buffers::open(&DataKey::new(&to.receiving), counter, &message);
        assert_eq!(opened.as_deref(), Some(plain));
    }
}
