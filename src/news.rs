// SPDX-License-Identifier: GPL-2.0

//! What is told of peers as it happens: when, to whom, and how often.
//!
//! What is to be told is a state, not a list: a bit for each kind of news of a peer. A work item of the device tells it,
//! with what is so then. A peer of which something was told less than a second ago waits until the device's timer
//! expires. So nobody can make it be told more than once a second, of whatever kind, how often it may happen; and if
//! nobody listens in the namespace that the link is in, nothing is done at all but to count it in the generations.

#![forbid(unsafe_code)]

use core::{mem::replace, net::SocketAddr};
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
    workqueue::WorkItem,
};

use crate::{
    cpu,
    device::{next_generation, Device},
    messages::NSEC_PER_SEC,
    monitor,
    peer::Peer,
    peer_list::{PeerList, Place, Purpose},
    rcu::RcuArc,
    sync::{new_spinlock_bh, SpinLockBh},
    timer::{self, new_timer, Timer, TimerExpired},
};

/// How many peers a work item tells of before it queues itself again.
const IN_A_ROW: usize = 64;

/// The work item of a device that tells, and its timer for what is to be told later.
pub(crate) const TELL: u64 = 4;

/// A kind of news, in the order in which they are told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum News {
    /// The peer was added.
    New,
    /// Its configuration was changed.
    Set,
    /// An authentic message came from another endpoint than the last one.
    Endpoint,
    /// A session was established.
    Session,
    /// The keys of the last session were erased.
    SessionExpired,
    /// A handshake was given up.
    HandshakeFailed,
    /// The peer was removed.
    Deleted,
}

impl News {
    const ALL: [News; 7] = [
        News::New,
        News::Set,
        News::Endpoint,
        News::Session,
        News::SessionExpired,
        News::HandshakeFailed,
        News::Deleted,
    ];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What peers wait for of whom something is to be told.
pub(crate) struct Now;

/// What peers wait for of whom something is to be told when a second is over.
pub(crate) struct Later;

impl Purpose for Now {
    fn place(peer: &Peer) -> &Place<Self> {
        &peer.news.now
    }
}

impl Purpose for Later {
    fn place(peer: &Peer) -> &Place<Self> {
        &peer.news.later
    }
}

/// What is to be told of a peer.
#[pin_data]
pub(crate) struct PeerNews {
    #[pin]
    untold: SpinLockBh<Untold>,
    /// When something was told last, on the clock of [`timer::monotonic_ns`]; zero if never.
    told_at: Atomic<i64>,
    /// The number of the last change.
    generation: Atomic<i64>,
    #[pin]
    now: Place<Now>,
    #[pin]
    later: Place<Later>,
}

/// Kinds of news, and where the peer was before the first move of which has not been told.
#[derive(Clone, Copy)]
struct Untold {
    kinds: u8,
    moved_from: Option<SocketAddr>,
}

impl Untold {
    const NOTHING: Self = Self {
        kinds: 0,
        moved_from: None,
    };
}

impl PeerNews {
    /// Nothing.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            untold <- new_spinlock_bh!(Untold::NOTHING, "PeerNews::untold"),
            told_at: Atomic::new(0),
            generation: Atomic::new(0),
            now <- Place::new(),
            later <- Place::new(),
        })
    }

    /// The number of the last change of the peer.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed) as u64
    }
}

/// The peers of a device of whom something is to be told.
#[pin_data]
pub(crate) struct DeviceNews {
    #[pin]
    now: PeerList<Now>,
    #[pin]
    later: PeerList<Later>,
    #[pin]
    timer: Timer<Device, TELL>,
    #[pin]
    generations: SpinLockBh<Generations>,
}

/// The numbers of a device's last changes.
#[derive(Clone, Copy)]
pub(crate) struct Generations {
    /// Of any peer.
    pub(crate) change: u64,
    /// Of the last removal, zero if there was none.
    pub(crate) removal: u64,
}

impl DeviceNews {
    /// Nothing.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            now <- PeerList::new(),
            later <- PeerList::new(),
            timer <- new_timer!("news"),
            generations <- new_spinlock_bh!(
                Generations {
                    change: next_generation(),
                    removal: 0,
                },
                "DeviceNews::generations"
            ),
        })
    }

    /// The numbers of the last changes. All peers that had changed by then say so.
    pub(crate) fn generations(&self) -> Generations {
        *self.generations.lock()
    }

    /// All peers have been removed: nothing is told later.
    pub(crate) fn stop(&self) {
        self.timer.stop();
        while self.later.pop().is_some() {}
    }
}

/// Something has happened to a peer, which is told to those who listen.
///
/// Context: any but hard interrupts.
pub(crate) fn note(peer: &RcuArc<Peer>, news: News) {
    note_from(peer, news, None);
}

/// The peer has moved.
pub(crate) fn note_move(peer: &RcuArc<Peer>, from: SocketAddr) {
    note_from(peer, News::Endpoint, Some(from));
}

fn note_from(peer: &RcuArc<Peer>, news: News, from: Option<SocketAddr>) {
    let device = &peer.device;
    let mut generations = device.news.generations.lock();
    let generation = next_generation();
    generations.change = generation;
    if news == News::Deleted {
        generations.removal = generation;
    }
    // Under the lock: who has seen the device's number sees the peer's.
    peer.news.generation.store(generation as i64, Relaxed);
    drop(generations);
    if !monitor::has_listeners(device) {
        return;
    }
    let mut untold = peer.news.untold.lock();
    untold.kinds |= news.bit();
    untold.moved_from = untold.moved_from.or(from);
    drop(untold);
    device.news.now.push(peer);
    schedule(device);
}

/// Has what is to be told be told soon.
fn schedule(device: &RcuArc<Device>) {
    // If it is queued already, it will find all.
    let _ = device.engine.handshake.enqueue::<_, TELL>(device.clone());
}

impl WorkItem<TELL> for Device {
    type Pointer = RcuArc<Self>;

    fn run(this: RcuArc<Self>) {
        let news = &this.news;
        if !news.timer.is_pending() {
            while let Some(peer) = news.later.pop() {
                news.now.push(&peer);
            }
        }
        for _ in 0..IN_A_ROW {
            let Some(peer) = news.now.pop() else { return };
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
    let told_at = news.told_at.load(Relaxed) as u64;
    // Of who is gone there will be no other news.
    if told_at != 0 && now.saturating_sub(told_at) < NSEC_PER_SEC && !peer.is_removed() {
        device.news.later.push(peer);
        let in_a_second = timer::jiffies().wrapping_add(timer::seconds(1));
        device.news.timer.reduce(device, in_a_second);
        return;
    }
    let untold = replace(&mut *news.untold.lock(), Untold::NOTHING);
    if untold.kinds == 0 {
        return;
    }
    news.told_at.store(now as i64, Relaxed);
    for kind in News::ALL {
        if untold.kinds & kind.bit() != 0 {
            monitor::tell(peer, kind, untold.moved_from);
        }
    }
}
