// SPDX-License-Identifier: GPL-2.0
//! WireGuard.
use kernel::prelude::*;
#[path = "../rust/bindings/mod.rs"]
mod bindings;
#[path = "../rust/cpu.rs"]
mod cpu;
#[path = "../rust/crypto.rs"]
mod crypto;
#[path = "../rust/gfp.rs"]
mod gfp;
#[path = "../rust/id_table.rs"]
mod id_table;
#[path = "../rust/net/mod.rs"]
mod net;
#[path = "../rust/notifier.rs"]
mod notifier;
#[path = "../rust/rcu.rs"]
mod rcu;
#[path = "../rust/sync.rs"]
mod sync;
#[path = "../rust/timer.rs"]
mod timer;
#[path = "../rust/workqueue.rs"]
mod workqueue;

struct WireGuard;
impl kernel::Module for WireGuard {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Ok(Self)
    }
}
module! {
    type: WireGuard,
    name: "wireguard",
    authors: ["The project"],
    description: "WireGuard",
    license: "GPL",
}
