// SPDX-License-Identifier: GPL-2.0

//! The driver's pure parts on the host.
//!
//! These are the very files of the kernel module, not copies: what is tested here is what runs there.
//! Two modules stand in for the kernel: [`bindings`] for the C functions of its crypto library, below
//! the module's own `rust/crypto.rs`, which is compiled as it is too; and [`rcu`] for `rust/rcu.rs`.

// The driver uses what these modules offer; here, only the tests do.
#![cfg_attr(not(test), allow(dead_code, unfulfilled_lint_expectations))]

#[path = "../../../src/allowedips.rs"]
mod allowedips;
#[path = "../../../rust/net/genetlink/attribute.rs"]
mod attribute;
mod bindings;
#[path = "../../../src/cookie.rs"]
mod cookie;
#[path = "../../../rust/crypto.rs"]
mod crypto;
pub mod fuzz;
#[path = "../../../src/index_seal.rs"]
mod index_seal;
#[path = "../../../src/messages.rs"]
mod messages;
#[path = "../../../src/noise.rs"]
mod noise;
mod numbers;
#[path = "../../../src/ratelimiter.rs"]
mod ratelimiter;
mod rcu;
#[path = "../../../src/replay.rs"]
mod replay;
#[path = "../../../src/tai64n.rs"]
mod tai64n;

#[cfg(test)]
mod tests;
