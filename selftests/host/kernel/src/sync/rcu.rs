// SPDX-License-Identifier: GPL-2.0

//! RCU: readers, and callbacks that wait for those that were there when they were handed in.
//!
//! They run when a thread waits for a grace period, and what they hand in waits for the next one, as
//! in the kernel.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `struct callback_head`.
pub struct CallbackHead(());

/// What is called with it.
pub type Callback = unsafe extern "C" fn(*mut CallbackHead);

/// A pointer that goes to another thread.
struct Head(*mut CallbackHead);

// SAFETY: Who hands in a callback says that it may be called on any thread.
unsafe impl Send for Head {}

/// Who reads, and what waits for them.
struct State {
    /// The number of the next guard or callback.
    next: u64,
    guards: BTreeSet<u64>,
    callbacks: Vec<(u64, Head, Callback)>,
}

static STATE: Mutex<State> = Mutex::new(State {
    next: 0,
    guards: BTreeSet::new(),
    callbacks: Vec::new(),
});

fn state() -> MutexGuard<'static, State> {
    // A test that failed elsewhere does not make these fields wrong.
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn has_older_guards(&self, number: u64) -> bool {
        self.guards.first().is_some_and(|&first| first < number)
    }
}

/// A read-side critical section.
pub struct Guard(u64, PhantomData<*mut ()>);

/// Begins a read-side critical section.
pub fn read_lock() -> Guard {
    order::reader_begins();
    let mut state = state();
    let number = state.number();
    state.guards.insert(number);
    Guard(number, PhantomData)
}

impl Drop for Guard {
    fn drop(&mut self) {
        order::reader_ends();
        state().guards.remove(&self.0);
        order::notify();
    }
}

/// Has a callback called after a grace period.
///
/// # Safety
///
/// `head` must be valid until then.
pub unsafe fn call_rcu(head: *mut CallbackHead, callback: Option<Callback>) {
    order::callback_handed_in();
    let mut state = state();
    let number = state.number();
    let callback = callback.expect("a callback");
    state.callbacks.push((number, Head(head), callback));
}

/// Waits for one grace period, and calls what was handed in before.
pub fn synchronize() {
    let _calling = order::calling();
    order::callback_handed_in();
    let number = state().number();
    order::wait_while(|| state().has_older_guards(number));
    order::grace_period_ends();
    let mut state = state();
    let (due, later) = std::mem::take(&mut state.callbacks)
        .into_iter()
        .partition(|(at, _, _)| *at <= number);
    state.callbacks = later;
    drop(state);
    let due: Vec<_> = due;
    for (_, head, callback) in due {
        // SAFETY: Who handed it in said that this is sound after a grace period.
        unsafe { callback(head.0) };
    }
}

/// `rcu_barrier()`.
pub fn rcu_barrier() {
    synchronize();
}

#[cfg(feature = "loom")]
pub(crate) fn reset() {
    *state() = State {
        next: 0,
        guards: BTreeSet::new(),
        callbacks: Vec::new(),
    };
}

/// What is ordered, and how threads wait: with real threads.
#[cfg(not(feature = "loom"))]
mod order {
    use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

    static WAITING: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();
    static CALLING: Mutex<()> = Mutex::new(());

    // The lock of the state orders everything.
    pub(super) fn reader_begins() {}
    pub(super) fn reader_ends() {}
    pub(super) fn callback_handed_in() {}
    pub(super) fn grace_period_ends() {}

    /// Callbacks are called by one at a time, so that who waits finds them called.
    pub(super) fn calling() -> MutexGuard<'static, ()> {
        CALLING.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn notify() {
        drop(WAITING.lock().unwrap_or_else(PoisonError::into_inner));
        CHANGED.notify_all();
    }

    pub(super) fn wait_while(condition: impl Fn() -> bool) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        while condition() {
            waiting = CHANGED
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// With loom, where no more is ordered than RCU promises: a reader either sees all that was done
/// before a callback was handed in, or the callback sees all that the reader did.
#[cfg(feature = "loom")]
mod order {
    use crate::model::World;
    use loom::sync::atomic::Ordering;

    pub(super) fn reader_begins() {
        World::with(|world| world.handed_in.fetch_add(0, Ordering::Acquire));
    }

    pub(super) fn reader_ends() {
        World::with(|world| world.read.fetch_add(1, Ordering::Release));
    }

    pub(super) fn callback_handed_in() {
        World::with(|world| world.handed_in.fetch_add(1, Ordering::Release));
    }

    pub(super) fn grace_period_ends() {
        World::with(|world| world.read.fetch_add(0, Ordering::Acquire));
        World::with(|world| world.handed_in.fetch_add(0, Ordering::Acquire));
    }

    pub(super) fn calling() {}

    pub(super) fn notify() {}

    pub(super) fn wait_while(condition: impl Fn() -> bool) {
        while condition() {
            loom::thread::yield_now();
        }
    }
}
