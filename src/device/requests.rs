// SPDX-License-Identifier: GPL-2.0

//! What a device's handshake work items are asked for: to handle a handshake message that has come in, or to do something
//! for a peer that takes process context. A peer waits once, for however many reasons.

#![forbid(unsafe_code)]

use kernel::sync::atomic::Relaxed;

use crate::{
    cpu,
    device::{
        drops::{drop_of_device, Cause},
        timers,
        types::{Device, Peer},
    },
    events,
    net::skb::{DatagramIn, SkBuff},
    protocol::messages::UNDER_LOAD_QUEUED,
    queueing::handshakes::Standing,
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
                if request == Request::RetryHandshake {
                    // What was sent a moment ago may be a response, to which no answer is waited for.
                    timers::initiation_sent(peer);
                }
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

impl Device {
    /// Returns whether handshakes are under load: too many wait now, or waited a moment ago. To be asked with a message
    /// at hand, which counts, too, and is not in the queue. Context: any but hard interrupts.
    pub(crate) fn is_under_load(&self, now_ns: u64) -> bool {
        let others = self.handshakes.lock().load(now_ns);
        self.engine
            .is_under_load(others.saturating_add(1) >= UNDER_LOAD_QUEUED, now_ns)
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
    let queued = device.handshakes.lock().enqueue(standing, skb);
    if let Err(skb) = queued {
        events::handshake_queue_full(&*device);
        drop_of_device(&device, Cause::HandshakeQueueFull, skb);
        return;
    }
    if let Some(device) = device.upgrade() {
        schedule(&device);
    }
}

/// Has what was queued or requested done soon.
///
/// Context: process context or softirq.
pub(crate) fn schedule(device: &RcuArc<Device>) {
    // More than one for each CPU would only take time from other work, data above all.
    let most = cpu::online_count();
    let queue = &device.engine.handshake;
    device.handshake_workers.schedule_next(most, queue, device);
}
