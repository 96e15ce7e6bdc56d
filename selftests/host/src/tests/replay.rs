// SPDX-License-Identifier: GPL-2.0

use super::Numbers;
use crate::messages::REJECT_AFTER_MESSAGES;
use crate::replay::{ReplayWindow, WINDOW};
use std::collections::HashSet;

/// The rule itself: each counter once, none further than the window behind the greatest, none after
/// the last.
#[derive(Default)]
struct Rule {
    greatest: Option<u64>,
    seen: HashSet<u64>,
}

impl Rule {
    fn accept(&mut self, counter: u64) -> bool {
        if counter >= REJECT_AFTER_MESSAGES {
            return false;
        }
        // The session is over with its last counter.
        if self.greatest == Some(REJECT_AFTER_MESSAGES - 1) {
            return false;
        }
        if self
            .greatest
            .is_some_and(|greatest| greatest > counter && greatest - counter > WINDOW)
        {
            return false;
        }
        if !self.seen.insert(counter) {
            return false;
        }
        self.greatest = self.greatest.max(Some(counter));
        true
    }
}

fn check(counters: impl IntoIterator<Item = u64>) {
    let mut window = ReplayWindow::new();
    let mut rule = Rule::default();
    for counter in counters {
        let expected = rule.accept(counter);
        assert_eq!(window.would_accept(counter), expected, "{counter}");
        assert_eq!(window.accept(counter), expected, "{counter}");
        assert!(!window.accept(counter), "{counter} twice");
        assert_eq!(
            window.next(),
            rule.greatest.map_or(0, |greatest| greatest + 1)
        );
    }
}

#[test]
fn the_window_has_the_documented_size() {
    assert_eq!(WINDOW, 8192 - 64);
}

#[test]
fn in_order() {
    check(0..30_000);
}

#[test]
fn backwards() {
    check((0..30_000).rev());
}

#[test]
fn each_step_from_each_place_in_a_word() {
    for start in (0..130).chain([8000, 8127, 8128, 8129, 8191, 8192, 8193]) {
        for step in (0..130).chain([8063, 8064, 8065, 8127, 8128, 8129, 8191, 8192, 8193, 20_000]) {
            let end: u64 = start + step;
            check(
                [start, end]
                    .into_iter()
                    .chain(end.saturating_sub(8300)..end + 2),
            );
        }
    }
}

#[test]
fn the_far_edge() {
    for greatest in [
        8128,
        8129,
        8191,
        8192,
        100_000,
        1 << 40,
        REJECT_AFTER_MESSAGES - 2,
    ] {
        let mut window = ReplayWindow::new();
        assert!(window.accept(greatest));
        assert!(window.accept(greatest - WINDOW));
        assert!(!window.accept(greatest - WINDOW));
        if let Some(older) = (greatest - WINDOW).checked_sub(1) {
            assert!(!window.accept(older));
        }
        assert!(window.accept(greatest - WINDOW + 1));
    }
}

#[test]
fn the_last_counters() {
    check((REJECT_AFTER_MESSAGES - 10_000)..REJECT_AFTER_MESSAGES + 100);
    check([
        0,
        REJECT_AFTER_MESSAGES - 1,
        REJECT_AFTER_MESSAGES,
        u64::MAX - 1,
        u64::MAX,
        1,
    ]);
    let mut window = ReplayWindow::new();
    for counter in [REJECT_AFTER_MESSAGES, u64::MAX - 1, u64::MAX] {
        assert!(!window.would_accept(counter));
        assert!(!window.accept(counter));
    }
    assert_eq!(window.next(), 0);
}

#[test]
fn random_walks() {
    let mut numbers = Numbers(20);
    for spread in [3, 64, 130, 8000, 8200, 17_000, 1 << 20] {
        let mut base = numbers.below(1 << 50);
        check((0..20_000).map(|_| {
            base += numbers.below(3) * numbers.below(spread / 3 + 1);
            (base + numbers.below(spread)).saturating_sub(spread / 2)
        }));
    }
}

#[test]
fn any_number_at_all() {
    let mut numbers = Numbers(21);
    check((0..20_000).map(|_| numbers.next() >> numbers.below(64)));
}
