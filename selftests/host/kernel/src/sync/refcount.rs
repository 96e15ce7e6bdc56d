// SPDX-License-Identifier: GPL-2.0

//! Reference counts.

#[cfg(feature = "loom")]
use loom::sync::atomic::{fence, AtomicI32, Ordering};
#[cfg(not(feature = "loom"))]
use std::sync::atomic::{fence, AtomicI32, Ordering};

/// `refcount_t`: complains about what the kernel's warns about.
pub struct Refcount(AtomicI32);

impl Refcount {
    pub fn new(count: i32) -> Self {
        Self(AtomicI32::new(count))
    }

    pub fn inc(&self) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        assert!(before > 0, "a reference is taken after the last is gone");
    }

    /// `refcount_inc_not_zero()`: without any order, but what depends on the answer comes later.
    pub fn inc_not_zero(&self) -> bool {
        let mut seen = self.0.load(Ordering::Relaxed);
        while seen != 0 {
            match self
                .0
                .compare_exchange(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
        // Who tries again sees what is newer at some time, which loom does not assume otherwise.
        #[cfg(feature = "loom")]
        loom::thread::yield_now();
        false
    }

    /// `refcount_dec_and_test()`: a release, and an acquire of who takes the last one.
    #[must_use]
    pub fn dec_and_test(&self) -> bool {
        let before = self.0.fetch_sub(1, Ordering::Release);
        assert!(before > 0, "a reference is given up that is none");
        if before == 1 {
            fence(Ordering::Acquire);
        }
        before == 1
    }
}
