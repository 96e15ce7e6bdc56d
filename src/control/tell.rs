// SPDX-License-Identifier: GPL-2.0

//! Telling what has been noted of peers (`crate::device::news`): the work item and the timer of a device.

#![forbid(unsafe_code)]

use kernel::{sync::atomic::Relaxed, workqueue::WorkItem};

use crate::{
    control::monitor,
    cpu,
    device::{
        news::{News, TELL},
        note::schedule,
        Device, Peer,
    },
    protocol::messages::NSEC_PER_SEC,
    rcu::{read_lock, RcuArc},
    timer::{self, TimerExpired},
};

/// How many peers a work item tells of before it queues itself again.
const BUDGET: usize = 64;

impl WorkItem<TELL> for Device {
    type Pointer = RcuArc<Self>;

    fn run(this: RcuArc<Self>) {
        let news = &this.news;
        if !this.news_timer.is_pending() {
            while let Some(peer) = news.later.dequeue() {
                news.now.enqueue(&peer);
            }
        }
        for _ in 0..BUDGET {
            let Some(peer) = news.now.dequeue() else {
                return;
            };
            tell_of(&peer);
            cpu::cond_resched();
        }
        schedule(&this);
    }
}

impl TimerExpired<TELL> for Device {
    fn expired(this: RcuArc<Self>) {
        schedule(&this);
    }
}

/// Tells what there is of a peer, now or later. Context: process context.
fn tell_of(peer: &RcuArc<Peer>) {
    let (device, news) = (&peer.device, &peer.news);
    let now = timer::monotonic_ns();
    let told_at = news.told_at.load(Relaxed);
    // Of a removed peer there will be no other news.
    if told_at != 0 && now.saturating_sub(told_at) < NSEC_PER_SEC && !peer.is_removed() {
        device.news.later.enqueue(peer);
        let in_a_second = timer::jiffies().wrapping_add(timer::seconds(1));
        device.news_timer.reduce(device, in_a_second);
        return;
    }
    let untold = news.take();
    if untold.kinds == 0 {
        return;
    }
    news.told_at.store(now, Relaxed);
    let has_session = peer.keypairs.current(&read_lock()).is_some();
    for kind in News::ALL {
        // One that has begun since the last one expired is told of: it stays the last word.
        let is_over = kind == News::SessionExpired && has_session;
        if untold.kinds & kind.bit() != 0 && !is_over {
            monitor::tell(peer, kind, untold.moved_from);
        }
    }
}

/// All peers of a device have been removed: nothing is told later.
pub(crate) fn stop(device: &Device) {
    device.news_timer.stop();
    while device.news.later.dequeue().is_some() {}
}
