// SPDX-License-Identifier: GPL-2.0

//! What there is: devices, their peers, sessions and endpoints, and their configuration.
//!
//! They can be found and changed, counted and told of here, and asked for something. How a packet moves, and what a
//! handshake is made of, is not known here: those rooms are above, and implement what is done in a peer's queues
//! (`Seal`, `Open`), in work items and when timers expire.

#![forbid(unsafe_code)]

pub(crate) mod bounce;
mod causes;
pub(crate) mod config;
pub(crate) mod counters;
pub(crate) mod drops;
pub(crate) mod endpoint;
pub(crate) mod engine;
mod keypair;
pub(crate) mod lane;
mod life;
pub(crate) mod local;
mod members;
pub(crate) mod news;
pub(crate) mod note;
mod peer;
mod prefixes;
pub(crate) mod requests;
pub(crate) mod roaming;
pub(crate) mod sockets;
mod tables;
pub(crate) mod teardown;
pub(crate) mod timers;
pub(crate) mod types;

pub(crate) use types::{Device, Exchange, Identity, IndexEntry, Keypair, Open, Peer, Seal};
