// SPDX-License-Identifier: GPL-2.0

//! `rust/rcu.rs` and what relies on it: nobody looks at a value after its end, and nothing is left.

use super::explore;
use crate::protocol::allowedips::{AllowedIps, Writer};
use crate::rcu::{read_lock, wait_for_all, RcuArc, RcuSlot};
use kernel::sync::rcu::synchronize;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

const ALIVE: u32 = 0xa11fe;

/// A value that notes its end. loom tells when a thread reads it while that is written, or could.
struct Canary {
    number: u32,
    state: UnsafeCell<u32>,
}

// SAFETY: loom tells when that is not so.
unsafe impl Sync for Canary {}

impl Canary {
    fn new(number: u32) -> RcuArc<Self> {
        let state = UnsafeCell::new(ALIVE);
        RcuArc::new(Self { number, state }).ok().unwrap()
    }

    fn look(&self) -> u32 {
        // SAFETY: loom has checked that nobody writes.
        let state = self.state.with(|state| unsafe { *state });
        assert_eq!(state, ALIVE, "a value is used after its end");
        self.number
    }
}

impl Drop for Canary {
    fn drop(&mut self) {
        // SAFETY: loom has checked that nobody looks.
        self.state.with_mut(|state| unsafe { *state = 0 });
    }
}

/// A thread reads while the value is replaced, and its memory is freed.
fn while_replaced(read: impl Fn(&RcuSlot<Canary>) + Send + Sync + Copy + 'static) {
    explore(3, move || {
        let slot = Arc::new(RcuSlot::new(Some(Canary::new(1))));
        let reader = thread::spawn({
            let slot = slot.clone();
            move || read(&slot)
        });
        drop(slot.swap(Some(Canary::new(2))));
        synchronize();
        reader.join().unwrap();
        drop(slot);
        wait_for_all();
    });
}

#[test]
fn a_value_found_lives_as_long_as_the_guard() {
    while_replaced(|slot| {
        let guard = read_lock();
        let found = slot.get(&guard).unwrap();
        let number = found.get().look();
        assert_eq!(found.get().look(), number);
        drop(guard);
    });
}

#[test]
fn a_value_found_can_be_kept_or_is_gone() {
    while_replaced(|slot| {
        let guard = read_lock();
        let kept = slot.get(&guard).unwrap().upgrade();
        drop(guard);
        if let Some(kept) = kept {
            kept.look();
        }
    });
}

#[test]
fn a_value_loaded_is_one_of_those_that_were_there() {
    while_replaced(|slot| {
        let first = slot.load().unwrap();
        let second = slot.load().unwrap();
        // Never an older one after a newer one.
        assert!(first.look() <= second.look());
    });
}

#[test]
fn two_replace_and_nothing_is_lost() {
    explore(3, || {
        let slot = Arc::new(RcuSlot::empty());
        let other = thread::spawn({
            let slot = slot.clone();
            move || drop(slot.swap(Some(Canary::new(1))))
        });
        let former = slot.swap(Some(Canary::new(2)));
        let kept = former.clone();
        drop(former);
        synchronize();
        if let Some(kept) = kept {
            assert_eq!(kept.look(), 1);
        }
        other.join().unwrap();
        slot.load().unwrap().look();
        drop(slot);
        wait_for_all();
    });
}

/// Looks an address up while the trie is changed: its owner is one of two, but there always is one.
fn while_the_trie_changes(change: impl Fn(&AllowedIps<Canary>) + Send + Sync + 'static) {
    explore(2, move || {
        let trie = Arc::new(AllowedIps::new());
        let mut writer = Writer::new();
        let insert = trie.insert(&mut writer, [10, 0, 0, 0].into(), 8, Canary::new(1), 0);
        assert!(insert.is_ok_and(|former| former.is_none()));
        let reader = thread::spawn({
            let trie = trie.clone();
            move || {
                let guard = read_lock();
                let found = trie.lookup_v4([10, 1, 2, 3], &guard).unwrap();
                assert!(found.get().look() <= 2);
                drop(guard);
            }
        });
        change(&trie);
        synchronize();
        reader.join().unwrap();
        drop(trie);
        wait_for_all();
    });
}

#[test]
fn lookups_while_a_prefix_comes_and_goes() {
    while_the_trie_changes(|trie| {
        let (mut writer, owner) = (Writer::new(), Canary::new(2));
        let insert = trie.insert(&mut writer, [10, 1, 0, 0].into(), 16, owner.clone(), 0);
        assert!(insert.is_ok_and(|former| former.is_none()));
        let removed = trie.remove(&mut writer, [10, 1, 0, 0].into(), 16, &owner);
        assert!(removed.is_some());
    });
}

#[test]
fn lookups_while_a_fork_comes_and_goes() {
    while_the_trie_changes(|trie| {
        let (mut writer, owner) = (Writer::new(), Canary::new(3));
        let insert = trie.insert(&mut writer, [11, 0, 0, 0].into(), 8, owner.clone(), 0);
        assert!(insert.is_ok_and(|former| former.is_none()));
        let removed = trie.remove(&mut writer, [11, 0, 0, 0].into(), 8, &owner);
        assert!(removed.is_some());
    });
}

#[test]
fn lookups_while_the_prefix_gets_another_owner() {
    while_the_trie_changes(|trie| {
        let mut writer = Writer::new();
        let insert = trie.insert(&mut writer, [10, 0, 0, 0].into(), 8, Canary::new(2), 0);
        assert!(insert.is_ok_and(|former| former.is_some()));
    });
}
