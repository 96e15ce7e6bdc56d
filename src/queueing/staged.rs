// SPDX-License-Identifier: GPL-2.0

//! Packets of a peer that wait for a session.

#![forbid(unsafe_code)]

use core::mem::replace;
use kernel::{
    prelude::*,
    sync::atomic::{Acquire, Atomic, Release},
};

use crate::{
    net::{skb::PacketOut, skb_list::SkbList},
    protocol::messages::MAX_STAGED_PACKETS,
    queueing::stages::Outgoing,
    sync::{new_spinlock_bh, SpinLockBh},
    timer,
};

/// Packets in the order in which they will be sent, with the time from which they wait in their control. They still
/// wait while they are being moved to the queue of encryption: a packet that comes meanwhile must not get ahead
/// of them.
#[pin_data]
pub(crate) struct Staged {
    #[pin]
    waiting: SpinLockBh<Waiting>,
    /// Whether there are any, being moved or not: each packet that is sent looks, without the lock under which this is written.
    is_occupied: Atomic<bool>,
}

struct Waiting {
    packets: SkbList<PacketOut>,
    being_moved: bool,
}

impl Staged {
    /// No packets.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            waiting <- new_spinlock_bh!(
                Waiting {
                    packets: SkbList::new(),
                    being_moved: false,
                },
                "Staged::waiting"
            ),
            is_occupied: Atomic::new(false),
        })
    }

    /// Adds packets. Returns those that have waited longest, if there were too many.
    pub(crate) fn enqueue(&self, packets: &mut SkbList<PacketOut>) -> SkbList<PacketOut> {
        let mut oldest = SkbList::new();
        let now = timer::coarse_boottime_ns();
        packets.for_each(|packet| {
            packet.set_control(Outgoing {
                staged_at: now,
                ..packet.control()
            });
        });
        let mut waiting = self.waiting.lock();
        while waiting.packets.len() > MAX_STAGED_PACKETS {
            if let Some(packet) = waiting.packets.pop_front() {
                oldest.push_back(packet);
            }
        }
        waiting.packets.append(packets);
        self.note(&waiting);
        oldest
    }

    /// Returns how many wait, and for how many nanoseconds the first of them has.
    pub(crate) fn waiting(&self) -> (usize, u64) {
        let mut since = None;
        let mut waiting = self.waiting.lock();
        waiting.packets.for_each(|packet| {
            since.get_or_insert(packet.control::<Outgoing>().staged_at);
        });
        let count = waiting.packets.len();
        drop(waiting);
        let age = since.map(|since| timer::coarse_boottime_ns().saturating_sub(since));
        (count, age.unwrap_or(0))
    }

    /// Takes all that are not being moved.
    pub(crate) fn dequeue_all(&self) -> SkbList<PacketOut> {
        let mut waiting = self.waiting.lock();
        let packets = replace(&mut waiting.packets, SkbList::new());
        self.note(&waiting);
        packets
    }

    /// Returns whether no packet waits. Then those that have waited are in the queue, for who puts in another one now.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_occupied.load(Acquire)
    }

    /// The packets that wait have changed.
    fn note(&self, waiting: &Waiting) {
        let is_occupied = !waiting.packets.is_empty() || waiting.being_moved;
        self.is_occupied.store(is_occupied, Release);
    }

    /// Begins to move all packets, unless there are none, or another CPU is doing that.
    ///
    /// The caller then looks again when it has finished: contexts that add a packet meanwhile rely on that. Context: softirqs
    /// disabled until then.
    pub(crate) fn begin_moving(&self) -> Option<Moving<'_>> {
        let mut waiting = self.waiting.lock();
        if waiting.packets.is_empty() || waiting.being_moved {
            return None;
        }
        waiting.being_moved = true;
        Some(Moving {
            packets: replace(&mut waiting.packets, SkbList::new()),
            staged: self,
        })
    }
}

/// Packets that are being moved. At its end those that have not been taken out of it wait again, in
/// front of all others.
pub(crate) struct Moving<'a> {
    pub(crate) packets: SkbList<PacketOut>,
    staged: &'a Staged,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let mut waiting = self.staged.waiting.lock();
        self.packets.append(&mut waiting.packets);
        waiting.packets = replace(&mut self.packets, SkbList::new());
        waiting.being_moved = false;
        self.staged.note(&waiting);
    }
}
