// SPDX-License-Identifier: GPL-2.0

//! Configuring which allowed IPs a peer has.

#![forbid(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use kernel::{prelude::*, rbtree::RBTreeNode};

use crate::{
    device::{
        config::Config,
        members::after,
        news::News,
        note::note,
        types::{Peer, Prefix},
    },
    rcu::RcuArc,
};

impl Config<'_> {
    /// A peer's allowed IPs that were added after the one of a number, in order, with their
    /// numbers.
    pub(crate) fn allowed_ips_after(
        &self,
        peer: &RcuArc<Peer>,
        number: u64,
    ) -> impl Iterator<Item = (u64, IpAddr, u8)> + '_ {
        self.configured
            .peers
            .get(&peer.id)
            .into_iter()
            .flat_map(move |member| after(&member.allowed_ips, number))
            .map(|(number, prefix)| (number, prefix.address, prefix.cidr))
    }

    /// Gives a prefix to a peer; the peer that had it loses it. Returns whether it is new to this one. Errors: `ENOMEM`.
    pub(crate) fn insert_allowed_ip(
        &mut self,
        peer: &RcuArc<Peer>,
        address: IpAddr,
        cidr: u8,
    ) -> Result<bool> {
        let configured = &mut *self.configured;
        let number = configured.next_number();
        let prefix = Prefix {
            address: masked(address, cidr),
            cidr,
        };
        let entry = RBTreeNode::new(number, prefix, GFP_KERNEL)?;
        if configured.peers.get(&peer.id).is_none() {
            return Err(ENODEV);
        }
        let former = self.this.allowed_ips.insert(
            &mut configured.allowed_ips,
            address,
            cidr,
            peer.clone(),
            number,
        )?;
        let mut changes = true;
        if let Some((owner, number)) = former {
            if let Some(member) = configured.peers.get_mut(&owner.id) {
                member.allowed_ips.remove(&number);
            }
            changes = !owner.ptr_eq(peer);
            if changes {
                note(&owner, News::Set);
            }
        }
        if let Some(member) = configured.peers.get_mut(&peer.id) {
            member.allowed_ips.insert(entry);
        }
        Ok(changes)
    }

    /// Takes a prefix from a peer, if it has it, and returns whether it had.
    pub(crate) fn remove_allowed_ip(
        &mut self,
        peer: &RcuArc<Peer>,
        address: IpAddr,
        cidr: u8,
    ) -> bool {
        let configured = &mut *self.configured;
        let removed =
            self.this
                .allowed_ips
                .remove(&mut configured.allowed_ips, address, cidr, peer);
        if let (Some(number), Some(member)) = (removed, configured.peers.get_mut(&peer.id)) {
            member.allowed_ips.remove(&number);
        }
        removed.is_some()
    }

    /// The number of the last peer or allowed IP that was added.
    pub(crate) fn last_number(&self) -> u64 {
        self.configured.last_number
    }

    /// Takes from a peer all prefixes with numbers up to the given one. Returns whether there were any.
    pub(crate) fn clear_allowed_ips(&mut self, peer: &RcuArc<Peer>, last: u64) -> bool {
        let mut changes = false;
        let configured = &mut *self.configured;
        let Some(member) = configured.peers.get_mut(&peer.id) else {
            return changes;
        };
        while let Some(cursor) = member.allowed_ips.cursor_front_mut() {
            if *cursor.current().0 > last {
                return changes;
            }
            changes = true;
            let (_, prefix) = cursor.remove_current().1.to_key_value();
            self.this.allowed_ips.remove(
                &mut configured.allowed_ips,
                prefix.address,
                prefix.cidr,
                peer,
            );
        }
        changes
    }
}

/// An address without the bits behind a prefix of it.
fn masked(address: IpAddr, cidr: u8) -> IpAddr {
    let keep = u32::from(cidr);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32u32.saturating_sub(keep))
                .unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128u32.saturating_sub(keep))
                .unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}
