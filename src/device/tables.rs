// SPDX-License-Identifier: GPL-2.0

//! Finding peers, handshakes and sessions of a device: by address, by public key, by index.

#![forbid(unsafe_code)]

use core::net::IpAddr;
use kernel::{prelude::*, sync::atomic::Relaxed};

use crate::{
    device::types::{Device, Identity, IndexEntry, Keypair, Peer},
    protocol::noise::PublicKey,
    rcu::{self, Guard, RcuArc, RcuArcBorrow},
};

impl Device {
    /// The firewall mark of what the device sends, zero for none.
    #[inline]
    pub(crate) fn fwmark(&self) -> u32 {
        self.fwmark.load(Relaxed)
    }

    /// Finds the peer that has an address among its allowed IPs: packets to the address are sent to
    /// that peer, and packets from it are accepted of that peer only.
    #[inline]
    pub(crate) fn peer_of<'g>(
        &'g self,
        address: IpAddr,
        guard: &'g Guard,
    ) -> Option<RcuArcBorrow<'g, Peer>> {
        match address {
            IpAddr::V4(v4) => self.allowed_ips.lookup_v4(v4.octets(), guard),
            IpAddr::V6(v6) => self.allowed_ips.lookup_v6(v6.octets(), guard),
        }
    }

    /// Finds a peer by its public key. Context: process context.
    pub(crate) fn peer_by_key(&self, public_key: &PublicKey) -> Option<RcuArc<Peer>> {
        self.peers_by_key.lock().get(public_key).cloned()
    }

    /// Finds what an index in a message stands for.
    #[inline]
    pub(crate) fn index_entry<'g>(
        &'g self,
        index: u32,
        guard: &'g Guard,
    ) -> Option<RcuArcBorrow<'g, IndexEntry>> {
        self.indices.get(self.index_seal.unseal(index), guard)
    }

    /// Finds the session that an index in a data message stands for.
    #[inline]
    pub(crate) fn session<'g>(
        &'g self,
        index: u32,
        guard: &'g Guard,
    ) -> Option<RcuArcBorrow<'g, Keypair>> {
        match self.index_entry(index, guard)?.get() {
            IndexEntry::Session(keypair) => Some(keypair.as_arc_borrow()),
            IndexEntry::Handshake(_) => None,
        }
    }

    /// Gives out a number for a handshake or session; sealed, it is the index in messages.
    ///
    /// Context: process context. Errors: `ENOMEM`, `EBUSY`.
    pub(crate) fn new_index(&self, entry: IndexEntry) -> Result<u32> {
        self.indices.insert(RcuArc::new(entry)?, GFP_KERNEL)
    }

    /// Returns whether these are the device's keys.
    pub(crate) fn has_identity(&self, identity: &RcuArc<Identity>) -> bool {
        let guard = rcu::read_lock();
        let current = self.identity.get(&guard);
        current.is_some_and(|current| current.is(identity))
    }

    /// Calls a function for each peer. Context: process context.
    pub(crate) fn for_each_peer(&self, mut f: impl FnMut(&RcuArc<Peer>)) {
        for member in self.configured.lock().peers.values() {
            f(&member.peer);
        }
    }
}
