// SPDX-License-Identifier: GPL-2.0

//! BLAKE2s.
//!
//! Context: that of the [folder](super).
//!
//! C header: [`include/crypto/blake2s.h`](srctree/include/crypto/blake2s.h)

use core::mem::forget;

use crate::{bindings, crypto::secret::keep_writes};

/// BLAKE2s with an output of `OUT` bytes, keyed or not, of a message in pieces.
///
/// Not `Clone`, so that no copy of a keyed state goes about unseen. The state is overwritten when dropped.
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
        // SAFETY: It is a struct of integers and arrays of them, for all of which zero is a value.
        let mut this = Self(unsafe { core::mem::zeroed() });
        this.begin(key);
        this
    }

    /// Begins a keyed hash in place of this one: of a key that is to be nowhere else.
    #[inline]
    pub(crate) fn begin<const KEY: usize>(&mut self, key: &[u8; KEY]) -> &mut Self {
        const { assert!(OUT != 0 && OUT <= 32 && KEY <= 32) };

        let state = &mut self.0;
        // SAFETY: As above.
        *state = unsafe { core::mem::zeroed() };
        state.h = Self::IV;
        state.h[0] ^= 0x0101_0000 | (KEY as u32) << 8 | OUT as u32;
        state.outlen = OUT as u32;
        if KEY > 0 {
            if let Some(start) = state.buf.first_chunk_mut::<KEY>() {
                *start = *key;
            }
            state.buflen = state.buf.len() as u32;
        }
        self
    }

    /// Adds a piece of the message.
    #[inline]
    pub(crate) fn update(&mut self, piece: &[u8]) -> &mut Self {
        // SAFETY: The state was initialised in `keyed()`, and the second pointer is valid for reads
        // of the length given.
        unsafe { bindings::blake2s_update(&raw mut self.0, piece.as_ptr(), piece.len()) };
        self
    }

    /// A copy, for one of several messages that begin with the same.
    #[inline]
    pub(crate) fn fork(&self) -> Self {
        Self(self.0)
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
