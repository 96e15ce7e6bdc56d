// SPDX-License-Identifier: GPL-2.0

//! An ordered parallel queue: jobs are worked on by several CPUs at once, and what comes of them is delivered in the
//! order in which they were put in, by one CPU at a time.
//!
//! A job goes through three stages:
//!
//! ```text
//!              a worker takes it                 its work is done               it is the first
//!   Waiting ───────────────────────▶ Working ───────────────────────▶ Done ───────────────────────▶ delivered
//! ```
//!
//! Any worker takes the first job that waits. There are two kinds: an owner ([`OrderedQueue::run`]) delivers, too,
//! whenever the first job is done and no other owner delivers; a helper ([`OrderedQueue::help`]) does not. All of this is
//! decided under one lock, and so is the only rule that keeps a job from being forgotten:
//!
//! > Unless a worker is at it, the context that puts in a job, and the worker that leaves, schedule an owner.
//!
//! "At it" is, for a job that waits, any worker; and for a first job that is done, the owner that delivers: each looks again
//! before it leaves. Whether one is scheduled is one bit, `scheduled`: set by the context that has to schedule an owner (it may
//! run one itself, now or later, or schedule a helper first), and cleared by the next worker that comes. Until then no other
//! context schedules one.
//!
//! The queue has a home for as long as there is anything in it: the CPU that put in the first job. Where it matters
//! which CPU delivers, owners come on that one only. A queue that holds too much moves to the CPU that puts in more.
//! An empty queue into which much was put at home stays there for a while (64 ms): the CPU may still have that before it, in a
//! queue of its own, and what another CPU delivers would overtake it. So it does, and is not passed by, for as long as what was
//! delivered is held back there ([`Job::is_held`]).

#![forbid(unsafe_code)]

use core::mem::replace;
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use crate::{
    cpu::SoftirqsDisabled,
    queueing::ring::Ring,
    sync::{new_spinlock_bh, Locked, SpinLockBh},
    timer,
};

/// The length of a period in milliseconds, by which it is told how long ago much was put in.
const PERIOD: u32 = 4;

/// For how many periods a queue stays at home then. A slow CPU may take tens of milliseconds for what it has before it.
const SETTLED: u32 = 16;

/// What is done in a queue.
pub(crate) trait Job: 'static {
    /// A job that waits.
    type Input: Send + Unpin;
    /// What comes of it.
    type Output: Send + Unpin;

    /// How much it adds to the load of the queue.
    fn load(input: &Self::Input) -> usize;

    /// A job is put in: what is decided here is decided in the queue's order. Context: softirqs disabled, under the
    /// queue's lock.
    fn enter(input: &mut Self::Input);

    /// Makes one of two jobs, the second of which was just put in behind the first. Otherwise gives that back. Context:
    /// as above.
    fn join(first: &mut Self::Input, second: Self::Input) -> core::result::Result<(), Self::Input>;

    /// Returns whether this is much, after which a queue stays at home for a while.
    fn is_much(input: &Self::Input) -> bool;

    /// Returns whether what was delivered last, by the CPU `home`, is held back there, so that what comes now might overtake it.
    fn is_held(_input: &Self::Input, _home: u32) -> bool {
        false
    }

    /// Does the work. Context: process context or softirq, any CPU.
    fn work(input: Self::Input) -> Self::Output;
}

/// A place in a queue.
enum Slot<J: Job> {
    Waiting(J::Input),
    Working,
    Done(J::Output),
}

/// What the lock protects.
struct State<J: Job> {
    /// The jobs in their order, each with its load. Those that wait are the last ones, as the first of them is always
    /// the next to be taken.
    slots: Ring<(Slot<J>, usize)>,
    /// How many wait, and their load.
    waiting: usize,
    waiting_load: usize,
    /// How many have been delivered: the number of the first.
    delivered: u64,
    /// The sum of the loads.
    load: usize,
    /// How many workers are here.
    workers: usize,
    is_delivering: bool,
    scheduled: bool,
    home: u32,
    /// The period in which much was put in at home.
    settled: Option<u32>,
}

/// What is to be done after a job was put in, or by a worker that leaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: a worker is at it, or an owner is scheduled.
    Nothing,
    /// The caller has to schedule an owner, at the queue's home if that matters.
    Schedule,
}

/// How a queue was when a job was put in.
pub(crate) struct Enqueued {
    /// What is to be done now.
    pub(crate) next: Next,
    /// How many jobs wait, this one included.
    pub(crate) waiting: usize,
    /// Whether the job is one of its own, and was not joined to another.
    pub(crate) is_new: bool,
    /// The CPU where the queue is at home.
    pub(crate) home: u32,
}

/// Something to be done by a worker.
enum Task<J: Job> {
    /// Work, with its number.
    Work(u64, J::Input),
    Deliver(J::Output),
}

impl<J: Job> State<J> {
    /// Returns whether the queue, which is empty, must stay at home, because that is another CPU than this or what was
    /// delivered there is held back.
    fn must_stay(&self, input: &J::Input, here: u32) -> bool {
        let is_recent = |then| timer::period(PERIOD).wrapping_sub(then) <= SETTLED;
        self.home != here && self.settled.is_some_and(is_recent) || J::is_held(input, self.home)
    }

    /// A job is put in at home.
    fn settle(&mut self, input: &J::Input) {
        if J::is_much(input) {
            self.settled = Some(timer::period(PERIOD));
        }
    }

    fn first_is_done(&self) -> bool {
        matches!(self.slots.get(0), Some((Slot::Done(_), _)))
    }

    /// A first job that is done waits for an owner to deliver it.
    fn wants_delivery(&self) -> bool {
        self.first_is_done() && !self.is_delivering
    }

    /// Unless a worker is at it, or an owner is scheduled, the caller is to schedule one.
    fn look(&mut self) -> Next {
        let is_left = self.waiting != 0 && self.workers == 0 || self.wants_delivery();
        if !is_left || replace(&mut self.scheduled, true) {
            return Next::Nothing;
        }
        Next::Schedule
    }

    /// A worker leaves.
    fn leave(&mut self) -> Next {
        self.workers -= 1;
        self.look()
    }

    /// Takes the first job that waits.
    fn take(&mut self) -> Option<Task<J>> {
        let index = self.slots.len().checked_sub(self.waiting)?;
        let (slot, load) = self.slots.get_mut(index)?;
        match replace(slot, Slot::Working) {
            Slot::Waiting(input) => {
                self.waiting_load -= *load;
                self.waiting -= 1;
                Some(Task::Work(self.delivered + index as u64, input))
            }
            other => {
                *slot = other;
                None
            }
        }
    }

    /// Takes the first job, if it is to be delivered.
    fn take_done(&mut self) -> Option<Task<J>> {
        if !self.wants_delivery() {
            return None;
        }
        let (slot, load) = self.slots.pop_front()?;
        self.delivered += 1;
        self.load -= load;
        self.is_delivering = true;
        match slot {
            Slot::Done(output) => Some(Task::Deliver(output)),
            Slot::Waiting(_) | Slot::Working => None,
        }
    }

    /// Puts in what came of a job.
    fn finish(&mut self, number: u64, output: J::Output) {
        if let Some((slot, _)) = self.slots.get_mut((number - self.delivered) as usize) {
            *slot = Slot::Done(output);
        }
    }
}

/// An ordered parallel queue.
#[pin_data]
pub(crate) struct OrderedQueue<J: Job> {
    #[pin]
    state: SpinLockBh<State<J>>,
    /// The task that is delivering now, zero if none is: a softirq counts as part of the task that it has
    /// interrupted.
    deliverer: Atomic<usize>,
    /// With more load than this the queue moves to the CPU that adds to it.
    crowded: usize,
}

fn this_cpu() -> u32 {
    kernel::cpu::CpuId::current().as_u32()
}

fn this_task() -> usize {
    kernel::task::Task::current_raw() as usize
}

/// Why a job was refused, which is given back.
pub(crate) enum Refused<T> {
    /// The queue's load has reached its limit.
    Full(T),
    /// There is no memory for another place in it.
    NoMemory(T),
}

impl<J: Job> OrderedQueue<J> {
    /// Creates an empty queue, which moves when its load is larger than `crowded`.
    pub(crate) fn new(crowded: usize) -> impl PinInit<Self> {
        pin_init!(Self {
            state <- new_spinlock_bh!(
                State {
                    slots: Ring::new(),
                    waiting: 0,
                    waiting_load: 0,
                    delivered: 0,
                    load: 0,
                    workers: 0,
                    is_delivering: false,
                    scheduled: false,
                    home: 0,
                    settled: None,
                },
                "OrderedQueue::state"
            ),
            deliverer: Atomic::new(0),
            crowded,
        })
    }

    /// Puts in a job, or refuses it if the load is `limit` already, or memory is short.
    ///
    /// Context: softirqs disabled.
    pub(crate) fn enqueue(
        &self,
        mut input: J::Input,
        limit: usize,
    ) -> core::result::Result<Enqueued, Refused<J::Input>> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if state.load >= limit {
            return Err(Refused::Full(input));
        }
        if state.slots.reserve().is_err() {
            return Err(Refused::NoMemory(input));
        }
        let here = this_cpu();
        let is_idle = state.slots.len() == 0 && !state.is_delivering;
        if is_idle && !state.must_stay(&input, here) || state.load > self.crowded {
            state.home = here;
        }
        if state.home == here {
            state.settle(&input);
        }
        J::enter(&mut input);
        let load = J::load(&input);
        state.load += load;
        state.waiting_load += load;
        let last = match state.slots.last_mut() {
            Some((Slot::Waiting(last), last_load)) => {
                let joined = J::join(last, input);
                if joined.is_ok() {
                    *last_load += load;
                }
                joined
            }
            _ => Err(input),
        };
        let is_new = last.is_err();
        if let Err(input) = last {
            state.slots.push_back((Slot::Waiting(input), load));
            state.waiting += 1;
        }
        Ok(Enqueued {
            next: state.look(),
            waiting: state.waiting,
            is_new,
            home: state.home,
        })
    }

    /// Passes the queue by, as an empty qdisc is: does a job and delivers what comes of it at once, if nothing is in the queue,
    /// and it may be at home here; goes on as [`Self::run`]. Otherwise returns `None`, and leaves it. `entered` is called
    /// when the job has its place in the queue's order. Context: softirqs disabled.
    pub(crate) fn run_bypass(
        &self,
        job: &mut Option<J::Input>,
        entered: impl FnOnce(),
        budget: usize,
        mut deliver: impl FnMut(J::Output) -> usize,
    ) -> Option<Next> {
        let mut state = self.state.lock();
        let here = this_cpu();
        let is_busy = state.slots.len() != 0 || state.is_delivering;
        let mut input = job.take_if(|input| !is_busy && !state.must_stay(input, here))?;
        state.home = here;
        state.settle(&input);
        state.workers += 1;
        state.is_delivering = true;
        J::enter(&mut input);
        drop(state);
        entered();
        let output = J::work(input);
        let spent = self.deliver(output, &mut deliver);
        let mut state = self.state.lock();
        state.is_delivering = false;
        Some(self.go_on(state, budget.saturating_sub(spent), deliver))
    }

    /// Comes as an owner: works and delivers until nothing is left to do, or `budget` is spent, of which `deliver`
    /// returns how much a job costs.
    ///
    /// Context: any but hard interrupts; `deliver` is called with softirqs disabled.
    #[must_use]
    pub(crate) fn run(&self, budget: usize, deliver: impl FnMut(J::Output) -> usize) -> Next {
        let mut state = self.state.lock();
        state.scheduled = false;
        state.workers += 1;
        self.go_on(state, budget, deliver)
    }

    /// Not inline: what it needs on the stack is not there while [`Self::run_bypass`] delivers, which may lead into
    /// another tunnel.
    #[inline(never)]
    fn go_on<'a>(
        &'a self,
        mut state: Locked<'a, State<J>>,
        mut budget: usize,
        mut deliver: impl FnMut(J::Output) -> usize,
    ) -> Next {
        loop {
            let task = match budget {
                0 => None,
                _ => state.take_done().or_else(|| state.take()),
            };
            let Some(task) = task else {
                return state.leave();
            };
            drop(state);
            match task {
                Task::Work(number, input) => {
                    let output = J::work(input);
                    state = self.state.lock();
                    state.finish(number, output);
                }
                Task::Deliver(output) => {
                    budget = budget.saturating_sub(self.deliver(output, &mut deliver));
                    state = self.state.lock();
                    state.is_delivering = false;
                }
            }
        }
    }

    fn deliver(&self, output: J::Output, deliver: &mut impl FnMut(J::Output) -> usize) -> usize {
        // Nothing else runs on this CPU meanwhile, unless it is called from `deliver`.
        let softirqs = SoftirqsDisabled::new();
        self.deliverer.store(this_task(), Relaxed);
        let spent = deliver(output);
        self.deliverer.store(0, Relaxed);
        drop(softirqs);
        spent
    }

    /// Comes as a helper: works on up to `most` jobs. `schedule` is called, perhaps several times, when an owner must come:
    /// it gets the queue's home. Context: any but hard interrupts.
    pub(crate) fn help(&self, most: usize, schedule: impl Fn(u32)) {
        let mut most = most;
        let mut state = self.state.lock();
        state.scheduled = false;
        state.workers += 1;
        loop {
            let task = most.checked_sub(1).and_then(|left| {
                most = left;
                state.take()
            });
            let next = match task {
                Some(_) => state.look(),
                None => state.leave(),
            };
            let home = state.home;
            drop(state);
            if next == Next::Schedule {
                schedule(home);
            }
            let Some(Task::Work(number, input)) = task else {
                return;
            };
            let output = J::work(input);
            state = self.state.lock();
            state.finish(number, output);
        }
    }

    /// Returns the load of the jobs that wait, zero if there is something to be delivered.
    pub(crate) fn load_to_work_on(&self) -> usize {
        let state = self.state.lock();
        if state.wants_delivery() {
            return 0;
        }
        state.waiting_load
    }

    /// Returns whether the caller was called by what delivers a job of this queue. Context: softirqs disabled.
    pub(crate) fn is_delivering_here(&self) -> bool {
        self.deliverer.load(Relaxed) == this_task()
    }

    /// Returns whether the queue is empty and no worker is at it. For tests.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.state.lock();
        state.slots.len() == 0 && state.workers == 0 && !state.is_delivering && !state.scheduled
    }
}
