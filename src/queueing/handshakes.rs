// SPDX-License-Identifier: GPL-2.0

//! Handshake messages that wait to be handled.

#![forbid(unsafe_code)]

use core::mem::replace;

use crate::{
    net::{
        skb::{DatagramIn, SkBuff},
        skb_list::SkbList,
    },
    protocol::messages::MAX_QUEUED_HANDSHAKES,
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
}

impl Handshakes {
    /// None.
    pub(crate) const fn new() -> Self {
        Self {
            proven: SkbList::new(),
            unproven: SkbList::new(),
        }
    }

    /// Returns how many there are.
    pub(crate) fn len(&self) -> usize {
        self.proven.len().saturating_add(self.unproven.len())
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
