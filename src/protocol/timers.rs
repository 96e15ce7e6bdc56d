// SPDX-License-Identifier: GPL-2.0

//! The timers of a peer (whitepaper section 6) as a state machine: what happens and the time go in, what is to be done
//! comes out.
//!
//! There are five deadlines, each of which is set or not. Events set and clear them, without a lock and on any CPU, at
//! the cost of a load where nothing changes. One timer below, the alarm, is armed for the earliest of them or for some
//! time before. No event disarms it: an alarm that finds nothing due is only armed again. The caller does what
//! is returned:
//!
//! - An event that returns a time has the alarm go off then, unless it goes off earlier anyway.
//! - When the alarm goes off, it is armed no more, and [`Timers::expired`] is called; the alarm is armed for what that
//!   returns.
//! - Who armed an alarm that was not armed asks [`Timers::due_before`], and arms it for what that returns.
//!
//! So no deadline is missed: the CPU that sets one puts a fence between that and looking at the alarm, and one that disarmed or
//! armed the alarm puts a fence between that and looking at the deadlines. One of the two sees what the other did. For
//! the same reason a deadline that is only put off needs nothing: the alarm goes off for what it was.

#![forbid(unsafe_code)]

use kernel::sync::atomic::{Atomic, Relaxed};

use crate::{
    protocol::messages::{
        ERASE_KEYS_AFTER, KEEPALIVE_TIMEOUT, MAX_HANDSHAKE_ATTEMPTS, NSEC_PER_SEC, REKEY_TIMEOUT,
    },
    sync::full_fence,
};

/// A time on a clock that may wrap around.
pub(crate) type Ticks = usize;

/// A clock.
pub(crate) trait Clock: Copy {
    /// The time.
    fn now(self) -> Ticks;

    /// How long so many nanoseconds are.
    fn ticks(self, ns: u64) -> Ticks;

    /// A random time below [`REKEY_TIMEOUT_JITTER_MAX`](crate::protocol::messages::REKEY_TIMEOUT_JITTER_MAX), so that two peers do
    /// not keep starting at the same time.
    fn jitter(self) -> Ticks;
}

/// What is to be done when a deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// No response came: try the handshake again, for the time that is given.
    RetryHandshake(u32),
    /// The peer does not answer: give up until there is something to send again.
    GiveUp,
    /// Data was answered by nothing else, or nothing was sent for the interval that was configured.
    SendKeepalive,
    /// Data was not answered by anything: begin a handshake.
    BeginHandshake,
    /// No new keys have come for long.
    EraseKeys,
}

/// What a change of the interval of persistent keepalives leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IntervalChange {
    /// Nothing.
    Nothing,
    /// Keepalives were turned on: the first is due.
    TurnedOn,
    /// The next one comes at another time, for which the alarm is to be armed if it is earlier.
    Moved(Option<Ticks>),
}

/// A time by which something is due, or none.
struct Deadline(Atomic<Ticks>);

impl Deadline {
    /// What stands for none.
    const NONE: Ticks = 0;

    const fn new() -> Self {
        Self(Atomic::new(Self::NONE))
    }

    fn get(&self) -> Option<Ticks> {
        Some(self.0.load(Relaxed)).filter(|at| *at != Self::NONE)
    }

    fn is_set(&self) -> bool {
        self.get().is_some()
    }

    /// Takes no cache line from other CPUs if there is nothing to clear.
    fn clear(&self) {
        if self.is_set() {
            self.0.store(Self::NONE, Relaxed);
        }
    }

    /// Sets the deadline. Returns it if the alarm may have to be armed for it.
    fn set(&self, at: Ticks) -> Option<Ticks> {
        let at = at.max(1);
        if let Some(before) = self.get() {
            let is_put_off = !is_before(at, before);
            if at == before || is_put_off && self.0.cmpxchg(before, at, Relaxed).is_ok() {
                return None;
            }
        }
        self.0.store(at, Relaxed);
        full_fence();
        Some(at)
    }

    /// Clears the deadline if it has passed, and returns whether it had.
    fn take(&self, now: Ticks) -> bool {
        while let Some(at) = self.get().filter(|at| !is_before(now, *at)) {
            // It may be put off at the same time.
            if self.0.cmpxchg(at, Self::NONE, Relaxed).is_ok() {
                return true;
            }
        }
        false
    }
}

/// A peer's timers, and what they count.
pub(crate) struct Timers {
    /// A response to an initiation.
    retry_handshake: Deadline,
    /// A message of ours since data came in.
    send_keepalive: Deadline,
    /// A message of the peer's since data was sent.
    new_handshake: Deadline,
    /// New keys.
    erase_keys: Deadline,
    /// A message either way.
    persistent_keepalive: Deadline,
    /// How often the handshake under way has been tried again.
    attempts: Atomic<u32>,
    /// Whether a handshake was begun because the session is in its last minute.
    is_in_last_minute: Atomic<bool>,
    /// The interval of persistent keepalives in seconds, zero for none.
    interval: Atomic<u32>,
}

impl Timers {
    /// No deadline.
    pub(crate) const fn new() -> Self {
        Self {
            retry_handshake: Deadline::new(),
            send_keepalive: Deadline::new(),
            new_handshake: Deadline::new(),
            erase_keys: Deadline::new(),
            persistent_keepalive: Deadline::new(),
            attempts: Atomic::new(0),
            is_in_last_minute: Atomic::new(false),
            interval: Atomic::new(0),
        }
    }

    fn all(&self) -> [&Deadline; 5] {
        [
            &self.retry_handshake,
            &self.send_keepalive,
            &self.new_handshake,
            &self.erase_keys,
            &self.persistent_keepalive,
        ]
    }

    /// Clears all deadlines.
    pub(crate) fn clear(&self) {
        for deadline in self.all() {
            deadline.clear();
        }
    }

    /// The interval of persistent keepalives in seconds, zero for none.
    pub(crate) fn interval(&self) -> u16 {
        self.interval.load(Relaxed) as u16
    }

    /// Data was sent: the peer is expected to answer.
    #[inline]
    #[must_use]
    pub(crate) fn data_sent(&self, clock: impl Clock) -> Option<Ticks> {
        if self.new_handshake.is_set() {
            return None;
        }
        let timeout = clock.ticks(KEEPALIVE_TIMEOUT + REKEY_TIMEOUT);
        self.new_handshake
            .set(after(clock, timeout.wrapping_add(clock.jitter())))
    }

    /// Data was received: the peer expects an answer. One keepalive answers all that came before it.
    #[inline]
    #[must_use]
    pub(crate) fn data_received(&self, clock: impl Clock) -> Option<Ticks> {
        if self.send_keepalive.is_set() {
            return None;
        }
        self.send_keepalive
            .set(after(clock, clock.ticks(KEEPALIVE_TIMEOUT)))
    }

    /// An authenticated message of any kind is being sent: the peer has its answer.
    #[inline]
    pub(crate) fn authenticated_sent(&self) {
        self.send_keepalive.clear();
    }

    /// An authenticated message of any kind was received: the peer is there.
    #[inline]
    pub(crate) fn authenticated_received(&self) {
        self.new_handshake.clear();
    }

    /// An authenticated message of any kind went either way: middleboxes remember the flow.
    #[inline]
    #[must_use]
    pub(crate) fn authenticated_traversed(&self, clock: impl Clock) -> Option<Ticks> {
        match self.interval.load(Relaxed) {
            0 => None,
            interval => self
                .persistent_keepalive
                .set(after(clock, seconds(clock, interval))),
        }
    }

    /// Sets the interval of persistent keepalives in seconds, zero for none. What was due so long after the last message
    /// is due so long after it as is right now.
    pub(crate) fn set_interval(&self, interval: u16, clock: impl Clock) -> IntervalChange {
        let interval = u32::from(interval);
        let before = self.interval.xchg(interval, Relaxed);
        if interval == before {
            return IntervalChange::Nothing;
        }
        if before == 0 {
            return IntervalChange::TurnedOn;
        }
        let deadline = &self.persistent_keepalive;
        let Some(due) = deadline.get().filter(|_| interval != 0) else {
            deadline.clear();
            return IntervalChange::Nothing;
        };
        let last = due.wrapping_sub(seconds(clock, before));
        let due = last.wrapping_add(seconds(clock, interval));
        let now = clock.now();
        let due = if is_before(due, now) { now } else { due };
        IntervalChange::Moved(deadline.set(due))
    }

    /// A handshake begins because there is a reason to, and not because the last one was not answered.
    pub(crate) fn handshake_begins(&self) {
        self.attempts.store(0, Relaxed);
    }

    /// An initiation is being sent: a response is expected.
    #[must_use]
    pub(crate) fn initiation_sent(&self, clock: impl Clock) -> Option<Ticks> {
        let timeout = clock.ticks(REKEY_TIMEOUT).wrapping_add(clock.jitter());
        self.retry_handshake.set(after(clock, timeout))
    }

    /// The keys of a session were derived: they are to be erased one day.
    #[must_use]
    pub(crate) fn session_derived(&self, clock: impl Clock) -> Option<Ticks> {
        self.erase_keys
            .set(after(clock, clock.ticks(ERASE_KEYS_AFTER)))
    }

    /// A handshake was completed: its response was received, or the first message of its session.
    pub(crate) fn handshake_completed(&self) {
        self.retry_handshake.clear();
        self.attempts.store(0, Relaxed);
        self.is_in_last_minute.store(false, Relaxed);
    }

    /// The session is in its last minute. Returns whether this is the first that is heard of it.
    #[inline]
    pub(crate) fn last_minute(&self) -> bool {
        !self.is_in_last_minute.load(Relaxed) && !self.is_in_last_minute.xchg(true, Relaxed)
    }

    /// Returns whether it is known that the session is in its last minute.
    #[inline]
    pub(crate) fn is_in_last_minute(&self) -> bool {
        self.is_in_last_minute.load(Relaxed)
    }

    /// All keys have been erased.
    pub(crate) fn keys_erased(&self) {
        self.erase_keys.clear();
    }

    /// The alarm has gone off: calls `act` for what is due. Returns when the alarm must go off next.
    #[must_use]
    pub(crate) fn expired(&self, clock: impl Clock, mut act: impl FnMut(Action)) -> Option<Ticks> {
        full_fence();
        let now = clock.now();
        if self.retry_handshake.take(now) {
            act(self.unanswered(clock));
        }
        if self.send_keepalive.take(now) {
            act(Action::SendKeepalive);
        }
        if self.new_handshake.take(now) {
            act(Action::BeginHandshake);
        }
        if self.erase_keys.take(now) {
            act(Action::EraseKeys);
        }
        if self.persistent_keepalive.take(now) && self.interval() != 0 {
            // The next is due even if there is no memory for this one.
            let _ = self.authenticated_traversed(clock);
            act(Action::SendKeepalive);
        }
        self.earliest()
    }

    /// No response came to the last initiation.
    fn unanswered(&self, clock: impl Clock) -> Action {
        let attempts = self.attempts.load(Relaxed);
        if u64::from(attempts) <= MAX_HANDSHAKE_ATTEMPTS {
            self.attempts.store(attempts + 1, Relaxed);
            // The first try was none again.
            return Action::RetryHandshake(attempts + 2);
        }
        self.send_keepalive.clear();
        if !self.erase_keys.is_set() {
            // The alarm is armed for it when all else has been looked at.
            let _ = self.session_derived(clock);
        }
        Action::GiveUp
    }

    fn earliest(&self) -> Option<Ticks> {
        let set = self.all().into_iter().filter_map(Deadline::get);
        set.reduce(|first, other| {
            if is_before(other, first) {
                other
            } else {
                first
            }
        })
    }

    /// Returns the earliest deadline if it is before a time, for which the alarm has just been armed.
    #[must_use]
    pub(crate) fn due_before(&self, at: Ticks) -> Option<Ticks> {
        full_fence();
        self.earliest().filter(|earliest| is_before(*earliest, at))
    }
}

/// Returns whether a time is before another, which is not further away than half of the clock's range.
fn is_before(time: Ticks, other: Ticks) -> bool {
    time.wrapping_sub(other) > Ticks::MAX / 2
}

fn after(clock: impl Clock, ticks: Ticks) -> Ticks {
    clock.now().wrapping_add(ticks)
}

fn seconds(clock: impl Clock, seconds: u32) -> Ticks {
    clock.ticks(u64::from(seconds) * NSEC_PER_SEC)
}
