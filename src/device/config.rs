// SPDX-License-Identifier: GPL-2.0

//! A device's configuration, and changing what is the device's own. What its peers are is in `members`, and what their
//! allowed IPs are in `prefixes`.

#![forbid(unsafe_code)]

use kernel::{
    prelude::*,
    rbtree::RBTree,
    sync::{
        atomic::Relaxed,
        lock::{mutex::MutexBackend, Guard as LockGuard},
    },
};

use crate::{
    crypto::Secret,
    device::{
        news::next_generation,
        types::{Configured, Device, Identity, Member, Peer},
    },
    protocol::{
        cookie::MacKeys,
        noise::{PublicKey, StaticIdentity},
    },
    rcu::{RcuArc, RcuArcBorrow},
};

/// A device's configuration, locked.
pub(crate) struct Config<'g> {
    pub(super) this: RcuArcBorrow<'g, Device>,
    pub(super) configured: LockGuard<'g, Configured, MutexBackend>,
    /// The peers that were removed since it was locked.
    pub(super) removed: RBTree<u64, Member>,
}

impl<'g> Config<'g> {
    /// Locks the configuration of a device. Context: process context.
    pub(crate) fn lock(device: RcuArcBorrow<'g, Device>) -> Self {
        Self {
            this: device,
            configured: device.get().configured.lock(),
            removed: RBTree::new(),
        }
    }

    /// Opens the sockets on the port that is configured, or on one that is chosen now. Errors: as
    /// [`Self::set_listen_port`].
    pub(crate) fn open_sockets(&mut self) -> Result {
        let this = self.this.upgrade().ok_or(ENODEV)?;
        let port = self.configured.listen_port;
        Device::open_sockets(&this, &mut self.configured, port)
    }

    /// Returns whether the caller may change what concerns the sockets: whether it has
    /// `CAP_NET_ADMIN` in the namespace that they are in.
    pub(crate) fn may_administer_sockets(&self) -> bool {
        self.this
            .creating
            .find()
            .is_some_and(|net| net.may_administer())
    }

    /// Notes a change.
    pub(crate) fn changed(&mut self) {
        self.configured.generation = next_generation();
    }

    /// A number that grows with each change, and that no other device has; never zero.
    pub(crate) fn generation(&self) -> u64 {
        self.configured.generation
    }

    /// Returns how many peers there are.
    pub(crate) fn peer_count(&self) -> usize {
        self.configured.peer_count
    }

    /// The port that is or will be listened on, zero if one is yet to be chosen.
    pub(crate) fn listen_port(&self) -> u16 {
        self.configured.listen_port
    }

    /// Sets the port, at once if the device is up. Errors: `EADDRINUSE`, `ENOMEM`, …
    pub(crate) fn set_listen_port(&mut self, port: u16) -> Result {
        if self.configured.listen_port == port {
            return Ok(());
        }
        for member in self.configured.peers.values() {
            member.peer.forget_source();
        }
        if !self.this.netdev.is_running() {
            self.configured.listen_port = port;
            return Ok(());
        }
        let this = self.this.upgrade().ok_or(ENODEV)?;
        Device::open_sockets(&this, &mut self.configured, port)
    }

    /// The firewall mark of what the device sends, zero for none.
    pub(crate) fn fwmark(&self) -> u32 {
        self.this.fwmark()
    }

    /// Sets the firewall mark, which routes may depend on.
    pub(crate) fn set_fwmark(&mut self, fwmark: u32) {
        if fwmark == self.fwmark() {
            return;
        }
        self.this.fwmark.store(fwmark, Relaxed);
        for member in self.configured.peers.values() {
            member.peer.forget_source();
        }
    }

    /// The device's keys, if it has any.
    pub(crate) fn identity(&self) -> Option<RcuArc<Identity>> {
        self.this.identity.load()
    }

    /// Returns whether a public key is the device's own.
    pub(crate) fn is_own_key(&self, public_key: &PublicKey) -> bool {
        self.this
            .identity
            .load()
            .is_some_and(|identity| identity.keys.public() == public_key)
    }

    /// Sets the private key, zeros for none. A peer that has the same key is removed, handshakes under way end, and
    /// nothing more is sent in the sessions there are. Returns whether packets may have waited for the device to have a key
    /// at all. Errors: `ENOMEM`.
    pub(crate) fn set_private_key(&mut self, private: &Secret<32>) -> Result<bool> {
        let unchanged = match self.this.identity.load() {
            Some(identity) => identity.keys.is_of(private),
            None => private.is_zero(),
        };
        if unchanged {
            return Ok(false);
        }
        let identity = match StaticIdentity::new(private) {
            Some(keys) => {
                let macs = MacKeys::new(keys.public());
                Some(RcuArc::new(Identity { keys, macs })?)
            }
            None => None,
        };
        if let Some(identity) = &identity {
            if let Some(peer) = self.peer(identity.keys.public()) {
                self.remove_peer(&peer);
            }
        }
        let had_identity = self.this.identity.swap(identity).is_some();
        for member in self.configured.peers.values() {
            member.peer.identity_changed();
        }
        Ok(!had_identity)
    }

    /// Finds a peer.
    pub(crate) fn peer(&self, public_key: &PublicKey) -> Option<RcuArc<Peer>> {
        self.this.peer_by_key(public_key)
    }
}
