// SPDX-License-Identifier: GPL-2.0

//! The trie against the rule itself: a list of prefixes, of which the longest that fits is taken.

#![forbid(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use kernel::prelude::*;

use super::Numbers;
use crate::protocol::allowedips::{AllowedIps, Writer};
use crate::rcu::{read_lock, RcuArc};

/// A prefix of the list. The address stands at the left of its 128 bits, in both families.
struct Entry {
    address: u128,
    cidr: u8,
    owner: usize,
    tag: u64,
}

fn masked(address: u128, cidr: u8) -> u128 {
    let cleared = 128u32.saturating_sub(cidr.into());
    address & u128::MAX.checked_shl(cleared).unwrap_or(0)
}

/// A trie and a list to which the same is done. What returns a `bool` says whether they agreed.
struct Both {
    bits: u8,
    trie: AllowedIps<usize>,
    writer: Writer,
    list: KVec<Entry>,
    owners: KVec<RcuArc<usize>>,
    tag: u64,
}

impl Both {
    fn new(bits: u8, owners: usize) -> Result<Self> {
        let mut both = Self {
            bits,
            trie: AllowedIps::new(),
            writer: Writer::new(),
            list: KVec::new(),
            owners: KVec::new(),
            tag: u64::MAX - 100,
        };
        for owner in 0..owners {
            both.owners.push(RcuArc::new(owner)?, GFP_KERNEL)?;
        }
        Ok(both)
    }

    fn address(&self, bits: u128) -> IpAddr {
        if self.bits == 32 {
            Ipv4Addr::from_bits((bits >> 96) as u32).into()
        } else {
            Ipv6Addr::from_bits(bits).into()
        }
    }

    fn insert(&mut self, address: u128, cidr: u8, owner: usize) -> Result<bool> {
        self.tag = self.tag.wrapping_add(1);
        let tag = self.tag;
        let peer = self.owners.get(owner).ok_or(EINVAL)?.clone();
        let ip = self.address(address);
        let former = self
            .trie
            .insert(&mut self.writer, ip, cidr, peer, tag)?
            .map(|(peer, tag)| (*peer, tag));
        let address = masked(address, cidr);
        for entry in self.list.iter_mut() {
            if entry.cidr == cidr && entry.address == address {
                let expected = Some((entry.owner, entry.tag));
                (entry.owner, entry.tag) = (owner, tag);
                return Ok(former == expected);
            }
        }
        let entry = Entry {
            address,
            cidr,
            owner,
            tag,
        };
        self.list.push(entry, GFP_KERNEL)?;
        Ok(former.is_none())
    }

    fn remove(&mut self, address: u128, cidr: u8, owner: usize) -> Result<bool> {
        let peer = self.owners.get(owner).ok_or(EINVAL)?.clone();
        let ip = self.address(address);
        let tag = self.trie.remove(&mut self.writer, ip, cidr, &peer);
        let address = masked(address, cidr);
        let fits = |e: &Entry| e.cidr == cidr && e.address == address && e.owner == owner;
        let at = self.list.iter().position(fits);
        let expected = match at {
            Some(at) => Some(self.list.remove(at).map_err(|_| EINVAL)?.tag),
            None => None,
        };
        Ok(tag == expected)
    }

    /// Removes the `n`th prefix of the list.
    fn remove_nth(&mut self, n: usize) -> Result<bool> {
        let entry = self.list.get(n).ok_or(EINVAL)?;
        let (address, cidr, owner) = (entry.address, entry.cidr, entry.owner);
        self.remove(address, cidr, owner)
    }

    fn lookup(&self, address: u128) -> Option<usize> {
        let guard = read_lock();
        let found = match self.address(address) {
            IpAddr::V4(ip) => self.trie.lookup_v4(ip.octets(), &guard),
            IpAddr::V6(ip) => self.trie.lookup_v6(ip.octets(), &guard),
        };
        found.map(|owner| *owner.get())
    }

    fn agree_on(&self, address: u128) -> bool {
        // In IPv4 there is nothing behind the first 32 bits.
        let address = masked(address, self.bits);
        let mut longest: Option<&Entry> = None;
        for entry in self.list.iter() {
            let fits = masked(address, entry.cidr) == entry.address;
            if fits && longest.is_none_or(|longest| longest.cidr < entry.cidr) {
                longest = Some(entry);
            }
        }
        self.lookup(address) == longest.map(|entry| entry.owner)
    }
}

/// Addresses that share beginnings of all lengths: a few, each with its end made random from
/// somewhere on.
fn related(numbers: &mut Numbers) -> u128 {
    let mut base = Numbers(numbers.below(4));
    let shift = numbers.below(129) as u32;
    base.wide() ^ numbers.wide().checked_shr(shift).unwrap_or(0)
}

/// Random operations; the prefixes' lengths take all values in turn.
fn random_operations(bits: u8, seed: u64, steps: usize) -> Result<bool> {
    let mut numbers = Numbers(seed);
    let mut both = Both::new(bits, 9)?;
    let mut agreed = true;
    for step in 0..steps {
        let address = masked(related(&mut numbers), bits);
        let cidr = (step % (usize::from(bits) + 1)) as u8;
        let owner = numbers.below(9) as usize;
        let count = both.list.len();
        agreed &= match numbers.below(10) {
            // One that may not be there, or may be another peer's.
            0 => both.remove(address, cidr, owner)?,
            1..4 if count > 0 => both.remove_nth(numbers.below(count as u64) as usize)?,
            // Not so many that the list gets slow.
            _ if count > 150 => both.remove_nth(numbers.below(count as u64) as usize)?,
            _ => both.insert(address, cidr, owner)?,
        };
        agreed &= both.agree_on(address);
        // Its neighbour at the end of the prefix, and others.
        agreed &= both.agree_on(address ^ 1u128.checked_shl(128 - u32::from(cidr)).unwrap_or(0));
        for _ in 0..2 {
            agreed &= both.agree_on(related(&mut numbers));
        }
    }
    // At the end one by one, or all at once.
    if seed % 2 == 0 {
        while !both.list.is_empty() {
            let n = numbers.below(both.list.len() as u64) as usize;
            agreed &= both.remove_nth(n)?;
            agreed &= both.agree_on(related(&mut numbers));
        }
    } else {
        drop(both.trie.take(&mut both.writer));
        both.list.clear();
    }
    for _ in 0..100 {
        agreed &= both.lookup(related(&mut numbers)).is_none();
    }
    Ok(agreed)
}

/// All prefixes of one address, each with an owner of its own: an address that leaves the path at
/// some bit belongs to the owner of the prefix that ends there.
fn all_lengths(bits: u8) -> Result<bool> {
    let lengths = usize::from(bits) + 1;
    let address = masked(Numbers(3).wide(), bits);
    let leaving = |at: usize| address ^ 1u128 << (127 - at);
    let mut agreed = true;
    // From the middle outwards, so that nodes come above, below and beside others.
    let mut both = Both::new(bits, lengths)?;
    for step in 0..lengths {
        let cidr = (lengths / 2 + step * 64) % lengths;
        agreed &= both.insert(address, cidr as u8, cidr)?;
    }
    agreed &= both.list.len() == lengths;
    for at in 0..usize::from(bits) {
        agreed &= both.lookup(leaving(at)) == Some(at);
    }
    agreed &= both.lookup(address) == Some(usize::from(bits));
    // Without every second one, the next shorter.
    for cidr in (1..lengths).step_by(2) {
        agreed &= both.remove(address, cidr as u8, cidr)?;
    }
    for at in 0..usize::from(bits) {
        agreed &= both.lookup(leaving(at)) == Some(at & !1);
    }
    Ok(agreed)
}

#[kunit_tests(wireguard_allowedips)]
mod suite {
    use super::*;

    #[test]
    fn prefixes_of_all_lengths_v4() {
        assert_eq!(all_lengths(32), Ok(true));
    }

    #[test]
    fn prefixes_of_all_lengths_v6() {
        assert_eq!(all_lengths(128), Ok(true));
    }

    #[test]
    fn random_operations_v4() {
        assert_eq!(random_operations(32, 10, 2000), Ok(true));
        assert_eq!(random_operations(32, 11, 1000), Ok(true));
    }

    #[test]
    fn random_operations_v6() {
        assert_eq!(random_operations(128, 20, 2000), Ok(true));
        assert_eq!(random_operations(128, 21, 1000), Ok(true));
    }

    #[test]
    fn families_are_apart() -> Result {
        let mut four = Both::new(32, 1)?;
        let mut writer = Writer::new();
        let owner = RcuArc::new(7)?;
        // Everything of IPv6 in the same table.
        let all = Ipv6Addr::UNSPECIFIED.into();
        four.trie.insert(&mut writer, all, 0, owner, 0)?;
        assert!(four.lookup(0).is_none());
        assert_eq!(four.insert(0, 0, 0), Ok(true));
        assert_eq!(four.lookup(0), Some(0));
        let guard = read_lock();
        assert_eq!(
            four.trie.lookup_v6([9; 16], &guard).map(|o| *o.get()),
            Some(7)
        );
        Ok(())
    }
}
