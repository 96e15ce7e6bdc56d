// SPDX-License-Identifier: GPL-2.0

//! The random number generator.
//!
//! Context: that of the [folder](super).
//!
//! C header: [`include/linux/random.h`](srctree/include/linux/random.h)

use crate::bindings;

/// Fills a buffer with random bytes. Wraps `get_random_bytes`, never sleeps.
///
/// Early in boot the generator may not be seeded yet; whatever needs secrets then checks
/// [`random_is_ready`] first.
#[inline]
pub(crate) fn random_bytes(buffer: &mut [u8]) {
    // SAFETY: The pointer is valid for writes of `buffer.len()` bytes.
    unsafe { bindings::get_random_bytes(buffer.as_mut_ptr().cast(), buffer.len()) };
}

/// Returns 24 random bytes, for a nonce: three times `get_random_u64`, which takes what it returns from a supply of the CPU's. For
/// so few bytes that is several times as fast as [`random_bytes`], which makes a new key for each call; so it is not for secrets that
/// must stay secret when the memory of the kernel is read later.
#[inline]
pub(crate) fn random_nonce() -> [u8; 24] {
    let mut nonce = [0; 24];
    for part in nonce.chunks_exact_mut(8) {
        // SAFETY: Always safe to call.
        part.copy_from_slice(&unsafe { bindings::get_random_u64() }.to_ne_bytes());
    }
    nonce
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
