// SPDX-License-Identifier: GPL-2.0

//! What happens to a machine: it sleeps, or is a copy of another one.

#![forbid(unsafe_code)]

use crate::{
    compat::rcu_barrier,
    device::{teardown::end_sessions, Device},
    net::{link, rtnl},
    notifier::Notified,
};

/// The machine is about to sleep: its memory shall hold no keys meanwhile.
impl Notified for Device {
    fn notified() {
        let rtnl = rtnl::lock();
        link::for_each::<Device>(&rtnl, |device| {
            device.for_each_peer(|peer| {
                peer.timers.keys_erased();
                peer.clear_handshake();
                end_sessions(peer);
            });
        });
        drop(rtnl);
        // Once for what names the keypairs in the index table, once for them.
        for _ in 0..2 {
            rcu_barrier();
        }
    }
}

/// The virtual machine was cloned (VM fork): two machines must not use the same counters.
pub(crate) struct Forked;

impl Notified for Forked {
    fn notified() {
        let rtnl = rtnl::lock();
        link::for_each::<Device>(&rtnl, |device| {
            device.for_each_peer(|peer| peer.expire_session());
        });
    }
}
