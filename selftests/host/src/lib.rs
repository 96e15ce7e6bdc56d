// SPDX-License-Identifier: GPL-2.0

//! The driver's pure parts on the host.
//!
//! These are the very files of the kernel module, not copies: what is tested here is what runs there.
//! What stands in for the kernel is below them: [`bindings`] for the C functions that the module's
//! own `rust/crypto/` and `rust/rcu.rs` call, and a crate of the name of the `kernel` crate.

// The driver uses what these modules offer; here, only the tests do.
#![cfg_attr(not(test), allow(dead_code, unfulfilled_lint_expectations))]

extern crate pinned_init as pin_init;

// The driver's rooms, or what of them is pure.
#[path = "../../../src/data"]
mod data {
    pub(crate) mod coalesce;
    pub(crate) mod segment;
}
#[path = "../../../src/protocol"]
mod protocol {
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
}
#[path = "../../../src/queueing"]
mod queueing {
    pub(crate) mod handshakes;
    pub(crate) mod ring;
}

// Its layers.
#[path = "../../../rust/net/genetlink/attribute.rs"]
mod attribute;
#[path = "../../../rust/crypto/mod.rs"]
mod crypto;
#[allow(dead_code)]
#[allow(dead_code)]
#[path = "../../../rust/rcu.rs"]
mod rcu;

// What is below them here.
#[allow(dead_code)]
mod bindings;
mod compat {
    pub(crate) use kernel::sync::rcu::rcu_barrier;
}
mod net;
#[allow(dead_code)]
mod slab;
mod sync {
    pub(crate) fn full_fence() {
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}

// What the tests use.
mod buffers;
pub mod fuzz;
mod numbers;
#[cfg(test)]
mod tests;
