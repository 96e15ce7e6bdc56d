// SPDX-License-Identifier: GPL-2.0

//! A peer's timers in a kernel: what happens is told to the state machine (`crate::protocol::timers`), and the kernel's
//! timer of the peer, its alarm, is armed for what that returns. What is done when it expires is in
//! `crate::handshake::expiry`.
//!
//! The functions are named after what has happened, as those of the state machine are. All of them may be called in any
//! context but hard interrupts.

#![forbid(unsafe_code)]

use crate::{
    device::{news::News, note::note, types::Peer},
    protocol::{
        messages::{NSEC_PER_SEC, REKEY_TIMEOUT_JITTER_MAX},
        timers::{Clock, Ticks, Timers},
    },
    rcu::{read_lock, Guard, RcuArc},
    timer,
};

/// The kernel's clock: jiffies.
#[derive(Clone, Copy)]
pub(crate) struct Jiffies;

impl Clock for Jiffies {
    fn now(self) -> Ticks {
        timer::jiffies()
    }

    fn ticks(self, ns: u64) -> Ticks {
        timer::seconds((ns / NSEC_PER_SEC) as u32)
    }

    fn jitter(self) -> Ticks {
        timer::random_below_ms((REKEY_TIMEOUT_JITTER_MAX / 1_000_000) as u32)
    }
}

/// Something that sets a timer happens to a peer; unless its device is down, or it was removed.
#[inline]
pub(crate) fn happens(
    peer: &RcuArc<Peer>,
    // Who takes the peer out of use (`teardown`, `link`) waits for a grace period before it stops the timers.
    _guard: &Guard,
    event: impl FnOnce(&Timers) -> Option<Ticks>,
) {
    if !peer.is_in_use() {
        return;
    }
    if let Some(due) = event(&peer.timers) {
        arm(peer, due);
    }
}

/// Has the alarm of a peer in use go off at a time at the latest. Context: RCU read side.
pub(crate) fn arm(peer: &RcuArc<Peer>, due: Ticks) {
    let mut due = Some(due);
    while let Some(at) = due.filter(|at| peer.alarm.reduce(peer, *at)) {
        due = peer.timers.due_before(at);
    }
}

/// Data was sent.
#[inline]
pub(crate) fn data_sent(peer: &RcuArc<Peer>, guard: &Guard) {
    happens(peer, guard, |timers| timers.data_sent(Jiffies));
}

/// Data was received.
#[inline]
pub(crate) fn data_received(peer: &RcuArc<Peer>, guard: &Guard) {
    happens(peer, guard, |timers| timers.data_received(Jiffies));
}

/// An authenticated message is being sent.
#[inline]
pub(crate) fn authenticated_sent(peer: &RcuArc<Peer>) {
    peer.timers.authenticated_sent();
    authenticated_traversed(peer);
}

/// An authenticated message was received.
#[inline]
pub(crate) fn authenticated_received(peer: &RcuArc<Peer>) {
    peer.timers.authenticated_received();
    authenticated_traversed(peer);
}

#[inline]
fn authenticated_traversed(peer: &RcuArc<Peer>) {
    if peer.timers.interval() != 0 {
        happens(peer, &read_lock(), |timers| {
            timers.authenticated_traversed(Jiffies)
        });
    }
}

/// An initiation is being sent.
pub(crate) fn initiation_sent(peer: &RcuArc<Peer>) {
    happens(peer, &read_lock(), |timers| timers.initiation_sent(Jiffies));
}

/// The keys of a session were derived.
pub(crate) fn session_derived(peer: &RcuArc<Peer>) {
    happens(peer, &read_lock(), |timers| timers.session_derived(Jiffies));
}

/// A handshake was completed.
pub(crate) fn handshake_completed(peer: &RcuArc<Peer>) {
    peer.counters.sessions.add(1);
    peer.timers.handshake_completed();
    *peer.last_handshake.lock() = timer::real_time();
    note(peer, News::Session);
}

/// Clears all timers of a peer that has been out of use for a grace period, and waits for what is done if one is
/// expiring. Context: process context.
pub(crate) fn stop(peer: &Peer) {
    peer.alarm.stop();
    peer.timers.clear();
}
