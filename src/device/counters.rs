// SPDX-License-Identifier: GPL-2.0

//! What is counted of a device and of a peer, besides what `ip -s link` shows.

#![forbid(unsafe_code)]

use core::ffi::CStr;
use kernel::sync::atomic::{Atomic, Relaxed};

use crate::{
    device::causes::{Cause, PEER_CAUSES},
    protocol::messages::Kind,
};

/// A number that only grows.
pub(crate) struct Counter(Atomic<u64>);

impl Counter {
    /// Zero.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Counts some more.
    #[inline]
    pub(crate) fn add(&self, count: usize) {
        let _ = self.0.fetch_add(count as u64, Relaxed);
    }

    /// Returns the number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Handshake messages of each type.
pub(crate) struct ByType {
    pub(crate) initiations: Counter,
    pub(crate) responses: Counter,
    pub(crate) cookie_replies: Counter,
}

impl ByType {
    const fn new() -> Self {
        Self {
            initiations: Counter::new(),
            responses: Counter::new(),
            cookie_replies: Counter::new(),
        }
    }

    /// Counts a message.
    pub(crate) fn count(&self, kind: Kind) {
        match kind {
            Kind::Initiation => self.initiations.add(1),
            Kind::Response => self.responses.add(1),
            Kind::CookieReply => self.cookie_replies.add(1),
            Kind::Data => (),
        }
    }
}

/// Jobs of the ordered parallel queues, and the packets in them.
pub(crate) struct Jobs {
    pub(crate) jobs: Counter,
    pub(crate) packets: Counter,
}

impl Jobs {
    const fn new() -> Self {
        Self {
            jobs: Counter::new(),
            packets: Counter::new(),
        }
    }

    /// Counts a job.
    #[inline]
    pub(crate) fn count(&self, packets: usize) {
        self.jobs.add(1);
        self.packets.add(packets);
    }
}

/// What is counted of a device.
pub(crate) struct DeviceCounters {
    pub(crate) sealed: Jobs,
    pub(crate) opened: Jobs,
    pub(crate) sent: ByType,
    pub(crate) received: ByType,
    /// By cause.
    pub(crate) drops: [Counter; Cause::ALL.len()],
}

/// How many numbers a device tells.
pub(crate) const STATISTICS: usize = 11 + Cause::ALL.len();

impl DeviceCounters {
    /// Tells all numbers with their names; `under_load_ms` is the machine's.
    pub(crate) fn tell(&self, under_load_ms: u64, tell: &mut dyn FnMut(&'static CStr, u64)) {
        tell(c"tx_jobs", self.sealed.jobs.get());
        tell(c"tx_job_packets", self.sealed.packets.get());
        tell(c"rx_jobs", self.opened.jobs.get());
        tell(c"rx_job_packets", self.opened.packets.get());
        tell(c"tx_initiations", self.sent.initiations.get());
        tell(c"tx_responses", self.sent.responses.get());
        tell(c"tx_cookie_replies", self.sent.cookie_replies.get());
        tell(c"rx_initiations", self.received.initiations.get());
        tell(c"rx_responses", self.received.responses.get());
        tell(c"rx_cookie_replies", self.received.cookie_replies.get());
        tell(c"under_load_ms", under_load_ms);
        for (cause, counter) in Cause::ALL.iter().zip(&self.drops) {
            tell(cause.name(), counter.get());
        }
    }

    /// Nothing counted yet.
    pub(crate) const fn new() -> Self {
        Self {
            sealed: Jobs::new(),
            opened: Jobs::new(),
            sent: ByType::new(),
            received: ByType::new(),
            drops: [const { Counter::new() }; Cause::ALL.len()],
        }
    }
}

/// What is counted of a peer.
pub(crate) struct PeerCounters {
    pub(crate) rx_packets: Counter,
    pub(crate) tx_packets: Counter,
    pub(crate) sessions: Counter,
    pub(crate) initiations_sent: Counter,
    pub(crate) initiations_received: Counter,
    pub(crate) initiations_refused: Counter,
    pub(crate) given_up: Counter,
    /// By the number of the attribute, without the unused zero.
    drops: [Counter; PEER_CAUSES],
}

impl PeerCounters {
    /// Nothing counted yet.
    pub(crate) const fn new() -> Self {
        Self {
            rx_packets: Counter::new(),
            tx_packets: Counter::new(),
            sessions: Counter::new(),
            initiations_sent: Counter::new(),
            initiations_received: Counter::new(),
            initiations_refused: Counter::new(),
            given_up: Counter::new(),
            drops: [const { Counter::new() }; PEER_CAUSES],
        }
    }

    /// The counters of drops with their attributes.
    pub(crate) fn drops(&self) -> impl Iterator<Item = (u16, &Counter)> {
        (1..).zip(&self.drops)
    }

    /// The counter of drops that an attribute of `wg-monitor` tells.
    pub(crate) fn dropped(&self, attribute: u32) -> Option<&Counter> {
        self.drops.get((attribute as usize).checked_sub(1)?)
    }
}
