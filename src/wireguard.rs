// SPDX-License-Identifier: GPL-2.0

//! WireGuard: cryptokey routing for the Linux kernel.
//!
//! The driver of the link kind `wireguard`. This folder is the protocol and the device, without a
//! line of `unsafe`; what it needs of the kernel is in the safe layers of `rust/`, mounted here.
//! Documentation/architecture.md tells the life of a packet through the modules below.

use kernel::{prelude::*, sync::Arc};

#[path = "../rust/bindings/mod.rs"]
mod bindings;
#[path = "../rust/compat.rs"]
mod compat;
#[path = "../rust/cpu.rs"]
mod cpu;
#[path = "../rust/crypto/mod.rs"]
mod crypto;
#[path = "../rust/dynamic_debug.rs"]
mod dynamic_debug;
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
#[path = "../rust/slab.rs"]
mod slab;
#[path = "../rust/sync.rs"]
mod sync;
#[path = "../rust/timer.rs"]
mod timer;
#[path = "../rust/tracepoints.rs"]
mod tracepoints;
#[path = "../rust/uapi.rs"]
mod uapi;
#[path = "../rust/workqueue.rs"]
mod workqueue;

// The rooms of the driver. Which may use which: Documentation/architecture.md.
mod control;
mod data;
mod device;
mod events;
mod handshake;
mod protocol;
mod queueing;

// What it finds out about itself in a kernel with KUnit.
#[cfg(CONFIG_KUNIT = "y")]
mod tests;

use crate::{
    control::{monitor, netlink, power::Forked},
    device::{engine::Engine, Device, Peer},
    net::{genetlink, link::LinkKind, namespace::NamespaceWatch},
    notifier::{Fork, Notifier, Sleep},
    rcu::RcuArc,
};

module! {
    type: WireGuard,
    name: "wireguard",
    authors: ["The maintainers of WireGuard in Rust"],
    description: "WireGuard secure network tunnel, in Rust",
    license: "GPL",
    alias: ["rtnl-link-wireguard", "net-pf-16-proto-16-family-wireguard", "net-pf-16-proto-16-family-wg-monitor"],
}

/// The module: everything that is registered while it is loaded.
///
/// The fields are dropped in their order, so what lets user space in goes first.
struct WireGuard {
    _netlink: genetlink::Registration,
    _links: Pin<KBox<LinkKind<Device>>>,
    /// Tells of the peers that go with the links.
    _monitor: genetlink::Registration,
    _namespaces: Pin<KBox<NamespaceWatch<Device>>>,
    _fork: Pin<KBox<Notifier<Fork, Forked>>>,
    _sleep: Pin<KBox<Notifier<Sleep, Device>>>,
    _engine: EngineHandle,
}

/// The last thing that goes: waits for what RCU still holds, then ends the work queues.
struct EngineHandle(Arc<Engine>);

impl Drop for EngineHandle {
    fn drop(&mut self) {
        rcu::wait_for_all();
    }
}

impl kernel::Module for WireGuard {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let engine = EngineHandle(Engine::new(monitor::has_listeners, RcuArc::<Peer>::LAYOUT)?);
        let sleep = KBox::try_pin_init(Notifier::register(), GFP_KERNEL)?;
        let fork = KBox::try_pin_init(Notifier::register(), GFP_KERNEL)?;
        let namespaces = KBox::try_pin_init(NamespaceWatch::register(), GFP_KERNEL)?;
        let monitor = monitor::FAMILY.register()?;
        let netlink = netlink::FAMILY.register()?;
        // Last: until there are links there is nothing to dump.
        let links = KBox::try_pin_init(LinkKind::register(engine.0.clone()), GFP_KERNEL)?;
        pr_info!("WireGuard in Rust loaded\n");
        Ok(Self {
            _netlink: netlink,
            _links: links,
            _monitor: monitor,
            _namespaces: namespaces,
            _fork: fork,
            _sleep: sleep,
            _engine: engine,
        })
    }
}
