// SPDX-License-Identifier: GPL-2.0

//! A peer's timers in a kernel: the state machine (`crate::timers`), the one timer that it has there, and what is done
//! when that expires.
//!
//! The functions are named after what has happened, as those of the state machine are. All of them may be called in any
//! context but hard interrupts.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use crate::{
    events,
    messages::{MAX_HANDSHAKE_ATTEMPTS, NSEC_PER_SEC, REKEY_TIMEOUT_JITTER_MAX},
    news::{note, News},
    peer::{Peer, Request},
    rcu::{read_lock, RcuArc},
    sync::{new_spinlock_bh, SpinLockBh},
    timer::{self, new_timer, Timer, TimerExpired},
    timers::{Action, Clock, IntervalChange, Ticks, Timers},
};

/// The kernel's timer of a peer.
const ALARM: u64 = 0;

/// A peer's timers.
#[pin_data]
pub(crate) struct PeerTimers {
    pub(crate) state: Timers,
    #[pin]
    alarm: Timer<Peer, ALARM>,
    /// When the last handshake was completed: wall-clock seconds and nanoseconds.
    #[pin]
    last_handshake: SpinLockBh<(i64, u32)>,
}

impl PeerTimers {
    /// A peer's timers, none of them set.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            state: Timers::new(),
            alarm <- new_timer!("alarm"),
            last_handshake <- new_spinlock_bh!((0, 0), "PeerTimers::last_handshake"),
        })
    }

    /// When the last handshake was completed, zeros if never.
    pub(crate) fn last_handshake(&self) -> (i64, u32) {
        *self.last_handshake.lock()
    }

    /// Clears all timers of a peer that has been out of use for a grace period, and waits for what is done if one is
    /// expiring. Context: process context.
    pub(crate) fn stop(&self) {
        self.alarm.stop();
        self.state.clear();
    }
}

/// The kernel's clock: jiffies.
#[derive(Clone, Copy)]
struct Jiffies;

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
fn happens(peer: &RcuArc<Peer>, event: impl FnOnce(&Timers) -> Option<Ticks>) {
    // Whoever takes the peer out of use waits for a grace period before it stops the timers.
    let _guard = read_lock();
    if !peer.is_in_use() {
        return;
    }
    if let Some(due) = event(&peer.timers.state) {
        arm(peer, due);
    }
}

/// Has the alarm go off at a time at the latest.
fn arm(peer: &RcuArc<Peer>, due: Ticks) {
    let mut due = Some(due);
    while let Some(at) = due.filter(|at| peer.timers.alarm.reduce(peer, *at)) {
        due = peer.timers.state.due_before(at);
    }
}

/// Data was sent.
#[inline]
pub(crate) fn data_sent(peer: &RcuArc<Peer>) {
    happens(peer, |timers| timers.data_sent(Jiffies));
}

/// Data was received.
#[inline]
pub(crate) fn data_received(peer: &RcuArc<Peer>) {
    happens(peer, |timers| timers.data_received(Jiffies));
}

/// An authenticated message is being sent.
#[inline]
pub(crate) fn authenticated_sent(peer: &RcuArc<Peer>) {
    peer.timers.state.authenticated_sent();
    authenticated_traversed(peer);
}

/// An authenticated message was received.
#[inline]
pub(crate) fn authenticated_received(peer: &RcuArc<Peer>) {
    peer.timers.state.authenticated_received();
    authenticated_traversed(peer);
}

#[inline]
fn authenticated_traversed(peer: &RcuArc<Peer>) {
    if peer.timers.state.interval() != 0 {
        happens(peer, |timers| timers.authenticated_traversed(Jiffies));
    }
}

/// An initiation is being sent.
pub(crate) fn initiation_sent(peer: &RcuArc<Peer>) {
    happens(peer, |timers| timers.initiation_sent(Jiffies));
}

/// The keys of a session were derived.
pub(crate) fn session_derived(peer: &RcuArc<Peer>) {
    happens(peer, |timers| timers.session_derived(Jiffies));
}

/// A handshake was completed.
pub(crate) fn handshake_completed(peer: &RcuArc<Peer>) {
    peer.counters.sessions.add(1);
    peer.timers.state.handshake_completed();
    *peer.timers.last_handshake.lock() = timer::real_time();
    note(peer, News::Session);
}

/// Sets the interval of persistent keepalives in seconds, zero for none. If they are turned on and the device is up, one
/// is sent at once; else the next comes when the new interval has it.
pub(crate) fn set_persistent_keepalive(peer: &RcuArc<Peer>, seconds: u16) {
    let guard = read_lock();
    match peer.timers.state.set_interval(seconds, Jiffies) {
        IntervalChange::Nothing => (),
        IntervalChange::TurnedOn => {
            drop(guard);
            if peer.device.netdev.is_running() {
                peer.send_keepalive();
            }
        }
        IntervalChange::Moved(due) => {
            if let Some(due) = due.filter(|_| peer.is_in_use()) {
                arm(peer, due);
            }
        }
    }
}

impl TimerExpired<ALARM> for Peer {
    fn expired(this: RcuArc<Self>) {
        let next = this
            .timers
            .state
            .expired(Jiffies, |action| carry_out(&this, action));
        happens(&this, |_| next);
    }
}

/// Does what is to be done for a peer.
fn carry_out(peer: &RcuArc<Peer>, action: Action) {
    match action {
        Action::RetryHandshake(attempt) => {
            events::handshake_retried(peer, attempt);
            // Perhaps it is the source address that makes the packets get lost.
            peer.forget_source();
            peer.request(Request::RetryHandshake);
        }
        Action::GiveUp => {
            events::handshake_given_up(peer, MAX_HANDSHAKE_ATTEMPTS + 2);
            peer.counters.given_up.add(1);
            note(peer, News::HandshakeFailed);
            peer.drop_staged();
        }
        Action::SendKeepalive => peer.send_keepalive(),
        Action::BeginHandshake => {
            events::peer_is_silent(peer);
            peer.forget_source();
            peer.request(Request::BeginHandshake);
        }
        Action::EraseKeys => {
            events::keys_erased(peer);
            peer.request(Request::EraseKeys);
        }
    }
}
