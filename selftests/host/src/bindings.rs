// SPDX-License-Identifier: GPL-2.0

//! Stands in for the kernel's crypto library and RCU: the same names and signatures as bindgen makes of
//! their C headers, so that `rust/crypto/` and `rust/rcu.rs` compile against it unchanged.
//!
//! ChaCha20 and BLAKE2s are written out after their RFCs, because the driver fills in the C structs'
//! fields itself; the rest comes from crates. The tests compare all of it with published vectors and
//! with crates that are not used here.

use chacha20poly1305::{aead::AeadInPlace, ChaCha20Poly1305, Key, KeyInit, XChaCha20Poly1305};
use core::ffi::{c_int, c_uint, c_ulong, c_void};
use core::hash::Hasher;
use std::cell::RefCell;
use std::collections::VecDeque;

use crate::numbers::Numbers;

/// `struct chacha_state` of `include/crypto/chacha.h`.
#[allow(non_camel_case_types)]
pub(crate) struct chacha_state {
    pub(crate) x: [u32; 16],
}

/// `struct blake2s_ctx` of `include/crypto/blake2s.h`.
#[allow(non_camel_case_types)]
#[derive(Clone, Copy)]
pub(crate) struct blake2s_ctx {
    pub(crate) h: [u32; 8],
    pub(crate) t: [u32; 2],
    pub(crate) f: [u32; 2],
    pub(crate) buf: [u8; 64],
    pub(crate) buflen: c_uint,
    pub(crate) outlen: c_uint,
}

/// `struct poly1305_desc_ctx` of `include/crypto/poly1305.h`: opaque, so here it is a place for the
/// key and the message so far.
#[allow(non_camel_case_types)]
pub(crate) struct poly1305_desc_ctx {
    collected: *mut ([u8; 32], Vec<u8>),
}

/// `siphash_key_t` of `include/linux/siphash.h`.
#[allow(non_camel_case_types)]
pub(crate) struct siphash_key_t {
    pub(crate) key: [u64; 2],
}

/// `hsiphash_key_t`, likewise.
#[allow(non_camel_case_types)]
pub(crate) struct hsiphash_key_t {
    pub(crate) key: [usize; 2],
}

/// `struct callback_head`.
#[allow(non_camel_case_types)]
pub(crate) type callback_head = kernel::sync::rcu::CallbackHead;

/// `refcount_t`.
#[allow(non_camel_case_types)]
pub(crate) type refcount_t = kernel::sync::Refcount;

pub(crate) use kernel::sync::rcu::call_rcu as call_rcu_at_once;

pub(crate) unsafe fn refcount_inc_not_zero(count: *mut refcount_t) -> bool {
    // SAFETY: As in C.
    unsafe { &*count }.inc_not_zero()
}

pub(crate) unsafe fn synchronize_net() {
    kernel::sync::rcu::synchronize();
}

unsafe fn slice<'a>(pointer: *const u8, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: The C functions' callers promise as much.
    unsafe { core::slice::from_raw_parts(pointer, length) }
}

unsafe fn array<'a, const N: usize>(pointer: *const u8) -> &'a [u8; N] {
    // SAFETY: The C functions' callers promise as much.
    unsafe { &*pointer.cast() }
}

pub(crate) unsafe fn __crypto_memneq(a: *const c_void, b: *const c_void, size: usize) -> c_ulong {
    // SAFETY: As in C.
    unsafe { slice(a.cast(), size) != slice(b.cast(), size) }.into()
}

thread_local! {
    /// What the next calls of [`get_random_bytes`] on this thread return, for tests that need known
    /// ephemeral keys and nonces.
    static PLANNED: RefCell<VecDeque<Vec<u8>>> = const { RefCell::new(VecDeque::new()) };
}

thread_local! {
    /// Where the random numbers of this thread come from, if they must be the same in each run.
    static SEEDED: RefCell<Option<Numbers>> = const { RefCell::new(None) };
}

/// Makes the random numbers of this thread the same in each run from now on.
pub(crate) fn seed_random(seed: u64) {
    SEEDED.set(Some(Numbers(seed)));
}

/// Plans the result of a call of [`get_random_bytes`].
#[cfg(test)]
pub(crate) fn plan_random(bytes: &[u8]) {
    PLANNED.with_borrow_mut(|planned| planned.push_back(bytes.to_vec()));
}

pub(crate) unsafe fn get_random_bytes(buffer: *mut c_void, length: usize) {
    // SAFETY: As in C.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    match PLANNED.with_borrow_mut(|planned| planned.pop_front()) {
        Some(planned) => buffer.copy_from_slice(&planned),
        None => SEEDED.with_borrow_mut(|seeded| match seeded {
            Some(numbers) => buffer.fill_with(|| numbers.next() as u8),
            None => getrandom::getrandom(buffer).expect("the host's random numbers"),
        }),
    }
}

pub(crate) unsafe fn get_random_u64() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: There is room for that many.
    unsafe { get_random_bytes(bytes.as_mut_ptr().cast(), bytes.len()) };
    u64::from_ne_bytes(bytes)
}

pub(crate) unsafe fn wait_for_random_bytes() -> i32 {
    0
}

pub(crate) unsafe fn rng_is_initialized() -> bool {
    true
}

pub(crate) unsafe fn siphash_2u64(first: u64, second: u64, key: *const siphash_key_t) -> u64 {
    // SAFETY: As in C.
    let [key0, key1] = unsafe { &*key }.key;
    let mut hasher = siphasher::sip::SipHasher24::new_with_keys(key0, key1);
    hasher.write(&first.to_le_bytes());
    hasher.write(&second.to_le_bytes());
    hasher.finish()
}

pub(crate) unsafe fn hsiphash_1u32(number: u32, key: *const hsiphash_key_t) -> u32 {
    // SAFETY: As in C.
    let [key0, key1] = unsafe { &*key }.key;
    let mut hasher = siphasher::sip::SipHasher13::new_with_keys(key0 as u64, key1 as u64);
    hasher.write(&number.to_le_bytes());
    hasher.finish() as u32
}

/// RFC 8439, section 2.3.
fn chacha20_block(input: &[u32; 16]) -> [u8; 64] {
    let mut x = *input;
    let mut quarter = |a: usize, b: usize, c: usize, d: usize| {
        for (a, b, d, bits) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
            x[a] = x[a].wrapping_add(x[b]);
            x[d] = (x[d] ^ x[a]).rotate_left(bits);
        }
    };
    for _ in 0..10 {
        for column in 0..4 {
            quarter(column, 4 + column, 8 + column, 12 + column);
        }
        for diagonal in 0..4 {
            quarter(
                diagonal,
                4 + (diagonal + 1) % 4,
                8 + (diagonal + 2) % 4,
                12 + (diagonal + 3) % 4,
            );
        }
    }
    let mut block = [0; 64];
    for (bytes, (x, input)) in block.chunks_mut(4).zip(x.iter().zip(input)) {
        bytes.copy_from_slice(&x.wrapping_add(*input).to_le_bytes());
    }
    block
}

pub(crate) unsafe fn chacha_crypt(
    state: *mut chacha_state,
    destination: *mut u8,
    source: *const u8,
    bytes: c_uint,
    rounds: c_int,
) {
    assert_eq!(rounds, 20);
    // SAFETY: As in C.
    let state = unsafe { &mut *state };
    let mut done = 0;
    while done < bytes as usize {
        let block = chacha20_block(&state.x);
        state.x[12] = state.x[12].wrapping_add(1);
        for (at, key) in (done..bytes as usize).zip(block) {
            // SAFETY: As in C: both are valid for `bytes` bytes, and may be the same.
            unsafe { *destination.add(at) = *source.add(at) ^ key };
        }
        done += block.len();
    }
}

pub(crate) unsafe fn poly1305_init(state: *mut poly1305_desc_ctx, key: *const u8) {
    // SAFETY: As in C. The memory behind `state` need not be initialised.
    unsafe {
        let collected = Box::new((*array::<32>(key), Vec::new()));
        state.write(poly1305_desc_ctx {
            collected: Box::into_raw(collected),
        });
    }
}

pub(crate) unsafe fn poly1305_update(
    state: *mut poly1305_desc_ctx,
    source: *const u8,
    bytes: c_uint,
) {
    // SAFETY: As in C; `poly1305_init` made the box.
    unsafe {
        let collected = &mut *(*state).collected;
        collected.1.extend_from_slice(slice(source, bytes as usize));
    }
}

pub(crate) unsafe fn poly1305_final(state: *mut poly1305_desc_ctx, digest: *mut u8) {
    use poly1305::universal_hash::KeyInit;
    // SAFETY: As in C; `poly1305_init` made the box, and this is the last use of it.
    unsafe {
        let (key, message) = *Box::from_raw((*state).collected);
        let tag = poly1305::Poly1305::new(&key.into()).compute_unpadded(&message);
        digest.copy_from_nonoverlapping(tag.as_ptr(), 16);
        state.write_bytes(0, 1);
    }
}

const BLAKE2S_IV: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// RFC 7693, section 2.7.
const SIGMA: [[usize; 16]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
];

/// RFC 7693, section 3.2.
fn blake2s_compress(state: &mut blake2s_ctx, added: usize) {
    let count = (u64::from(state.t[1]) << 32 | u64::from(state.t[0])) + added as u64;
    state.t = [count as u32, (count >> 32) as u32];
    let m: Vec<u32> = state
        .buf
        .chunks(4)
        .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()))
        .collect();
    let mut v = [0; 16];
    v[..8].copy_from_slice(&state.h);
    v[8..].copy_from_slice(&BLAKE2S_IV);
    v[12] ^= state.t[0];
    v[13] ^= state.t[1];
    v[14] ^= state.f[0];
    v[15] ^= state.f[1];
    for sigma in SIGMA {
        for (i, at) in [
            [0, 4, 8, 12],
            [1, 5, 9, 13],
            [2, 6, 10, 14],
            [3, 7, 11, 15],
            [0, 5, 10, 15],
            [1, 6, 11, 12],
            [2, 7, 8, 13],
            [3, 4, 9, 14],
        ]
        .into_iter()
        .enumerate()
        {
            let [a, b, c, d] = at;
            for (word, first, second) in [(2 * i, 16, 12), (2 * i + 1, 8, 7)] {
                v[a] = v[a].wrapping_add(v[b]).wrapping_add(m[sigma[word]]);
                v[d] = (v[d] ^ v[a]).rotate_right(first);
                v[c] = v[c].wrapping_add(v[d]);
                v[b] = (v[b] ^ v[c]).rotate_right(second);
            }
        }
    }
    for i in 0..8 {
        state.h[i] ^= v[i] ^ v[i + 8];
    }
}

pub(crate) unsafe fn blake2s_update(state: *mut blake2s_ctx, source: *const u8, bytes: usize) {
    // SAFETY: As in C.
    let (state, mut source) = unsafe { (&mut *state, slice(source, bytes)) };
    while !source.is_empty() {
        // Only when more follows is a full buffer known not to be the last block.
        if state.buflen == 64 {
            blake2s_compress(state, 64);
            state.buflen = 0;
        }
        let start = state.buflen as usize;
        let (now, later) = source.split_at(source.len().min(64 - start));
        state.buf[start..start + now.len()].copy_from_slice(now);
        state.buflen += now.len() as u32;
        source = later;
    }
}

pub(crate) unsafe fn blake2s_final(state: *mut blake2s_ctx, out: *mut u8) {
    // SAFETY: As in C.
    let state = unsafe { &mut *state };
    let last = state.buflen as usize;
    state.buf[last..].fill(0);
    state.f[0] = u32::MAX;
    blake2s_compress(state, last);
    for (at, byte) in state
        .h
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .take(state.outlen as usize)
        .enumerate()
    {
        // SAFETY: As in C: valid for `outlen` bytes.
        unsafe { *out.add(at) = byte };
    }
    *state = blake2s_ctx {
        h: [0; 8],
        t: [0; 2],
        f: [0; 2],
        buf: [0; 64],
        buflen: 0,
        outlen: 0,
    };
}

pub(crate) unsafe fn curve25519(out: *mut u8, secret: *const u8, point: *const u8) -> bool {
    // SAFETY: As in C.
    let shared = unsafe { x25519_dalek::x25519(*array(secret), *array(point)) };
    // SAFETY: As in C.
    unsafe { out.copy_from_nonoverlapping(shared.as_ptr(), 32) };
    shared != [0; 32]
}

pub(crate) unsafe fn curve25519_generate_public(out: *mut u8, secret: *const u8) -> bool {
    // SAFETY: As in C.
    unsafe {
        *array::<32>(secret) != [0; 32]
            && curve25519(out, secret, x25519_dalek::X25519_BASEPOINT_BYTES.as_ptr())
    }
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_le_bytes());
    nonce
}

pub(crate) unsafe fn chacha20poly1305_encrypt(
    destination: *mut u8,
    source: *const u8,
    source_length: usize,
    additional: *const u8,
    additional_length: usize,
    counter: u64,
    key: *const u8,
) {
    // SAFETY: As in C.
    let (mut text, additional, key) = unsafe {
        (
            slice(source, source_length).to_vec(),
            slice(additional, additional_length),
            array::<32>(key),
        )
    };
    ChaCha20Poly1305::new(Key::from_slice(key))
        .encrypt_in_place(&nonce(counter).into(), additional, &mut text)
        .expect("encryption");
    // SAFETY: As in C: valid for the text and the tag.
    unsafe { destination.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
}

pub(crate) unsafe fn chacha20poly1305_decrypt(
    destination: *mut u8,
    source: *const u8,
    source_length: usize,
    additional: *const u8,
    additional_length: usize,
    counter: u64,
    key: *const u8,
) -> bool {
    // SAFETY: As in C.
    let (mut text, additional, key) = unsafe {
        (
            slice(source, source_length).to_vec(),
            slice(additional, additional_length),
            array::<32>(key),
        )
    };
    let authentic = ChaCha20Poly1305::new(Key::from_slice(key))
        .decrypt_in_place(&nonce(counter).into(), additional, &mut text)
        .is_ok();
    if authentic {
        // SAFETY: As in C: valid for the text without the tag.
        unsafe { destination.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    }
    authentic
}

pub(crate) unsafe fn xchacha20poly1305_encrypt(
    destination: *mut u8,
    source: *const u8,
    source_length: usize,
    additional: *const u8,
    additional_length: usize,
    nonce: *const u8,
    key: *const u8,
) {
    // SAFETY: As in C.
    let (mut text, additional, nonce, key) = unsafe {
        (
            slice(source, source_length).to_vec(),
            slice(additional, additional_length),
            *array::<24>(nonce),
            array::<32>(key),
        )
    };
    XChaCha20Poly1305::new(Key::from_slice(key))
        .encrypt_in_place(&nonce.into(), additional, &mut text)
        .expect("encryption");
    // SAFETY: As in C: valid for the text and the tag.
    unsafe { destination.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
}

pub(crate) unsafe fn xchacha20poly1305_decrypt(
    destination: *mut u8,
    source: *const u8,
    source_length: usize,
    additional: *const u8,
    additional_length: usize,
    nonce: *const u8,
    key: *const u8,
) -> bool {
    // SAFETY: As in C.
    let (mut text, additional, nonce, key) = unsafe {
        (
            slice(source, source_length).to_vec(),
            slice(additional, additional_length),
            *array::<24>(nonce),
            array::<32>(key),
        )
    };
    let authentic = XChaCha20Poly1305::new(Key::from_slice(key))
        .decrypt_in_place(&nonce.into(), additional, &mut text)
        .is_ok();
    if authentic {
        // SAFETY: As in C: valid for the text without the tag.
        unsafe { destination.copy_from_nonoverlapping(text.as_ptr(), text.len()) };
    }
    authentic
}
