// SPDX-License-Identifier: GPL-2.0

//! The kernel's crypto library: ChaCha20, Poly1305, their AEAD, BLAKE2s, Curve25519, SipHash and the
//! random number generator.
//!
//! All of it is synchronous, allocates nothing and works in every context in which the CPU may be
//! used at all; the library itself decides whether SIMD can be used, so softirq context is fine.
//!
//! C headers: [`include/crypto/chacha.h`](srctree/include/crypto/chacha.h),
//! [`include/crypto/poly1305.h`](srctree/include/crypto/poly1305.h),
//! [`include/crypto/chacha20poly1305.h`](srctree/include/crypto/chacha20poly1305.h),
//! [`include/crypto/blake2s.h`](srctree/include/crypto/blake2s.h),
//! [`include/crypto/curve25519.h`](srctree/include/crypto/curve25519.h),
//! [`include/linux/siphash.h`](srctree/include/linux/siphash.h) and
//! [`include/linux/random.h`](srctree/include/linux/random.h).
//!
//! # Secrets
//!
//! [`Secret`] is overwritten when dropped, compared in constant time and has neither `Debug`, `Clone`
//! nor `Copy`. Moving a Rust value copies its bytes and leaves the old ones where they were; so
//! functions that make secrets either return them straight into the caller's place or take a `&mut`
//! place to write to, and callers keep secrets where they are instead of moving them about.

use crate::bindings;
use core::mem::{forget, MaybeUninit};

/// Length of the tag that the AEADs append.
const TAG_LEN: usize = 16;
/// Length of a ChaCha20 block.
const CHACHA_BLOCK_LEN: usize = 64;
/// Number of rounds that makes ChaCha into ChaCha20.
const CHACHA_ROUNDS: i32 = 20;

/// Makes the compiler believe that somebody reads what the pointer points to, so that the writes of
/// zeros before it are not optimised away. What `memzero_explicit` does in C.
#[inline]
fn keep_writes<T: ?Sized>(written: &mut T) {
    let pointer: *mut u8 = (&raw mut *written).cast();
    #[cfg(not(miri))]
    // SAFETY: There is no instruction in it.
    unsafe {
        core::arch::asm!("/* {0} */", in(reg) pointer, options(nostack, preserves_flags))
    };
    #[cfg(miri)]
    core::hint::black_box(pointer);
}

/// Overwrites bytes with zeros even if nobody is going to read them.
#[inline]
fn zeroize(bytes: &mut [u8]) {
    bytes.fill(0);
    keep_writes(bytes);
}

/// Whether two byte strings are equal, in a time that depends only on their lengths.
#[inline]
pub(crate) fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && {
        // SAFETY: Both pointers are valid for reads of `a.len()` bytes, which is also `b.len()`.
        let differ =
            unsafe { bindings::__crypto_memneq(a.as_ptr().cast(), b.as_ptr().cast(), a.len()) };
        differ == 0
    }
}

/// How much stack [`with_wiped_stack`] overwrites, in bytes: more than a handshake's computations
/// take, and little enough for the end of a system call's stack.
const WIPED_STACK: usize = 6144;

/// Calls a function that handles secrets, then overwrites the stack that it used.
///
/// A [`Secret`] wipes the place where it ends; the places from which it was moved there, and what the
/// compiler keeps on the stack in between, are nobody's. So whoever begins a computation with secrets
/// does it in here. What the function returns must hold none.
pub(crate) fn with_wiped_stack<R>(f: impl FnOnce() -> R) -> R {
    let result = on_stack_of_its_own(f);
    wipe_stack();
    result
}

/// Has a frame below that of its caller, which is where [`wipe_stack`] writes.
#[inline(never)]
fn on_stack_of_its_own<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[inline(never)]
fn wipe_stack() {
    let mut stack = [0u8; WIPED_STACK];
    keep_writes(&mut stack);
}

/// `N` secret bytes.
///
/// Overwritten when dropped, compared in constant time, never printed, never copied by accident.
#[repr(transparent)]
pub(crate) struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// All zero, which for every key in WireGuard means «none».
    pub(crate) const fn zero() -> Self {
        Self([0; N])
    }

    /// A secret of known bytes. The caller still has its own copy.
    #[inline]
    pub(crate) const fn new(bytes: &[u8; N]) -> Self {
        Self(*bytes)
    }

    /// A secret of fresh random bytes. See [`random_bytes`].
    #[inline]
    pub(crate) fn random() -> Self {
        let mut secret = Self::zero();
        random_bytes(&mut secret.0);
        secret
    }

    /// The bytes themselves, to hand to an algorithm.
    #[inline]
    pub(crate) const fn expose(&self) -> &[u8; N] {
        &self.0
    }

    /// The bytes themselves, for an algorithm to write to.
    #[inline]
    pub(crate) fn expose_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }

    /// A second copy, deliberately.
    #[inline]
    pub(crate) fn duplicate(&self) -> Self {
        Self(self.0)
    }

    /// Becomes a copy of another secret. Unlike a move this leaves nothing behind unowned.
    #[inline]
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.0 = other.0;
    }

    /// Overwrites the secret with zeros now.
    #[inline]
    pub(crate) fn clear(&mut self) {
        zeroize(&mut self.0);
    }

    /// Whether all bytes are zero, in constant time.
    #[inline]
    pub(crate) fn is_zero(&self) -> bool {
        ct_eq(&self.0, &[0; N])
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        ct_eq(&self.0, &other.0)
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> Drop for Secret<N> {
    #[inline]
    fn drop(&mut self) {
        zeroize(&mut self.0);
    }
}

/// Fills a buffer with random bytes. Wraps `get_random_bytes`, never sleeps.
///
/// Early in boot the generator may not be seeded yet; whatever needs secrets then checks
/// [`random_is_ready`] first.
#[inline]
pub(crate) fn random_bytes(buffer: &mut [u8]) {
    // SAFETY: The pointer is valid for writes of `buffer.len()` bytes.
    unsafe { bindings::get_random_bytes(buffer.as_mut_ptr().cast(), buffer.len()) };
}

/// Returns whether the random number generator is seeded. Wraps `rng_is_initialized`. Context: any.
#[inline]
pub(crate) fn random_is_ready() -> bool {
    // SAFETY: Always safe to call.
    unsafe { bindings::rng_is_initialized() }
}

/// Waits until the random number generator is seeded, and helps with that. Wraps
/// `wait_for_random_bytes`. Context: process context, may sleep.
#[inline]
pub(crate) fn wait_for_random() {
    // SAFETY: May always be called from process context. Only a signal would end it early, and
    // there are none in work items.
    unsafe { bindings::wait_for_random_bytes() };
}

/// A key of HSipHash, the kernel's quickest keyed hash (SipHash-1-3 where `long` has 64 bits).
pub(crate) struct HsipKey(bindings::hsiphash_key_t);

impl HsipKey {
    /// A key of known bytes.
    pub(crate) fn new(bytes: &[u8; 16]) -> Self {
        let key = u128::from_le_bytes(*bytes);
        Self(bindings::hsiphash_key_t {
            key: [key as usize, (key >> 64) as usize],
        })
    }

    /// The hash of a number. Wraps `hsiphash_1u32`.
    #[inline]
    pub(crate) fn hash(&self, number: u32) -> u32 {
        // SAFETY: The pointer is that of a valid key for the duration of the call.
        unsafe { bindings::hsiphash_1u32(number, &raw const self.0) }
    }
}

/// A key of SipHash-2-4: for hash tables whose keys strangers choose.
pub(crate) struct SipKey(bindings::siphash_key_t);

impl SipKey {
    /// A key that nobody knows.
    pub(crate) fn random() -> Self {
        let mut bytes = [[0; 8]; 2];
        random_bytes(bytes.as_flattened_mut());
        Self(bindings::siphash_key_t {
            key: bytes.map(u64::from_ne_bytes),
        })
    }

    /// The hash of two numbers. Wraps `siphash_2u64`.
    #[inline]
    pub(crate) fn hash(&self, first: u64, second: u64) -> u64 {
        // SAFETY: The pointer is that of a valid key for the duration of the call.
        unsafe { bindings::siphash_2u64(first, second, &raw const self.0) }
    }
}

/// BLAKE2s with an output of `OUT` bytes, keyed or not, of a message in pieces.
///
/// Not `Clone`, so that no copy of a keyed state goes about. The state is overwritten when dropped.
pub(crate) struct Blake2s<const OUT: usize>(bindings::blake2s_ctx);

impl<const OUT: usize> Blake2s<OUT> {
    /// The initialisation vector (RFC 7693, section 2.6).
    const IV: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];

    /// Begins an unkeyed hash.
    #[inline]
    pub(crate) fn new() -> Self {
        Self::keyed(&[])
    }

    /// Begins a keyed hash, which as such is a MAC. An empty key means none.
    ///
    /// What `blake2s_init` and `blake2s_init_key` do, which are inline functions in C: the lengths go
    /// into the first word of the state (RFC 7693, section 2.5), and a key is a first block.
    #[inline]
    pub(crate) fn keyed<const KEY: usize>(key: &[u8; KEY]) -> Self {
        const { assert!(OUT != 0 && OUT <= 32 && KEY <= 32) };

        // SAFETY: It is a struct of integers and arrays of them, for all of which zero is a value.
        let mut state: bindings::blake2s_ctx = unsafe { core::mem::zeroed() };
        state.h = Self::IV;
        state.h[0] ^= 0x0101_0000 | (KEY as u32) << 8 | OUT as u32;
        state.outlen = OUT as u32;
        if KEY > 0 {
            if let Some(start) = state.buf.first_chunk_mut::<KEY>() {
                *start = *key;
            }
            state.buflen = state.buf.len() as u32;
        }
        Self(state)
    }

    /// Adds a piece of the message.
    #[inline]
    pub(crate) fn update(&mut self, piece: &[u8]) -> &mut Self {
        // SAFETY: The state was initialised in `keyed()`, and the second pointer is valid for reads
        // of the length given.
        unsafe { bindings::blake2s_update(&raw mut self.0, piece.as_ptr(), piece.len()) };
        self
    }

    /// Ends the message and writes its hash or MAC.
    #[inline]
    pub(crate) fn finish_into(mut self, out: &mut [u8; OUT]) {
        // SAFETY: The state was initialised in `keyed()` for `OUT` bytes of output, and the second
        // pointer is valid for writes of as many.
        unsafe { bindings::blake2s_final(&raw mut self.0, out.as_mut_ptr()) };
        // C has overwritten the state already.
        forget(self);
    }

    /// Ends the message and returns its hash or MAC.
    #[inline]
    pub(crate) fn finish(self) -> [u8; OUT] {
        let mut out = [0; OUT];
        self.finish_into(&mut out);
        out
    }
}

impl<const OUT: usize> Drop for Blake2s<OUT> {
    #[inline]
    fn drop(&mut self) {
        self.0.h = [0; 8];
        self.0.buf = [0; 64];
        keep_writes(&mut self.0);
    }
}

/// Forces a Curve25519 private key into the form that RFC 7748, section 5, asks for.
#[inline]
pub(crate) fn x25519_clamp(private: &mut Secret<32>) {
    let bytes = private.expose_mut();
    bytes[0] &= 0b1111_1000;
    bytes[31] = (bytes[31] & 0b0111_1111) | 0b0100_0000;
}

/// Computes a Curve25519 shared secret. Wraps `curve25519`.
///
/// `None` if it is all zero, as it is for public keys of small order whatever the private key.
#[inline]
pub(crate) fn x25519(private: &Secret<32>, public: &[u8; 32]) -> Option<Secret<32>> {
    let mut shared = Secret::zero();
    // SAFETY: All three pointers are valid for 32 bytes, the first one for writes.
    let usable = unsafe {
        bindings::curve25519(
            shared.expose_mut().as_mut_ptr(),
            private.expose().as_ptr(),
            public.as_ptr(),
        )
    };
    usable.then_some(shared)
}

/// Computes the public key of a private key. Wraps `curve25519_generate_public`.
///
/// `None` if the private key is all zero, which means that there's none.
#[inline]
pub(crate) fn x25519_public(private: &Secret<32>) -> Option<[u8; 32]> {
    let mut public = [0; 32];
    // SAFETY: Both pointers are valid for 32 bytes, the first one for writes.
    let usable = unsafe {
        bindings::curve25519_generate_public(public.as_mut_ptr(), private.expose().as_ptr())
    };
    usable.then_some(public)
}

/// Encrypts with ChaCha20-Poly1305 (RFC 8439) and appends the tag: for the handshake's short fields.
///
/// The nonce is 32 zero bits and the 64-bit number, little endian. Wraps `chacha20poly1305_encrypt`.
#[inline]
pub(crate) fn aead_seal<const PLAIN: usize, const SEALED: usize>(
    key: &Secret<32>,
    nonce: u64,
    additional: &[u8],
    plain: &[u8; PLAIN],
    sealed: &mut [u8; SEALED],
) {
    const { assert!(SEALED == PLAIN + TAG_LEN) };

    // SAFETY: The destination is valid for writes of `PLAIN` bytes and the tag, the other pointers
    // for reads of the lengths given and of 32 bytes for the key.
    unsafe {
        bindings::chacha20poly1305_encrypt(
            sealed.as_mut_ptr(),
            plain.as_ptr(),
            PLAIN,
            additional.as_ptr(),
            additional.len(),
            nonce,
            key.expose().as_ptr(),
        )
    };
}

/// Decrypts what [`aead_seal`] made. `false`, with `plain` of no use, if it is not authentic.
///
/// Wraps `chacha20poly1305_decrypt`.
#[inline]
#[must_use]
pub(crate) fn aead_open<const SEALED: usize, const PLAIN: usize>(
    key: &Secret<32>,
    nonce: u64,
    additional: &[u8],
    sealed: &[u8; SEALED],
    plain: &mut [u8; PLAIN],
) -> bool {
    const { assert!(SEALED == PLAIN + TAG_LEN) };

    // SAFETY: The destination is valid for writes of `SEALED` bytes less the tag, the other pointers
    // for reads of the lengths given and of 32 bytes for the key.
    unsafe {
        bindings::chacha20poly1305_decrypt(
            plain.as_mut_ptr(),
            sealed.as_ptr(),
            SEALED,
            additional.as_ptr(),
            additional.len(),
            nonce,
            key.expose().as_ptr(),
        )
    }
}

/// Encrypts with XChaCha20-Poly1305 and appends the tag: for cookies.
///
/// Wraps `xchacha20poly1305_encrypt`.
#[inline]
pub(crate) fn xaead_seal<const PLAIN: usize, const SEALED: usize>(
    key: &Secret<32>,
    nonce: &[u8; 24],
    additional: &[u8],
    plain: &[u8; PLAIN],
    sealed: &mut [u8; SEALED],
) {
    const { assert!(SEALED == PLAIN + TAG_LEN) };

    // SAFETY: The destination is valid for writes of `PLAIN` bytes and the tag, the other pointers
    // for reads of the lengths given, of 24 bytes for the nonce and of 32 for the key.
    unsafe {
        bindings::xchacha20poly1305_encrypt(
            sealed.as_mut_ptr(),
            plain.as_ptr(),
            PLAIN,
            additional.as_ptr(),
            additional.len(),
            nonce.as_ptr(),
            key.expose().as_ptr(),
        )
    };
}

/// Decrypts what [`xaead_seal`] made. `false`, with `plain` of no use, if it is not authentic.
///
/// Wraps `xchacha20poly1305_decrypt`.
#[inline]
#[must_use]
pub(crate) fn xaead_open<const SEALED: usize, const PLAIN: usize>(
    key: &Secret<32>,
    nonce: &[u8; 24],
    additional: &[u8],
    sealed: &[u8; SEALED],
    plain: &mut [u8; PLAIN],
) -> bool {
    const { assert!(SEALED == PLAIN + TAG_LEN) };

    // SAFETY: The destination is valid for writes of `SEALED` bytes less the tag, the other pointers
    // for reads of the lengths given, of 24 bytes for the nonce and of 32 for the key.
    unsafe {
        bindings::xchacha20poly1305_decrypt(
            plain.as_mut_ptr(),
            sealed.as_ptr(),
            SEALED,
            additional.as_ptr(),
            additional.len(),
            nonce.as_ptr(),
            key.expose().as_ptr(),
        )
    }
}

/// A Poly1305 computation under way.
///
/// # Invariants
///
/// `poly1305_init` has been called on the state.
struct Poly1305(MaybeUninit<bindings::poly1305_desc_ctx>);

impl Poly1305 {
    /// Computes the tag of the message that `feed` adds in pieces, with a one-time key.
    ///
    /// The state is large and never moved, nor initialised beyond what C does.
    #[inline]
    fn tag(key: &[u8; 32], feed: impl FnOnce(&mut Self)) -> [u8; TAG_LEN] {
        // Initialised where it stays, so that it is not copied.
        //
        // INVARIANT: The call below comes before everything else.
        let mut poly1305 = Self(MaybeUninit::uninit());
        // SAFETY: The first pointer is valid for writes of the struct, the second one for reads of
        // 32 bytes.
        unsafe { bindings::poly1305_init(poly1305.0.as_mut_ptr(), key.as_ptr()) };
        feed(&mut poly1305);

        let mut tag = [0; TAG_LEN];
        // SAFETY: By the type invariant the state is initialised; the second pointer is valid for
        // writes of 16 bytes. C overwrites the state with zeros.
        unsafe { bindings::poly1305_final(poly1305.0.as_mut_ptr(), tag.as_mut_ptr()) };
        tag
    }

    /// Adds a piece of the message, which must not be longer than `u32::MAX` bytes: see [`DataKey`].
    #[inline]
    fn update(&mut self, piece: &[u8]) {
        // SAFETY: By the type invariant the state is initialised; the second pointer is valid for
        // reads of `piece.len()` bytes, and a length that the cast has cut is a smaller one.
        unsafe {
            bindings::poly1305_update(self.0.as_mut_ptr(), piece.as_ptr(), piece.len() as u32)
        };
    }
}

/// What Poly1305 gets behind a ciphertext of `length` bytes with no additional data: zeros up to a whole block, and a
/// block with the lengths of both. Returns how many bytes that is, at the end of the array.
#[inline]
fn end_of(length: usize) -> ([u8; 2 * TAG_LEN], usize) {
    let mut end = [0; 2 * TAG_LEN];
    if let Some(lengths) = end.last_chunk_mut() {
        *lengths = (u128::from(length as u64) << 64).to_le_bytes();
    }
    (end, length.wrapping_neg() % TAG_LEN + TAG_LEN)
}

/// Writes that behind a ciphertext of `length` bytes. Returns what Poly1305 gets, all in one piece; `None` if `text` has no
/// room for it.
#[inline]
fn complete(text: &mut [u8], length: usize) -> Option<&[u8]> {
    let (end, count) = end_of(length);
    let total = length.checked_add(count)?;
    text.get_mut(length..total)?
        .copy_from_slice(end.get(end.len() - count..)?);
    text.get(..total)
}

/// One direction's key of a session: ChaCha20-Poly1305 (RFC 8439) with a counter as the nonce and no
/// additional data, arranged for speed.
///
/// # Why not `chacha20poly1305_encrypt`
///
/// Poly1305 needs a fresh key for each message: the first 32 bytes of the ChaCha20 key stream's block
/// 0. The library computes that block on its own, and a single block takes the scalar code: 9% of
/// all instructions that the C driver spends on bulk traffic. The vector code computes two to eight
/// blocks at once anyway, so here a block of zeros stands in front of the message and the block comes
/// out of the one call that encrypts the message (block 1 onwards), nearly for nothing. That is what
/// the [`DataKey::SCRATCH`] bytes in front of every buffer are for. When sending they are headroom
/// over which the headers are written later; they hold the one-time key only during the call.
///
/// When receiving, the same trick means that the message is decrypted before it is known to be
/// authentic: into another buffer, which the caller throws away unread when the tag is wrong.
///
/// # Buffers
///
/// The vector code for Poly1305 starts only when one call has at least 288 bytes, and each call saves the vector
/// registers anew. So it gets all that it needs in one: what follows the ciphertext is written behind it, where the tag
/// is and in the [`DataKey::SPARE`] bytes behind that. Buffers need no alignment. Messages longer than `u32::MAX` bytes
/// are refused.
pub(crate) struct DataKey {
    /// The key as the ChaCha20 state has it.
    words: [u32; 8],
}

impl DataKey {
    /// Bytes of scratch space in front of each message.
    pub(crate) const SCRATCH: usize = CHACHA_BLOCK_LEN;

    /// Bytes of spare space behind each message.
    pub(crate) const SPARE: usize = TAG_LEN - 1;

    /// Prepares a key.
    pub(crate) fn new(key: &Secret<32>) -> Self {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(key.expose().chunks_exact(4)) {
            if let Some(bytes) = bytes.first_chunk() {
                *word = u32::from_le_bytes(*bytes);
            }
        }
        Self { words }
    }

    /// Encrypts a message where it stands.
    ///
    /// `buffer` is [`DataKey::SCRATCH`] bytes of anything, the plaintext, and 16 and [`DataKey::SPARE`] bytes of
    /// anything; it becomes zeros, the ciphertext, the tag, and anything. `false`, with the buffer unchanged, if it is
    /// too short for that or too long.
    ///
    /// No counter may be used twice with the same key.
    #[inline]
    #[must_use]
    pub(crate) fn seal_in_place(&self, counter: u64, buffer: &mut [u8]) -> bool {
        let Some(end) = buffer.len().checked_sub(TAG_LEN + Self::SPARE) else {
            return false;
        };
        let Some(length) = end.checked_sub(Self::SCRATCH) else {
            return false;
        };
        if u32::try_from(buffer.len()).is_err() {
            return false;
        }
        self.crypt(counter, buffer.get_mut(..end).unwrap_or_default());
        let Some((scratch, text)) = buffer.split_first_chunk_mut() else {
            return false;
        };
        let Some(all) = complete(text, length) else {
            return false;
        };
        let tag = Poly1305::tag(one_time_key(scratch), |poly1305| poly1305.update(all));
        // Not volatile: the buffer is the caller's, so the writes are not dead.
        *scratch = [0; Self::SCRATCH];
        if let Some(place) = text.get_mut(length..length + TAG_LEN) {
            place.copy_from_slice(&tag);
        }
        true
    }

    /// Decrypts a message into another buffer, and checks it.
    ///
    /// `message` is [`DataKey::SCRATCH`] bytes of anything, the ciphertext, the tag, and [`DataKey::SPARE`] bytes of
    /// anything; it is of no use afterwards. `opened` has room for the scratch and the plaintext; it becomes zeros and
    /// the plaintext. `false`, with the content of `opened` of no use, if the message is not authentic or the lengths do
    /// not fit.
    ///
    /// What is checked is what was decrypted, because nobody else can write to `message`. So it cannot
    /// be the pages of a received packet, some of which a sender may still have: those of a file
    /// spliced into a socket, or of the ring of a packet socket.
    #[inline]
    #[must_use]
    pub(crate) fn open(&self, counter: u64, message: &mut [u8], opened: &mut [u8]) -> bool {
        let Some(end) = message.len().checked_sub(TAG_LEN + Self::SPARE) else {
            return false;
        };
        let Some(length) = end.checked_sub(Self::SCRATCH) else {
            return false;
        };
        if u32::try_from(message.len()).is_err() || opened.len() != end {
            return false;
        }
        let Some((scratch, text)) = message.split_first_chunk_mut::<{ Self::SCRATCH }>() else {
            return false;
        };
        let Some(tag) = text
            .get(length..)
            .and_then(|tag| tag.first_chunk::<TAG_LEN>().copied())
        else {
            return false;
        };
        *scratch = [0; Self::SCRATCH];
        // SAFETY: Both are as long as said, one is valid for reads and the other for writes.
        unsafe { self.chacha20(counter, opened.as_mut_ptr(), message.as_ptr(), end) };
        let Some(all) = message
            .get_mut(Self::SCRATCH..)
            .and_then(|text| complete(text, length))
        else {
            return false;
        };
        let Some(scratch) = opened.first_chunk_mut() else {
            return false;
        };
        let computed = Poly1305::tag(one_time_key(scratch), |poly1305| poly1305.update(all));
        *scratch = [0; Self::SCRATCH];
        ct_eq(&computed, &tag)
    }

    /// Checks a message and decrypts it where it stands, for want of a second buffer.
    ///
    /// `buffer` is [`DataKey::SCRATCH`] bytes of anything and the ciphertext; it becomes zeros and the
    /// plaintext. The check comes first, at the price of one more ChaCha20 block: when it returns
    /// `false` the ciphertext has not been decrypted.
    #[inline]
    #[must_use]
    pub(crate) fn open_alone(&self, counter: u64, buffer: &mut [u8], tag: &[u8; TAG_LEN]) -> bool {
        if u32::try_from(buffer.len()).is_err() {
            return false;
        }
        let Some((scratch, message)) = buffer.split_first_chunk_mut() else {
            return false;
        };
        self.crypt(counter, scratch);
        let computed = Poly1305::tag(one_time_key(scratch), |poly1305| {
            let (end, count) = end_of(message.len());
            poly1305.update(message);
            poly1305.update(end.get(end.len() - count..).unwrap_or_default());
        });
        let authentic = ct_eq(&computed, tag);
        if authentic {
            self.crypt(counter, buffer);
        }
        if let Some(scratch) = buffer.first_chunk_mut() {
            *scratch = [0; Self::SCRATCH];
        }
        authentic
    }

    /// Encrypts or decrypts what is behind the scratch space, and makes the one-time key appear there.
    #[inline]
    fn crypt(&self, counter: u64, buffer: &mut [u8]) {
        if let Some(scratch) = buffer.first_chunk_mut() {
            *scratch = [0; Self::SCRATCH];
        }
        let data = buffer.as_mut_ptr();
        // SAFETY: It is valid for reads and writes of that length.
        unsafe { self.chacha20(counter, data, data, buffer.len()) };
    }

    /// XORs the key stream of a message, from block 0 on, to at most `u32::MAX` bytes.
    ///
    /// # Safety
    ///
    /// `from` must be valid for reads of `length` bytes, and `to`, which may be the same, for writes.
    #[inline]
    unsafe fn chacha20(&self, counter: u64, to: *mut u8, from: *const u8, length: usize) {
        let [k0, k1, k2, k3, k4, k5, k6, k7] = self.words;
        let mut state = bindings::chacha_state {
            x: [
                // «expand 32-byte k»
                0x6170_7865,
                0x3320_646e,
                0x7962_2d32,
                0x6b20_6574,
                k0,
                k1,
                k2,
                k3,
                k4,
                k5,
                k6,
                k7,
                // The block counter, then the nonce: 32 zero bits and the message counter.
                0,
                0,
                counter as u32,
                (counter >> 32) as u32,
            ],
        };
        // SAFETY: The state is initialised; by the safety requirement the pointers are valid for the
        // length given (one that was cut by the cast is a smaller one). The C function works in place,
        // too.
        unsafe { bindings::chacha_crypt(&raw mut state, to, from, length as u32, CHACHA_ROUNDS) };
        state.x = [0; 16];
        keep_writes(&mut state);
    }
}

/// The one-time key of Poly1305 in the key stream's block 0.
#[inline]
fn one_time_key(block: &[u8; DataKey::SCRATCH]) -> &[u8; 32] {
    block.first_chunk().unwrap_or(&[0; 32])
}

impl Drop for DataKey {
    fn drop(&mut self) {
        self.words = [0; 8];
        keep_writes(&mut self.words);
    }
}
