// SPDX-License-Identifier: GPL-2.0

//! How busy a peer is being sent to: whether it is worthwhile to collect packets, and how many may share
//! a buffer.

#![forbid(unsafe_code)]

use kernel::sync::atomic::{Atomic, Relaxed};

use crate::{net::route::GsoLimits, timer};

/// How busy a peer is being sent to, and how large the buffers for it may be.
pub(crate) struct Pace {
    surplus: Surplus<32>,
    influx: Surplus<8>,
    rate: Rate,
    below: Below,
}

impl Pace {
    /// A peer that nothing has been sent to.
    pub(crate) const fn new() -> Self {
        Self {
            surplus: Surplus(Atomic::new(0)),
            influx: Surplus(Atomic::new(0)),
            rate: Rate(Atomic::new(0)),
            below: Below {
                allowed: Atomic::new(0),
                queued_in: Atomic::new(0),
            },
        }
    }

    /// Counts what is to be sent. Returns whether it is worthwhile to wait for more, which it is not for what is large
    /// itself.
    #[inline]
    pub(crate) fn sent(&self, bytes: usize, packets: usize, is_large: bool) -> bool {
        let now = timer::period(PERIOD);
        self.rate.count(bytes);
        self.influx.reduce(now, packets);
        !is_large && self.surplus.add(now, packets)
    }

    /// Returns whether it is likely that more come with a message.
    #[inline]
    pub(crate) fn is_flooded(&self) -> bool {
        self.influx.is_large()
    }

    /// Counts packets received. Only authentic ones, and each once: a stranger's messages do not change how the
    /// peer's are handled.
    #[inline]
    pub(crate) fn received(&self, packets: usize) {
        let now = timer::period(PERIOD);
        self.influx.add(now, packets);
        self.surplus.reduce(now, packets);
    }

    /// Notes what is allowed on the way to the peer.
    #[inline]
    pub(crate) fn note_below(&self, limits: &GsoLimits) {
        self.below.note(limits);
    }

    /// Returns how many messages may share a buffer, and how many bytes.
    ///
    /// What waits in the queue of a slow link is better in small pieces, as the queue can then choose
    /// between flows, and a large piece makes others wait. So a buffer holds at most what is sent in
    /// a millisecond, which is how TCP sizes its own, or two messages, unless TCP on this machine has done that
    /// (`is_paced`) and nothing has waited there lately; and each message is alone for as long as something waits in the
    /// queue below, for then nothing is gained by sending faster.
    pub(crate) fn run_limits(&self, message: usize, is_paced: bool) -> (usize, usize) {
        let (messages, bytes) = self.below.limits();
        if is_paced && !self.below.was_queued_lately() {
            return (messages, bytes);
        }
        let bytes_a_ms = self.rate.bytes_a_ms().max(message.saturating_mul(2));
        (messages, bytes.min(bytes_a_ms))
    }
}

/// Whether datagrams come to a device in numbers: whether lately several came in one buffer, or more from a peer than is
/// usual when two parties take turns.
pub(crate) struct Inflow {
    /// The last period in which they did.
    last: Atomic<u32>,
}

impl Inflow {
    /// A device that nothing has come to.
    pub(crate) const fn new() -> Self {
        Self {
            last: Atomic::new(0),
        }
    }

    /// Notes whether a buffer of several came, or the peer of a datagram is flooded. Returns whether they come in numbers now.
    ///
    /// Written once in a period, and not for each datagram.
    #[inline]
    pub(crate) fn note(&self, many: bool) -> bool {
        let now = timer::period(PERIOD);
        let last = self.last.load(Relaxed);
        if many && last != now {
            self.last.store(now, Relaxed);
        }
        many || now.wrapping_sub(last) <= LATELY
    }
}

/// The length of a period in milliseconds: the clock of all that is counted here but the rate.
const PERIOD: u32 = 4;

/// For how many periods what was seen is taken to go on: a slow CPU makes a pause after each large buffer.
const LATELY: u32 = 16;

/// How many more packets are sent to a peer than come from it, or the other way round.
///
/// Two parties that take turns wait for each other, and nothing is to be gained by making them wait
/// longer. A sender that does not wait for answers has more to send, and to collect its packets for a work item
/// makes all of it cheaper. What tells them apart is that surplus.
///
/// One number holds the period (32 bits), the surplus in it (31 bits) and whether it was large, more than `LARGE`, in
/// the period before (one bit).
struct Surplus<const LARGE: u64>(Atomic<u64>);

impl<const LARGE: u64> Surplus<LARGE> {
    const MOST: u64 = 0x7fff_ffff;

    /// The surplus of this period, and whether it was large in the period before.
    fn look(&self, now: u32) -> (u64, bool) {
        let seen = self.0.load(Relaxed);
        let (surplus, was_large) = (seen >> 1 & Self::MOST, seen & 1 != 0);
        match now.wrapping_sub((seen >> 32) as u32) {
            0 => (surplus, was_large),
            1 => (0, surplus > LARGE),
            _ => (0, false),
        }
    }

    /// Two CPUs may count one packet only: it is a guess anyway.
    fn note(&self, now: u32, surplus: u64, was_large: bool) {
        let noted = u64::from(now) << 32 | surplus << 1 | u64::from(was_large);
        self.0.store(noted, Relaxed);
    }

    /// Returns whether the surplus is large, or was in the period before.
    #[inline]
    fn is_large(&self) -> bool {
        let (surplus, was_large) = self.look(timer::period(PERIOD));
        was_large || surplus > LARGE
    }

    /// Adds packets. Returns whether it is large now, or was in the period before.
    #[inline]
    fn add(&self, now: u32, packets: usize) -> bool {
        let (surplus, was_large) = self.look(now);
        let packets = u64::try_from(packets).unwrap_or(Self::MOST);
        let surplus = surplus.saturating_add(packets).min(Self::MOST);
        self.note(now, surplus, was_large);
        was_large || surplus > LARGE
    }

    /// Takes packets that went the other way off.
    #[inline]
    fn reduce(&self, now: u32, packets: usize) {
        let (surplus, was_large) = self.look(now);
        if surplus != 0 {
            let packets = u64::try_from(packets).unwrap_or(Self::MOST);
            self.note(now, surplus.saturating_sub(packets), was_large);
        }
    }
}

/// How much is sent to a peer.
///
/// One number holds the period (16 bits) and the bytes that were sent in it and in the one before (24 bits
/// each, in units of 64).
struct Rate(Atomic<u64>);

impl Rate {
    /// The length of a period in milliseconds: so long that a burst, or a tick that comes late, is not taken for a rate.
    const PERIOD: u32 = 32;
    const UNIT: u64 = 64;
    const MOST: u64 = 0xff_ffff;

    /// What was sent in this period and in the one before, in units.
    fn look(&self, now: u16) -> (u64, u64) {
        let seen = self.0.load(Relaxed);
        let (this, before) = (seen >> 24 & Self::MOST, seen & Self::MOST);
        match now.wrapping_sub((seen >> 48) as u16) {
            0 => (this, before),
            1 => (0, this),
            _ => (0, 0),
        }
    }

    /// Two CPUs may count one packet only: it is a guess anyway.
    #[inline]
    fn count(&self, bytes: usize) {
        let now = timer::period(Self::PERIOD) as u16;
        let (this, before) = self.look(now);
        let this = (bytes as u64 / Self::UNIT).saturating_add(this + 1);
        let noted = u64::from(now) << 48 | this.min(Self::MOST) << 24 | before;
        self.0.store(noted, Relaxed);
    }

    fn bytes_a_ms(&self) -> usize {
        let (this, before) = self.look(timer::period(Self::PERIOD) as u16);
        (this.max(before) * Self::UNIT / u64::from(Self::PERIOD)) as usize
    }
}

/// What the way to a peer was like when something was last sent there.
struct Below {
    /// Messages in one buffer (32 bits), and bytes (32 bits).
    allowed: Atomic<u64>,
    /// The last period in which something waited in the queue below.
    queued_in: Atomic<u32>,
}

impl Below {
    #[inline]
    fn note(&self, limits: &GsoLimits) {
        let segments = if limits.is_queued { 1 } else { limits.segments };
        let seen = u64::from(segments) << 32 | u64::from(limits.bytes);
        if self.allowed.load(Relaxed) != seen {
            self.allowed.store(seen, Relaxed);
        }
        if limits.is_queued {
            let now = timer::period(PERIOD);
            if self.queued_in.load(Relaxed) != now {
                self.queued_in.store(now, Relaxed);
            }
        }
    }

    /// Returns whether something has waited there in the last second.
    fn was_queued_lately(&self) -> bool {
        let since = timer::period(PERIOD).wrapping_sub(self.queued_in.load(Relaxed));
        since <= 1000 / PERIOD
    }

    fn limits(&self) -> (usize, usize) {
        let seen = self.allowed.load(Relaxed);
        ((seen >> 32) as usize, seen as u32 as usize)
    }
}
