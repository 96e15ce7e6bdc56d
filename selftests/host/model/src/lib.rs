// SPDX-License-Identifier: GPL-2.0

//! The driver's concurrent parts, run by loom in every order that its threads' steps can have.
//!
//! These are the very files of the kernel module, not copies. What is below and beside them stands in
//! for the kernel: the crate `kernel`, and what is in `standin`. Nothing there decides anything that the tests are about.

#![cfg(test)]
// The driver uses more of itself than the models do.
#![allow(dead_code, unused_imports)]

extern crate pinned_init as pin_init;

// The driver's.
#[path = "../../../../src/protocol"]
mod protocol {
    pub(crate) mod allowedips;
    pub(crate) mod messages;
    pub(crate) mod timers;
}
#[path = "../../../../src/queueing"]
mod queueing {
    pub(crate) mod queue;
    pub(crate) mod ring;
}
#[path = "../../../../rust/rcu.rs"]
mod rcu;

// What stands in.
mod compat {
    pub(crate) use kernel::{error::code::*, sync::rcu::rcu_barrier};
}
#[path = "../../src/slab.rs"]
mod slab;
mod standin;
use standin::{bindings, cpu, sync, timer};

mod tests;
