// SPDX-License-Identifier: GPL-2.0

//! TAI64N timestamps (whitepaper, section 5.1; <https://cr.yp.to/libtai/tai64.html>).
//!
//! An initiation carries one so that a recorded initiation cannot be replayed: the responder accepts
//! only greater ones. It is not there to tell the time, and an exact one would tell strangers about
//! this machine's clock and load, so the nanoseconds are truncated.

#![forbid(unsafe_code)]

use crate::protocol::messages::{INITIATION_INTERVAL, NSEC_PER_SEC, TIMESTAMP_LEN};

/// The TAI64 label of the Unix epoch: 2^62, plus the 10 s by which TAI was ahead of UTC then.
const UNIX_EPOCH: u64 = (1 << 62) + 10;

/// Nanoseconds are rounded down to a multiple of this: 2^24, the greatest power of two that is
/// still below the 20 ms between two initiations that a responder accepts, so that truncation never
/// makes two acceptable initiations carry the same timestamp.
const STEP: u32 = {
    let log = INITIATION_INTERVAL.ilog2();
    1 << log
};

/// A timestamp: seconds, then nanoseconds, big endian. Later ones compare greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tai64n([u8; TIMESTAMP_LEN]);

impl Tai64n {
    /// Less than every timestamp of a real clock, and what a peer that was never heard of has.
    pub(crate) const ZERO: Self = Self([0; TIMESTAMP_LEN]);

    /// The timestamp of a time of the real-time clock, given in nanoseconds since the Unix epoch.
    pub(crate) const fn from_unix_ns(unix_ns: u64) -> Self {
        let seconds = UNIX_EPOCH.wrapping_add(unix_ns / NSEC_PER_SEC);
        // Below 10^9, so it fits.
        let nanoseconds = (unix_ns % NSEC_PER_SEC) as u32;
        Self::new(seconds, nanoseconds & !(STEP - 1))
    }

    /// The one after this, for when the clock gives no later one.
    pub(crate) const fn next(&self) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.0;
        let seconds = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        let nanoseconds = u32::from_be_bytes([i, j, k, l]).saturating_add(STEP);
        if (nanoseconds as u64) < NSEC_PER_SEC {
            Self::new(seconds, nanoseconds)
        } else {
            Self::new(seconds.saturating_add(1), 0)
        }
    }

    const fn new(seconds: u64, nanoseconds: u32) -> Self {
        let [a, b, c, d, e, f, g, h] = seconds.to_be_bytes();
        let [i, j, k, l] = nanoseconds.to_be_bytes();
        Self([a, b, c, d, e, f, g, h, i, j, k, l])
    }

    /// A timestamp as a peer sent it. Any bytes are one; only their order means anything here.
    pub(crate) const fn from_bytes(bytes: [u8; TIMESTAMP_LEN]) -> Self {
        Self(bytes)
    }

    /// The timestamp as it is sent.
    pub(crate) const fn as_bytes(&self) -> &[u8; TIMESTAMP_LEN] {
        &self.0
    }
}
