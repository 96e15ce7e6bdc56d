// SPDX-License-Identifier: GPL-2.0

//! How busy a peer is being sent to: whether it is worthwhile to collect packets.

#![forbid(unsafe_code)]

use kernel::sync::atomic::{Atomic, Relaxed};

use crate::timer;

/// How busy a peer is being sent to.
///
/// Two parties that take turns wait for each other, and nothing is to be gained by making them wait
/// longer. Whoever sends without waiting for answers has more to send, and a moment's patience
/// makes all of it cheaper. What tells them apart is how many more packets are sent than received.
///
/// One number holds the moment (32 bits), that surplus in it (31 bits) and whether it was large in
/// the moment before (one bit).
pub(crate) struct Pace(Atomic<i64>);

impl Pace {
    /// A surplus of so many packets in a moment is large.
    const LARGE: i64 = 32;
    /// The length of a moment in milliseconds.
    const MOMENT: u32 = 4;
    const MOST: i64 = 0x7fff_ffff;

    /// A peer that nothing has been sent to.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// The surplus of this moment, and whether it was large in the moment before.
    fn look(&self, now: u32) -> (i64, bool) {
        let seen = self.0.load(Relaxed);
        let (surplus, was_large) = (seen >> 1 & Self::MOST, seen & 1 != 0);
        match now.wrapping_sub((seen >> 32) as u32) {
            0 => (surplus, was_large),
            1 => (0, surplus > Self::LARGE),
            _ => (0, false),
        }
    }

    /// Two CPUs may count one packet only: it is a guess anyway.
    fn note(&self, now: u32, surplus: i64, was_large: bool) {
        let noted = i64::from(now) << 32 | surplus << 1 | i64::from(was_large);
        self.0.store(noted, Relaxed);
    }

    /// Counts packets sent. Returns whether it is worthwhile to wait for more.
    pub(crate) fn is_busy(&self, packets: usize) -> bool {
        let now = timer::moment(Self::MOMENT);
        let (surplus, was_large) = self.look(now);
        let packets = i64::try_from(packets).unwrap_or(Self::MOST);
        let surplus = surplus.saturating_add(packets).min(Self::MOST);
        self.note(now, surplus, was_large);
        was_large || surplus > Self::LARGE
    }

    /// Counts packets received.
    #[inline]
    pub(crate) fn received(&self, packets: usize) {
        let now = timer::moment(Self::MOMENT);
        let (surplus, was_large) = self.look(now);
        if surplus != 0 {
            let packets = i64::try_from(packets).unwrap_or(Self::MOST);
            self.note(now, (surplus - packets).max(0), was_large);
        }
    }
}
