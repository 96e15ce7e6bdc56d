// SPDX-License-Identifier: GPL-2.0

//! CPUs. A thread says on which one it is.

use std::cell::Cell;

#[derive(Clone, Copy)]
pub struct CpuId(u32);

#[cfg(not(feature = "loom"))]
thread_local! {
    static HERE: Cell<u32> = const { Cell::new(0) };
}

#[cfg(feature = "loom")]
loom::thread_local! {
    static HERE: Cell<u32> = Cell::new(0);
}

/// Puts this thread on a CPU.
pub fn move_to(cpu: u32) {
    HERE.with(|here| here.set(cpu));
}

impl CpuId {
    pub fn current() -> Self {
        Self(HERE.with(Cell::get))
    }

    pub fn as_u32(self) -> u32 {
        self.0
    }
}

/// How many there are.
pub fn nr_cpu_ids() -> u32 {
    3
}
