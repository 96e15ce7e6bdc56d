// SPDX-License-Identifier: GPL-2.0

//! What is noted with a packet at each stage of its way, in its buffer's control block: a type for each stage.
//!
//! Out: [`Outgoing`] from the device to the queue, [`Numbered`] in the queue, [`Padded`] until it is encrypted, [`Encapsulated`]
//! until it is sent. In: [`Decrypted`], from decryption until it is delivered.

#![forbid(unsafe_code)]

use crate::net::skb::{Control, DatagramOut, PacketIn, PacketOut};

/// A packet that was routed to the device, or a keepalive, which is empty.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing {
    /// Since when it waits for a session, on the clock of [`crate::timer::coarse_boottime_ns`].
    pub(crate) staged_at: u64,
    /// The MTU of its route: it is not padded to more than that.
    pub(crate) mtu: u32,
}

impl Control<PacketOut> for Outgoing {
    fn to_words(self) -> [u64; 3] {
        [self.staged_at, self.mtu.into(), 0]
    }

    fn from_words([staged_at, mtu, _]: [u64; 3]) -> Self {
        Self {
            staged_at,
            mtu: mtu as u32,
        }
    }
}

/// A packet in its peer's queue.
#[derive(Clone, Copy)]
pub(crate) struct Numbered {
    /// The counter of its first message; none if the session has no more of them.
    pub(crate) counter: Option<u64>,
    /// How many messages it makes.
    pub(crate) messages: u32,
    /// As [`Outgoing::mtu`].
    pub(crate) mtu: u32,
}

/// What stands for no counter: a session has fewer.
const NO_COUNTER: u64 = u64::MAX;

impl Control<PacketOut> for Numbered {
    fn to_words(self) -> [u64; 3] {
        let counter = self.counter.unwrap_or(NO_COUNTER);
        [counter, self.mtu.into(), self.messages.into()]
    }

    fn from_words([counter, mtu, messages]: [u64; 3]) -> Self {
        Self {
            counter: (counter != NO_COUNTER).then_some(counter),
            messages: messages as u32,
            mtu: mtu as u32,
        }
    }
}

/// A packet of one message that is about to be encrypted.
#[derive(Clone, Copy)]
pub(crate) struct Padded {
    /// The counter of its message.
    pub(crate) counter: u64,
    /// Its length with the padding.
    pub(crate) len: u32,
    /// The DS field of the outer header.
    pub(crate) ds: u8,
}

impl Control<PacketOut> for Padded {
    fn to_words(self) -> [u64; 3] {
        [self.counter, self.len.into(), self.ds.into()]
    }

    fn from_words([counter, len, ds]: [u64; 3]) -> Self {
        Self {
            counter,
            len: len as u32,
            ds: ds as u8,
        }
    }
}

/// A datagram, or several in one buffer, ready to be sent.
#[derive(Clone, Copy)]
pub(crate) struct Encapsulated {
    /// The DS field of the outer header.
    pub(crate) ds: u8,
}

impl Control<DatagramOut> for Encapsulated {
    fn to_words(self) -> [u64; 3] {
        [self.ds.into(), 0, 0]
    }

    fn from_words([ds, ..]: [u64; 3]) -> Self {
        Self { ds: ds as u8 }
    }
}

/// A packet that was decrypted, or one (GSO) that stands for those of several messages.
#[derive(Clone, Copy)]
pub(crate) struct Decrypted {
    /// The counter of its message, of the first of them if there are several.
    pub(crate) counter: u64,
    /// How many messages it was in.
    pub(crate) messages: u32,
    /// How long these were together, without their headers and tags: what is padded counts.
    pub(crate) len: u32,
    /// The DS field of the outer header.
    pub(crate) ds: u8,
}

impl Control<PacketIn> for Decrypted {
    fn to_words(self) -> [u64; 3] {
        let lens = u64::from(self.messages) << 32 | u64::from(self.len);
        [self.counter, lens, self.ds.into()]
    }

    fn from_words([counter, lens, ds]: [u64; 3]) -> Self {
        Self {
            counter,
            messages: (lens >> 32) as u32,
            len: lens as u32,
            ds: ds as u8,
        }
    }
}
