// SPDX-License-Identifier: GPL-2.0

//! CPUs. What has softirqs disabled has its CPU for itself.

use loom::sync::{Mutex, MutexGuard};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

/// How many there are.
const CPUS: usize = 2;

thread_local! {
    /// The CPUs of this run.
    static OCCUPIED: RefCell<Vec<Mutex<()>>> = const { RefCell::new(Vec::new()) };
}

loom::thread_local! {
    /// How often this thread has disabled softirqs.
    static DEPTH: Cell<usize> = Cell::new(0);
}

/// Begins a run.
pub(crate) fn begin_run() {
    OCCUPIED.with_borrow_mut(|cpus| {
        cpus.clear();
        cpus.extend((0..CPUS).map(|_| Mutex::new(())));
    });
}

pub(crate) struct SoftirqsDisabled {
    _occupied: Option<MutexGuard<'static, ()>>,
    _not_send: PhantomData<*mut ()>,
}

impl SoftirqsDisabled {
    pub(crate) fn new() -> Self {
        let depth = DEPTH.with(|depth| depth.replace(depth.get() + 1));
        let occupied = (depth == 0).then(|| {
            let here = kernel::cpu::CpuId::current().as_u32() as usize;
            let cpu: *const Mutex<()> = OCCUPIED.with_borrow(|cpus| &raw const cpus[here]);
            // SAFETY: They are replaced between runs only.
            unsafe { &*cpu }.lock().unwrap()
        });
        Self {
            _occupied: occupied,
            _not_send: PhantomData,
        }
    }
}

impl Drop for SoftirqsDisabled {
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}
