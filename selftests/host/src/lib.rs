// SPDX-License-Identifier: GPL-2.0

//! The driver's pure parts on the host.
//!
//! These are the very files of the kernel module, not copies: what is tested here is what runs there.
//! What stands in for the kernel is below them: [`bindings`] for the C functions that the module's
//! own `rust/crypto.rs` and `rust/rcu.rs` call, and a crate of the name of the `kernel` crate.

// The driver uses what these modules offer; here, only the tests do.
#![cfg_attr(not(test), allow(dead_code, unfulfilled_lint_expectations))]

extern crate pinned_init as pin_init;

#[path = "../../../src/allowedips.rs"]
mod allowedips;
#[path = "../../../rust/net/genetlink/attribute.rs"]
mod attribute;
#[allow(dead_code)]
mod bindings;
mod compat {
    pub(crate) use kernel::sync::rcu::rcu_barrier;
}
#[path = "../../../src/coalesce.rs"]
mod coalesce;
#[path = "../../../src/cookie.rs"]
mod cookie;
#[path = "../../../rust/crypto.rs"]
mod crypto;
mod data;
pub mod fuzz;
#[allow(dead_code)]
#[path = "../../../rust/gfp.rs"]
mod gfp;
#[path = "../../../src/index_seal.rs"]
mod index_seal;
#[path = "../../../src/messages.rs"]
mod messages;
#[path = "../../../src/noise.rs"]
mod noise;
mod numbers;
#[path = "../../../src/ratelimiter.rs"]
mod ratelimiter;
#[allow(dead_code)]
#[path = "../../../rust/rcu.rs"]
mod rcu;
#[path = "../../../src/replay.rs"]
mod replay;
#[path = "../../../src/ring.rs"]
mod ring;
#[path = "../../../src/segment.rs"]
mod segment;
mod sync {
    pub(crate) fn full_fence() {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}
#[path = "../../../src/tai64n.rs"]
mod tai64n;
#[path = "../../../src/timers.rs"]
mod timers;

#[cfg(test)]
mod tests;
