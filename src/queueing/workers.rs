// SPDX-License-Identifier: GPL-2.0

//! Work items that do the same for one subject, such as a device, on several CPUs at once.

#![forbid(unsafe_code)]

use kernel::{
    new_work,
    prelude::*,
    sync::{
        atomic::{Atomic, Relaxed},
        Arc,
    },
    workqueue::{impl_has_work, Work, WorkItem},
};

use crate::{
    rcu::RcuArc,
    sync::{new_spinlock_bh, SpinLockBh},
    workqueue::OwnedQueue,
};

/// A work item for a `T`, which it holds on to for as long as it is queued.
#[pin_data]
pub(crate) struct Worker<T> {
    #[pin]
    subject: SpinLockBh<Option<RcuArc<T>>>,
    #[pin]
    work: Work<Worker<T>>,
}

impl_has_work! {
    impl{T} HasWork<Worker<T>> for Worker<T> { self.work }
}

impl<T: Send + Sync + 'static> Worker<T>
where
    Self: WorkItem<Pointer = Arc<Self>>,
{
    /// Has the work item run soon. Context: any but hard interrupts.
    pub(crate) fn schedule(this: &Arc<Self>, queue: &OwnedQueue, subject: &RcuArc<T>) {
        // What is queued already takes this one, too.
        let former = this.subject.lock().replace(subject.clone());
        drop(former);
        let _ = queue.enqueue(this.clone());
    }

    /// Takes what the work item runs for; `None` if an earlier run has done what this one was scheduled for.
    pub(crate) fn take(&self) -> Option<RcuArc<T>> {
        self.subject.lock().take()
    }
}

/// Work items that are scheduled in turn.
pub(crate) struct Workers<T> {
    workers: KVec<Arc<Worker<T>>>,
    turn: Atomic<u32>,
}

impl<T: Send + Sync + 'static> Workers<T>
where
    Worker<T>: WorkItem<Pointer = Arc<Worker<T>>>,
{
    /// Makes so many work items. Context: process context. Errors: `ENOMEM`.
    pub(crate) fn new(count: usize) -> Result<Self> {
        let mut workers = KVec::with_capacity(count, GFP_KERNEL)?;
        for _ in 0..count {
            let worker = Arc::pin_init(
                pin_init!(Worker {
                    subject <- new_spinlock_bh!(None, "Worker::subject"),
                    work <- new_work!("Worker::work"),
                }),
                GFP_KERNEL,
            )?;
            workers.push(worker, GFP_KERNEL)?;
        }
        Ok(Self {
            workers,
            turn: Atomic::new(0),
        })
    }

    /// Has the next of the first `most` work items run soon. Context: any but hard interrupts.
    pub(crate) fn schedule_next(&self, most: usize, queue: &OwnedQueue, subject: &RcuArc<T>) {
        let turn = self.turn.fetch_add(1, Relaxed) as usize;
        let most = most.min(self.workers.len()).max(1);
        let next = turn.checked_rem(most).unwrap_or(0);
        if let Some(worker) = self.workers.get(next) {
            Worker::schedule(worker, queue, subject);
        }
    }
}
