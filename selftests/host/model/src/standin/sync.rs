// SPDX-License-Identifier: GPL-2.0

//! Spinlocks, and a fence.

pub(crate) type SpinLockBh<T> = kernel::sync::Mutex<T>;
pub(crate) type Locked<'a, T> = loom::sync::MutexGuard<'a, T>;

pub(crate) fn full_fence() {
    loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
}

macro_rules! new_spinlock_bh {
    ($value:expr, $name:literal $(,)?) => {
        $crate::sync::SpinLockBh::new($value)
    };
}
pub(crate) use new_spinlock_bh;
