// SPDX-License-Identifier: GPL-2.0

//! What a device's handshake work items are asked for: to handle a handshake message that has come in, or to do something
//! for a peer that takes process context. A peer waits once, for however many reasons.

#![forbid(unsafe_code)]

use core::mem::replace;
use kernel::sync::atomic::Relaxed;

use crate::{
    cpu,
    device::{
        drops::{drop_of_device, Cause},
        types::{Device, Peer},
    },
    events,
    net::{
        skb::{DatagramIn, SkBuff},
        skb_list::SkbList,
    },
    protocol::messages::{MAX_QUEUED_HANDSHAKES, UNDER_LOAD_QUEUED},
    rcu::{RcuArc, RcuArcBorrow},
};

/// How many CPUs make handshakes for one device at once.
pub(super) const HANDSHAKE_WORKERS: usize = 4;

/// Something to be done for a peer in process context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Send an initiation because there is a reason to.
    BeginHandshake,
    /// Send an initiation because the last one was not answered.
    RetryHandshake,
    /// Erase all keys.
    EraseKeys,
}

/// Has something done soon in process context, unless there is no point in it.
pub(crate) fn request(peer: &RcuArc<Peer>, request: Request) {
    match request {
        Request::EraseKeys => peer.wants_erasure.store(true, Relaxed),
        Request::BeginHandshake | Request::RetryHandshake => {
            if request == Request::BeginHandshake {
                peer.timers.handshake_begins();
            }
            if !peer.may_send_handshake() {
                return;
            }
            peer.wants_initiation.store(true, Relaxed);
        }
    }
    if !peer.is_removed() {
        peer.device.requests.enqueue(peer);
        schedule(&peer.device);
    }
}

/// What the sender of a handshake message has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// That it receives at its address, and has not had its share under load.
    Proven,
    /// At most that it knows our public key.
    Unproven,
}

/// Handshake messages that wait to be handled.
pub(crate) struct Handshakes {
    proven: SkbList<DatagramIn>,
    unproven: SkbList<DatagramIn>,
}

impl Handshakes {
    /// None.
    pub(super) const fn new() -> Self {
        Self {
            proven: SkbList::new(),
            unproven: SkbList::new(),
        }
    }

    fn len(&self) -> usize {
        self.proven.len().saturating_add(self.unproven.len())
    }

    /// Takes the next, with what its sender has shown: those of proven senders come first.
    pub(crate) fn pop(&mut self) -> Option<(SkBuff<DatagramIn>, Standing)> {
        let proven = self.proven.pop_front().map(|skb| (skb, Standing::Proven));
        proven.or_else(|| Some((self.unproven.pop_front()?, Standing::Unproven)))
    }

    /// Takes all.
    pub(crate) fn take(&mut self) -> SkbList<DatagramIn> {
        let mut all = replace(&mut self.proven, SkbList::new());
        all.append(&mut self.unproven);
        all
    }
}

impl Device {
    /// Returns whether handshakes are under load: too many wait now, or waited a moment ago. Context: any but hard
    /// interrupts.
    pub(crate) fn is_under_load(&self) -> bool {
        let waiting = self.handshakes.lock().len();
        self.engine.is_under_load(waiting >= UNDER_LOAD_QUEUED)
    }
}

/// Puts a handshake message into the queue. If that is full, it is dropped.
///
/// Context: softirq.
pub(crate) fn enqueue_handshake(
    device: RcuArcBorrow<'_, Device>,
    standing: Standing,
    skb: SkBuff<DatagramIn>,
) {
    let mut queued = device.handshakes.lock();
    if queued.len() >= MAX_QUEUED_HANDSHAKES {
        drop(queued);
        events::handshake_queue_full(&*device);
        drop_of_device(&device, Cause::HandshakeQueueFull, skb);
        return;
    }
    match standing {
        Standing::Proven => queued.proven.push_back(skb),
        Standing::Unproven => queued.unproven.push_back(skb),
    }
    drop(queued);
    if let Some(device) = device.upgrade() {
        schedule(&device);
    }
}

/// Has what was queued or requested done soon.
///
/// Context: process context or softirq.
pub(crate) fn schedule(device: &RcuArc<Device>) {
    // More than one for each CPU would only take time from others, data above all.
    let most = cpu::online_count();
    let queue = &device.engine.handshake;
    device.handshake_workers.schedule_next(most, queue, device);
}
