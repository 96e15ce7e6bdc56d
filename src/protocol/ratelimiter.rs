// SPDX-License-Identifier: GPL-2.0

//! How many handshake messages per second a sender may have processed while a responder is under
//! load (whitepaper, section 5.3): 20 per second and IPv4 address or IPv6 /64, and 5 at once.
//!
//! # The bucket as a point in time
//!
//! A token bucket that fills at a constant rate needs but one number: the time at which it will be
//! full. A message is one token, worth [`COST`]; taking it moves that time back by as much, and the
//! bucket is empty when that time is more than [`DEPTH`] less one token away. So a bucket whose time
//! has come is full, which is just what a sender that was never seen has: its entry can be forgotten
//! without making any difference.
//!
//! # A table that cannot grow
//!
//! Hence the table is a fixed array of small rows, addressed by a keyed hash, from which *only* full
//! buckets are ever evicted, when their place is needed: there's no timer, no list and no
//! allocation, and no sender can get a new bucket by having its old one pushed out. If all places of a
//! row are taken by senders that are not back at full, a further sender is refused. To have that
//! happen to another sender on purpose one would need to fill a good part of the whole table, as the
//! hash' key is random and secret; every place needs an address of its own that can receive
//! cookies, and another message every 50 ms.

#![forbid(unsafe_code)]

use core::net::IpAddr;
use core::ops::DerefMut;

use crate::crypto::SipKey;
use crate::protocol::messages::NSEC_PER_SEC;

/// What a message costs: the time in which a token comes in, in nanoseconds.
const COST: u64 = NSEC_PER_SEC / 20;
/// How many tokens a bucket holds, in nanoseconds.
const DEPTH: u64 = 5 * COST;
/// Senders per row.
const WAYS: usize = 8;

/// Whom a bucket belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sender {
    /// An IPv4 address, or the first half of an IPv6 address.
    address: u64,
    /// The number of the network namespace, doubled, and one more for IPv6: an address means another
    /// host in another namespace.
    scope: u64,
}

#[derive(Clone, Copy)]
struct Bucket {
    sender: Sender,
    /// When it is going to be full; a time that has passed if it is.
    full_at: u64,
}

/// Buckets of senders whose hashes agree.
#[derive(Clone, Copy)]
pub(crate) struct Row([Bucket; WAYS]);

impl Row {
    /// A row of full buckets that belong to no sender in particular.
    pub(crate) const EMPTY: Self = Self(
        [Bucket {
            sender: Sender {
                address: 0,
                scope: 0,
            },
            full_at: 0,
        }; WAYS],
    );
}

/// The rate limiter.
///
/// `S` is where the rows are: a `KVVec` in the kernel, filled with [`Row::EMPTY`]. With the 8,192
/// rows that the table of the driver in C may have on machines with more than 1 GiB, it holds 65,536
/// senders in 1.5 MiB.
pub(crate) struct RateLimiter<S> {
    rows: S,
    key: SipKey,
}

impl<S: DerefMut<Target = [Row]>> RateLimiter<S> {
    /// A rate limiter that has seen no sender. Without rows it refuses all.
    pub(crate) fn new(rows: S) -> Self {
        Self {
            rows,
            key: SipKey::random(),
        }
    }

    /// Takes one message's token from its sender's bucket; `false` if there's none: drop the message.
    ///
    /// `namespace` tells network namespaces apart (its inode number does). `now_ns` is the time of a
    /// monotonic clock in nanoseconds. Constant time, no allocation; the caller has the lock.
    #[must_use]
    pub(crate) fn allow(&mut self, namespace: u32, from: &IpAddr, now_ns: u64) -> bool {
        let namespace = u64::from(namespace) << 1;
        let sender = match from {
            IpAddr::V4(ip) => Sender {
                address: ip.to_bits().into(),
                scope: namespace,
            },
            IpAddr::V6(ip) => Sender {
                address: (ip.to_bits() >> 64) as u64,
                scope: namespace | 1,
            },
        };

        let hash = self.key.hash(sender.address, sender.scope);
        let rows = self.rows.len() as u64;
        let Some(row) = hash
            .checked_rem(rows)
            .and_then(|row| self.rows.get_mut(row as usize))
        else {
            return false;
        };

        // The sender's bucket, or else the place of any full one.
        let mut place = None;
        for bucket in &mut row.0 {
            if bucket.sender == sender {
                place = Some(bucket);
                break;
            }
            if bucket.full_at <= now_ns {
                place = Some(bucket);
            }
        }
        let Some(bucket) = place else {
            return false;
        };
        if bucket.sender != sender {
            bucket.sender = sender;
            bucket.full_at = now_ns;
        }

        let full_at = bucket.full_at.max(now_ns).saturating_add(COST);
        let enough = full_at.saturating_sub(now_ns) <= DEPTH;
        if enough {
            bucket.full_at = full_at;
        }
        enough
    }
}
