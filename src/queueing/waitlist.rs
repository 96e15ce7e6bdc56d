// SPDX-License-Identifier: GPL-2.0

//! Waiting lists: peers (or other waiters) for which something is to be done, in the order in which that was asked for.
//! One is in such a list once at most for each thing that can be asked for, however often it is asked for.

#![forbid(unsafe_code)]

use core::mem::replace;
use kernel::prelude::*;

use crate::{
    rcu::RcuArc,
    sync::{new_spinlock_bh, SpinLockBh},
};

/// Something that can be asked for.
pub(crate) trait Purpose: Sized {
    /// Who waits for it.
    type Waiter: Send + Sync;

    /// Its entry for that.
    fn entry(waiter: &Self::Waiter) -> &WaitEntry<Self>;
}

/// A waiter's entry in a list. It is part of the waiter: no memory need be allocated to ask.
#[pin_data]
pub(crate) struct WaitEntry<P: Purpose> {
    #[pin]
    behind: SpinLockBh<Behind<P>>,
}

/// What is behind a waiter.
enum Behind<P: Purpose> {
    /// The waiter is in no list.
    Absent,
    /// It is the last.
    Last,
    /// Another one.
    Next(RcuArc<P::Waiter>),
}

impl<P: Purpose> WaitEntry<P> {
    /// The entry of a waiter that is in no list.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            behind <- new_spinlock_bh!(Behind::Absent, "WaitEntry::behind"),
        })
    }
}

/// Waiters in the order in which they asked.
#[pin_data]
pub(crate) struct Waitlist<P: Purpose> {
    #[pin]
    ends: SpinLockBh<Ends<P>>,
}

/// The ends of a list.
struct Ends<P: Purpose> {
    first: Option<RcuArc<P::Waiter>>,
    last: Option<RcuArc<P::Waiter>>,
}

impl<P: Purpose> Waitlist<P> {
    /// An empty list.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ends <- new_spinlock_bh!(
                Ends {
                    first: None,
                    last: None,
                },
                "Waitlist::ends"
            ),
        })
    }

    /// Appends a waiter, unless it is in a list already. Context: process context or softirq.
    pub(crate) fn enqueue(&self, waiter: &RcuArc<P::Waiter>) {
        let mut ends = self.ends.lock();
        let mut behind = P::entry(waiter).behind.lock();
        if !matches!(*behind, Behind::Absent) {
            return;
        }
        *behind = Behind::Last;
        drop(behind);
        match ends.last.replace(waiter.clone()) {
            Some(former) => *P::entry(&former).behind.lock() = Behind::Next(waiter.clone()),
            None => ends.first = Some(waiter.clone()),
        }
    }

    /// Takes the first waiter out. Context: process context or softirq.
    pub(crate) fn dequeue(&self) -> Option<RcuArc<P::Waiter>> {
        let mut ends = self.ends.lock();
        let first = ends.first.take()?;
        match replace(&mut *P::entry(&first).behind.lock(), Behind::Absent) {
            Behind::Next(next) => ends.first = Some(next),
            Behind::Last | Behind::Absent => ends.last = None,
        }
        Some(first)
    }
}
