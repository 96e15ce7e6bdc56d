// SPDX-License-Identifier: GPL-2.0

//! The replay window against the rule itself: each counter once, none further behind the greatest
//! one than the window is long, none from the last one on.

#![forbid(unsafe_code)]

use core::ops::Range;
use kernel::prelude::*;

use super::Numbers;
use crate::messages::REJECT_AFTER_MESSAGES;
use crate::replay::{ReplayWindow, WINDOW};

/// The rule.
struct Rule {
    greatest: Option<u64>,
    seen: KVec<u64>,
}

impl Rule {
    const fn new() -> Self {
        Self {
            greatest: None,
            seen: KVec::new(),
        }
    }

    fn accept(&mut self, counter: u64) -> Result<bool> {
        if counter >= REJECT_AFTER_MESSAGES || self.greatest == Some(REJECT_AFTER_MESSAGES - 1) {
            return Ok(false);
        }
        let behind = self.greatest.map_or(0, |g| g.saturating_sub(counter));
        if behind > WINDOW || self.seen.iter().rev().any(|&seen| seen == counter) {
            return Ok(false);
        }
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

#[kunit_tests(wireguard_replay)]
mod suite {
    use super::*;

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
