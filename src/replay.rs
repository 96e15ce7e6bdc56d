// SPDX-License-Identifier: GPL-2.0

//! The replay window (whitepaper, section 5.4.6; algorithm of RFC 6479).
//!
//! UDP reorders, so a counter is accepted once and in any order within a window behind the greatest
//! one accepted so far. The bits live in a ring of words; moving the window forward clears whole
//! words, so one word's worth of the ring is always between the two ends and the window is that much
//! smaller than the ring: 8,192 − 64 = 8,128.

#![forbid(unsafe_code)]

use crate::messages::REJECT_AFTER_MESSAGES;

/// Bits in the ring.
const BITS: u64 = 8192;
/// Bits in a word of the ring.
const WORD_BITS: u64 = 64;
/// Words in the ring.
const WORDS: usize = (BITS / WORD_BITS) as usize;

/// How far behind the greatest accepted counter another one is still accepted.
pub(crate) const WINDOW: u64 = BITS - WORD_BITS;

/// Which of one session's counters have been received.
///
/// The caller ensures exclusive access, so this is a plain struct with no allocation of its own.
pub(crate) struct ReplayWindow {
    /// One more than the greatest counter accepted; zero when there is none yet.
    next: u64,
    /// One bit per counter, at the counter modulo [`BITS`].
    ring: [u64; WORDS],
}

impl ReplayWindow {
    /// A window that has seen nothing.
    pub(crate) const fn new() -> Self {
        Self {
            next: 0,
            ring: [0; WORDS],
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
        self.next - 1 - counter <= WINDOW
            && self
                .ring
                .get(Self::word(counter))
                .is_some_and(|word| word & Self::bit(counter) == 0)
    }

    /// Records an authenticated message's counter. `false` if it is a replay, too old to tell, or
    /// one that no honest sender reaches: the message must then be dropped.
    ///
    /// Must only be called once the message has been authenticated, or anybody could move the window.
    #[inline]
    #[must_use]
    pub(crate) fn accept(&mut self, counter: u64) -> bool {
        if !self.would_accept(counter) {
            return false;
        }
        if counter >= self.next {
            self.advance(counter);
        }
        if let Some(word) = self.ring.get_mut(Self::word(counter)) {
            *word |= Self::bit(counter);
        }
        true
    }

    /// Moves the window's front end to `counter`, clearing the words it enters.
    #[inline]
    fn advance(&mut self, counter: u64) {
        let new = counter / WORD_BITS;
        // The word that holds the greatest counter so far has been entered already; a window that
        // has seen nothing is all clear.
        let old = self.next.saturating_sub(1) / WORD_BITS;
        let entered = new.saturating_sub(old);
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

    #[inline]
    const fn word(counter: u64) -> usize {
        ((counter / WORD_BITS) % WORDS as u64) as usize
    }

    #[inline]
    const fn bit(counter: u64) -> u64 {
        1 << (counter % WORD_BITS)
    }
}
