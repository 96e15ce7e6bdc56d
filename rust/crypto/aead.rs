// SPDX-License-Identifier: GPL-2.0

//! The AEADs of handshakes and cookies: ChaCha20-Poly1305 and XChaCha20-Poly1305.
//!
//! Context: that of the [folder](super).
//!
//! C header: [`include/crypto/chacha20poly1305.h`](srctree/include/crypto/chacha20poly1305.h)

use crate::{
    bindings,
    crypto::{secret::Secret, TAG_LEN},
};

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
