// SPDX-License-Identifier: GPL-2.0

//! What both sides of a handshake have agreed on so far (Noise's symmetric state), and the key derivation that it is made
//! of.

#![forbid(unsafe_code)]

use crate::crypto::{aead_open, aead_seal, Blake2s, Secret};
use crate::protocol::messages::KEY_LEN;

/// The Noise protocol's name (section 5.4: «Construction»).
pub(super) const CONSTRUCTION: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
/// Noise's prologue (section 5.4: «Identifier»).
const IDENTIFIER: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";

/// Length of a BLAKE2s hash, in bytes.
pub(super) const HASH_LEN: usize = 32;
/// Length of a BLAKE2s block, in bytes.
const BLOCK_LEN: usize = 64;

/// HMAC-BLAKE2s (RFC 2104) of a message in pieces.
fn hmac(key: &Secret<KEY_LEN>, pieces: &[&[u8]], out: &mut Secret<HASH_LEN>) {
    let pad = |byte: u8| {
        let mut pad = Secret::<BLOCK_LEN>::new(&[byte; BLOCK_LEN]);
        for (pad, key) in pad.expose_mut().iter_mut().zip(key.expose()) {
            *pad ^= key;
        }
        pad
    };

    let mut inner = Blake2s::<HASH_LEN>::new();
    inner.update(pad(0x36).expose());
    for piece in pieces {
        inner.update(piece);
    }
    inner.finish_into(out.expose_mut());

    let mut outer = Blake2s::<HASH_LEN>::new();
    outer.update(pad(0x5c).expose()).update(out.expose());
    outer.finish_into(out.expose_mut());
}

/// HKDF (RFC 5869) as Noise has it: replaces the chaining key by the first output, and writes up to
/// two further ones.
pub(super) fn kdf<const FURTHER: usize>(
    chaining_key: &mut Secret<KEY_LEN>,
    input: &[u8],
    further: [&mut Secret<KEY_LEN>; FURTHER],
) {
    const { assert!(FURTHER <= 2) };

    let mut extracted = Secret::zero();
    hmac(chaining_key, &[input], &mut extracted);

    hmac(&extracted, &[&[1]], chaining_key);
    let mut previous: &Secret<KEY_LEN> = chaining_key;
    for (output, number) in further.into_iter().zip([2, 3]) {
        hmac(&extracted, &[previous.expose(), &[number]], output);
        previous = output;
    }
}

/// What both sides have agreed on so far: Noise's symmetric state.
pub(super) struct Transcript {
    pub(super) chaining_key: Secret<KEY_LEN>,
    pub(super) hash: [u8; HASH_LEN],
}

impl Transcript {
    /// The beginning of a handshake with a responder.
    pub(super) fn new(responder: &[u8; KEY_LEN]) -> Self {
        let mut start = Blake2s::new();
        start.update(CONSTRUCTION);
        let start = start.finish();

        let mut transcript = Self {
            chaining_key: Secret::new(&start),
            hash: start,
        };
        transcript.mix_hash(IDENTIFIER);
        transcript.mix_hash(responder);
        transcript
    }

    /// Continues from where a handshake under way stands.
    pub(super) fn resume(chaining_key: &Secret<KEY_LEN>, hash: &[u8; HASH_LEN]) -> Self {
        Self {
            chaining_key: chaining_key.duplicate(),
            hash: *hash,
        }
    }

    /// Noise's MixHash: all that was exchanged goes into the hash.
    pub(super) fn mix_hash(&mut self, data: &[u8]) {
        let mut hash = Blake2s::new();
        hash.update(&self.hash).update(data);
        self.hash = hash.finish();
    }

    /// `e`: an ephemeral public key, sent in the clear. Because of the preshared key it goes into the
    /// chaining key as well.
    pub(super) fn mix_ephemeral(&mut self, ephemeral: &[u8; KEY_LEN]) {
        self.mix_hash(ephemeral);
        kdf(&mut self.chaining_key, ephemeral, []);
    }

    /// A Diffie-Hellman result, that makes a key for the field behind it.
    pub(super) fn mix_shared(&mut self, shared: &Secret<KEY_LEN>) -> Secret<KEY_LEN> {
        let mut key = Secret::zero();
        kdf(&mut self.chaining_key, shared.expose(), [&mut key]);
        key
    }

    /// `psk`: the preshared key, that makes a key for the field behind it. All zero if there's none.
    pub(super) fn mix_psk(&mut self, psk: &Secret<KEY_LEN>) -> Secret<KEY_LEN> {
        let mut hashed = Secret::zero();
        let mut key = Secret::zero();
        kdf(
            &mut self.chaining_key,
            psk.expose(),
            [&mut hashed, &mut key],
        );
        self.mix_hash(hashed.expose());
        key
    }

    /// Encrypts a field. Every key is used once, so the nonce is always zero.
    pub(super) fn seal<const PLAIN: usize, const SEALED: usize>(
        &mut self,
        key: &Secret<KEY_LEN>,
        plain: &[u8; PLAIN],
    ) -> [u8; SEALED] {
        let mut sealed = [0; SEALED];
        aead_seal(key, 0, &self.hash, plain, &mut sealed);
        self.mix_hash(&sealed);
        sealed
    }

    /// Decrypts a field; `None` if it is not authentic.
    pub(super) fn open<const SEALED: usize, const PLAIN: usize>(
        &mut self,
        key: &Secret<KEY_LEN>,
        sealed: &[u8; SEALED],
    ) -> Option<[u8; PLAIN]> {
        let mut plain = [0; PLAIN];
        let authentic = aead_open(key, 0, &self.hash, sealed, &mut plain);
        self.mix_hash(sealed);
        authentic.then_some(plain)
    }
}
