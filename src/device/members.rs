// SPDX-License-Identifier: GPL-2.0

//! Configuring which peers a device has.

#![forbid(unsafe_code)]

use kernel::{prelude::*, rbtree::RBTree};

use crate::{
    cpu,
    crypto::Secret,
    device::{
        config::Config,
        news::News,
        note::note,
        teardown::finish_removal,
        types::{Configured, Member, Peer},
    },
    events,
    protocol::{messages::MAX_PEERS, noise::PublicKey},
    rcu::{self, RcuArc},
};

impl Config<'_> {
    /// Adds a peer. Errors: `ENOMEM`, also when there are too many.
    pub(crate) fn create_peer(
        &mut self,
        public_key: &PublicKey,
        preshared_key: Option<&Secret<32>>,
    ) -> Result<RcuArc<Peer>> {
        if self.configured.peer_count >= MAX_PEERS {
            return Err(ENOMEM);
        }
        let device = self.this.upgrade().ok_or(ENODEV)?;
        let none = Secret::zero();
        let number = self.configured.next_number();
        let peer = Peer::new(device, number, public_key, preshared_key.unwrap_or(&none))?;
        let member = Member {
            peer: peer.clone(),
            allowed_ips: RBTree::new(),
        };
        self.configured
            .peers
            .try_create_and_insert(number, member, GFP_KERNEL)?;
        let by_key = self.this.peers_by_key.lock().try_create_and_insert(
            *public_key,
            peer.clone(),
            GFP_KERNEL,
        );
        if let Err(e) = by_key {
            self.configured.peers.remove(&number);
            return Err(e);
        }
        self.configured.peer_count += 1;
        events::peer_created(&*peer);
        note(&peer, News::New);
        Ok(peer)
    }

    /// Removes a peer: it is unknown to everybody at once, and all that belongs to it goes when the
    /// configuration is unlocked.
    pub(crate) fn remove_peer(&mut self, peer: &RcuArc<Peer>) {
        self.clear_allowed_ips(peer, u64::MAX);
        if let Some(member) = self.configured.peers.remove_node(&peer.id) {
            self.configured.peer_count -= 1;
            self.this.peers_by_key.lock().remove(peer.public_key());
            peer.mark_removed();
            note(peer, News::Deleted);
            self.removed.insert(member);
        }
    }

    /// Removes all peers. Waits for one grace period, however many there are.
    pub(crate) fn remove_all_peers(&mut self) {
        let members = core::mem::replace(&mut self.configured.peers, RBTree::new());
        if members.is_empty() {
            return;
        }
        self.configured.peer_count = 0;
        *self.this.peers_by_key.lock() = RBTree::new();
        let allowed_ips = self.this.allowed_ips.take(&mut self.configured.allowed_ips);
        for member in members.values() {
            member.peer.mark_removed();
            note(&member.peer, News::Deleted);
        }
        finish_removals(&members);
        drop(allowed_ips);
    }

    /// The peers that were added after the one of a number, in order, with their numbers.
    pub(crate) fn peers_after(&self, number: u64) -> impl Iterator<Item = (u64, &RcuArc<Peer>)> {
        after(&self.configured.peers, number).map(|(number, member)| (number, &member.peer))
    }
}

/// Waits until no reader that has found one of these peers begins anything for it, and takes all from them that
/// they have. Waits for one grace period, however many they are.
pub(super) fn finish_removals(members: &RBTree<u64, Member>) {
    if members.is_empty() {
        return;
    }
    rcu::synchronize_net();
    for member in members.values() {
        finish_removal(&member.peer);
        cpu::cond_resched();
    }
}

impl Drop for Config<'_> {
    fn drop(&mut self) {
        finish_removals(&self.removed);
    }
}

impl Configured {
    /// Gives out a number for a peer or an allowed IP, larger than all before.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// The entries of a tree behind a key.
pub(super) fn after<V>(tree: &RBTree<u64, V>, key: u64) -> impl Iterator<Item = (u64, &V)> {
    let mut key = key;
    core::iter::from_fn(move || {
        let first = key.checked_add(1)?;
        key = *tree.cursor_lower_bound(&first)?.current().0;
        Some((key, tree.get(&key)?))
    })
}
