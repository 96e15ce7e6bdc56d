// SPDX-License-Identifier: GPL-2.0

//! Lists of peers for which something is to be done, in the order in which that was asked for. A peer is in one such
//! list at most for each thing that can be asked for, however often it is asked for.

#![forbid(unsafe_code)]

use core::{marker::PhantomData, mem::replace};
use kernel::prelude::*;

use crate::{
    peer::Peer,
    rcu::RcuArc,
    sync::{new_spinlock_bh, SpinLockBh},
};

/// Something that can be asked for.
pub(crate) trait Purpose {
    /// Where a peer waits for it.
    fn place(peer: &Peer) -> &Place<Self>;
}

/// A peer's place in a list. It is part of the peer: no memory need be allocated to ask.
#[pin_data]
pub(crate) struct Place<P: ?Sized> {
    #[pin]
    behind: SpinLockBh<Behind>,
    _purpose: PhantomData<fn() -> P>,
}

/// What is behind a peer.
enum Behind {
    /// The peer is in no list.
    Absent,
    /// It is the last.
    Nobody,
    /// Another one.
    Next(RcuArc<Peer>),
}

impl<P> Place<P> {
    /// The place of a peer that is in no list.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            behind <- new_spinlock_bh!(Behind::Absent, "Place::behind"),
            _purpose: PhantomData,
        })
    }
}

/// Peers in the order in which they asked.
#[pin_data]
pub(crate) struct PeerList<P> {
    #[pin]
    ends: SpinLockBh<Ends>,
    _purpose: PhantomData<fn() -> P>,
}

/// The ends of a list.
struct Ends {
    first: Option<RcuArc<Peer>>,
    last: Option<RcuArc<Peer>>,
}

impl<P: Purpose> PeerList<P> {
    /// An empty list.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            ends <- new_spinlock_bh!(
                Ends {
                    first: None,
                    last: None,
                },
                "PeerList::ends"
            ),
            _purpose: PhantomData,
        })
    }

    /// Appends a peer, unless it is in a list already. Context: process context or softirq.
    pub(crate) fn push(&self, peer: &RcuArc<Peer>) {
        let mut ends = self.ends.lock();
        let mut behind = P::place(peer).behind.lock();
        if !matches!(*behind, Behind::Absent) {
            return;
        }
        *behind = Behind::Nobody;
        drop(behind);
        match ends.last.replace(peer.clone()) {
            Some(former) => *P::place(&former).behind.lock() = Behind::Next(peer.clone()),
            None => ends.first = Some(peer.clone()),
        }
    }

    /// Takes the first peer out. Context: process context or softirq.
    pub(crate) fn pop(&self) -> Option<RcuArc<Peer>> {
        let mut ends = self.ends.lock();
        let first = ends.first.take()?;
        match replace(&mut *P::place(&first).behind.lock(), Behind::Absent) {
            Behind::Next(next) => ends.first = Some(next),
            Behind::Nobody | Behind::Absent => ends.last = None,
        }
        Some(first)
    }
}
