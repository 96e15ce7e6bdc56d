// SPDX-License-Identifier: GPL-2.0

//! The link kind `wireguard`: a device as the operations of a network interface.

#![forbid(unsafe_code)]

use kernel::{
    c_str,
    prelude::*,
    str::CStr,
    sync::{aref::ARef, Arc},
};

use crate::{
    control::tell,
    data::{
        datagrams,
        receive::datagram,
        send::{send_keepalive, send_staged, transmit},
    },
    device::{
        config::Config,
        counters::STATISTICS,
        drops::{drop_of_device, Cause},
        engine::Engine,
        teardown, Device,
    },
    events,
    handshake::arrival::arrived,
    net::{
        device::CountedDevice,
        link::{self, TunnelDriver},
        namespace::{NamespaceExit, Net, NetId},
        rtnl::RtnlGuard,
        skb::{DatagramIn, Routed, SkBuff},
        udp_receive::{DatagramReceiver, Turn},
    },
    protocol::messages::{DATA_MIN_LEN, PADDING_MULTIPLE},
    rcu::{self, RcuArc, RcuArcBorrow},
    sync::SpinLockBh,
};

impl TunnelDriver for Device {
    type Context = Arc<Engine>;

    const KIND: &'static CStr = c_str!("wireguard");
    const OVERHEAD: usize = 40 + 8 + DATA_MIN_LEN;
    const PADDING: usize = PADDING_MULTIPLE;
    const ROOM: (usize, usize) = datagrams::ROOM;
    const STATISTICS: usize = STATISTICS;

    fn new_link(
        engine: &Arc<Engine>,
        netdev: ARef<CountedDevice>,
        creating: &Net,
    ) -> Result<RcuArc<Self>> {
        engine.open_rate_limiter()?;
        Device::new(engine, netdev, creating.id())
            .inspect(|device| {
                events::interface_created(&**device);
                device.lanes.enable();
            })
            .inspect_err(|_| engine.close_rate_limiter())
    }

    fn open(this: RcuArcBorrow<'_, Self>, rtnl: &RtnlGuard) -> Result {
        this.netdev.quiet_addressing(rtnl);
        let mut config = Config::lock(this);
        config.open_sockets()?;
        for (_, peer) in config.peers_after(0) {
            send_staged(peer);
            if peer.persistent_keepalive() != 0 {
                send_keepalive(peer);
            }
        }
        Ok(())
    }

    fn stop(this: RcuArcBorrow<'_, Self>) {
        // After a grace period no reader that has seen the device up is still about to set a timer or stage
        // a packet.
        if !this.close_sockets() {
            rcu::synchronize_net();
        }
        this.for_each_peer(teardown::stop);
        let dropped = this.handshakes.lock().dequeue_all();
        drop_of_device(&this, Cause::Purged, dropped);
    }

    fn transmit(this: RcuArcBorrow<'_, Self>, skb: SkBuff<Routed>) -> Result {
        transmit(this, skb)
    }

    fn statistics(this: RcuArcBorrow<'_, Self>, tell: &mut dyn FnMut(&'static CStr, u64)) {
        this.counters.tell(this.engine.under_load_ms(), tell);
    }

    fn uninit(this: RcuArc<Self>) {
        this.close_sockets();
        Config::lock(this.as_arc_borrow()).remove_all_peers();
        tell::stop(&this);
        this.lanes.detach();
        // No jobs are put in any more. What is being worked on goes when that is done: to wait for it would
        // be to wait, with the RTNL, for a CPU that other work may hold.
        for lane in this.lanes.polled() {
            lane.purge();
        }
        // Not waited for, because the RTNL is held: handshakes that are being handled. They hold on to
        // the device, and find it without sockets, peers and keys.
        this.engine.close_rate_limiter();
        this.identity.swap(None);
        events::interface_destroyed(&*this);
    }
}

impl DatagramReceiver for Device {
    fn receive(this: RcuArcBorrow<'_, Self>, skb: SkBuff<DatagramIn>, turn: &mut Turn<'_>) -> bool {
        let many = datagram(this, skb, turn, arrived);
        this.inflow.note(many)
    }

    fn turns(&self) -> &SpinLockBh<()> {
        &self.turns
    }
}

impl NamespaceExit for Device {
    fn exit(net: NetId, rtnl: &RtnlGuard) {
        link::for_each::<Device>(rtnl, |device| {
            if device.creating == net && device.orphan() {
                events::creating_namespace_exits(&*device);
                device.netdev.carrier_off();
                let config = Config::lock(device);
                device.close_sockets();
                for (_, peer) in config.peers_after(0) {
                    peer.forget_source();
                }
            }
        });
    }
}
