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
