// SPDX-License-Identifier: GPL-2.0

//! The AEAD of data messages, arranged for speed.
//!
//! Context: that of the [folder](super).
//!
//! C headers: [`include/crypto/chacha.h`](srctree/include/crypto/chacha.h),
//! [`include/crypto/poly1305.h`](srctree/include/crypto/poly1305.h)

use core::mem::MaybeUninit;

use crate::{
    bindings,
    crypto::{
        secret::{ct_eq, keep_writes, Secret},
        TAG_LEN,
    },
};

/// Length of a ChaCha20 block.
const CHACHA_BLOCK_LEN: usize = 64;
/// Number of rounds that makes ChaCha into ChaCha20.
const CHACHA_ROUNDS: i32 = 20;

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

/// What Poly1305 gets behind a ciphertext of `length` bytes with no additional data: this many zeros, up to a whole block, and
/// a block with the lengths of both.
#[inline]
fn end_of(length: usize) -> (usize, [u8; TAG_LEN]) {
    let lengths = u128::from(length as u64) << 64;
    (length.wrapping_neg() % TAG_LEN, lengths.to_le_bytes())
}

/// Writes that behind a ciphertext of `length` bytes. Returns what Poly1305 gets, all in one piece; `None` if behind it there
/// is no room for a tag and [`DataKey::SPARE`] bytes.
#[inline]
fn complete(text: &mut [u8], length: usize) -> Option<&[u8]> {
    let (zeros, lengths) = end_of(length);
    let behind: &mut [u8; 2 * TAG_LEN - 1] = text.get_mut(length..)?.first_chunk_mut()?;
    // More zeros than are wanted are overwritten.
    *behind.first_chunk_mut()? = [0; TAG_LEN];
    *behind.get_mut(zeros..)?.first_chunk_mut()? = lengths;
    text.get(..length + zeros + TAG_LEN)
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
/// over which headers are written later, or the end of the message before, which is put back; they hold the one-time
/// key only during the call.
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
    /// What is checked is what was decrypted, because nobody else can write to `message`. So it cannot be the pages of a
    /// received packet that a sender may still have, such as those of a file spliced into a socket, or of the ring of a
    /// packet socket (`Pieces::lend`).
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
            let (zeros, lengths) = end_of(message.len());
            poly1305.update(message);
            poly1305.update([0; TAG_LEN].get(..zeros).unwrap_or_default());
            poly1305.update(&lengths);
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
