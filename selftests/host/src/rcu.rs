// SPDX-License-Identifier: GPL-2.0

//! Stands in for `rust/rcu.rs`: the same types and functions, with the same promises, by other means.
//!
//! Reference counts are `std`'s. A reference that is given up is kept until somebody waits for a grace
//! period, and then dropped when all guards that were there at the call are gone. What is given up by
//! that dropping waits for the next one, as in the kernel.

use std::any::Any;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// An allocation has failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AllocError;

/// Guards alive, and references given up.
struct Readers {
    /// The number of the next guard or grace period.
    next: u64,
    guards: BTreeSet<u64>,
    /// With `next` as it was then: guards below it may see the value, others do not.
    given_up: Vec<(u64, Box<dyn Any + Send>)>,
}

static READERS: Mutex<Readers> = Mutex::new(Readers {
    next: 0,
    guards: BTreeSet::new(),
    given_up: Vec::new(),
});
/// A guard is gone.
static GONE: Condvar = Condvar::new();
/// Held while references are dropped, so that who waits finds them dropped.
static DROPPING: Mutex<()> = Mutex::new(());

fn readers() -> MutexGuard<'static, Readers> {
    // A test that failed elsewhere does not make these fields wrong.
    READERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A read-side critical section.
pub(crate) struct Guard(u64, PhantomData<*mut ()>);

/// Begins a read-side critical section.
pub(crate) fn read_lock() -> Guard {
    let mut readers = readers();
    let number = readers.next;
    readers.next += 1;
    readers.guards.insert(number);
    Guard(number, PhantomData)
}

impl Drop for Guard {
    fn drop(&mut self) {
        readers().guards.remove(&self.0);
        GONE.notify_all();
    }
}

/// Waits for one grace period: all references given up before are dropped when it returns.
pub(crate) fn wait_for_grace_period() {
    let _dropping = DROPPING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut readers = readers();
    let number = readers.next;
    readers.next += 1;
    while readers.guards.first().is_some_and(|&first| first < number) {
        readers = GONE.wait(readers).unwrap_or_else(PoisonError::into_inner);
    }
    let (now, later) = std::mem::take(&mut readers.given_up)
        .into_iter()
        .partition(|(at, _)| *at <= number);
    readers.given_up = later;
    drop(readers);
    let now: Vec<_> = now;
    drop(now);
}

thread_local! {
    /// How many allocations of this thread still succeed; `None` for all.
    static ALLOCATIONS_LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Lets only so many further allocations of this thread succeed.
pub(crate) fn limit_allocations(left: Option<usize>) {
    ALLOCATIONS_LEFT.set(left);
}

/// See `rust/rcu.rs`.
pub(crate) struct RcuArc<T: Send + Sync + 'static>(ManuallyDrop<Arc<T>>);

impl<T: Send + Sync> RcuArc<T> {
    /// See `rust/rcu.rs`.
    pub(crate) fn new(value: T) -> Result<Self, AllocError> {
        match ALLOCATIONS_LEFT.get() {
            Some(0) => return Err(AllocError),
            Some(left) => ALLOCATIONS_LEFT.set(Some(left - 1)),
            None => (),
        }
        Ok(Self(ManuallyDrop::new(Arc::new(value))))
    }

    /// See `rust/rcu.rs`.
    pub(crate) fn ptr_eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Send + Sync> Clone for RcuArc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + Sync> Deref for RcuArc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Send + Sync + 'static> Drop for RcuArc<T> {
    fn drop(&mut self) {
        // SAFETY: It is not used any more.
        let arc = unsafe { ManuallyDrop::take(&mut self.0) };
        let mut readers = readers();
        let at = readers.next;
        readers.given_up.push((at, Box::new(arc)));
    }
}

/// See `rust/rcu.rs`.
pub(crate) struct Borrowed<'g, T>(&'g T);

impl<T> Clone for Borrowed<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Borrowed<'_, T> {}

impl<'g, T> Borrowed<'g, T> {
    /// See `rust/rcu.rs`.
    pub(crate) fn get(self) -> &'g T {
        self.0
    }
}

/// See `rust/rcu.rs`.
pub(crate) struct RcuSlot<T: Send + Sync + 'static>(Mutex<Option<RcuArc<T>>>);

impl<T: Send + Sync> RcuSlot<T> {
    /// See `rust/rcu.rs`.
    pub(crate) const fn empty() -> Self {
        Self(Mutex::new(None))
    }

    /// See `rust/rcu.rs`.
    pub(crate) fn new(value: Option<RcuArc<T>>) -> Self {
        Self(Mutex::new(value))
    }

    fn value(&self) -> MutexGuard<'_, Option<RcuArc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See `rust/rcu.rs`.
    pub(crate) fn get<'g>(&'g self, _guard: &'g Guard) -> Option<Borrowed<'g, T>> {
        let value: *const T = &**self.value().as_ref()?;
        // SAFETY: The slot has a reference now; if it gives it up, that happens while the guard is
        // alive, so the reference is kept until this guard, too, is gone.
        Some(Borrowed(unsafe { &*value }))
    }

    /// See `rust/rcu.rs`.
    pub(crate) fn is_empty(&self) -> bool {
        self.value().is_none()
    }

    /// See `rust/rcu.rs`.
    pub(crate) fn load(&self) -> Option<RcuArc<T>> {
        self.value().clone()
    }

    /// See `rust/rcu.rs`.
    pub(crate) fn swap(&self, value: Option<RcuArc<T>>) -> Option<RcuArc<T>> {
        std::mem::replace(&mut *self.value(), value)
    }
}
