// SPDX-License-Identifier: GPL-2.0

//! Secrets: overwritten when dropped, compared in constant time.
//!
//! Context: that of the [folder](super).
//!
//! C headers: [`include/crypto/utils.h`](srctree/include/crypto/utils.h)

use crate::{bindings, crypto::random::random_bytes};

/// Makes the compiler believe that something reads what the pointer points to, so that the writes of
/// zeros before it are not optimised away. What `memzero_explicit` does in C.
#[inline]
pub(super) fn keep_writes<T: ?Sized>(written: &mut T) {
    let pointer: *mut u8 = (&raw mut *written).cast();
    #[cfg(not(miri))]
    // SAFETY: There is no instruction in it.
    unsafe {
        core::arch::asm!("/* {0} */", in(reg) pointer, options(nostack, preserves_flags))
    };
    #[cfg(miri)]
    core::hint::black_box(pointer);
}

/// Overwrites bytes with zeros even if they are never read again.
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
/// compiler keeps on the stack in between, have no owner. So the function that begins a computation with secrets
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
