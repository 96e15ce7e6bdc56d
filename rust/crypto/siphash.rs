// SPDX-License-Identifier: GPL-2.0

//! SipHash and HSipHash.
//!
//! Context: that of the [folder](super).
//!
//! C header: [`include/linux/siphash.h`](srctree/include/linux/siphash.h)

use crate::{bindings, crypto::random::random_bytes};

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
    /// A random key.
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
