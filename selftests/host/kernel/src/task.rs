// SPDX-License-Identifier: GPL-2.0

//! Tasks: each CPU has one, unless a thread says that another task goes on there now, as it may with PREEMPT_RT in the middle of
//! what has softirqs disabled.

use crate::cpu::CpuId;
use std::cell::Cell;

#[cfg(not(feature = "loom"))]
thread_local! {
    static TASK: Cell<Option<usize>> = const { Cell::new(None) };
}

#[cfg(feature = "loom")]
loom::thread_local! {
    static TASK: Cell<Option<usize>> = Cell::new(None);
}

pub struct Task;

impl Task {
    pub fn current_raw() -> *mut Task {
        let usual = || CpuId::current().as_u32() as usize + 1;
        core::ptr::without_provenance_mut(TASK.with(Cell::get).unwrap_or_else(usual))
    }
}

/// Calls a function as a task of this number, on the same CPU. It must be larger than those of the CPUs' own.
pub fn preempted_by<R>(task: usize, f: impl FnOnce() -> R) -> R {
    let former = TASK.with(|current| current.replace(Some(task)));
    let result = f();
    TASK.with(|current| current.set(former));
    result
}
