// SPDX-License-Identifier: GPL-2.0

//! The replay window against the rule itself: each counter once, none further behind the greatest
//! one than the window is long, none from the last one on.

#![forbid(unsafe_code)]

use core::ops::Range;
use kernel::prelude::*;

use super::Numbers;
use crate::protocol::messages::{REJECT_AFTER_MESSAGES, REPLAY_WINDOW as WINDOW};
use crate::protocol::replay::{Path, ReplayWindow};

/// How far behind the greatest counter's word, in counters, one is looked for.
const HORIZON: u64 = 16 * 64;

/// The rule.
struct Rule {
    greatest: Option<u64>,
    seen: KVec<u64>,
    path: Path,
    /// All counters below this have been looked for.
    looked_to: u64,
}

impl Rule {
    const fn new() -> Self {
        Self {
            greatest: None,
            seen: KVec::new(),
            path: Path {
                received: 0,
                lost: 0,
                reordered: 0,
                duplicate: 0,
            },
            looked_to: 0,
        }
    }

    /// Looks for all counters up to this one.
    fn look_to(&mut self, end: u64) {
        // Counted and not walked through: there may be 2^60 of them.
        let came = |&&seen: &&u64| (self.looked_to..end).contains(&seen);
        let came = self.seen.iter().filter(came).count();
        self.path.lost += end.saturating_sub(self.looked_to) - came as u64;
        self.looked_to = self.looked_to.max(end);
    }

    /// What has become of the messages when no others come.
    fn path_at_end(&mut self) -> Path {
        self.look_to(self.greatest.map_or(0, |greatest| greatest + 1));
        self.path
    }

    fn accept(&mut self, counter: u64) -> Result<bool> {
        if counter >= REJECT_AFTER_MESSAGES || self.greatest == Some(REJECT_AFTER_MESSAGES - 1) {
            return Ok(false);
        }
        let behind = self.greatest.map_or(0, |g| g.saturating_sub(counter));
        if behind > WINDOW {
            return Ok(false);
        }
        if self.seen.iter().rev().any(|&seen| seen == counter) {
            self.path.duplicate += 1;
            return Ok(false);
        }
        if self.greatest.is_some_and(|greatest| counter < greatest) {
            self.path.reordered += 1;
        } else {
            // Before it is there.
            self.look_to(((counter / 64 + 1) * 64).saturating_sub(HORIZON));
        }
        self.path.received += 1;
        self.seen.push(counter, GFP_KERNEL)?;
        self.greatest = self.greatest.max(Some(counter));
        Ok(true)
    }
}

/// Whether the window says of each of these counters, one after the other, what the rule says.
fn agree_on(counters: impl IntoIterator<Item = u64>) -> Result<bool> {
    let mut window = ReplayWindow::new();
    let mut rule = Rule::new();
    for counter in counters {
        let expected = rule.accept(counter)?;
        // Asking changes nothing; nothing is accepted twice.
        if window.would_accept(counter) != expected
            || window.would_accept(counter) != expected
            || window.accept(counter) != expected
            || window.accept(counter)
        {
            pr_err!("the replay window and the rule disagree on {}\n", counter);
            return Ok(false);
        }
    }
    Ok(true)
}

/// Places next to each other, around a number.
fn around(number: u64) -> Range<u64> {
    number.saturating_sub(2)..number.saturating_add(3)
}

/// Whether the window tells of these counters, one after the other, what the rule does.
fn agree_on_paths(counters: impl IntoIterator<Item = u64>) -> Result<bool> {
    let mut window = ReplayWindow::new();
    let mut rule = Rule::new();
    for counter in counters {
        let expected = rule.accept(counter)?;
        if window.accept(counter) != expected || window.path() != rule.path {
            pr_err!("the paths differ at {}\n", counter);
            return Ok(false);
        }
    }
    Ok(window.path_at_end() == rule.path_at_end())
}

#[kunit_tests(wireguard_replay)]
mod suite {
    use super::*;

    #[test]
    fn a_path_that_loses_nothing() {
        let mut window = ReplayWindow::new();
        assert_eq!(window.path_at_end(), Path::default());
        assert!((0..30_000).all(|counter| window.accept(counter)));
        let path = window.path_at_end();
        assert_eq!(
            (path.received, path.lost, path.reordered, path.duplicate),
            (30_000, 0, 0, 0)
        );
    }

    #[test]
    fn what_is_lost_is_counted_once() {
        let mut window = ReplayWindow::new();
        assert!((0..5000)
            .filter(|c| c % 10 != 3)
            .all(|counter| window.accept(counter)));
        // What is behind the horizon, and the rest when it is over.
        let behind = 5000u64.next_multiple_of(64) - HORIZON;
        assert_eq!(window.path().lost, behind / 10);
        assert_eq!(window.path_at_end().lost, 500);
        // One that comes very late is still taken for lost, and received.
        assert!(window.accept(3));
        assert_eq!(window.path_at_end().lost, 500);
        assert_eq!((window.path().received, window.path().reordered), (4501, 1));
    }

    #[test]
    fn a_jump_loses_what_it_jumps_over() {
        for jump in [
            1, 63, 64, 65, 1000, 1023, 1024, 1025, 8127, 8128, 8192, 9000, 100_000,
        ] {
            let mut window = ReplayWindow::new();
            assert!(window.accept(0) && window.accept(jump));
            assert_eq!(window.path_at_end().lost, jump - 1);
        }
        let mut window = ReplayWindow::new();
        assert!(window.accept(REJECT_AFTER_MESSAGES - 1));
        assert_eq!(window.path_at_end().lost, REJECT_AFTER_MESSAGES - 1);
    }

    #[test]
    fn paths_of_disorder() -> Result {
        let mut numbers = Numbers(9);
        for disorder in [2, 30, 500, 3000] {
            let mut sent = 0u64;
            let counters = core::iter::from_fn(|| {
                sent +=
                    u64::from(numbers.below(20) != 0) + u64::from(numbers.below(300) == 0) * 200;
                Some(sent.saturating_sub(u64::from(numbers.below(disorder))))
            });
            assert!(agree_on_paths(counters.take(4000))?);
        }
        Ok(())
    }

    #[test]
    fn the_window_has_the_documented_size() {
        assert_eq!(WINDOW, 8192 - 64);
    }

    #[test]
    fn in_order_and_backwards() {
        let mut window = ReplayWindow::new();
        assert!((0..30_000).all(|counter| window.accept(counter)));
        assert!((0..30_000).all(|counter| !window.would_accept(counter)));
        let mut window = ReplayWindow::new();
        assert!(window.accept(30_000));
        assert!((30_000 - WINDOW..30_000)
            .rev()
            .all(|counter| window.accept(counter)));
        assert!((0..30_000 - WINDOW)
            .rev()
            .all(|counter| !window.accept(counter)));
    }

    /// From each place in a word and at the ring's ends, each step up to and past the ring, and then
    /// all that lies at an edge.
    #[test]
    fn all_edges() {
        for start in [
            0, 1, 31, 62, 63, 64, 65, 127, 128, 8127, 8128, 8129, 8191, 8192, 8193,
        ] {
            for step in [0u64, 64, 128, 4096, WINDOW, 8192, 16_384]
                .into_iter()
                .flat_map(around)
            {
                let end: u64 = start + step;
                let counters = [
                    start..start + 1,
                    end..end + 1,
                    around(start),
                    around(end),
                    around(end / 64 * 64),
                    around(end.saturating_sub(64)),
                    around(end.saturating_sub(WINDOW)),
                    around(end.saturating_sub(8192)),
                    end + 64..end + 65,
                    end + WINDOW..end + WINDOW + 1,
                    around(end),
                ];
                let counters = counters.into_iter().flatten();
                assert_eq!(agree_on(counters), Ok(true));
            }
        }
    }

    #[test]
    fn the_last_counters() {
        let last = REJECT_AFTER_MESSAGES;
        assert_eq!(agree_on(last - 300..last + 10), Ok(true));
        assert_eq!(
            agree_on([0, last - 1, last, u64::MAX - 1, u64::MAX, 1]),
            Ok(true)
        );
        assert_eq!(
            agree_on([last, u64::MAX, 0, 1, last - 2, last - 2 - WINDOW]),
            Ok(true)
        );
        assert_eq!(
            agree_on([last - 2, last - 3 - WINDOW, last - 1, last - 3]),
            Ok(true)
        );
    }

    #[test]
    fn random_order() {
        for seed in 0..4 {
            let mut numbers = Numbers(seed);
            let mut greatest = 0u64;
            let counters = (0..2000).map(|_| {
                let behind = numbers.below(if seed % 2 == 0 { 200 } else { 9000 });
                let counter = match numbers.below(4) {
                    0 => greatest + numbers.below(100),
                    1 if seed > 1 => greatest + numbers.below(5000),
                    _ => greatest.saturating_sub(behind),
                };
                greatest = greatest.max(counter);
                counter
            });
            assert_eq!(agree_on(counters), Ok(true));
        }
    }
}
