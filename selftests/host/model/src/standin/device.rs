// SPDX-License-Identifier: GPL-2.0

//! A device with one peer.

use super::net::{device::NetDevice, napi::NapiSet};
use super::peer::Peer;
use crate::engine::Engine;
use crate::keypair::Keypair;
use crate::lane::Lane;
use crate::rcu::{Borrowed, Guard, RcuSlot};
use kernel::sync::Arc;
use std::net::IpAddr;

/// The device's numbers: nothing is ever found by one that was given up.
pub(crate) struct Indices;

impl Indices {
    pub(crate) fn remove(&self, _: u32) {}
}

pub(crate) struct Device {
    pub(crate) engine: Arc<Engine>,
    pub(crate) netdev: NetDevice,
    pub(crate) indices: Indices,
    pub(crate) lanes: NapiSet<Lane>,
    pub(crate) peer: RcuSlot<Peer>,
    pub(crate) session: RcuSlot<Keypair>,
}

impl Device {
    pub(crate) fn peer_of<'g>(&'g self, _: IpAddr, guard: &'g Guard) -> Option<Borrowed<'g, Peer>> {
        self.peer.get(guard)
    }

    pub(crate) fn session<'g>(&'g self, _: u32, guard: &'g Guard) -> Option<Borrowed<'g, Keypair>> {
        self.session.get(guard)
    }
}
