// SPDX-License-Identifier: GPL-2.0

use super::Numbers;
use crate::protocol::messages::REJECT_AFTER_MESSAGES;
use crate::protocol::messages::REPLAY_WINDOW as WINDOW;
use crate::protocol::replay::{Path, ReplayWindow};
use std::collections::BTreeSet;

/// How far behind the greatest counter's word, in counters, one is looked for.
const HORIZON: u64 = 16 * 64;

/// The rule itself: each counter once, none further than the window behind the greatest, none after
/// the last.
#[derive(Default)]
struct Rule {
    greatest: Option<u64>,
    seen: BTreeSet<u64>,
    path: Path,
    /// All counters below this have been looked for.
    looked_to: u64,
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
        if self.seen.contains(&counter) {
            self.path.duplicate += 1;
            return false;
        }
        if self.greatest.is_some_and(|greatest| counter < greatest) {
            self.path.reordered += 1;
        } else {
            // Before it is there.
            self.look_to(((counter / 64 + 1) * 64).saturating_sub(HORIZON));
        }
        self.path.received += 1;
        self.seen.insert(counter);
        self.greatest = self.greatest.max(Some(counter));
        true
    }

    /// Looks for all counters up to this one.
    fn look_to(&mut self, end: u64) {
        if end > self.looked_to {
            let came = self.seen.range(self.looked_to..end).count() as u64;
            self.path.lost += end - self.looked_to - came;
            self.looked_to = end;
        }
    }

    /// What has become of the messages when no others come.
    fn path_at_end(&mut self) -> Path {
        self.look_to(self.greatest.map_or(0, |greatest| greatest + 1));
        self.path
    }
}

fn check(counters: impl IntoIterator<Item = u64>) {
    let mut window = ReplayWindow::new();
    let mut rule = Rule::default();
    for counter in counters {
        let expected = rule.accept(counter);
        assert_eq!(window.would_accept(counter), expected, "{counter}");
        assert_eq!(window.accept(counter), expected, "{counter}");
        assert_eq!(window.path(), rule.path, "{counter}");
        assert!(!window.accept(counter), "{counter} twice");
        assert!(!rule.accept(counter));
        assert_eq!(window.path(), rule.path, "{counter} twice");
        assert_eq!(
            window.next(),
            rule.greatest.map_or(0, |greatest| greatest + 1)
        );
    }
    assert_eq!(window.path_at_end(), rule.path_at_end());
}

#[test]
fn a_path_with_losses_and_disorder() {
    let mut numbers = Numbers(22);
    for disorder in [1, 2, 30, 500, 3000, 9000] {
        let mut sent = 0;
        check((0..20_000).map(|_| {
            sent += u64::from(numbers.below(20) != 0) + u64::from(numbers.below(300) == 0) * 200;
            sent.saturating_sub(numbers.below(disorder))
        }));
    }
}

#[test]
fn what_is_lost_is_counted_once() {
    let mut window = ReplayWindow::new();
    assert_eq!(window.path_at_end(), Path::default());
    assert!((0..5000).filter(|c| c % 10 != 3).all(|c| window.accept(c)));
    // What is behind the horizon, and the rest when it is over.
    assert_eq!(window.path().lost, 403);
    assert_eq!(window.path_at_end().lost, 500);
    // One that comes very late stays among those, and is received.
    assert!(window.accept(3));
    assert_eq!(window.path_at_end().lost, 500);
    assert_eq!((window.path().received, window.path().reordered), (4501, 1));
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
