// SPDX-License-Identifier: GPL-2.0

//! The protocol: what two parties agree on.
//!
//! Messages and how they are read, the handshake, cookies, the window of received counters, allowed IPs, and when
//! something is due. All of it decides and nothing acts: an input and a clock go in, an answer comes out. It uses nothing
//! of a kernel but its cryptography, RCU and atomic numbers, and no other room, so the same files are compiled and tested
//! outside of it (`selftests/host`).

#![forbid(unsafe_code)]

pub(crate) mod allowedips;
pub(crate) mod cookie;
pub(crate) mod index_seal;
pub(crate) mod messages;
pub(crate) mod noise;
pub(crate) mod ratelimiter;
pub(crate) mod replay;
pub(crate) mod tai64n;
pub(crate) mod timers;
mod transcript;
