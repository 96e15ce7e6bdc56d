// SPDX-License-Identifier: GPL-2.0

//! What packets, messages and peers wait in; and what is measured of their flow.
//!
//! The ordered parallel queue, the packets of a peer that wait for a session, handshake messages, waiting lists, work items
//! that share work, and how busy a peer is. They are parts of peers and devices, and know neither.

#![forbid(unsafe_code)]

pub(crate) mod handshakes;
pub(crate) mod pace;
pub(crate) mod queue;
pub(crate) mod ring;
pub(crate) mod staged;
pub(crate) mod stages;
pub(crate) mod waitlist;
pub(crate) mod workers;
