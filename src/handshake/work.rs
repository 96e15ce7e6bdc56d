// SPDX-License-Identifier: GPL-2.0

//! The work items of a device that handle handshake messages, and do what was requested for peers.

#![forbid(unsafe_code)]

use kernel::{
    sync::{atomic::Full, Arc},
    workqueue::WorkItem,
};

use crate::{
    cpu,
    device::{drops::drop_of_device, news::News, note::note, Device, Peer},
    handshake::{receive::handle, send::send_initiation},
    queueing::workers::Worker,
    rcu::RcuArc,
};

/// How many messages and requests a work item handles before it queues itself again: other devices
/// have their turn then, and a suspension, which waits for the work queue, must not wait
/// for as long as messages come in.
const BUDGET: usize = 64;

/// Handles messages in the queue, and does what peers have requested. Returns whether there may be
/// more.
fn work(device: &RcuArc<Device>) -> bool {
    for _ in 0..BUDGET {
        // In turn: neither has to wait until nothing is left of the other.
        let handled = handle_next(device);
        let requested = device.requests.dequeue();
        if let Some(peer) = &requested {
            do_requested(peer);
        }
        if !handled && requested.is_none() {
            return false;
        }
        cpu::cond_resched();
    }
    true
}

/// Handles the next message in the queue. Returns whether there was one.
fn handle_next(device: &RcuArc<Device>) -> bool {
    let Some((skb, standing)) = device.handshakes.lock().dequeue() else {
        return false;
    };
    match handle(device, &skb, standing) {
        Ok(()) => skb.consume(),
        Err(cause) => drop_of_device(device, cause, skb),
    }
    true
}

impl WorkItem for Worker<Device> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let Some(device) = this.take() else { return };
        if work(&device) {
            Worker::schedule(&this, &device.engine.handshake, &device);
        }
    }
}

/// Does what was requested. Context: process context.
fn do_requested(peer: &RcuArc<Peer>) {
    if peer.erase_keys() {
        note(peer, News::SessionExpired);
    }
    if peer.wants_initiation.xchg(false, Full) {
        send_initiation(peer);
    }
}
