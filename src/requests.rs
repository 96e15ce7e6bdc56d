// SPDX-License-Identifier: GPL-2.0

//! Requests: the peers of a device for which something is to be done in process context.
//!
//! Each device has a queue of its own, and works on it a bit at a time: whoever has many peers that
//! want handshakes must not make the peers of other devices wait until all of them are done.

#![forbid(unsafe_code)]

use core::mem::replace;
use kernel::{prelude::*, sync::LockedBy};

use crate::{
    peer::Peer,
    rcu::RcuArc,
    sync::{new_spinlock_bh, SpinLockBh},
};

/// Peers in the order in which they asked, each of them at most once.
#[pin_data]
pub(crate) struct Requests {
    #[pin]
    ends: SpinLockBh<Ends>,
}

/// The ends of the queue.
struct Ends {
    first: Option<RcuArc<Peer>>,
    last: Option<RcuArc<Peer>>,
}

/// A peer's place in the queue of its device: with it, nothing need be allocated to ask.
pub(crate) struct Place(LockedBy<Behind, Ends>);

/// What is behind a peer.
enum Behind {
    /// The peer is not in the queue.
    Absent,
    /// It is the last.
    Nobody,
    /// Another one.
    Next(RcuArc<Peer>),
}

impl Requests {
    /// An empty queue.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ends <- new_spinlock_bh!(
                Ends {
                    first: None,
                    last: None,
                },
                "Requests::ends"
            ),
        })
    }

    /// The place of a peer that is not in this queue yet, and will be in no other.
    pub(crate) fn place(&self) -> Place {
        Place(LockedBy::new(&self.ends, Behind::Absent))
    }

    /// Appends a peer of the device, unless it is in the queue already.
    ///
    /// Context: process context or softirq.
    pub(crate) fn push(&self, peer: &RcuArc<Peer>) {
        let mut ends = self.ends.lock();
        let behind = peer.place.0.access_mut(&mut ends);
        if !matches!(behind, Behind::Absent) {
            return;
        }
        *behind = Behind::Nobody;
        match ends.last.replace(peer.clone()) {
            Some(former) => *former.place.0.access_mut(&mut ends) = Behind::Next(peer.clone()),
            None => ends.first = Some(peer.clone()),
        }
    }

    /// Takes the first peer out.
    ///
    /// Context: process context or softirq.
    pub(crate) fn pop(&self) -> Option<RcuArc<Peer>> {
        let mut ends = self.ends.lock();
        let first = ends.first.take()?;
        match replace(first.place.0.access_mut(&mut ends), Behind::Absent) {
            Behind::Next(next) => ends.first = Some(next),
            Behind::Nobody | Behind::Absent => ends.last = None,
        }
        Some(first)
    }
}
