// SPDX-License-Identifier: GPL-2.0

//! The replay window (whitepaper, section 5.4.6; algorithm of RFC 6479).
//!
//! UDP reorders, so a counter is accepted once and in any order within a window behind the greatest
//! one accepted so far. The bits live in a ring of words; moving the window forward clears whole
//! words, so one word's worth of the ring is always between the two ends and the window is that much
//! smaller than the ring: 8,192 − 64 = 8,128.
//!
//! The window also tells what became of the messages, by their counters alone: a counter that has not come when
//! [`HORIZON`] greater ones could have is taken for lost. That is looked at when the window enters a word, for a whole
//! word.

#![forbid(unsafe_code)]

use core::ops::Range;

use crate::protocol::messages::{REJECT_AFTER_MESSAGES, REPLAY_WINDOW};

/// Bits in a word of the ring.
const WORD_BITS: u64 = 64;
/// Bits in the ring: the last word is not full.
const BITS: u64 = REPLAY_WINDOW + WORD_BITS;
/// Words in the ring.
const WORDS: usize = (BITS / WORD_BITS) as usize;

/// How far behind the greatest counter, in words, one that has not come is taken for lost: far enough for what
/// networks reorder, and little of what has come in a minute.
const HORIZON: u64 = 16;

/// What became of the messages of a session, or of several.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    /// Those that were accepted.
    pub(crate) received: u64,
    /// Those that have not come, as far as was looked. One that comes later is accepted, and stays among these.
    pub(crate) lost: u64,
    /// Of those accepted, the ones that came after one with a greater counter.
    pub(crate) reordered: u64,
    /// Those with a counter that was accepted before.
    pub(crate) duplicate: u64,
}

impl Path {
    /// Adds what became of other messages.
    pub(crate) fn add(&mut self, other: &Self) {
        self.received = self.received.saturating_add(other.received);
        self.lost = self.lost.saturating_add(other.lost);
        self.reordered = self.reordered.saturating_add(other.reordered);
        self.duplicate = self.duplicate.saturating_add(other.duplicate);
    }
}

/// Which of one session's counters have been received.
///
/// The caller ensures exclusive access, so this is a plain struct with no allocation of its own.
pub(crate) struct ReplayWindow {
    /// One more than the greatest counter accepted; zero when there is none yet.
    next: u64,
    /// One bit per counter, at the counter modulo [`BITS`].
    ring: [u64; WORDS],
    path: Path,
}

impl ReplayWindow {
    /// A window that has seen nothing.
    pub(crate) const fn new() -> Self {
        Self {
            next: 0,
            ring: [0; WORDS],
            path: Path {
                received: 0,
                lost: 0,
                reordered: 0,
                duplicate: 0,
            },
        }
    }

    /// One more than the greatest counter accepted so far; zero when there is none.
    #[cfg(test)]
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Whether [`ReplayWindow::accept`] would accept this counter. Changes nothing.
    #[inline]
    pub(crate) fn would_accept(&self, counter: u64) -> bool {
        // Once the last counter was used, the session is over also for those before it.
        if counter >= REJECT_AFTER_MESSAGES || self.next >= REJECT_AFTER_MESSAGES {
            return false;
        }
        if counter >= self.next {
            return true;
        }
        // `self.next > counter`, so both subtractions are exact.
        self.next - 1 - counter <= REPLAY_WINDOW
            && self
                .ring
                .get(Self::word(counter))
                .is_some_and(|word| word & Self::bit(counter) == 0)
    }

    /// Records an authenticated message's counter. `false` if it is a replay, too old to tell, or
    /// one that no honest sender reaches: the message must then be dropped.
    ///
    /// Must only be called once the message has been authenticated, or an attacker could move the window.
    #[inline]
    #[must_use]
    pub(crate) fn accept(&mut self, counter: u64) -> bool {
        if !self.would_accept(counter) {
            if !self.is_too_old(counter) {
                self.path.duplicate = self.path.duplicate.wrapping_add(1);
            }
            return false;
        }
        if counter >= self.next {
            self.advance(counter);
        } else {
            self.path.reordered = self.path.reordered.wrapping_add(1);
        }
        self.path.received = self.path.received.wrapping_add(1);
        if let Some(word) = self.ring.get_mut(Self::word(counter)) {
            *word |= Self::bit(counter);
        }
        true
    }

    /// Whether a counter that is not accepted is behind the window or comes after the last one, and is not known to have
    /// been received before.
    pub(crate) fn is_too_old(&self, counter: u64) -> bool {
        counter >= self.next
            || self.next >= REJECT_AFTER_MESSAGES
            || self.next - 1 - counter > REPLAY_WINDOW
    }

    /// What became of the messages so far.
    pub(crate) fn path(&self) -> Path {
        self.path
    }

    /// What became of all messages, now that no more are awaited.
    pub(crate) fn path_at_end(&self) -> Path {
        let front = self.next.saturating_sub(1) / WORD_BITS;
        let first = (front + 1).saturating_sub(HORIZON);
        let came = self.received_in(first..front + 1);
        let missing = (self.next - first * WORD_BITS).saturating_sub(came);
        Path {
            lost: self.path.lost.saturating_add(missing),
            ..self.path
        }
    }

    /// How many of the counters of these words were received.
    fn received_in(&self, words: Range<u64>) -> u64 {
        words
            .filter_map(|word| self.ring.get((word % WORDS as u64) as usize))
            .map(|bits| u64::from(bits.count_ones()))
            .sum()
    }

    /// Moves the window's front end to `counter`, clearing the words it enters.
    #[inline]
    fn advance(&mut self, counter: u64) {
        let new = counter / WORD_BITS;
        // The word that holds the greatest counter so far has been entered already; a window that
        // has seen nothing is all clear.
        let old = self.next.saturating_sub(1) / WORD_BITS;
        let entered = new.saturating_sub(old);
        if entered != 0 {
            self.look_behind(old + 1, new + 1);
        }
        if entered >= WORDS as u64 {
            self.ring = [0; WORDS];
        } else {
            for step in 1..=entered {
                let at = (old.wrapping_add(step) % WORDS as u64) as usize;
                if let Some(word) = self.ring.get_mut(at) {
                    *word = 0;
                }
            }
        }
        // Below `REJECT_AFTER_MESSAGES`, so this does not wrap.
        self.next = counter.wrapping_add(1);
    }

    /// Counts as lost what is missing in the words that get behind the horizon when the window, which ended before the
    /// word `from`, is about to end before `to`.
    fn look_behind(&mut self, from: u64, to: u64) {
        let (first, end) = (from.saturating_sub(HORIZON), to.saturating_sub(HORIZON));
        let came = self.received_in(first..end.min(from));
        let missing = ((end - first) * WORD_BITS).saturating_sub(came);
        self.path.lost = self.path.lost.saturating_add(missing);
    }

    #[inline]
    const fn word(counter: u64) -> usize {
        ((counter / WORD_BITS) % WORDS as u64) as usize
    }

    #[inline]
    const fn bit(counter: u64) -> u64 {
        1 << (counter % WORD_BITS)
    }
}
