// SPDX-License-Identifier: GPL-2.0

//! The timers of a peer against a naive model of them: each deadline a timer of its own that goes off exactly then.

use super::Numbers;
use crate::protocol::messages::{ERASE_KEYS_AFTER, KEEPALIVE_TIMEOUT, NSEC_PER_SEC, REKEY_TIMEOUT};
use crate::protocol::timers::{Action, Clock, IntervalChange, Ticks, Timers};
use std::cell::Cell;

/// Ticks in a second.
const HZ: usize = 250;

/// A clock of which both jitter and time are given.
#[derive(Default)]
struct Given {
    now: Cell<Ticks>,
    jitter: Cell<Ticks>,
}

impl Clock for &Given {
    fn now(self) -> Ticks {
        self.now.get()
    }

    fn ticks(self, ns: u64) -> Ticks {
        (ns / (NSEC_PER_SEC / HZ as u64)) as Ticks
    }

    fn jitter(self) -> Ticks {
        self.jitter.get()
    }
}

/// What can happen, in the order of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    DataSent,
    DataReceived,
    Sent,
    Received,
    Traversed,
    HandshakeBegins,
    InitiationSent,
    SessionDerived,
    HandshakeCompleted,
    KeysErased,
    Stop,
    Interval(u16),
}

/// The machine with an alarm, as the kernel has it.
struct Machine {
    clock: Given,
    timers: Timers,
    alarm: Option<Ticks>,
    /// How often it has gone off.
    alarms: usize,
}

fn is_before(time: Ticks, other: Ticks) -> bool {
    (time.wrapping_sub(other) as isize) < 0
}

impl Machine {
    fn new(start: Ticks) -> Self {
        let clock = Given::default();
        clock.now.set(start);
        Self {
            clock,
            timers: Timers::new(),
            alarm: None,
            alarms: 0,
        }
    }

    fn arm(&mut self, due: Option<Ticks>) {
        let mut due = due;
        while let Some(at) = due.take() {
            match self.alarm {
                None => {
                    self.alarm = Some(at);
                    due = self.timers.due_before(at);
                    assert_eq!(due, None, "nobody has set one meanwhile");
                }
                Some(before) if is_before(at, before) => self.alarm = Some(at),
                Some(_) => (),
            }
        }
    }

    /// Returns whether a keepalive is to be sent at once.
    fn happens(&mut self, event: Event) -> bool {
        let (timers, clock) = (&self.timers, &self.clock);
        let due = match event {
            Event::DataSent => timers.data_sent(clock),
            Event::DataReceived => timers.data_received(clock),
            Event::Traversed => timers.authenticated_traversed(clock),
            Event::InitiationSent => timers.initiation_sent(clock),
            Event::SessionDerived => timers.session_derived(clock),
            Event::Interval(interval) => match timers.set_interval(interval, clock) {
                IntervalChange::Nothing => None,
                IntervalChange::TurnedOn => return true,
                IntervalChange::Moved(due) => due,
            },
            Event::Sent => {
                timers.authenticated_sent();
                None
            }
            Event::Received => {
                timers.authenticated_received();
                None
            }
            Event::HandshakeBegins => {
                timers.handshake_begins();
                None
            }
            Event::HandshakeCompleted => {
                timers.handshake_completed();
                None
            }
            Event::KeysErased => {
                timers.keys_erased();
                None
            }
            Event::Stop => {
                self.alarm = None;
                timers.clear();
                None
            }
        };
        self.arm(due);
        false
    }

    /// Lets the alarm go off, if it is time. Returns what is to be done.
    fn look(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        // Once for each time that it may have been armed for.
        while self
            .alarm
            .is_some_and(|at| !is_before(self.clock.now.get(), at))
        {
            self.alarm = None;
            self.alarms += 1;
            let next = self
                .timers
                .expired(&self.clock, |action| actions.push(action));
            self.arm(next);
        }
        actions
    }
}

/// The whitepaper's rules, with a clock that does not wrap.
#[derive(Default)]
struct Naive {
    now: u64,
    jitter: u64,
    retry: Option<u64>,
    keepalive: Option<u64>,
    silence: Option<u64>,
    erase: Option<u64>,
    persistent: Option<u64>,
    interval: u64,
    attempts: u32,
}

const SECOND: u64 = HZ as u64;

impl Naive {
    fn happens(&mut self, event: Event) -> bool {
        let now = self.now;
        match event {
            Event::DataSent => {
                self.silence.get_or_insert(now + 15 * SECOND + self.jitter);
            }
            Event::DataReceived => {
                self.keepalive.get_or_insert(now + 10 * SECOND);
            }
            Event::Sent => self.keepalive = None,
            Event::Received => self.silence = None,
            Event::Traversed if self.interval == 0 => (),
            Event::Traversed => self.persistent = Some(now + self.interval * SECOND),
            Event::HandshakeBegins => self.attempts = 0,
            Event::InitiationSent => self.retry = Some(now + 5 * SECOND + self.jitter),
            Event::SessionDerived => self.erase = Some(now + 540 * SECOND),
            Event::HandshakeCompleted => (self.retry, self.attempts) = (None, 0),
            Event::KeysErased => self.erase = None,
            Event::Stop => {
                let kept = (self.now, self.jitter, self.interval, self.attempts);
                *self = Self::default();
                (self.now, self.jitter, self.interval, self.attempts) = kept;
            }
            Event::Interval(interval) => {
                let before = std::mem::replace(&mut self.interval, interval.into());
                if self.interval == 0 {
                    self.persistent = None;
                } else if before == 0 {
                    return true;
                } else if before != self.interval {
                    self.persistent = self.persistent.map(|at| {
                        (at + self.interval * SECOND)
                            .saturating_sub(before * SECOND)
                            .max(now)
                    });
                }
            }
        }
        false
    }

    fn look(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        let now = self.now;
        let is_due = |deadline: &mut Option<u64>| deadline.take_if(|at| *at <= now).is_some();
        // What is set by the first is due later than now.
        if is_due(&mut self.retry) {
            if self.attempts == 19 {
                actions.push(Action::GiveUp);
                self.keepalive = None;
                self.erase.get_or_insert(now + 540 * SECOND);
            } else {
                self.attempts += 1;
                actions.push(Action::RetryHandshake(self.attempts + 1));
            }
        }
        if is_due(&mut self.keepalive) {
            actions.push(Action::SendKeepalive);
        }
        if is_due(&mut self.silence) {
            actions.push(Action::BeginHandshake);
        }
        if is_due(&mut self.erase) {
            actions.push(Action::EraseKeys);
        }
        if is_due(&mut self.persistent) {
            // Whether or not this one can be sent.
            self.persistent = Some(now + self.interval * SECOND);
            actions.push(Action::SendKeepalive);
        }
        actions
    }
}

#[test]
fn the_whitepapers_times() {
    assert_eq!(
        [KEEPALIVE_TIMEOUT, REKEY_TIMEOUT, ERASE_KEYS_AFTER].map(|ns| ns / NSEC_PER_SEC),
        [10, 5, 540]
    );
}

/// Whatever happens, and however the clock jumps: what is due is done when it is, and nothing else.
#[test]
fn random_events_and_a_clock_that_jumps() {
    let mut numbers = Numbers(0x7157_e125);
    let mut done = [0; 5];
    for round in 0..400u64 {
        // Also around where the clock wraps, and where it says what stands for no deadline.
        let start = match round % 3 {
            0 => 0,
            1 => numbers.next() as Ticks,
            _ => 0usize.wrapping_sub(numbers.below(40 * SECOND) as usize),
        };
        let mut machine = Machine::new(start);
        let mut naive = Naive::default();
        for step in 0..600 {
            let jitter = numbers.below(SECOND / 3);
            machine.clock.jitter.set(jitter as Ticks);
            naive.jitter = jitter;
            let event = match numbers.below(24) {
                0..=3 => Event::DataSent,
                4..=6 => Event::DataReceived,
                7..=8 => Event::Sent,
                9..=10 => Event::Received,
                11..=13 => Event::Traversed,
                14 => Event::HandshakeBegins,
                15..=18 => Event::InitiationSent,
                19 => Event::SessionDerived,
                20 if numbers.below(4) == 0 => Event::HandshakeCompleted,
                21 if numbers.below(4) == 0 => Event::KeysErased,
                22 if numbers.below(10) == 0 => Event::Stop,
                23 => Event::Interval([0, 1, 1, 7, 25, 300, 65535][numbers.below(7) as usize]),
                _ => Event::InitiationSent,
            };
            let at_once = machine.happens(event);
            assert_eq!(at_once, naive.happens(event), "{round}.{step}: {event:?}");
            let jump = match numbers.below(12) {
                0..=4 => 0,
                5..=7 => numbers.below(SECOND / 4),
                8..=10 => numbers.below(8 * SECOND),
                _ => numbers.below(700 * SECOND),
            };
            naive.now += jump;
            machine
                .clock
                .now
                .set(start.wrapping_add(naive.now as Ticks));
            let actions = machine.look();
            for action in &actions {
                done[match action {
                    Action::RetryHandshake(_) => 0,
                    Action::GiveUp => 1,
                    Action::SendKeepalive => 2,
                    Action::BeginHandshake => 3,
                    Action::EraseKeys => 4,
                }] += 1;
            }
            assert_eq!(
                actions,
                naive.look(),
                "{round}.{step}: after {event:?} and {jump} ticks"
            );
        }
    }
    assert!(
        done.iter().all(|times| *times >= 20),
        "too seldom: {done:?}"
    );
}

/// A peer that packets go to and come from all the time costs an alarm every quarter of a minute.
#[test]
fn traffic_is_cheap() {
    let mut machine = Machine::new(1);
    machine.happens(Event::Interval(25));
    let seconds = 600;
    for tick in 0..seconds * HZ {
        machine.clock.now.set(1 + tick);
        for event in [
            Event::DataSent,
            Event::Sent,
            Event::Received,
            Event::DataReceived,
            Event::Traversed,
        ] {
            machine.happens(event);
        }
        // What was received last has not been answered yet, but is a tick later.
        machine.happens(Event::Sent);
        assert_eq!(machine.look(), []);
    }
    assert!(machine.alarms <= seconds / 9, "{} alarms", machine.alarms);
}

#[test]
fn the_last_minute_is_told_once_in_a_session() {
    let timers = Timers::new();
    for _ in 0..2 {
        assert!(!timers.is_in_last_minute());
        assert!(timers.last_minute());
        assert!(timers.is_in_last_minute());
        assert!(!timers.last_minute());
        timers.handshake_completed();
    }
}
