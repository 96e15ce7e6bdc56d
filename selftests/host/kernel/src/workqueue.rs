// SPDX-License-Identifier: GPL-2.0

//! Work items, and a queue of them for each CPU.
//!
//! As in the kernel, an item that waits is not queued again, one that runs is, and it does not run
//! twice at the same time. What was done before an item was queued, or found to be queued already, is
//! seen by who runs it.

use crate::sync::Arc;
use loom::sync::{Condvar, Mutex};
use pin_init::PinInit;
use std::collections::VecDeque;
use std::marker::PhantomData;

/// What is done for an item.
pub trait WorkItem<const ID: u64 = 0> {
    type Pointer;

    fn run(this: Self::Pointer);
}

/// What is part of an item.
pub struct Work<T, const ID: u64 = 0>(PhantomData<fn(T)>);

impl<T, const ID: u64> Work<T, ID> {
    #[allow(clippy::new_ret_no_self)]
    pub fn new() -> impl PinInit<Self> {
        Self(PhantomData)
    }
}

#[macro_export]
macro_rules! new_work {
    ($name:literal) => {
        $crate::workqueue::Work::new()
    };
}

#[macro_export]
macro_rules! impl_has_work {
    ($($ignored:tt)*) => {};
}

pub use crate::{impl_has_work, new_work};

/// A reference to an item that can be queued.
pub trait Queueable<const ID: u64>: Sized + Send + 'static {
    /// Tells items apart.
    fn address(&self) -> usize;

    fn run(self);
}

impl<T, const ID: u64> Queueable<ID> for Arc<T>
where
    T: WorkItem<ID, Pointer = Arc<T>> + Send + Sync + 'static,
{
    fn address(&self) -> usize {
        self.as_ptr() as usize
    }

    fn run(self) {
        T::run(self);
    }
}

/// What tells items apart: an address, and which item of a value.
type Key = (usize, u64);

struct State {
    waiting: Vec<VecDeque<(Key, Box<dyn FnOnce() + Send>)>>,
    running: Vec<Option<Key>>,
    ends: bool,
}

/// Queues, one for each CPU.
pub struct Queues {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queues {
    pub fn new(cpus: usize) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: (0..cpus).map(|_| VecDeque::new()).collect(),
                running: vec![None; cpus],
                ends: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Queues an item. Errors: it is queued already.
    pub fn enqueue_on<W: Queueable<ID>, const ID: u64>(&self, cpu: u32, item: W) -> Result<(), W> {
        let key = (item.address(), ID);
        let mut state = self.state.lock().unwrap();
        if state
            .waiting
            .iter()
            .flatten()
            .any(|(other, _)| *other == key)
        {
            return Err(item);
        }
        // Where it runs, if it does, so that it does not run twice at a time.
        let running = state.running.iter().position(|other| *other == Some(key));
        let at = running.unwrap_or(cpu as usize);
        state.waiting[at].push_back((key, Box::new(move || item.run())));
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Runs the items of a CPU, until [`Self::end`] was called and there are none left on any.
    pub fn work(&self, cpu: u32) {
        crate::cpu::move_to(cpu);
        let cpu = cpu as usize;
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some((key, run)) = state.waiting[cpu].pop_front() {
                state.running[cpu] = Some(key);
                drop(state);
                run();
                state = self.state.lock().unwrap();
                state.running[cpu] = None;
                self.changed.notify_all();
                continue;
            }
            let idle = state.waiting.iter().all(VecDeque::is_empty)
                && state.running.iter().all(Option::is_none);
            if state.ends && idle {
                return;
            }
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Has [`Self::work`] end when all is done.
    pub fn end(&self) {
        self.state.lock().unwrap().ends = true;
        self.changed.notify_all();
    }
}
