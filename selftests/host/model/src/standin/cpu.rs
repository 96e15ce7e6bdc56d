// SPDX-License-Identifier: GPL-2.0

//! CPUs, two of them unless a model wants more. What has softirqs disabled has its CPU for itself.

use loom::sync::{Mutex, MutexGuard};
use std::cell::{Cell, RefCell};
use std::marker::PhantomData;

/// How many there can be.
pub(crate) const CPUS: usize = 3;

thread_local! {
    static ONLINE: Cell<usize> = const { Cell::new(2) };
}

/// Begins a run with so many.
pub(crate) fn set_online(count: usize) {
    ONLINE.set(count);
}

pub(crate) fn online_count() -> usize {
    ONLINE.get()
}

pub(crate) fn next_online(cpu: u32) -> u32 {
    (cpu + 1) % online_count() as u32
}

pub(crate) fn is_housekeeping(_: u32) -> bool {
    true
}

pub(crate) fn cond_resched() {}

fn here() -> usize {
    kernel::cpu::CpuId::current().as_u32() as usize
}

thread_local! {
    /// The CPUs of this run.
    static OCCUPIED: RefCell<Vec<Mutex<()>>> = const { RefCell::new(Vec::new()) };
    /// What softirqs of each CPU have to do. Only touched by who has that CPU for itself.
    static PENDING: RefCell<[Vec<Softirq>; CPUS]> = const { RefCell::new([const { Vec::new() }; CPUS]) };
}

/// Something that a softirq does.
pub(crate) type Softirq = Box<dyn FnOnce()>;

loom::thread_local! {
    /// How often this thread has disabled softirqs.
    static DEPTH: Cell<usize> = Cell::new(0);
}

/// Begins a run.
pub(crate) fn begin_run() {
    PENDING.with_borrow_mut(|pending| pending.iter_mut().for_each(Vec::clear));
    OCCUPIED.with_borrow_mut(|cpus| {
        cpus.clear();
        cpus.extend((0..CPUS).map(|_| Mutex::new(())));
    });
}

/// Has something done by a softirq of this CPU.
pub(crate) fn raise(softirq: Softirq) {
    PENDING.with_borrow_mut(|pending| pending[here()].push(softirq));
}

pub(crate) struct SoftirqsDisabled {
    occupied: Option<MutexGuard<'static, ()>>,
    _not_send: PhantomData<*mut ()>,
}

impl SoftirqsDisabled {
    pub(crate) fn new() -> Self {
        let depth = DEPTH.with(|depth| depth.replace(depth.get() + 1));
        let occupied = (depth == 0).then(|| {
            let cpu: *const Mutex<()> = OCCUPIED.with_borrow(|cpus| &raw const cpus[here()]);
            // SAFETY: They are replaced between runs only.
            unsafe { &*cpu }.lock().unwrap()
        });
        Self {
            occupied,
            _not_send: PhantomData,
        }
    }
}

impl Drop for SoftirqsDisabled {
    fn drop(&mut self) {
        if self.occupied.is_some() && !std::thread::panicking() {
            // What was raised meanwhile is done now.
            while let Some(softirq) = PENDING.with_borrow_mut(|pending| {
                (!pending[here()].is_empty()).then(|| pending[here()].remove(0))
            }) {
                softirq();
            }
        }
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}
