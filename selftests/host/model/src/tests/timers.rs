// SPDX-License-Identifier: GPL-2.0

//! `src/protocol/timers.rs`: whatever happens to a peer on two CPUs while its alarm goes off, the alarm is armed for the earliest
//! deadline or some time before, and what was due is done once.

use super::explore;
use crate::protocol::timers::{Action, Clock, Ticks, Timers};
use kernel::sync::Mutex;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use loom::sync::Arc;
use loom::thread;

/// It is this time all along, but for what had been set before.
const NOW: Ticks = 1000;

/// A clock that stands still, on which one second is one tick.
#[derive(Clone, Copy)]
struct Still(Ticks);

impl Clock for Still {
    fn now(self) -> Ticks {
        self.0
    }

    fn ticks(self, ns: u64) -> Ticks {
        (ns / 1_000_000_000) as Ticks
    }

    fn jitter(self) -> Ticks {
        0
    }
}

/// The kernel's timer. It is changed under a lock, and looked at without: whether it is pending and until when are read
/// one after the other, in any order.
struct Alarm {
    lock: Mutex<()>,
    is_pending: AtomicBool,
    expires: AtomicUsize,
}

impl Alarm {
    /// As `Timer::reduce`.
    fn reduce(&self, at: Ticks) -> bool {
        if self.is_pending.load(Relaxed) && self.expires.load(Relaxed) <= at {
            return false;
        }
        let _locked = self.lock.lock();
        let was_pending = self.is_pending.load(Relaxed);
        if !was_pending || self.expires.load(Relaxed) > at {
            self.expires.store(at, Relaxed);
            self.is_pending.store(true, Relaxed);
        }
        !was_pending
    }

    /// Goes off, if it is time.
    fn goes_off(&self) -> bool {
        let _locked = self.lock.lock();
        let goes = self.is_pending.load(Relaxed) && self.expires.load(Relaxed) <= NOW;
        if goes {
            self.is_pending.store(false, Relaxed);
        }
        goes
    }
}

struct Peer {
    timers: Timers,
    alarm: Alarm,
    keepalives: AtomicUsize,
}

impl Peer {
    fn arm(&self, due: Option<Ticks>) {
        let mut due = due;
        while let Some(at) = due.filter(|at| self.alarm.reduce(*at)) {
            due = self.timers.due_before(at);
        }
    }

    fn look(&self) {
        while self.alarm.goes_off() {
            let next = self.timers.expired(Still(NOW), |action| {
                if action == Action::SendKeepalive {
                    self.keepalives.fetch_add(1, Relaxed);
                }
            });
            self.arm(next);
        }
    }
}

/// Runs a peer that has been through something, on a CPU on which its alarm goes off, and on two others.
fn run(
    before: impl Fn(&Peer) + Send + Sync + 'static,
    events: [fn(&Peer); 2],
    keepalives: std::ops::RangeInclusive<usize>,
) {
    explore(1, move || {
        let peer = Arc::new(Peer {
            timers: Timers::new(),
            alarm: Alarm {
                lock: Mutex::new(()),
                is_pending: AtomicBool::new(false),
                expires: AtomicUsize::new(0),
            },
            keepalives: AtomicUsize::new(0),
        });
        before(&peer);
        let others = events.map(|event| {
            let peer = peer.clone();
            thread::spawn(move || event(&peer))
        });
        peer.look();
        for other in others {
            other.join().unwrap();
        }
        // Everything has happened: what is due now, or was armed for now, is looked at.
        peer.look();
        let left = peer
            .timers
            .expired(Still(NOW), |action| panic!("{action:?}: due, and not done"));
        if let Some(left) = left {
            let pending = peer.alarm.is_pending.load(Relaxed);
            assert!(pending, "a deadline without an alarm");
            let expires = peer.alarm.expires.load(Relaxed);
            assert!(
                expires <= left,
                "the alarm goes off too late: {expires}, not {left}"
            );
        }
        let done = peer.keepalives.load(Relaxed);
        assert!(keepalives.contains(&done), "{done} keepalives");
    });
}

/// Data was received ten seconds before now.
fn keepalive_is_due(peer: &Peer) {
    peer.arm(peer.timers.data_received(Still(NOW - 10)));
}

/// The alarm goes off for something that has been cleared.
fn nothing_is_due(peer: &Peer) {
    keepalive_is_due(peer);
    peer.timers.authenticated_sent();
}

fn nothing(_: &Peer) {}

fn data_sent(peer: &Peer) {
    peer.arm(peer.timers.data_sent(Still(NOW)));
}

fn data_received(peer: &Peer) {
    peer.arm(peer.timers.data_received(Still(NOW)));
}

fn sent(peer: &Peer) {
    peer.timers.authenticated_sent();
}

fn initiation_sent(peer: &Peer) {
    peer.arm(peer.timers.initiation_sent(Still(NOW)));
}

fn traversed(peer: &Peer) {
    peer.arm(peer.timers.authenticated_traversed(Still(NOW)));
}

fn session_derived(peer: &Peer) {
    peer.arm(peer.timers.session_derived(Still(NOW)));
}

#[test]
fn two_set_what_was_not_set() {
    run(nothing, [session_derived, data_sent], 0..=0);
    run(nothing, [session_derived, initiation_sent], 0..=0);
}

#[test]
fn deadlines_are_set_while_the_alarm_goes_off_for_nothing() {
    run(nothing_is_due, [nothing, data_sent], 0..=0);
    run(nothing_is_due, [session_derived, data_sent], 0..=0);
    run(nothing_is_due, [session_derived, data_received], 0..=0);
}

#[test]
fn what_is_due_is_done_once() {
    run(keepalive_is_due, [nothing, data_sent], 1..=1);
    run(keepalive_is_due, [data_received, session_derived], 1..=1);
}

#[test]
fn what_is_cleared_at_the_same_time_is_done_once_at_most() {
    run(keepalive_is_due, [sent, data_received], 0..=1);
}

/// A deadline that is put off is due once, or is put off.
#[test]
fn a_deadline_is_put_off_while_the_alarm_goes_off_for_it() {
    fn persistent_is_due(peer: &Peer) {
        let _ = peer.timers.set_interval(25, Still(NOW - 25));
        peer.arm(peer.timers.authenticated_traversed(Still(NOW - 25)));
    }
    run(persistent_is_due, [traversed, data_sent], 0..=1);
    run(persistent_is_due, [traversed, traversed], 0..=1);
    run(persistent_is_due, [traversed, session_derived], 0..=1);
}
