// SPDX-License-Identifier: GPL-2.0

//! The lock of network configuration.
//!
//! Locking: this is a mutex, taken before all locks of a device. It cannot fail.
//!
//! C header: [`include/linux/rtnetlink.h`](srctree/include/linux/rtnetlink.h)

use crate::bindings;
use kernel::types::NotThreadSafe;

/// Evidence that this thread holds the RTNL; dropping it releases the lock.
///
/// # Invariants
///
/// The RTNL is held by this thread while the object exists.
pub(crate) struct RtnlGuard(NotThreadSafe);

/// Takes the RTNL. Context: process context, may sleep.
pub(crate) fn lock() -> RtnlGuard {
    // SAFETY: Always safe to call from process context.
    unsafe { bindings::rtnl_lock() };
    // INVARIANT: The lock was just taken.
    RtnlGuard(NotThreadSafe)
}

impl RtnlGuard {
    /// Lends a guard for a lock that a caller in C holds.
    ///
    /// # Safety
    ///
    /// This thread must hold the RTNL for as long as the guard is used.
    pub(super) unsafe fn assume_held() -> core::mem::ManuallyDrop<Self> {
        // INVARIANT: By the safety requirement; it is not released by us.
        core::mem::ManuallyDrop::new(Self(NotThreadSafe))
    }
}

impl Drop for RtnlGuard {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this thread holds the lock.
        unsafe { bindings::rtnl_unlock() };
    }
}
