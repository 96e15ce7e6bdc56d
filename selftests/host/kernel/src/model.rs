// SPDX-License-Identifier: GPL-2.0

//! Runs of a model, and what lives as long as one.

use crate::sync::rcu;
use loom::sync::atomic::AtomicUsize;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering};

/// How many runs there have been.
static RUNS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static RUN: Cell<u64> = const { Cell::new(0) };
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
    /// Memory to be freed before the next run.
    static FREED: RefCell<Vec<(*mut u8, std::alloc::Layout)>> = const { RefCell::new(Vec::new()) };
}

/// loom's objects of this run.
pub(crate) struct World {
    /// Written by who hands in an RCU callback, read by who begins to read.
    pub(crate) handed_in: AtomicUsize,
    /// Written by who ends reading, read by who calls callbacks.
    pub(crate) read: AtomicUsize,
}

impl World {
    pub(crate) fn with<R>(f: impl FnOnce(&World) -> R) -> R {
        // Not borrowed while `f` runs, which may be another thread's turn.
        let world = WORLD.with_borrow(|world| &raw const *world.as_ref().expect("a model"));
        // SAFETY: It is replaced between runs only.
        f(unsafe { &*world })
    }
}

/// The number of this run.
pub(crate) fn run_number() -> u64 {
    RUN.get()
}

/// Frees memory, the value in which has been dropped, before the next run.
pub(crate) fn free_later<T>(memory: *mut T) {
    let layout = std::alloc::Layout::new::<T>();
    if layout.size() != 0 {
        FREED.with_borrow_mut(|freed| freed.push((memory.cast(), layout)));
    }
}

/// Begins a run: the first thing that a model does.
pub fn begin_run() {
    RUN.set(RUNS.fetch_add(1, Ordering::Relaxed) + 1);
    rcu::reset();
    for (memory, layout) in FREED.take() {
        // SAFETY: It was allocated with the global allocator, for a type of this layout.
        unsafe { std::alloc::dealloc(memory, layout) };
    }
    WORLD.with_borrow_mut(|world| {
        *world = Some(World {
            handed_in: AtomicUsize::new(0),
            read: AtomicUsize::new(0),
        });
    });
}
