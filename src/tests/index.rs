// SPDX-License-Identifier: GPL-2.0

//! The table of indices, against a list, and the permutation between its numbers and those on the
//! wire.

#![forbid(unsafe_code)]

use kernel::{alloc::Flags, prelude::*};

use super::Numbers;
use crate::id_table::IdTable;
use crate::protocol::index_seal::IndexSeal;
use crate::rcu::{read_lock, RcuArc};

/// A table and a list of what must be in it: the numbers, and the values found there.
struct Both {
    table: Pin<KBox<IdTable<u64>>>,
    list: KVec<(u32, u64)>,
}

impl Both {
    fn new() -> Result<Self> {
        Ok(Self {
            table: KBox::pin_init(IdTable::new(), GFP_KERNEL)?,
            list: KVec::new(),
        })
    }

    fn get(&self, id: u32) -> Option<u64> {
        let guard = read_lock();
        self.table.get(id, &guard).map(|value| *value.get())
    }

    fn insert(&mut self, value: u64, flags: Flags) -> Result<bool> {
        let id = self.table.insert(RcuArc::new(value)?, flags)?;
        let free = self.list.iter().all(|&(taken, _)| taken != id);
        self.list.push((id, value), GFP_KERNEL)?;
        Ok(free && self.get(id) == Some(value))
    }

    fn replace(&mut self, id: u32, value: u64) -> Result<bool> {
        let known = self.list.iter_mut().find(|(taken, _)| *taken == id);
        let expected = known.is_some();
        if let Some(entry) = known {
            entry.1 = value;
        }
        Ok(self.table.replace(id, RcuArc::new(value)?) == expected)
    }

    fn remove(&mut self, id: u32) -> Result<bool> {
        let at = self.list.iter().position(|&(taken, _)| taken == id);
        let expected = match at {
            Some(at) => Some(self.list.remove(at).map_err(|_| EINVAL)?.1),
            None => None,
        };
        let removed = self.table.remove(id).map(|value| *value);
        Ok(removed == expected && self.get(id).is_none())
    }

    fn agree(&self) -> bool {
        self.list
            .iter()
            .all(|&(id, value)| self.get(id) == Some(value))
    }
}

#[kunit_tests(wireguard_index)]
mod suite {
    use super::*;

    #[test]
    fn random_operations() -> Result {
        let mut numbers = Numbers(30);
        let mut both = Both::new()?;
        for step in 0..2000u64 {
            let count = both.list.len() as u64;
            let at = numbers.below(count.max(1)) as usize;
            let known = both.list.get(at).map_or(0, |&(id, _)| id);
            let ok = match numbers.below(8) {
                0 | 1 if count > 0 => both.remove(known),
                2 => both.replace(known, step),
                // Most likely nobody has this one.
                3 => both.remove(numbers.next() as u32),
                4 => both.replace(numbers.next() as u32, step),
                5 => both.insert(step, GFP_ATOMIC),
                _ => both.insert(step, GFP_KERNEL),
            };
            assert_eq!(ok, Ok(true));
            if step % 100 == 0 {
                assert!(both.agree());
            }
        }
        assert!(both.agree());
        assert!(both.list.len() > 100);
        // The rest goes with the table.
        Ok(())
    }

    #[test]
    fn numbers_are_not_given_again_at_once() -> Result {
        let mut both = Both::new()?;
        assert_eq!(both.insert(1, GFP_KERNEL), Ok(true));
        let first = both.list.pop().ok_or(EINVAL)?.0;
        assert!(both.table.remove(first).is_some());
        for value in 0..100 {
            assert_eq!(both.insert(value, GFP_KERNEL), Ok(true));
        }
        assert!(both.list.iter().all(|&(id, _)| id != first));
        Ok(())
    }

    #[test]
    fn unsealing_undoes_sealing() {
        let mut numbers = Numbers(40);
        let seal = IndexSeal::random();
        for index in [0..=5000, u32::MAX - 100..=u32::MAX].into_iter().flatten() {
            assert_eq!(seal.unseal(seal.seal(index)), index);
        }
        for _ in 0..5000 {
            let number = numbers.next() as u32;
            assert_eq!(seal.seal(seal.unseal(number)), number);
        }
    }

    #[test]
    fn seeds_make_different_permutations() {
        let one = IndexSeal::from_seed(&[1; 16]);
        let other = IndexSeal::from_seed(&[2; 16]);
        let again = IndexSeal::from_seed(&[1; 16]);
        let same = (0..5000).filter(|&i| one.seal(i) == other.seal(i)).count();
        assert!(same < 5);
        assert!((0..5000).all(|i| one.seal(i) == again.seal(i)));
        assert!((0..100).any(|i| IndexSeal::random().seal(i) != IndexSeal::random().seal(i)));
    }

    /// Every bit of what goes out for dense numbers is set for about half of them.
    #[test]
    fn dense_numbers_come_out_spread() {
        let seal = IndexSeal::from_seed(&[5; 16]);
        for bit in 0..32 {
            let set = (0..4096).filter(|&i| seal.seal(i) >> bit & 1 == 1).count();
            assert!((2048 - 320..2048 + 320).contains(&set));
        }
    }
}
