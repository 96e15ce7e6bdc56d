// SPDX-License-Identifier: GPL-2.0

//! Work queues.

use crate::rcu::RcuArc;
use kernel::prelude::*;
use kernel::workqueue::{Queueable, Queues, WorkItem};

#[derive(Clone, Copy)]
pub(crate) enum Placement {
    PerCpu,
    Unbound,
}

pub(crate) struct OwnedQueue(Queues);

impl OwnedQueue {
    pub(crate) fn new(_: &'static str, _: Placement) -> Result<Self> {
        Ok(Self(Queues::new(super::cpu::CPUS)))
    }

    pub(crate) fn enqueue_on<W: Queueable<ID>, const ID: u64>(
        &self,
        cpu: u32,
        work: W,
    ) -> core::result::Result<(), W> {
        self.0.enqueue_on(cpu, work)
    }

    pub(crate) fn work(&self, cpu: u32) {
        self.0.work(cpu);
    }

    pub(crate) fn end(&self) {
        self.0.end();
    }
}

impl<T, const ID: u64> Queueable<ID> for RcuArc<T>
where
    T: WorkItem<ID, Pointer = Self> + Send + Sync + 'static,
{
    fn address(&self) -> usize {
        (&raw const **self) as usize
    }

    fn run(self) {
        T::run(self);
    }
}
