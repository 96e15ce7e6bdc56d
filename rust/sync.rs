// SPDX-License-Identifier: GPL-2.0

//! A spinlock that also keeps softirqs of this CPU out, and a fence.
//!
//! Context: any but hard interrupts; with the lock held nothing may sleep. The lock class is that of the place where it is
//! made. It cannot fail.
//!
//! C headers: [`include/linux/spinlock.h`](srctree/include/linux/spinlock.h),
//! [`include/asm-generic/barrier.h`](srctree/include/asm-generic/barrier.h)
//!
//! # Examples
//!
//! ```
//! use crate::sync::{new_spinlock_bh, SpinLockBh};
//! #[pin_data]
//! struct Counted {
//!     #[pin]
//!     total: SpinLockBh<u64>,
//! }
//! let counted = KBox::pin_init(
//!     try_pin_init!(Counted {
//!         total <- new_spinlock_bh!(0, "Counted::total"),
//!     }? Error),
//!     GFP_KERNEL,
//! )?;
//! *counted.total.lock() += 1;
//! ```

use kernel::sync::lock::{Backend, Guard, Lock};

use crate::bindings;

/// A spinlock for data shared between process context and softirqs (`spin_lock_bh`).
///
/// Context: process context or softirq; not hard interrupts.
pub(crate) type SpinLockBh<T> = Lock<T, SpinLockBhBackend>;

/// What a [`SpinLockBh`] protects, locked.
pub(crate) type Locked<'a, T> = Guard<'a, T, SpinLockBhBackend>;

/// The backend of [`SpinLockBh`].
pub(crate) struct SpinLockBhBackend;

// SAFETY: `spinlock_t` ensures mutual exclusion; `relock` uses the default implementation, which
// calls the same locking method.
unsafe impl Backend for SpinLockBhBackend {
    type State = kernel::bindings::spinlock_t;
    type GuardState = ();

    #[inline]
    unsafe fn init(
        ptr: *mut Self::State,
        name: *const kernel::ffi::c_char,
        key: *mut kernel::bindings::lock_class_key,
    ) {
        // SAFETY: The safety requirements ensure that `ptr` is valid for writes, and `name` and
        // `key` are valid for read indefinitely.
        unsafe { kernel::bindings::__spin_lock_init(ptr, name, key) }
    }

    #[inline]
    unsafe fn lock(ptr: *mut Self::State) -> Self::GuardState {
        // SAFETY: The safety requirements ensure that `ptr` is valid and initialised.
        unsafe { bindings::spin_lock_bh(ptr.cast()) }
    }

    #[inline]
    unsafe fn try_lock(ptr: *mut Self::State) -> Option<Self::GuardState> {
        // SAFETY: The safety requirements ensure that `ptr` is valid and initialised.
        unsafe { bindings::spin_trylock_bh(ptr.cast()) }.then_some(())
    }

    #[inline]
    unsafe fn unlock(ptr: *mut Self::State, _guard_state: &Self::GuardState) {
        // SAFETY: The safety requirements ensure that `ptr` is valid and that the caller owns the
        // lock.
        unsafe { bindings::spin_unlock_bh(ptr.cast()) }
    }

    #[inline]
    unsafe fn assert_is_held(ptr: *mut Self::State) {
        // SAFETY: The safety requirements ensure that `ptr` is valid and initialised.
        unsafe { kernel::bindings::spin_assert_is_held(ptr) }
    }
}

/// Orders all accesses to memory before it before all after it, as other CPUs see them (`smp_mb`).
#[inline]
pub(crate) fn full_fence() {
    // SAFETY: Always safe to call.
    unsafe { kernel::bindings::smp_mb() };
}

/// Creates a [`SpinLockBh`] initialiser with the given name and a newly-created lock class.
macro_rules! new_spinlock_bh {
    ($inner:expr $(, $name:literal)? $(,)?) => {
        $crate::sync::SpinLockBh::new(
            $inner, kernel::optional_name!($($name)?), kernel::static_lock_class!())
    };
}
pub(crate) use new_spinlock_bh;
