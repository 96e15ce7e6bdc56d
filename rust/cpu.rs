// SPDX-License-Identifier: GPL-2.0

//! Which CPUs there are, and keeping this one.
//!
//! Context: any, but where an item says something else. It locks nothing, and nothing can fail. How many CPUs
//! there are may be another number at once.
//!
//! C headers: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h),
//! [`include/linux/sched/isolation.h`](srctree/include/linux/sched/isolation.h),
//! [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use kernel::types::NotThreadSafe;

use crate::{bindings, rcu};

/// Returns how many CPUs are running.
#[inline]
pub(crate) fn online_count() -> usize {
    // SAFETY: Always safe to call.
    unsafe { bindings::num_online_cpus() as usize }
}

/// Returns how many running CPUs may be given work by other CPUs: those that are not set apart by `isolcpus=`,
/// `nohz_full=` or an isolated partition of cpusets (`housekeeping_cpumask`).
#[inline]
pub(crate) fn housekeeping_count() -> usize {
    let _guard = rcu::read_lock();
    // SAFETY: The guard keeps the set of these CPUs from being replaced.
    unsafe { bindings::housekeeping_online_count() as usize }
}

/// Lets other threads run if one is waiting. Context: process context.
pub(crate) fn cond_resched() {
    // SAFETY: The caller is in process context and holds no spinlock, or the kernel says so loudly.
    unsafe { bindings::cond_resched() };
}

/// Evidence that softirqs do not run on this CPU, and that the thread stays on it.
///
/// # Invariants
///
/// Softirqs are disabled by this thread while the object exists.
pub(crate) struct SoftirqsDisabled(NotThreadSafe);

impl SoftirqsDisabled {
    /// Disables softirqs until the object is dropped. Context: any but hard interrupts.
    #[inline]
    pub(crate) fn new() -> Self {
        // SAFETY: Always safe to call; the drop is the counterpart.
        unsafe { bindings::local_bh_disable() };
        Self(NotThreadSafe)
    }
}

impl Drop for SoftirqsDisabled {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: The counterpart of `new`.
        unsafe { bindings::local_bh_enable() };
    }
}
