// SPDX-License-Identifier: GPL-2.0

//! Which CPUs there are, and keeping this one.
//!
//! C headers: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h),
//! [`include/linux/sched/isolation.h`](srctree/include/linux/sched/isolation.h),
//! [`include/linux/bottom_half.h`](srctree/include/linux/bottom_half.h)

use kernel::types::NotThreadSafe;

use crate::bindings;

/// Returns how many CPUs are running.
#[inline]
pub(crate) fn online_count() -> usize {
    // SAFETY: Always safe to call.
    unsafe { bindings::num_online_cpus() as usize }
}

/// Returns the next running CPU after `cpu`, going round.
pub(crate) fn next_online(cpu: u32) -> u32 {
    // SAFETY: Always safe to call.
    unsafe { bindings::cpumask_next_wrap_online(cpu as i32) }
}

/// Returns whether others may give work to a CPU: whether it is not set apart by `isolcpus=`, `nohz_full=` or an
/// isolated partition of cpusets (`housekeeping_test_cpu`).
#[inline]
pub(crate) fn is_housekeeping(cpu: u32) -> bool {
    // SAFETY: May be asked for any number below `nr_cpu_ids`; the helper checks it.
    unsafe { bindings::is_housekeeping_cpu(cpu) }
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
