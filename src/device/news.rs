// SPDX-License-Identifier: GPL-2.0

//! What is told of peers as it happens: when, in which namespace, and how often.
//!
//! What is to be told is a state, not a list: a bit for each kind of news of a peer. A work item of the device tells it,
//! with what is so then. A peer of which something was told less than a second ago waits until the device's timer
//! expires. So it is told at most once a second, of each kind, however often it happens; and if
//! no socket listens in the namespace that the link is in, nothing is done at all but to count it in the generations.

#![forbid(unsafe_code)]

use core::{mem::replace, net::SocketAddr};
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use crate::{
    queueing::waitlist::{WaitEntry, Waitlist},
    sync::{new_spinlock_bh, SpinLockBh},
};

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
    /// A handshake was given up.
    HandshakeFailed,
    /// A session was established.
    Session,
    /// The keys of the last session were erased, and there is no other.
    SessionExpired,
    /// The peer was removed.
    Deleted,
}

impl News {
    /// All of them.
    pub(crate) const ALL: [News; 7] = [
        News::New,
        News::Set,
        News::Endpoint,
        News::HandshakeFailed,
        News::Session,
        News::SessionExpired,
        News::Deleted,
    ];

    /// Its bit in a set of them.
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The list of peers of which something is to be told.
pub(crate) struct Now;

/// The list of peers of which something is to be told when a second is over.
pub(crate) struct Later;

/// What is to be told of a peer.
#[pin_data]
pub(crate) struct PeerNews {
    #[pin]
    pub(super) untold: SpinLockBh<Untold>,
    /// When something was told last, on the clock of [`crate::timer::monotonic_ns`]; zero if never.
    pub(crate) told_at: Atomic<u64>,
    /// The number of the last change.
    pub(super) generation: Atomic<u64>,
    #[pin]
    pub(super) now: WaitEntry<Now>,
    #[pin]
    pub(super) later: WaitEntry<Later>,
}

/// Kinds of news, and where the peer was before the first move of which has not been told.
#[derive(Clone, Copy)]
pub(crate) struct Untold {
    pub(crate) kinds: u8,
    pub(crate) moved_from: Option<SocketAddr>,
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
            now <- WaitEntry::new(),
            later <- WaitEntry::new(),
        })
    }

    /// Takes what has not been told.
    pub(crate) fn take(&self) -> Untold {
        replace(&mut *self.untold.lock(), Untold::NOTHING)
    }

    /// The number of the last change of the peer.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }
}

/// The peers of a device of which something is to be told.
#[pin_data]
pub(crate) struct DeviceNews {
    #[pin]
    pub(crate) now: Waitlist<Now>,
    #[pin]
    pub(crate) later: Waitlist<Later>,
    #[pin]
    pub(super) generations: SpinLockBh<Generations>,
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
            now <- Waitlist::new(),
            later <- Waitlist::new(),
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
}

/// Returns a number that no state of a device has had before, and greater than those; never zero.
pub(crate) fn next_generation() -> u64 {
    static LAST: Atomic<u64> = Atomic::new(0);
    LAST.fetch_add(1, Relaxed) + 1
}
