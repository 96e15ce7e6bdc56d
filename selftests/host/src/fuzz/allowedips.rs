// SPDX-License-Identifier: GPL-2.0

//! The trie against the rule itself: a list of prefixes, of which the longest that fits is taken.

use super::Choices;
use crate::protocol::allowedips::{AllowedIps, Writer};
use crate::rcu::{read_lock, AllocError, RcuArc};
use kernel::alloc::limit_allocations;
use kernel::sync::rcu::synchronize as wait_for_grace_period;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

/// A peer that counts how many of its kind there are.
pub(crate) struct Peer {
    pub(crate) number: usize,
    alive: Arc<AtomicUsize>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct Peers {
    pub(crate) peers: Vec<RcuArc<Peer>>,
    pub(crate) alive: Arc<AtomicUsize>,
}

impl Peers {
    pub(crate) fn new(count: usize) -> Self {
        let alive = Arc::new(AtomicUsize::new(count));
        let peer = |number| {
            let alive = alive.clone();
            RcuArc::new(Peer { number, alive }).ok().unwrap()
        };
        Self {
            peers: (0..count).map(peer).collect(),
            alive,
        }
    }
}

fn bits(address: IpAddr) -> (bool, u128, u8) {
    match address {
        IpAddr::V4(ip) => (false, u128::from(ip.to_bits()) << 96, 32),
        IpAddr::V6(ip) => (true, ip.to_bits(), 128),
    }
}

/// The address of these bits; IPv4 takes the first of them.
fn address(v6: bool, bits: u128) -> IpAddr {
    match v6 {
        false => Ipv4Addr::from_bits((bits >> 96) as u32).into(),
        true => Ipv6Addr::from_bits(bits).into(),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// The rule: what every prefix maps to.
#[derive(Default)]
pub(crate) struct Rule(pub(crate) HashMap<(bool, u128, u8), (usize, u64)>);

impl Rule {
    pub(crate) fn key(address: IpAddr, cidr: u8) -> (bool, u128, u8) {
        let (v6, bits, width) = bits(address);
        let cidr = cidr.min(width);
        (v6, bits & mask(cidr), cidr)
    }

    pub(crate) fn owner(&self, address: IpAddr, cidr: u8) -> Option<usize> {
        self.0.get(&Self::key(address, cidr)).map(|(peer, _)| *peer)
    }

    fn lookup(&self, address: IpAddr) -> Option<usize> {
        let (_, _, width) = bits(address);
        (0..=width)
            .rev()
            .find_map(|length| self.owner(address, length))
    }
}

/// The trie, and the rule that it is compared with at every step.
pub(crate) struct Both {
    pub(crate) trie: AllowedIps<Peer>,
    pub(crate) writer: Writer,
    pub(crate) rule: Rule,
    pub(crate) peers: Peers,
    tag: u64,
}

impl Both {
    pub(crate) fn new(peers: usize) -> Self {
        Self {
            trie: AllowedIps::new(),
            writer: Writer::new(),
            rule: Rule::default(),
            peers: Peers::new(peers),
            tag: u64::MAX - 100,
        }
    }

    pub(crate) fn insert(&mut self, address: IpAddr, cidr: u8, peer: usize) {
        assert!(self.try_insert(address, cidr, peer, None));
    }

    /// Inserts while only so many allocations succeed. Returns whether that went well; if not,
    /// nothing has changed.
    pub(crate) fn try_insert(
        &mut self,
        address: IpAddr,
        cidr: u8,
        peer: usize,
        allocations: Option<usize>,
    ) -> bool {
        self.tag = self.tag.wrapping_add(1);
        let owner = self.peers.peers[peer].clone();
        limit_allocations(allocations);
        let result = self
            .trie
            .insert(&mut self.writer, address, cidr, owner, self.tag);
        limit_allocations(None);
        let former = match result {
            Ok(former) => former.map(|(peer, tag)| (peer.number, tag)),
            Err(AllocError) => return false,
        };
        let key = Rule::key(address, cidr);
        let expected = self.rule.0.insert(key, (peer, self.tag));
        assert_eq!(former, expected, "{address}/{cidr}");
        true
    }

    pub(crate) fn remove(&mut self, address: IpAddr, cidr: u8, peer: usize) -> bool {
        let tag = self
            .trie
            .remove(&mut self.writer, address, cidr, &self.peers.peers[peer]);
        let key = Rule::key(address, cidr);
        let owned = self.rule.0.get(&key).filter(|(owner, _)| *owner == peer);
        assert_eq!(tag, owned.map(|(_, tag)| *tag), "{address}/{cidr}");
        if tag.is_some() {
            self.rule.0.remove(&key);
        }
        tag.is_some()
    }

    pub(crate) fn lookup(&self, address: IpAddr) -> Option<usize> {
        let guard = read_lock();
        let found = match address {
            IpAddr::V4(ip) => self.trie.lookup_v4(ip.octets(), &guard),
            IpAddr::V6(ip) => self.trie.lookup_v6(ip.octets(), &guard),
        };
        found.map(|peer| peer.get().number)
    }

    pub(crate) fn check(&self, address: IpAddr) {
        assert_eq!(self.lookup(address), self.rule.lookup(address), "{address}");
    }

    /// All prefixes that there are, in some order that is always the same, with their owners.
    pub(crate) fn prefixes(&self) -> Vec<(IpAddr, u8, usize)> {
        let mut all: Vec<_> = self
            .rule
            .0
            .iter()
            .map(|(&(v6, bits, cidr), &(peer, tag))| (tag, (address(v6, bits), cidr, peer)))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, prefix)| prefix).collect()
    }

    /// Removes prefix by prefix.
    pub(crate) fn empty(&mut self) {
        for (address, cidr, peer) in self.prefixes() {
            assert!(self.remove(address, cidr, peer));
        }
    }
}

const PEERS: usize = 4;

/// The input is a list of changes: what is to be done, an address, a length, a peer.
pub fn allowedips(input: &[u8]) {
    let mut choices = Choices(input);
    let mut both = Both::new(PEERS);
    let mut step = || -> Option<()> {
        let what = choices.byte()?;
        let v6 = what & 1 != 0;
        let raw = if what & 2 != 0 {
            // Only eight of the bits differ, spread over the address.
            const SPREAD: [u32; 8] = [0, 1, 8, 23, 31, 32, 64, 127];
            let chosen = choices.byte()?;
            let bit = |(i, at): (usize, &u32)| u128::from(chosen >> i & 1) << (127 - at);
            SPREAD.iter().enumerate().map(bit).sum()
        } else if v6 {
            u128::from_be_bytes(choices.array()?)
        } else {
            u128::from(u32::from_be_bytes(choices.array()?)) << 96
        };
        let cidr = choices.byte()?;
        let target = address(v6, raw);
        let peer = usize::from(what >> 2 & 3) % PEERS;
        match what >> 4 {
            0..=6 => both.insert(target, cidr, peer),
            7 => {
                both.try_insert(target, cidr, peer, Some(peer % 2));
            }
            8..=9 => {
                both.remove(target, cidr, peer);
            }
            10..=12 => {
                // What is certainly there.
                if let Some(owner) = both.rule.owner(target, cidr) {
                    assert!(both.remove(target, cidr, owner));
                }
            }
            13 => {
                let all = both.prefixes();
                if let Some(&(address, cidr, owner)) = all.get(usize::from(cidr) % all.len().max(1))
                {
                    assert!(both.remove(address, cidr, owner));
                    both.check(address);
                }
            }
            14 => wait_for_grace_period(),
            _ => {
                drop(both.trie.take(&mut both.writer));
                both.rule.0.clear();
            }
        }
        // Here, and where the prefix ends on either side.
        both.check(target);
        for bit in [cidr.wrapping_sub(1), cidr, 127] {
            let flipped = 1u128.checked_shl(127u32.wrapping_sub(bit.into()));
            both.check(address(v6, raw ^ flipped.unwrap_or(0)));
        }
        Some(())
    };
    while step().is_some() {}
    for (address, _, _) in both.prefixes() {
        both.check(address);
    }
    if input.len() % 2 == 0 {
        both.empty();
    }
    // Nothing stays behind: the nodes go after one grace period, their owners after a second one.
    let alive = both.peers.alive.clone();
    both.peers.peers.clear();
    drop(both.trie.take(&mut both.writer));
    drop(both);
    for _ in 0..130 {
        wait_for_grace_period();
        if alive.load(Ordering::SeqCst) == 0 {
            return;
        }
    }
    panic!("{} peers are never freed", alive.load(Ordering::SeqCst));
}
