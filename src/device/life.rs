// SPDX-License-Identifier: GPL-2.0

//! A device's beginning, and its sockets' beginning and end.

#![forbid(unsafe_code)]

use kernel::{
    new_mutex, new_work,
    prelude::*,
    rbtree::RBTree,
    sync::{
        aref::ARef,
        atomic::{Atomic, Full},
        Arc,
    },
};

use crate::{
    compat::ENONET,
    device::{
        counters::DeviceCounters,
        engine::Engine,
        lane::Lane,
        news::{next_generation, DeviceNews},
        requests::HANDSHAKE_WORKERS,
        sockets::Sockets,
        types::{Configured, Device},
    },
    events,
    id_table::IdTable,
    net::{
        device::{CountedDevice, NetDevice},
        namespace::NetId,
        napi::NapiSet,
    },
    protocol::{
        allowedips::{AllowedIps, Writer},
        cookie::CookieSecret,
        index_seal::IndexSeal,
    },
    queueing::{handshakes::Handshakes, pace::Inflow, waitlist::Waitlist, workers::Workers},
    rcu::{RcuArc, RcuSlot},
    sync::new_spinlock_bh,
    timer::new_timer,
};

impl Device {
    /// Makes the driver of a network device. Context: process context. Errors: `ENOMEM`.
    pub(crate) fn new(
        engine: &Arc<Engine>,
        netdev: ARef<CountedDevice>,
        creating: NetId,
    ) -> Result<RcuArc<Self>> {
        let handshake_workers = Workers::new(HANDSHAKE_WORKERS)?;
        let dev = netdev.clone();
        let lanes = kernel::cpu::nr_cpu_ids() as usize;
        RcuArc::pin_init(
            try_pin_init!(Self {
                engine: engine.clone(),
                netdev,
                counters: DeviceCounters::new(),
                news <- DeviceNews::new(),
                news_timer <- new_timer!("news"),
                creating,
                orphaned: Atomic::new(false),
                identity: RcuSlot::empty(),
                fwmark: Atomic::new(0),
                sockets: RcuSlot::empty(),
                allowed_ips: AllowedIps::new(),
                indices <- IdTable::new(),
                index_seal: IndexSeal::random(),
                peers_by_key <- new_mutex!(RBTree::new(), "Device::peers_by_key"),
                lanes <- NapiSet::new(&dev, lanes, |_| Lane::new(engine)),
                inflow: Inflow::new(),
                turns <- new_spinlock_bh!((), "Device::turns"),
                handshakes <- new_spinlock_bh!(Handshakes::new(), "Device::handshakes"),
                requests <- Waitlist::new(),
                handshake_workers,
                cookie_secret <- new_spinlock_bh!(CookieSecret::new(), "Device::cookie_secret"),
                configured <- new_mutex!(
                    Configured {
                        peers: RBTree::new(),
                        peer_count: 0,
                        last_number: 0,
                        listen_port: 0,
                        generation: next_generation(),
                        allowed_ips: Writer::new(),
                    },
                    "Device::configured"
                ),
                news_work <- new_work!("Device::news_work"),
            }),
            GFP_KERNEL,
        )
    }

    /// Opens sockets on a port and closes the former ones. Errors: `ENONET` when the namespace
    /// that the device was created in is gone, those of opening.
    pub(super) fn open_sockets(
        this: &RcuArc<Self>,
        configured: &mut Configured,
        port: u16,
    ) -> Result {
        let net = this.creating.find().ok_or(ENONET)?;
        let sockets = RcuArc::try_new(|| {
            Sockets::open(this, &this.netdev, &this.engine.residents, &net, port)
        })?;
        configured.listen_port = sockets.port();
        if let Some(former) = this.sockets.swap(Some(sockets)) {
            former.close();
        }
        Ok(())
    }

    /// Closes the sockets, if any, which takes at least a grace period. Returns whether there were
    /// any. Context: process context.
    pub(crate) fn close_sockets(&self) -> bool {
        let sockets = self.sockets.swap(None);
        if let Some(sockets) = &sockets {
            sockets.close();
        }
        sockets.is_some()
    }

    /// The namespace that holds the sockets dies. Returns whether that is news.
    pub(crate) fn orphan(&self) -> bool {
        !self.orphaned.xchg(true, Full)
    }
}

impl events::OfDevice for Device {
    fn netdev(&self) -> &NetDevice {
        &self.netdev
    }
}
