// SPDX-License-Identifier: GPL-2.0

//! Batches: packets of one peer that go through encryption or decryption together, on whatever
//! CPU, and come out in the order in which they went in.
//!
//! A batch is put at the end of an [`InOrder`] queue. Whoever drains the queue takes the batches
//! from its front: it does the work of one that nobody has begun, and stops at one that another CPU
//! is working on; that CPU has the queue drained when it has finished.
//!
//! A queue has a home for as long as something is in it: the CPU that put the first batch into it.
//! Packets handed over on different CPUs can overtake each other in what is below (a network
//! interface has a queue for each CPU), so it is at home that packets are sent.

#![forbid(unsafe_code)]

use core::mem::replace;
use kernel::{
    list::{impl_list_arc_safe, impl_list_item, List, ListArc, ListLinks},
    new_work,
    prelude::*,
    sync::{
        atomic::{Atomic, Full, Relaxed},
        Arc,
    },
    workqueue::{impl_has_work, Work, WorkItem},
};

use crate::{
    cpu::SoftirqsDisabled,
    engine::Engine,
    keypair::Keypair,
    rcu::RcuArc,
    sync::{new_spinlock_bh, SpinLockBh},
};

/// A queue with more packets than these is not drained fast enough.
#[cfg(not(test))]
const fn crowded_packets() -> i64 {
    256
}

/// Models need not fill a queue to see what happens then.
#[cfg(test)]
pub(crate) static CROWDED_PACKETS: core::sync::atomic::AtomicI64 =
    core::sync::atomic::AtomicI64::new(256);

#[cfg(test)]
fn crowded_packets() -> i64 {
    CROWDED_PACKETS.load(core::sync::atomic::Ordering::Relaxed)
}

/// How many batches are taken out of a queue in a row, while others may put in more all the time.
const BATCHES_IN_A_ROW: usize = 64;

/// How many bytes are handed over in a row: about as many as a CPU encrypts in a fifth of a millisecond.
/// Nothing else runs in softirq on the CPU meanwhile.
const BYTES_IN_A_ROW: usize = 256 * 1024;

/// Encryption or decryption.
pub(crate) trait Direction: Send + Sync + Sized + 'static {
    /// What a batch consists of before the work.
    type Input: Send + Unpin;
    /// What it consists of after the work.
    type Output: Send + Unpin;

    /// How many packets these are.
    fn count(input: &Self::Input) -> usize;

    /// Something enters a queue: what is decided here is decided in the queue's order. Context: softirqs
    /// disabled, under the queue's lock.
    fn enter(keypair: &Keypair, input: &mut Self::Input);

    /// Returns whether more may be added to what nobody has begun to work on.
    fn has_room(waiting: &Self::Input, more: &Self::Input) -> bool;

    /// Adds it.
    fn add(waiting: &mut Self::Input, more: Self::Input);

    /// Drops what the queue has no room for.
    fn refuse(input: Self::Input);

    /// Does the work. Context: process context or softirq, any CPU.
    fn process(keypair: &RcuArc<Keypair>, input: Self::Input) -> Self::Output;

    /// A CPU has finished a batch: the queue that it is in must be drained. Context: process
    /// context or softirq.
    fn finished(keypair: &RcuArc<Keypair>);
}

/// How far a batch is.
enum Stage<D: Direction> {
    Waiting(D::Input),
    Busy,
    Done(D::Output),
}

/// A batch in a queue.
#[pin_data]
pub(crate) struct Batch<D: Direction> {
    keypair: RcuArc<Keypair>,
    /// How many packets the batch was made of; changes under the lock of its queue.
    count: Atomic<i64>,
    /// One more than the CPU that was claimed to work on it, zero if none was.
    claimed: Atomic<i32>,
    #[pin]
    stage: SpinLockBh<Stage<D>>,
    #[pin]
    links: ListLinks,
    #[pin]
    work: Work<Batch<D>>,
}

impl_list_arc_safe! {
    impl{D: Direction} ListArcSafe<0> for Batch<D> { untracked; }
}
impl_list_item! {
    impl{D: Direction} ListItem<0> for Batch<D> { using ListLinks { self.links }; }
}
impl_has_work! {
    impl{D: Direction} HasWork<Batch<D>> for Batch<D> { self.work }
}

impl<D: Direction> Batch<D> {
    /// Makes a batch. Context: any. Errors: `ENOMEM`, in which case the input is dropped.
    pub(crate) fn new(keypair: RcuArc<Keypair>, input: D::Input) -> Result<ListArc<Self>> {
        let count = D::count(&input) as i64;
        ListArc::pin_init(
            try_pin_init!(Self {
                keypair,
                count: Atomic::new(count),
                claimed: Atomic::new(0),
                stage <- new_spinlock_bh!(Stage::Waiting(input), "Batch::stage"),
                links <- ListLinks::new(),
                work <- new_work!("Batch::work"),
            }),
            GFP_ATOMIC,
        )
    }

    /// Tells the input that it enters the queue.
    fn enter(&self) {
        if let Stage::Waiting(input) = &mut *self.stage.lock() {
            D::enter(&self.keypair, input);
        }
    }

    /// Gives the batch to a CPU that was claimed for it.
    fn give_to(this: Arc<Self>, cpu: u32) {
        let engine = &this.keypair.peer.device.engine;
        // It may wait for another CPU already, which must not be forgotten.
        if this.claimed.cmpxchg(0, cpu as i32 + 1, Full).is_err() {
            engine.release_cpu(cpu);
        } else if engine.crypt().enqueue_on(cpu, this.clone()).is_err() {
            this.release_claimed();
        }
    }

    /// Lets the CPU that was claimed have other batches. It may not be the one that did the work: that
    /// may have gone offline.
    fn release_claimed(&self) {
        let claimed = self.claimed.xchg(0, Full);
        if claimed != 0 {
            let engine = &self.keypair.peer.device.engine;
            engine.release_cpu((claimed - 1) as u32);
        }
    }

    /// Does the work, unless somebody else has begun it.
    fn work_if_waiting(&self) {
        let mut stage = self.stage.lock();
        let input = match replace(&mut *stage, Stage::Busy) {
            Stage::Waiting(input) => input,
            other => {
                *stage = other;
                return;
            }
        };
        drop(stage);
        let output = D::process(&self.keypair, input);
        *self.stage.lock() = Stage::Done(output);
    }

    /// Takes what there is, unless somebody is working on it.
    fn claim(&self) -> Option<Claim<D>> {
        let mut stage = self.stage.lock();
        match replace(&mut *stage, Stage::Busy) {
            Stage::Waiting(input) => Some(Claim::Work(input)),
            Stage::Busy => None,
            Stage::Done(output) => Some(Claim::Deliver(output)),
        }
    }

    /// Takes what there is, if it is done.
    fn claim_done(&self) -> Option<Claim<D>> {
        let is_done = matches!(*self.stage.lock(), Stage::Done(_));
        // Only who drains the queue takes what is done, and that is the caller.
        if is_done {
            self.claim()
        } else {
            None
        }
    }
}

/// What is left to do with a batch that has been taken.
enum Claim<D: Direction> {
    Work(D::Input),
    Deliver(D::Output),
}

impl<D: Direction> WorkItem for Batch<D> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.work_if_waiting();
        this.release_claimed();
        D::finished(&this.keypair);
    }
}

/// Who shall work on a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Helper {
    /// Whoever drains the queue.
    Never,
    /// This CPU at once.
    Here,
    /// Another CPU if one has nothing to do, else this one at once.
    IfIdle,
    /// This CPU later.
    Later,
}

/// What a queue protects.
struct Queued<D: Direction> {
    batches: List<Batch<D>>,
    /// How many packets are in them.
    packets: i64,
    draining: bool,
    /// Somebody wanted to take batches out and found that another does: that one looks again before it
    /// stops, at all batches.
    asked: bool,
    /// The CPU that was the first to do something with the queue since it was empty.
    home: u32,
}

impl<D: Direction> Queued<D> {
    /// Nobody has anything in the queue, or out of it but not handed over.
    fn is_idle(&self) -> bool {
        !self.draining && self.batches.is_empty()
    }

    /// Ends the ownership.
    fn stop(&mut self) {
        self.draining = false;
        self.asked = false;
    }
}

/// The CPU that this runs on, if it stays there.
fn here() -> u32 {
    kernel::cpu::CpuId::current().as_u32()
}

/// The task that runs this: a softirq counts as part of the task that it has interrupted.
fn this_task() -> usize {
    kernel::task::Task::current_raw() as usize
}

/// A queue of batches that come out in order.
#[pin_data]
pub(crate) struct InOrder<D: Direction> {
    #[pin]
    queued: SpinLockBh<Queued<D>>,
    /// Which task hands over a batch of this queue now, zero if none does.
    delivering: Atomic<usize>,
}

impl<D: Direction> InOrder<D> {
    /// Creates an empty queue.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            queued <- new_spinlock_bh!(
                Queued {
                    batches: List::new(),
                    packets: 0,
                    draining: false,
                    asked: false,
                    home: 0,
                },
                "InOrder::queued"
            ),
            delivering: Atomic::new(0),
        })
    }

    /// Appends a batch. Errors: `ENOSPC` if `limit` packets are waiting already; it is dropped.
    ///
    /// The caller then has the queue drained. Context: softirqs disabled.
    pub(crate) fn push(&self, batch: ListArc<Batch<D>>, limit: usize, helper: Helper) -> Result {
        let arc = batch.clone_arc();
        let mut queued = self.queued.lock();
        if queued.packets >= limit as i64 {
            drop(queued);
            if let Some(Claim::Work(input)) = batch.claim() {
                D::refuse(input);
            }
            return Err(ENOSPC);
        }
        if queued.is_idle() {
            queued.home = here();
        }
        arc.enter();
        queued.packets += arc.count.load(Relaxed);
        queued.batches.push_back(batch);
        drop(queued);
        let engine = &arc.keypair.peer.device.engine;
        match helper {
            Helper::Never => {}
            Helper::Here => arc.work_if_waiting(),
            Helper::IfIdle => match engine.claim_idle_cpu() {
                Some(cpu) => Batch::give_to(arc, cpu),
                None => arc.work_if_waiting(),
            },
            Helper::Later => {
                // Nobody else knows of it, so it is not queued already.
                let _ = engine.crypt().enqueue_on(here(), arc.clone());
            }
        }
        Ok(())
    }

    /// Returns the queue's home, `None` if it is this CPU or there is nothing to be done there.
    ///
    /// A CPU that does not keep up, so that the queue gets crowded, loses the queue to this one.
    /// Context: softirqs disabled, or a work item of one CPU.
    pub(crate) fn home_elsewhere(&self) -> Option<u32> {
        let mut queued = self.queued.lock();
        if queued.packets > crowded_packets() {
            queued.home = here();
        }
        (!queued.is_idle() && queued.home != here()).then_some(queued.home)
    }

    /// Adds to the last batch, if it is one of this keypair's that nobody has begun to work on and
    /// that has room. Otherwise gives the input back.
    ///
    /// Context: softirqs disabled.
    pub(crate) fn extend_last(
        &self,
        keypair: &RcuArc<Keypair>,
        mut input: D::Input,
    ) -> core::result::Result<(), D::Input> {
        let mut queued = self.queued.lock();
        let mut cursor = queued.batches.cursor_back();
        let Some(last) = cursor.peek_prev() else {
            return Err(input);
        };
        if !last.keypair.ptr_eq(keypair) {
            return Err(input);
        }
        let mut stage = last.stage.lock();
        let waiting = match &mut *stage {
            Stage::Waiting(waiting) if D::has_room(waiting, &input) => waiting,
            _ => return Err(input),
        };
        let count = D::count(&input) as i64;
        D::enter(keypair, &mut input);
        D::add(waiting, input);
        drop(stage);
        let _ = last.count.fetch_add(count, Relaxed);
        queued.packets += count;
        Ok(())
    }

    /// Has other CPUs that are free begin with batches behind the first.
    pub(crate) fn offload_rest(&self, engine: &Engine) {
        let queued = self.queued.lock();
        for batch in queued.batches.iter().skip(1) {
            if !matches!(*batch.stage.lock(), Stage::Waiting(_)) {
                continue;
            }
            let Some(cpu) = engine.claim_idle_cpu() else {
                return;
            };
            Batch::give_to(Arc::from(batch), cpu);
        }
    }

    /// Returns whether nothing is in the queue, or out of it but not handed over. For tests.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        self.queued.lock().is_idle()
    }

    /// Becomes the only one to take batches out, if nobody is and none are waiting.
    ///
    /// The caller may then work on this input and hand it over directly, as if it had been in the
    /// queue, and must call [`Self::drain_as_owner`] after. Context: softirqs disabled.
    pub(crate) fn begin_if_idle(&self, keypair: &Keypair, input: &mut D::Input) -> bool {
        let mut queued = self.queued.lock();
        if !queued.is_idle() {
            return false;
        }
        queued.home = here();
        queued.draining = true;
        D::enter(keypair, input);
        true
    }

    /// As [`Self::drain`], but only as far as batches are done.
    #[must_use]
    pub(crate) fn drain_done(
        &self,
        deliver: impl FnMut(&RcuArc<Keypair>, D::Output) -> usize,
    ) -> bool {
        self.become_owner(false) && self.take_in_a_row(Batch::claim_done, deliver)
    }

    /// Takes batches from the front and hands them to `deliver`, which returns their bytes, for as long
    /// as they are done or can be done here. If somebody else does so already, that one will.
    ///
    /// Returns whether it stopped before that, because others had better have their turn: then it
    /// must be called again.
    #[must_use]
    pub(crate) fn drain(&self, deliver: impl FnMut(&RcuArc<Keypair>, D::Output) -> usize) -> bool {
        self.become_owner(true) && self.drain_as_owner(deliver)
    }

    /// As [`Self::drain`], for who has called [`Self::begin_if_idle`].
    #[must_use]
    pub(crate) fn drain_as_owner(
        &self,
        deliver: impl FnMut(&RcuArc<Keypair>, D::Output) -> usize,
    ) -> bool {
        self.take_in_a_row(Batch::claim, deliver)
    }

    /// Becomes the only one to take batches out, if nobody is. Otherwise, if batches that nobody has
    /// begun with are wanted, too, the one who is will look for them.
    fn become_owner(&self, all: bool) -> bool {
        let mut queued = self.queued.lock();
        queued.asked |= all && queued.draining;
        !replace(&mut queued.draining, true)
    }

    fn take_in_a_row(
        &self,
        claim: fn(&Batch<D>) -> Option<Claim<D>>,
        mut deliver: impl FnMut(&RcuArc<Keypair>, D::Output) -> usize,
    ) -> bool {
        let mut bytes = 0usize;
        for _ in 0..BATCHES_IN_A_ROW {
            let taken = self.take_first(claim, |keypair, output| {
                bytes = bytes.saturating_add(deliver(keypair, output));
            });
            if !taken {
                return false;
            }
            if bytes >= BYTES_IN_A_ROW {
                break;
            }
        }
        // The caller calls again, and looks at all.
        self.queued.lock().stop();
        true
    }

    /// Hands the first batch over, or ends the ownership and returns `false` if there is none that
    /// can be claimed.
    fn take_first(
        &self,
        claim: fn(&Batch<D>) -> Option<Claim<D>>,
        deliver: impl FnOnce(&RcuArc<Keypair>, D::Output),
    ) -> bool {
        let mut queued = self.queued.lock();
        // Whoever works on the first batch finishes it before looking at `draining`, and whoever finds
        // an owner asks it to look at the others: so stopping here never leaves a batch behind.
        let claim = if queued.asked { Batch::claim } else { claim };
        let claim = queued.batches.iter().next().and_then(|first| claim(&first));
        let batch = match claim {
            Some(_) => queued.batches.pop_front(),
            None => None,
        };
        let (Some(claim), Some(batch)) = (claim, batch) else {
            queued.stop();
            return false;
        };
        queued.packets -= batch.count.load(Relaxed);
        drop(queued);
        let output = match claim {
            Claim::Work(input) => D::process(&batch.keypair, input),
            Claim::Deliver(output) => output,
        };
        self.hand_over(|| deliver(&batch.keypair, output));
        true
    }

    /// Hands over a batch, or what takes the place of one, for who is the only one to do so.
    pub(crate) fn hand_over(&self, deliver: impl FnOnce()) {
        // Nothing else runs on this CPU meanwhile, unless it is called from `deliver`.
        let softirqs = SoftirqsDisabled::new();
        self.delivering.store(this_task(), Relaxed);
        deliver();
        self.delivering.store(0, Relaxed);
        drop(softirqs);
    }

    /// Returns whether the caller was called by a function that a batch of this queue is being
    /// handed to. Context: softirqs disabled.
    pub(crate) fn is_handing_over_here(&self) -> bool {
        self.delivering.load(Relaxed) == this_task()
    }

    /// As [`Self::drain`], but hands over one batch at most. Returns whether there was one.
    pub(crate) fn take(&self, deliver: impl FnOnce(&RcuArc<Keypair>, D::Output)) -> bool {
        self.take_first(Batch::claim, deliver)
    }
}
