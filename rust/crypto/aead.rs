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

/// Defines the two functions of an AEAD, which differ in the nonce: it is passed as a number, or by a pointer to its bytes.
macro_rules! aead {
    (
        $(#[$about_seal:meta])* $seal:ident: $encrypt:ident;
        $(#[$about_open:meta])* $open:ident: $decrypt:ident;
        |$nonce:ident: $nonce_type:ty| $passed:expr
    ) => {
        $(#[$about_seal])*
        #[inline]
        pub(crate) fn $seal<const PLAIN: usize, const SEALED: usize>(
            key: &Secret<32>,
            $nonce: $nonce_type,
            additional: &[u8],
            plain: &[u8; PLAIN],
            sealed: &mut [u8; SEALED],
        ) {
            const { assert!(SEALED == PLAIN + TAG_LEN) };

            // SAFETY: The destination is valid for writes of `PLAIN` bytes and the tag, the other pointers for reads of
            // the lengths given, of 32 bytes for the key, and of 24 for a nonce that is passed by pointer.
            unsafe {
                bindings::$encrypt(
                    sealed.as_mut_ptr(),
                    plain.as_ptr(),
                    PLAIN,
                    additional.as_ptr(),
                    additional.len(),
                    $passed,
                    key.expose().as_ptr(),
                )
            };
        }

        $(#[$about_open])*
        #[inline]
        #[must_use]
        pub(crate) fn $open<const SEALED: usize, const PLAIN: usize>(
            key: &Secret<32>,
            $nonce: $nonce_type,
            additional: &[u8],
            sealed: &[u8; SEALED],
            plain: &mut [u8; PLAIN],
        ) -> bool {
            const { assert!(SEALED == PLAIN + TAG_LEN) };

            // SAFETY: The destination is valid for writes of `SEALED` bytes less the tag, the other pointers as above.
            unsafe {
                bindings::$decrypt(
                    plain.as_mut_ptr(),
                    sealed.as_ptr(),
                    SEALED,
                    additional.as_ptr(),
                    additional.len(),
                    $passed,
                    key.expose().as_ptr(),
                )
            }
        }
    };
}

aead! {
    /// Encrypts with ChaCha20-Poly1305 (RFC 8439) and appends the tag: for the handshake's short fields.
    ///
    /// The nonce is 32 zero bits and the 64-bit number, little endian. Wraps `chacha20poly1305_encrypt`.
    aead_seal: chacha20poly1305_encrypt;
    /// Decrypts what [`aead_seal`] made. `false`, with `plain` of no use, if it is not authentic.
    ///
    /// Wraps `chacha20poly1305_decrypt`.
    aead_open: chacha20poly1305_decrypt;
    |nonce: u64| nonce
}

aead! {
    /// Encrypts with XChaCha20-Poly1305 and appends the tag: for cookies.
    ///
    /// Wraps `xchacha20poly1305_encrypt`.
    xaead_seal: xchacha20poly1305_encrypt;
    /// Decrypts what [`xaead_seal`] made. `false`, with `plain` of no use, if it is not authentic.
    ///
    /// Wraps `xchacha20poly1305_decrypt`.
    xaead_open: xchacha20poly1305_decrypt;
    |nonce: &[u8; 24]| nonce.as_ptr()
}
