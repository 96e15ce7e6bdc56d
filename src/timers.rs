// SPDX-License-Identifier: GPL-2.0

//! The peer's timers, and the events that set them (whitepaper section 6).
//!
//! The events are named after what has happened; each says which timers that sets or stops. All of
//! them may be called in any context but hard interrupts.

#![forbid(unsafe_code)]

use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
    time::Jiffies,
};

use crate::{
    events,
    messages::{
        ERASE_KEYS_AFTER, KEEPALIVE_TIMEOUT, MAX_HANDSHAKE_ATTEMPTS, NSEC_PER_SEC, REKEY_TIMEOUT,
        REKEY_TIMEOUT_JITTER_MAX,
    },
    news::{note, News},
    peer::{Action, Peer},
    rcu::{read_lock, RcuArc},
    sync::{new_spinlock_bh, SpinLockBh},
    timer::{self, new_timer, Timer, TimerExpired},
};

/// Tries the handshake again when no response came.
const RETRY_HANDSHAKE: u64 = 0;
/// Answers data with a keepalive when there was nothing to send.
const SEND_KEEPALIVE: u64 = 1;
/// Begins a handshake when data was not answered by anything.
const NEW_HANDSHAKE: u64 = 2;
/// Erases the keys when no new ones have come for long.
const ERASE_KEYS: u64 = 3;
/// Sends a keepalive at the interval that was configured.
const PERSISTENT_KEEPALIVE: u64 = 4;

/// A peer's timers and what they count.
#[pin_data]
pub(crate) struct Timers {
    #[pin]
    pub(crate) retry_handshake: Timer<Peer, RETRY_HANDSHAKE>,
    #[pin]
    pub(crate) send_keepalive: Timer<Peer, SEND_KEEPALIVE>,
    #[pin]
    pub(crate) new_handshake: Timer<Peer, NEW_HANDSHAKE>,
    #[pin]
    pub(crate) erase_keys: Timer<Peer, ERASE_KEYS>,
    #[pin]
    pub(crate) persistent_keepalive: Timer<Peer, PERSISTENT_KEEPALIVE>,
    /// How often the handshake under way has been tried again.
    pub(crate) attempts: Atomic<i32>,
    /// Whether a handshake was begun because the session is in its last minute.
    pub(crate) sent_last_minute_handshake: Atomic<bool>,
    /// The interval of persistent keepalives in seconds, zero for none.
    pub(crate) persistent_keepalive_interval: Atomic<i32>,
    /// When the last handshake was completed: wall-clock seconds and nanoseconds.
    #[pin]
    last_handshake: SpinLockBh<(i64, u32)>,
}

/// A timeout in jiffies.
fn jiffies(ns: u64) -> Jiffies {
    timer::seconds((ns / NSEC_PER_SEC) as u32)
}

/// The time after which a handshake message is considered lost, a bit random so that two peers do
/// not keep starting at the same time.
fn rekey_timeout(more: u64) -> Jiffies {
    jiffies(REKEY_TIMEOUT + more).saturating_add(timer::random_below_ms(
        (REKEY_TIMEOUT_JITTER_MAX / 1_000_000) as u32,
    ))
}

impl Timers {
    /// A peer's timers, none of them set.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            retry_handshake <- new_timer!("retry_handshake"),
            send_keepalive <- new_timer!("send_keepalive"),
            new_handshake <- new_timer!("new_handshake"),
            erase_keys <- new_timer!("erase_keys"),
            persistent_keepalive <- new_timer!("persistent_keepalive"),
            attempts: Atomic::new(0),
            sent_last_minute_handshake: Atomic::new(false),
            persistent_keepalive_interval: Atomic::new(0),
            last_handshake <- new_spinlock_bh!((0, 0), "Timers::last_handshake"),
        })
    }

    /// When the last handshake was completed, zeros if never.
    pub(crate) fn last_handshake(&self) -> (i64, u32) {
        *self.last_handshake.lock()
    }

    /// Stops all timers and waits for those that are expiring. Context: process context.
    pub(crate) fn stop(&self) {
        self.retry_handshake.disarm_sync();
        self.send_keepalive.disarm_sync();
        self.new_handshake.disarm_sync();
        self.erase_keys.disarm_sync();
        self.persistent_keepalive.disarm_sync();
    }
}

/// Sets a timer of a peer, unless the device is down or the peer was removed.
fn arm<const ID: u64>(peer: &RcuArc<Peer>, timer: &Timer<Peer, ID>, delay: Jiffies)
where
    Peer: TimerExpired<ID>,
{
    // Whoever takes the peer out of use waits for a grace period before it stops the timers.
    let _guard = read_lock();
    if peer.is_in_use() {
        timer.arm(peer, delay);
    }
}

/// Data was sent: the peer is expected to answer.
#[inline]
pub(crate) fn data_sent(peer: &RcuArc<Peer>) {
    if !peer.timers.new_handshake.is_pending() {
        arm(
            peer,
            &peer.timers.new_handshake,
            rekey_timeout(KEEPALIVE_TIMEOUT),
        );
    }
}

/// Data was received: the peer expects an answer. One keepalive answers all that came before it.
#[inline]
pub(crate) fn data_received(peer: &RcuArc<Peer>) {
    if !peer.timers.send_keepalive.is_pending() {
        arm(
            peer,
            &peer.timers.send_keepalive,
            jiffies(KEEPALIVE_TIMEOUT),
        );
    }
}

/// An authenticated message of any kind was sent: the peer has its answer.
#[inline]
pub(crate) fn authenticated_sent(peer: &RcuArc<Peer>) {
    peer.timers.send_keepalive.disarm();
}

/// An authenticated message of any kind was received: the peer is there.
#[inline]
pub(crate) fn authenticated_received(peer: &RcuArc<Peer>) {
    peer.timers.new_handshake.disarm();
}

/// An authenticated message of any kind went either way: middleboxes remember the flow.
#[inline]
pub(crate) fn authenticated_traversed(peer: &RcuArc<Peer>) {
    let interval = peer.timers.persistent_keepalive_interval.load(Relaxed);
    if interval != 0 {
        arm(
            peer,
            &peer.timers.persistent_keepalive,
            timer::seconds(interval as u32),
        );
    }
}

/// The interval of persistent keepalives, in seconds, was another one until now: what was to expire so
/// long after the last message expires so long after it as is right now.
pub(crate) fn interval_changed(peer: &RcuArc<Peer>, before: u16, now: u16) {
    let timer = &peer.timers.persistent_keepalive;
    if now == 0 {
        timer.disarm();
    } else if let Some(left) = timer.time_left() {
        let left = left.saturating_add(timer::seconds(now.into()));
        arm(
            peer,
            timer,
            left.saturating_sub(timer::seconds(before.into())),
        );
    }
}

/// An initiation is being sent: a response is expected.
pub(crate) fn initiation_sent(peer: &RcuArc<Peer>) {
    arm(peer, &peer.timers.retry_handshake, rekey_timeout(0));
}

/// A handshake was completed: its response was received, or the first message of its session.
pub(crate) fn handshake_completed(peer: &RcuArc<Peer>) {
    let timers = &peer.timers;
    peer.counters.sessions.add(1);
    timers.retry_handshake.disarm();
    timers.attempts.store(0, Relaxed);
    timers.sent_last_minute_handshake.store(false, Relaxed);
    *timers.last_handshake.lock() = timer::real_time();
    note(peer, News::Session);
}

/// The keys of a session were derived: they are to be erased one day.
pub(crate) fn session_derived(peer: &RcuArc<Peer>) {
    arm(peer, &peer.timers.erase_keys, jiffies(ERASE_KEYS_AFTER));
}

impl TimerExpired<RETRY_HANDSHAKE> for Peer {
    fn expired(this: RcuArc<Self>) {
        let timers = &this.timers;
        let attempts = timers.attempts.load(Relaxed);
        if attempts as u64 > MAX_HANDSHAKE_ATTEMPTS {
            // Nobody is there: give up until there is something to send again.
            events::handshake_given_up(&this, MAX_HANDSHAKE_ATTEMPTS + 2);
            this.counters.given_up.add(1);
            note(&this, News::HandshakeFailed);
            timers.send_keepalive.disarm();
            this.drop_staged();
            if !timers.erase_keys.is_pending() {
                arm(&this, &this.timers.erase_keys, jiffies(ERASE_KEYS_AFTER));
            }
        } else {
            timers.attempts.store(attempts + 1, Relaxed);
            events::handshake_retried(&this, attempts + 2);
            // Perhaps it is the source address that makes the packets get lost.
            this.forget_source();
            this.request(Action::RetryHandshake);
        }
    }
}

impl TimerExpired<SEND_KEEPALIVE> for Peer {
    fn expired(this: RcuArc<Self>) {
        this.send_keepalive();
    }
}

impl TimerExpired<NEW_HANDSHAKE> for Peer {
    fn expired(this: RcuArc<Self>) {
        events::peer_is_silent(&this);
        this.forget_source();
        this.request(Action::BeginHandshake);
    }
}

impl TimerExpired<ERASE_KEYS> for Peer {
    fn expired(this: RcuArc<Self>) {
        events::keys_erased(&this);
        this.request(Action::EraseKeys);
    }
}

impl TimerExpired<PERSISTENT_KEEPALIVE> for Peer {
    fn expired(this: RcuArc<Self>) {
        if this.timers.persistent_keepalive_interval.load(Relaxed) != 0 {
            this.send_keepalive();
        }
    }
}
