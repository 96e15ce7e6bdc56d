// SPDX-License-Identifier: GPL-2.0

//! The way of a packet, out and in.
//!
//! Out: `send`, `seal` (with `segment` and `datagrams`), `socket`. In: `receive`, `open` (with `coalesce` and `payload`), `lane`. Other CPUs help with
//! either (`helper`). A handshake that is needed is asked for (`crate::device::requests`), and the timers are told what
//! happened (`crate::device::timers`).

#![forbid(unsafe_code)]

mod coalesce;
pub(crate) mod datagrams;
mod helper;
mod lane;
mod open;
mod payload;
pub(crate) mod receive;
mod seal;
mod segment;
pub(crate) mod send;
pub(crate) mod socket;
