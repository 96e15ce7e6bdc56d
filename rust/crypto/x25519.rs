// SPDX-License-Identifier: GPL-2.0

//! Curve25519.
//!
//! Context: that of the [folder](super).
//!
//! C header: [`include/crypto/curve25519.h`](srctree/include/crypto/curve25519.h)

use crate::{bindings, crypto::secret::Secret};

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
