// SPDX-License-Identifier: GPL-2.0

//! The driver's concurrent parts, run by loom in every order that its threads' steps can have.
//!
//! These are the very files of the kernel module, not copies. What is below and beside them stands in
//! for the kernel and for the rest of the driver: the crate `kernel`, and what is in `standin`.
//! Nothing there decides anything that the tests are about.

#![cfg(test)]
// The driver uses more of itself than the models do.
#![allow(dead_code, unused_imports)]

extern crate pinned_init as pin_init;

// The driver's.
#[path = "../../../../src/allowedips.rs"]
mod allowedips;
#[path = "../../../../src/batch.rs"]
mod batch;
#[path = "../../../../src/engine.rs"]
mod engine;
#[path = "../../../../rust/gfp.rs"]
mod gfp;
#[path = "../../../../src/keypair.rs"]
mod keypair;
#[path = "../../../../src/lane.rs"]
mod lane;
#[path = "../../../../src/messages.rs"]
mod messages;
#[path = "../../../../src/pace.rs"]
mod pace;
#[path = "../../../../src/ratelimiter.rs"]
mod ratelimiter;
#[path = "../../../../rust/rcu.rs"]
mod rcu;
#[path = "../../../../src/receive.rs"]
mod receive;
#[path = "../../../../src/replay.rs"]
mod replay;
#[path = "../../../../src/seal.rs"]
mod seal;
#[path = "../../../../src/segment.rs"]
mod segment;
#[path = "../../../../src/send.rs"]
mod send;
#[path = "../../../../src/staged.rs"]
mod staged;

// What stands in.
mod compat {
    pub(crate) use kernel::{error::code::*, sync::rcu::rcu_barrier};
}
mod standin;
use standin::{
    bindings, cpu, crypto, device, endpoint, events, handshake, net, noise, peer, socket, sync,
    timer, timers, workqueue, workspace,
};

mod tests;
