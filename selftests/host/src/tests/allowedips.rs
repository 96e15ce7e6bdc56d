// SPDX-License-Identifier: GPL-2.0

//! The trie against the rule itself: a list of prefixes, of which the longest that fits is taken.

use super::Numbers;
use crate::fuzz::{Both, Peers, Rule};
use crate::protocol::allowedips::{AllowedIps, Writer};
use crate::rcu::{read_lock, AllocError};
use kernel::alloc::limit_allocations;
use kernel::sync::rcu::synchronize as wait_for_grace_period;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn v4(bits: u32) -> IpAddr {
    Ipv4Addr::from_bits(bits).into()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_table_as_people_write_it() {
    let mut both = Both::new(8);
    for (peer, prefix) in [
        (0, "192.168.4.0/24"),
        (1, "192.168.4.4/32"),
        (2, "192.168.0.0/16"),
        (3, "192.95.5.64/27"),
        (2, "192.95.5.65/27"),
        (4, "0.0.0.0/0"),
        (5, "64.15.112.0/20"),
        (5, "2607:5300:6000:6b00:0:0:c05f:543/128"),
        (2, "2607:5300:6000:6b00::/64"),
        (4, "::/0"),
        (6, "10.0.0.0/8"),
        (6, "10.1.0.0/9"),
    ] {
        let (address, cidr) = prefix.split_once('/').unwrap();
        both.insert(ip(address), cidr.parse().unwrap(), peer);
    }
    for (address, peer) in [
        ("192.168.4.20", 0),
        ("192.168.4.4", 1),
        ("192.168.200.182", 2),
        ("192.95.5.68", 2),
        ("192.95.5.96", 4),
        ("64.15.116.26", 5),
        ("64.15.127.3", 5),
        ("64.15.128.1", 4),
        ("2607:5300:6000:6b00::c05f:543", 5),
        ("2607:5300:6000:6b00::c02e:1ee", 2),
        ("2607:5300:6000:6b01::", 4),
        ("10.200.0.1", 6),
    ] {
        assert_eq!(both.lookup(ip(address)), Some(peer), "{address}");
    }
}

#[test]
fn prefixes_belong_to_one_peer() {
    let mut both = Both::new(3);
    let net = ip("10.0.0.0");
    both.insert(net, 8, 0);
    // Taken over; the former owner can no longer remove it.
    both.insert(ip("10.1.2.3"), 8, 1);
    assert!(!both.remove(net, 8, 0));
    // Neither can it be removed as a longer or shorter prefix, or of the other family.
    for cidr in (0..=255).filter(|&cidr| cidr != 8) {
        assert!(!both.remove(net, cidr, 1));
        assert!(!both.remove(ip("a00::"), cidr, 1));
    }
    assert!(!both.remove(ip("a00::"), 8, 1));
    // Given to the same peer again it is returned with its tag, too.
    both.insert(net, 8, 1);
    assert!(both.remove(ip("10.9.9.9"), 8, 1));
    assert_eq!(both.lookup(net), None);
    assert!(!both.remove(net, 8, 1));
}

#[test]
fn every_prefix_length() {
    for (address, width) in [
        (ip("170.85.204.51"), 32u8),
        (ip("aaaa:5555:cccc:3333:f0f0::1"), 128),
    ] {
        let count = usize::from(width) + 1;
        let mut both = Both::new(count);
        let flipped = |position: u8| match address {
            IpAddr::V4(ip) => v4(ip.to_bits() ^ 1 << (31 - position)),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() ^ 1 << (127 - position)).into(),
        };
        // In an order that makes nodes above, below and between others.
        let order: Vec<u8> = (0..count).map(|i| ((i * 5 + 3) % count) as u8).collect();
        assert_eq!(
            order.iter().collect::<std::collections::HashSet<_>>().len(),
            count
        );
        for &cidr in &order {
            both.insert(address, cidr, cidr.into());
            both.check(address);
            (0..width).for_each(|position| both.check(flipped(position)));
        }
        // An address that differs first in bit n has the prefix of n bits.
        for position in 0..width {
            assert_eq!(both.lookup(flipped(position)), Some(position.into()));
        }
        for &cidr in order.iter().rev() {
            assert!(both.remove(address, cidr, cidr.into()));
            both.check(address);
            (0..width).for_each(|position| both.check(flipped(position)));
        }
    }
}

#[test]
fn lengths_beyond_the_address_are_its_length() {
    let mut both = Both::new(1);
    both.insert(ip("1.2.3.4"), 255, 0);
    both.insert(ip("1::"), 200, 0);
    assert_eq!(both.lookup(ip("1.2.3.4")), Some(0));
    assert_eq!(both.lookup(ip("1.2.3.5")), None);
    assert_eq!(both.lookup(ip("1::")), Some(0));
    assert_eq!(both.lookup(ip("1::1")), None);
    assert!(both.remove(ip("1.2.3.4"), 32, 0));
    assert!(both.remove(ip("1::"), 128, 0));
}

/// An address that shares bits with others of its kind.
fn some_address(numbers: &mut Numbers, close: bool) -> IpAddr {
    let v6 = numbers.below(2) == 1;
    let mut number = u128::from(numbers.next()) << 64 | u128::from(numbers.next());
    if close {
        // Only eight of the bits differ, spread over the address.
        let spread = 0x8080_0001_0100_0001_8000_0001_0000_8001;
        number = 0x5555_5555_5555_5555_5555_5555_5555_5555 ^ number & spread;
    }
    match v6 {
        false => v4((number >> 96) as u32),
        true => Ipv6Addr::from_bits(number).into(),
    }
}

#[test]
fn random_changes() {
    let mut numbers = Numbers(80);
    for close in [true, false] {
        let mut both = Both::new(20);
        let mut removed = 0;
        for round in 0..30_000 {
            let address = some_address(&mut numbers, close);
            let cidr = match numbers.below(8) {
                0 => numbers.below(256) as u8,
                1 => 32,
                _ => numbers.below(if address.is_ipv4() { 33 } else { 129 }) as u8,
            };
            // It grows for a while, then shrinks, and so on.
            let growing = round / 2000 % 2 == 0;
            if numbers.below(4) != 0 && growing {
                both.insert(address, cidr, numbers.below(20) as usize);
            } else {
                let key = Rule::key(address, cidr);
                let existing = both.rule.0.get(&key).map(|(peer, _)| *peer);
                let peer = existing
                    .filter(|_| numbers.below(8) != 0)
                    .unwrap_or(numbers.below(20) as usize);
                removed += u32::from(both.remove(address, cidr, peer));
            }
            if !growing && numbers.below(2) == 0 {
                // Something that is certainly there.
                let some = both
                    .rule
                    .0
                    .iter()
                    .next()
                    .map(|(key, value)| (*key, value.0));
                if let Some(((v6, bits, cidr), peer)) = some {
                    let address = match v6 {
                        false => v4((bits >> 96) as u32),
                        true => Ipv6Addr::from_bits(bits).into(),
                    };
                    assert!(both.remove(address, cidr, peer));
                    both.check(address);
                }
            }
            both.check(address);
            both.check(some_address(&mut numbers, close));
        }
        assert!(removed > 100, "{removed}");
        both.empty();
        for _ in 0..100 {
            assert_eq!(both.lookup(some_address(&mut numbers, close)), None);
        }
    }
}

/// After a trie was taken apart, the nodes are freed after one grace period, and with them go the last
/// references to their owners, which are freed after a second one.
fn assert_all_freed(alive: &AtomicUsize) {
    wait_for_grace_period();
    wait_for_grace_period();
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

#[test]
fn nothing_stays_behind() {
    let mut numbers = Numbers(81);
    let mut both = Both::new(5);
    for _ in 0..2000 {
        let address = some_address(&mut numbers, false);
        both.insert(address, numbers.below(129) as u8, numbers.below(5) as usize);
    }
    let alive = both.peers.alive.clone();
    both.peers.peers.clear();
    // A reader that is there all the time keeps everything.
    let guard = read_lock();
    drop(both.trie.take(&mut both.writer));
    assert_eq!(alive.load(Ordering::SeqCst), 5);
    drop(guard);
    assert_all_freed(&alive);
    let address = some_address(&mut numbers, false);
    assert_eq!(both.lookup(address), None);

    // Usable after clearing, and dropping clears.
    let peers = Peers::new(1);
    let alive = peers.alive.clone();
    let table = AllowedIps::new();
    let owner = peers.peers.into_iter().next().unwrap();
    for cidr in 0..=128 {
        let inserted = table.insert(&mut Writer::new(), address, cidr, owner.clone(), 1);
        assert!(inserted.is_ok());
    }
    drop(owner);
    assert_eq!(alive.load(Ordering::SeqCst), 1);
    drop(table);
    assert_all_freed(&alive);
}

#[test]
fn removed_prefixes_are_freed() {
    let mut numbers = Numbers(84);
    let mut both = Both::new(1);
    for _ in 0..2000 {
        let address = some_address(&mut numbers, true);
        both.insert(address, numbers.below(129) as u8, 0);
    }
    // Each removal by itself, as a node keeps the one below until its own grace period is over.
    let all: Vec<_> = both.rule.0.keys().copied().collect();
    for (v6, bits, cidr) in all {
        let address = match v6 {
            false => v4((bits >> 96) as u32),
            true => Ipv6Addr::from_bits(bits).into(),
        };
        assert!(both.remove(address, cidr, 0));
        wait_for_grace_period();
    }
    let alive = both.peers.alive.clone();
    both.peers.peers.clear();
    assert_all_freed(&alive);
}

#[test]
fn forks_go_when_they_fork_no_more() {
    // Without free allocations a fork cannot be made; so after removing one of two prefixes, what is
    // left is one leaf if and only if putting a prefix right below it takes just one allocation.
    for (first, second) in [("10.0.0.0", "10.1.0.0"), ("10.1.0.0", "10.0.0.0")] {
        let mut both = Both::new(2);
        both.insert(ip(first), 16, 0);
        both.insert(ip(second), 16, 0);
        assert!(both.remove(ip(second), 16, 0));
        // If the fork (10.0.0.0/15) were still there, it would be found and used as it is.
        limit_allocations(Some(0));
        let owner = both.peers.peers[1].clone();
        let result = both
            .trie
            .insert(&mut both.writer, ip("10.0.0.0"), 15, owner, 0);
        limit_allocations(None);
        assert!(matches!(result, Err(AllocError)));
        // And it is used when it is there.
        both.insert(ip(second), 16, 0);
        limit_allocations(Some(0));
        let owner = both.peers.peers[1].clone();
        let result = both
            .trie
            .insert(&mut both.writer, ip("10.0.0.0"), 15, owner, 0);
        limit_allocations(None);
        assert!(matches!(result, Ok(None)));
    }
}

#[test]
fn a_failed_allocation_changes_nothing() {
    let mut numbers = Numbers(82);
    let mut both = Both::new(4);
    let mut failures = 0;
    for _ in 0..3000 {
        let address = some_address(&mut numbers, true);
        let cidr = numbers.below(129) as u8;
        if numbers.below(3) == 0 {
            both.insert(address, cidr, numbers.below(4) as usize);
        } else if numbers.below(2) == 0 {
            let key = Rule::key(address, cidr);
            if let Some((peer, _)) = both.rule.0.get(&key).copied() {
                assert!(both.remove(address, cidr, peer));
            }
        } else {
            // None or one succeeds, and a fork needs two.
            let few = numbers.below(2) as usize;
            failures += u32::from(!both.try_insert(address, cidr, 0, Some(few)));
        }
        both.check(address);
        both.check(some_address(&mut numbers, true));
    }
    assert!(failures > 100, "{failures}");
    both.empty();
}

#[test]
fn clearing_a_deep_trie_needs_no_stack() {
    // The deepest one that there is, and a large one, on a thread with a small stack.
    let clear = || {
        let mut both = Both::new(1);
        for cidr in 0..=128 {
            both.insert(ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), cidr, 0);
            both.insert(ip("::"), cidr, 0);
        }
        for number in 0..20_000u32 {
            both.insert(v4(number.reverse_bits()), 32, 0);
            both.insert(Ipv6Addr::from_bits(u128::from(number)).into(), 128, 0);
        }
        let alive = both.peers.alive.clone();
        both.peers.peers.clear();
        drop(both.trie.take(&mut both.writer));
        assert_all_freed(&alive);
    };
    std::thread::Builder::new()
        .stack_size(64 << 10)
        .spawn(clear)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn readers_see_every_prefix_that_is_not_being_changed() {
    // While neighbours, ancestors and descendants come and go, 10.1.2.0/24 is always found, and so is
    // an IPv6 prefix.
    let both = Both::new(3);
    let owner = |peer: usize| both.peers.peers[peer].clone();
    let mut writer = Writer::new();
    for (address, cidr) in [("10.1.2.0", 24), ("2001:db8::", 32)] {
        let inserted = both
            .trie
            .insert(&mut writer, ip(address), cidr, owner(0), 0);
        assert!(inserted.is_ok());
    }
    let done = AtomicBool::new(false);
    let looked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(both.lookup(ip("10.1.2.77")), Some(0));
                    assert_eq!(both.lookup(ip("2001:db8:1::1")), Some(0));
                    let other = both.lookup(ip("10.1.2.3"));
                    assert!(other == Some(0) || other == Some(2));
                    looked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut numbers = Numbers(83);
        let prefixes = [
            ("0.0.0.0", 0, 1),
            ("10.0.0.0", 8, 1),
            ("10.1.0.0", 16, 1),
            ("10.1.2.3", 32, 2),
            ("10.1.2.2", 31, 2),
            ("10.1.3.0", 24, 1),
            ("10.1.2.0", 23, 1),
            ("11.0.0.0", 8, 1),
            ("2001:db9::", 32, 1),
            ("2001::", 16, 1),
            ("::", 0, 1),
        ];
        let mut present = [false; 11];
        let mut changes = 0;
        // By count, and until readers have had their turns.
        while changes < 20_000 || looked.load(Ordering::Relaxed) < 1000 {
            let at = numbers.below(11) as usize;
            let (address, cidr, peer) = prefixes[at];
            if present[at] {
                let removed =
                    both.trie
                        .remove(&mut writer, ip(address), cidr, &both.peers.peers[peer]);
                assert!(removed.is_some());
            } else {
                let inserted = both
                    .trie
                    .insert(&mut writer, ip(address), cidr, owner(peer), 0);
                assert!(inserted.is_ok_and(|former| former.is_none()));
            }
            present[at] = !present[at];
            changes += 1;
            if changes % 100 == 0 {
                wait_for_grace_period();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}
