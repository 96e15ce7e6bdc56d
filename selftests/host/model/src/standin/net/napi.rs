// SPDX-License-Identifier: GPL-2.0

//! NAPI: what is scheduled is polled by a softirq of the CPU that did so, by one at a time, and once
//! more if it was scheduled meanwhile.

use super::skb::{PacketIn, SkBuff};
use crate::standin::cpu::{raise, SoftirqsDisabled};
use crate::standin::peer::{see, Seen};
use kernel::prelude::*;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};

const SCHEDULED: usize = 1;
const MISSED: usize = 2;
const BUDGET: usize = 64;

pub(crate) trait Poll {
    fn poll(&self, receiver: &mut Receiver<'_>, budget: usize) -> usize;
}

/// Where packets go that were received.
pub(crate) struct Receiver<'a>(pub(crate) &'a UnsafeCell<Vec<Seen>>);

impl Receiver<'_> {
    pub(crate) fn gro_receive(&mut self, skb: SkBuff<PacketIn>) {
        see(self.0, skb);
    }
}

struct Instance<T> {
    state: AtomicUsize,
    polled: T,
    received: UnsafeCell<Vec<Seen>>,
}

pub(crate) struct NapiSet<T>(Vec<Instance<T>>);

// SAFETY: loom tells when the cells are used by two at a time.
unsafe impl<T: Send> Send for NapiSet<T> {}
// SAFETY: As above.
unsafe impl<T: Sync> Sync for NapiSet<T> {}

impl<T: Poll + 'static> NapiSet<T> {
    pub(crate) fn new<I: PinInit<T, Error>>(count: usize, mut make: impl FnMut() -> I) -> Self {
        let instance = |_| {
            let mut polled = core::mem::MaybeUninit::uninit();
            // SAFETY: It is initialised on success; none of the stand-ins minds being moved.
            let polled = unsafe {
                make().__pinned_init(polled.as_mut_ptr()).unwrap();
                polled.assume_init()
            };
            Instance {
                state: AtomicUsize::new(0),
                polled,
                received: UnsafeCell::new(Vec::new()),
            }
        };
        Self((0..count).map(instance).collect())
    }

    pub(crate) fn is_detached(&self) -> bool {
        false
    }

    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        Some(&self.0.get(index)?.polled)
    }

    /// What came out, in order.
    pub(crate) fn received(&self) -> Vec<Seen> {
        let take = |i: &Instance<T>| {
            i.received
                // SAFETY: loom has checked that nobody else looks.
                .with_mut(|seen| core::mem::take(unsafe { &mut *seen }))
        };
        let mut all: Vec<_> = self.0.iter().flat_map(take).collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn schedule(&self, index: usize) {
        if let Some(instance) = self.0.get(index) {
            let softirqs = SoftirqsDisabled::new();
            instance.schedule();
            drop(softirqs);
        }
    }
}

impl<T: Poll + 'static> Instance<T> {
    /// `napi_schedule()`.
    fn schedule(&self) {
        let update = |state| {
            Some(match state & SCHEDULED {
                0 => state | SCHEDULED,
                _ => state | MISSED,
            })
        };
        let before = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, update);
        if before.unwrap() & SCHEDULED == 0 {
            self.raise();
        }
    }

    fn raise(&self) {
        let this: *const Self = self;
        // SAFETY: A device outlives its softirqs.
        raise(Box::new(move || unsafe { &*this }.poll()));
    }

    fn poll(&self) {
        let done = self.polled.poll(&mut Receiver(&self.received), BUDGET);
        if done >= BUDGET {
            return self.raise();
        }
        // `napi_complete_done()`
        let update = |state| Some(if state & MISSED != 0 { SCHEDULED } else { 0 });
        let before = self
            .state
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, update);
        if before.unwrap() & MISSED != 0 {
            self.raise();
        }
    }
}
