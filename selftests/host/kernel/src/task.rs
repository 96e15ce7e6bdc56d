// SPDX-License-Identifier: GPL-2.0

//! Tasks: each CPU has one, as nothing here is ever preempted while it has softirqs disabled.

use crate::cpu::CpuId;

pub struct Task;

impl Task {
    pub fn current_raw() -> *mut Task {
        core::ptr::without_provenance_mut(CpuId::current().as_u32() as usize + 1)
    }
}
