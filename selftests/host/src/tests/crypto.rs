// SPDX-License-Identifier: GPL-2.0

//! `rust/crypto/`, and below it the stand-in for the kernel's library.

use super::{hex, Numbers};
use crate::buffers;
use crate::crypto::{
    aead_open, aead_seal, ct_eq, random_bytes, random_is_ready, x25519, x25519_clamp,
    x25519_public, xaead_open, xaead_seal, Blake2s, DataKey, Secret, SipKey,
};
use blake2::{digest::consts::U16, digest::consts::U32, Blake2s256, Blake2sMac, Digest};
use chacha20poly1305::{aead::Aead, aead::Payload, ChaCha20Poly1305, KeyInit};

fn array<const N: usize>(digits: &str) -> [u8; N] {
    hex(digits).try_into().unwrap()
}

/// The same message sealed by a crate, key and nonce being as on WireGuard's wire.
fn sealed_by_crate(key: &[u8; 32], counter: u64, additional: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    let payload = Payload {
        msg: plain,
        aad: additional,
    };
    ChaCha20Poly1305::new(key.into())
        .encrypt(&nonce.into(), payload)
        .unwrap()
}

#[test]
fn secrets_compare_and_clear() {
    let mut secret = Secret::<32>::random();
    assert!(!secret.is_zero());
    let copy = secret.duplicate();
    assert!(secret == copy);
    for bit in 0..256 {
        let mut other = copy.duplicate();
        other.expose_mut()[bit / 8] ^= 1 << (bit % 8);
        assert!(secret != other, "bit {bit}");
    }
    secret.clear();
    assert!(secret.is_zero() && secret == Secret::zero());
    secret.copy_from(&copy);
    assert!(secret == copy);
}

#[test]
fn secrets_are_overwritten_when_dropped() {
    let mut place = std::mem::ManuallyDrop::new(Secret::new(&[0xa5; 32]));
    let bytes = place.expose().as_ptr();
    // SAFETY: It is dropped once. The memory stays, as it is this function's, and was initialised.
    let after = unsafe {
        std::mem::ManuallyDrop::drop(&mut place);
        std::slice::from_raw_parts(bytes, 32)
    };
    assert_eq!(after, [0; 32]);
}

#[test]
fn constant_time_equality_is_equality() {
    assert!(ct_eq(b"", b""));
    assert!(ct_eq(b"abc", b"abc"));
    assert!(!ct_eq(b"abc", b"abd"));
    assert!(!ct_eq(b"abc", b"abcd"));
    assert!(!ct_eq(b"abc", b""));
}

#[test]
fn random_numbers_differ() {
    assert!(random_is_ready());
    let mut first = [0; 32];
    let mut second = [0; 32];
    random_bytes(&mut first);
    random_bytes(&mut second);
    assert_ne!(first, second);
}

#[test]
fn siphash_keys_differ() {
    let (one, other) = (SipKey::random(), SipKey::random());
    assert_eq!(one.hash(1, 2), one.hash(1, 2));
    assert_ne!(one.hash(1, 2), one.hash(2, 1));
    assert_ne!(one.hash(1, 2), other.hash(1, 2));
}

#[test]
fn blake2s_of_rfc_7693() {
    // Appendix B.
    let mut hash = Blake2s::<32>::new();
    hash.update(b"abc");
    assert_eq!(
        hash.finish(),
        array("508C5E8C327C14E2E1A72BA34EEB452F37458B209ED63A294D999B4C86675982"),
    );
}

#[test]
fn blake2s_as_another_implementation() {
    let mut numbers = Numbers(1);
    for length in (0..300).chain([1000, 4096]) {
        let message = numbers.vec(length);
        let key: [u8; 32] = numbers.bytes();
        let split = numbers.below(length as u64 + 1) as usize;
        let (start, end) = message.split_at(split);

        let mut hash = Blake2s::<32>::new();
        hash.update(start).update(end);
        assert_eq!(hash.finish()[..], Blake2s256::digest(&message)[..]);

        let mut mac = Blake2s::<32>::keyed(&key);
        mac.update(start).update(end);
        let expected = Blake2sMac::<U32>::new_from_slice(&key).unwrap();
        assert_eq!(mac.finish()[..], mac_of(expected, &message)[..]);

        let short_key: [u8; 16] = numbers.bytes();
        let mut mac = Blake2s::<16>::keyed(&short_key);
        mac.update(start).update(end);
        let expected = Blake2sMac::<U16>::new_from_slice(&short_key).unwrap();
        assert_eq!(mac.finish()[..], mac_of(expected, &message)[..]);
    }
}

fn mac_of(mut mac: impl blake2::digest::Mac, message: &[u8]) -> Vec<u8> {
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn x25519_of_rfc_7748() {
    // Section 6.1.
    let alice = Secret::new(&array(
        "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
    ));
    let bob = Secret::new(&array(
        "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
    ));
    let alice_public = x25519_public(&alice).unwrap();
    let bob_public = x25519_public(&bob).unwrap();
    assert_eq!(
        alice_public,
        array("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
    );
    assert_eq!(
        bob_public,
        array("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"),
    );
    let shared: [u8; 32] =
        array("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_eq!(x25519(&alice, &bob_public).unwrap().expose(), &shared);
    assert_eq!(x25519(&bob, &alice_public).unwrap().expose(), &shared);
}

#[test]
fn x25519_refuses_what_shares_no_secret() {
    let private = Secret::random();
    let one = {
        let mut one = [0; 32];
        one[0] = 1;
        one
    };
    // Points of small order (the table in «Curve25519: new Diffie-Hellman speed records»).
    for point in [
        [0; 32],
        one,
        array("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        array("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        array("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        array("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        array("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ] {
        assert!(x25519(&private, &point).is_none(), "{point:x?}");
    }
    assert!(x25519_public(&Secret::zero()).is_none());
}

#[test]
fn clamping_is_idempotent_and_does_not_change_the_public_key() {
    for _ in 0..20 {
        let private = Secret::random();
        let mut clamped = private.duplicate();
        x25519_clamp(&mut clamped);
        assert_eq!(clamped.expose()[0] & 7, 0);
        assert_eq!(clamped.expose()[31] & 0xc0, 0x40);
        let mut again = clamped.duplicate();
        x25519_clamp(&mut again);
        assert!(again == clamped);
        assert_eq!(x25519_public(&private), x25519_public(&clamped));
    }
}

#[test]
fn aead_as_another_implementation_and_back() {
    fn check<const PLAIN: usize, const SEALED: usize>(numbers: &mut Numbers) {
        let key = Secret::new(&numbers.bytes());
        let plain: [u8; PLAIN] = numbers.bytes();
        let additional: [u8; 32] = numbers.bytes();
        let counter = numbers.next();
        let mut sealed = [0; SEALED];
        aead_seal(&key, counter, &additional, &plain, &mut sealed);
        assert_eq!(
            sealed[..],
            sealed_by_crate(key.expose(), counter, &additional, &plain)
        );

        let mut opened = [0; PLAIN];
        assert!(aead_open(&key, counter, &additional, &sealed, &mut opened));
        assert_eq!(opened, plain);
        assert!(!aead_open(
            &key,
            counter ^ 1,
            &additional,
            &sealed,
            &mut opened
        ));
        let bit = numbers.below(8 * SEALED as u64) as usize;
        sealed[bit / 8] ^= 1 << (bit % 8);
        assert!(!aead_open(&key, counter, &additional, &sealed, &mut opened));
    }
    let mut numbers = Numbers(2);
    for _ in 0..50 {
        // The fields of a handshake: nothing, a timestamp, a key.
        check::<0, 16>(&mut numbers);
        check::<12, 28>(&mut numbers);
        check::<32, 48>(&mut numbers);
    }
}

#[test]
fn xaead_opens_only_what_it_sealed() {
    let mut numbers = Numbers(3);
    let key = Secret::new(&numbers.bytes());
    let plain: [u8; 16] = numbers.bytes();
    let additional: [u8; 16] = numbers.bytes();
    let nonce: [u8; 24] = numbers.bytes();
    let mut sealed = [0; 32];
    xaead_seal(&key, &nonce, &additional, &plain, &mut sealed);
    let mut opened = [0; 16];
    assert!(xaead_open(&key, &nonce, &additional, &sealed, &mut opened));
    assert_eq!(opened, plain);
    for bit in 0..8 * 32 {
        sealed[bit / 8] ^= 1 << (bit % 8);
        assert!(!xaead_open(&key, &nonce, &additional, &sealed, &mut opened));
        sealed[bit / 8] ^= 1 << (bit % 8);
    }
    assert!(!xaead_open(&key, &nonce, &[0; 16], &sealed, &mut opened));
}

#[test]
fn data_key_of_rfc_8439() {
    // Section 2.4.2: its initial block counter is 1, as it is here behind the scratch block.
    let key = Secret::new(&std::array::from_fn(|i| i as u8));
    let plain =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the \
                  future, sunscreen would be it.";
    let sealed = buffers::seal(&DataKey::new(&key), 0x4a00_0000, plain);
    assert_eq!(
        sealed[..sealed.len() - 16],
        hex(
            "6e2e359a2568f98041ba0728dd0d6981 e97e7aec1d4360c20a27afccfd9fae0b
             f91b65c5524733ab8f593dabcd62b357 1639d624e65152ab8f530c359f0861d8
             07ca0dbf500d6a6156a38e088a22b65e 52bc514d16ccf806818ce91ab7793736
             5af90bbf74a35be6b40b8eedf2785e42 874d"
        ),
    );
}

/// Every length of a packet that there may be on most links, and some longer ones.
fn lengths() -> impl Iterator<Item = usize> {
    (0..=2048).chain([4095, 4096, 4097, 65520, 65535])
}

/// A buffer in the middle of memory that is not its own: at any address, and next to what must stay.
struct Placed {
    memory: Vec<u8>,
    at: std::ops::Range<usize>,
}

impl Placed {
    fn new(numbers: &mut Numbers, buffer: &[u8]) -> Self {
        let before = numbers.below(64) as usize;
        Self {
            memory: [&vec![0xee; before], buffer, &[0xee; 64]].concat(),
            at: before..before + buffer.len(),
        }
    }

    fn buffer(&mut self) -> &mut [u8] {
        &mut self.memory[self.at.clone()]
    }

    /// What has become of the buffer.
    fn finish(self) -> Vec<u8> {
        let (before, after) = (&self.memory[..self.at.start], &self.memory[self.at.end..]);
        assert!(before.iter().chain(after).all(|&byte| byte == 0xee));
        self.memory[self.at].to_vec()
    }
}

#[test]
fn data_key_seals_as_another_implementation() {
    let mut numbers = Numbers(4);
    for length in lengths() {
        let secret = Secret::new(&numbers.bytes());
        let counter = numbers.next();
        let plain = numbers.vec(length);
        let mut placed = Placed::new(&mut numbers, &buffers::room_for(&plain));
        assert!(DataKey::new(&secret).seal_in_place(counter, placed.buffer()));
        let buffer = placed.finish();
        // Nothing of the one-time key stays.
        assert_eq!(buffer[..64], [0; 64]);
        assert_eq!(
            buffer[64..][..length + 16],
            sealed_by_crate(secret.expose(), counter, &[], &plain),
            "length {length}",
        );
    }
}

/// A sealed message as it is received, taken apart.
struct Sealed {
    key: DataKey,
    counter: u64,
    plain: Vec<u8>,
    text: Vec<u8>,
    tag: [u8; 16],
}

impl Sealed {
    /// Of a crate's.
    fn new(numbers: &mut Numbers, length: usize) -> Self {
        let secret = Secret::new(&numbers.bytes());
        let counter = numbers.next();
        let plain = numbers.vec(length);
        let message = sealed_by_crate(secret.expose(), counter, &[], &plain);
        let (text, tag) = message.split_last_chunk().unwrap();
        Self {
            key: DataKey::new(&secret),
            counter,
            plain,
            text: text.to_vec(),
            tag: *tag,
        }
    }

    /// The ciphertext, with rubbish in front.
    fn buffer(&self) -> Vec<u8> {
        [&[0xcc; DataKey::SCRATCH], &self.text[..]].concat()
    }

    /// The message in a buffer to be opened from.
    fn message(&self) -> Vec<u8> {
        buffers::message_of(&[&self.text[..], &self.tag].concat())
    }

    /// Opens it both ways, which must not differ. Whether it is authentic.
    fn opens(&self, numbers: &mut Numbers) -> bool {
        let mut opened = Placed::new(numbers, &vec![0xcc; 64 + self.text.len()]);
        let mut message = Placed::new(numbers, &self.message());
        let first = self
            .key
            .open(self.counter, message.buffer(), opened.buffer());
        message.finish();
        let opened = opened.finish();
        assert_eq!(opened[..64], [0; 64]);

        let mut alone = Placed::new(numbers, &self.buffer());
        let second = self.key.open_alone(self.counter, alone.buffer(), &self.tag);
        let alone = alone.finish();
        assert_eq!(alone[..64], [0; 64]);

        assert_eq!(first, second);
        if first {
            assert_eq!(opened[64..], self.plain);
            assert_eq!(alone[64..], self.plain);
        } else {
            // Unauthentic text is not even decrypted where the check comes first.
            assert_eq!(alone[64..], self.text);
        }
        first
    }

    fn flip_text(&mut self, bit: usize) {
        self.text[bit / 8] ^= 1 << (bit % 8);
    }

    fn flip_tag(&mut self, bit: usize) {
        self.tag[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn data_key_opens_what_another_implementation_sealed() {
    let mut numbers = Numbers(5);
    for length in lengths() {
        let mut sealed = Sealed::new(&mut numbers, length);
        assert!(sealed.opens(&mut numbers), "length {length}");
        if length > 0 {
            let bit = numbers.below(8 * length as u64) as usize;
            sealed.flip_text(bit);
            assert!(!sealed.opens(&mut numbers), "length {length}, bit {bit}");
            sealed.flip_text(bit);
        }
        let bit = numbers.below(8 * 16) as usize;
        sealed.flip_tag(bit);
        assert!(!sealed.opens(&mut numbers), "length {length}, bit {bit}");
    }
}

#[test]
fn data_key_refuses_every_flipped_bit() {
    let mut numbers = Numbers(6);
    for length in [0, 1, 16, 33] {
        let mut sealed = Sealed::new(&mut numbers, length);
        assert!(sealed.opens(&mut numbers));
        sealed.counter ^= 1;
        assert!(!sealed.opens(&mut numbers));
        sealed.counter ^= 1;
        for bit in 0..8 * length {
            sealed.flip_text(bit);
            assert!(!sealed.opens(&mut numbers));
            sealed.flip_text(bit);
        }
        for bit in 0..8 * 16 {
            sealed.flip_tag(bit);
            assert!(!sealed.opens(&mut numbers));
            sealed.flip_tag(bit);
        }
        assert!(sealed.opens(&mut numbers));
    }
}

#[test]
fn data_key_refuses_lengths_that_do_not_fit() {
    let mut numbers = Numbers(7);
    let sealed = Sealed::new(&mut numbers, 32);
    let (key, counter) = (&sealed.key, sealed.counter);
    for length in 0..80 + DataKey::SPARE {
        assert!(!key.seal_in_place(counter, &mut vec![1; length]));
    }
    for length in 0..64 {
        let mut buffer = vec![1; length];
        assert!(!key.open_alone(counter, &mut buffer, &sealed.tag));
    }
    let message = sealed.message();
    for length in (0..200).filter(|length| *length != message.len()) {
        let mut message = message.clone();
        message.resize(length, 0);
        let mut buffer = vec![1; length.saturating_sub(16 + DataKey::SPARE)];
        assert!(!key.open(counter, &mut message, &mut buffer));
    }
    let opened = message.len() - 16 - DataKey::SPARE;
    for length in (0..200).filter(|length| *length != opened) {
        assert!(!key.open(counter, &mut message.clone(), &mut vec![1; length]));
    }
}
