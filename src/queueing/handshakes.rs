// SPDX-License-Identifier: GPL-2.0

//! Handshake messages that wait to be handled.

#![forbid(unsafe_code)]

use core::mem::replace;

use crate::{
    net::{
        skb::{DatagramIn, SkBuff},
        skb_list::SkbList,
    },
    protocol::messages::{MAX_QUEUED_HANDSHAKES, NSEC_PER_SEC, UNDER_LOAD_QUEUED},
};

/// What the sender of a handshake message has shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// That it receives at its address, and has not had its share under load.
    Proven,
    /// At most that it knows our public key.
    Unproven,
}

/// Handshake messages that wait to be handled.
pub(crate) struct Handshakes {
    proven: SkbList<DatagramIn>,
    unproven: SkbList<DatagramIn>,
    /// How many nanoseconds those would have taken that were turned away under load, if they had waited, as of when the
    /// last one was.
    turned_away: u64,
    turned_away_at: u64,
}

/// How long one of those would take, in nanoseconds.
const TURN: u64 = NSEC_PER_SEC / 1000;

impl Handshakes {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            proven: SkbList::new(),
            unproven: SkbList::new(),
            turned_away: 0,
            turned_away_at: 0,
        }
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.proven.len().saturating_add(self.unproven.len())
    }

    /// Returns how many there would be if none were turned away.
    pub(crate) fn load(&self, now_ns: u64) -> usize {
        let turned_away = self.left_of_turned_away(now_ns).div_ceil(TURN);
        self.len().saturating_add(turned_away as usize)
    }

    fn left_of_turned_away(&self, now_ns: u64) -> u64 {
        let since = now_ns.saturating_sub(self.turned_away_at);
        self.turned_away.saturating_sub(since)
    }

    /// Counts a message that does not wait because there is load. As many as make load are remembered: without that a
    /// flood would seem to be over every second, as nothing waits while it is answered with cookies.
    pub(crate) fn turned_away(&mut self, now_ns: u64) {
        let most = UNDER_LOAD_QUEUED as u64 * TURN;
        self.turned_away = self
            .left_of_turned_away(now_ns)
            .saturating_add(TURN)
            .min(most);
        self.turned_away_at = self.turned_away_at.max(now_ns);
    }

    /// Appends a message; gives it back if there are [`MAX_QUEUED_HANDSHAKES`] already.
    pub(crate) fn enqueue(
        &mut self,
        standing: Standing,
        skb: SkBuff<DatagramIn>,
    ) -> core::result::Result<(), SkBuff<DatagramIn>> {
        if self.len() >= MAX_QUEUED_HANDSHAKES {
            return Err(skb);
        }
        match standing {
            Standing::Proven => self.proven.push_back(skb),
            Standing::Unproven => self.unproven.push_back(skb),
        }
        Ok(())
    }

    /// Takes the next, with what its sender has shown: those of proven senders come first.
    pub(crate) fn dequeue(&mut self) -> Option<(SkBuff<DatagramIn>, Standing)> {
        let proven = self.proven.pop_front().map(|skb| (skb, Standing::Proven));
        proven.or_else(|| Some((self.unproven.pop_front()?, Standing::Unproven)))
    }

    /// Takes all.
    pub(crate) fn dequeue_all(&mut self) -> SkbList<DatagramIn> {
        let mut all = replace(&mut self.proven, SkbList::new());
        all.append(&mut self.unproven);
        all
    }
}
