// SPDX-License-Identifier: GPL-2.0

//! Handshakes (whitepaper section 5), and what is done when a timer expires (section 6).
//!
//! A message that comes in is looked at where it does, in softirq (`arrival`). All that takes long runs in process context, on a
//! work queue of its own, so that it never keeps data waiting.

#![forbid(unsafe_code)]

pub(crate) mod arrival;
pub(crate) mod expiry;
mod receive;
mod send;
mod work;
