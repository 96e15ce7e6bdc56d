// SPDX-License-Identifier: GPL-2.0

use super::Numbers;
use crate::protocol::index_seal::IndexSeal;
use std::collections::HashSet;

#[test]
fn unsealing_undoes_sealing() {
    let mut numbers = Numbers(40);
    let seal = IndexSeal::random();
    for index in (0..200_000).chain(u32::MAX - 1000..=u32::MAX) {
        assert_eq!(seal.unseal(seal.seal(index)), index);
    }
    for _ in 0..200_000 {
        let number = numbers.next() as u32;
        assert_eq!(seal.seal(seal.unseal(number)), number);
        assert_eq!(seal.unseal(seal.seal(number)), number);
    }
}

#[test]
fn seeds_make_different_bijections() {
    let one = IndexSeal::from_seed(&[1; 16]);
    let other = IndexSeal::from_seed(&[2; 16]);
    let again = IndexSeal::from_seed(&[1; 16]);
    let same = (0..10_000)
        .filter(|&i| one.seal(i) == other.seal(i))
        .count();
    assert!(same < 5, "{same}");
    assert!((0..10_000).all(|i| one.seal(i) == again.seal(i)));
    assert!((0..100).any(|i| IndexSeal::random().seal(i) != IndexSeal::random().seal(i)));
}

#[test]
fn dense_numbers_come_out_spread() {
    // 2^16 dense numbers: every output bit is set for about half of them, neighbours differ in about
    // half of the bits, and the 2^16 prefixes are hit as by random numbers (63.2% of them).
    for seed in 0..8 {
        let seal = IndexSeal::from_seed(&[seed; 16]);
        let mut set = [0u32; 32];
        let mut flips = 0;
        let mut prefixes = HashSet::new();
        for index in 0..1u32 << 16 {
            let sealed = seal.seal(index);
            for (bit, set) in set.iter_mut().enumerate() {
                *set += sealed >> bit & 1;
            }
            flips += (sealed ^ seal.seal(index + 1)).count_ones();
            prefixes.insert(sealed >> 16);
        }
        for set in set {
            assert!((32_768 - 1500..32_768 + 1500).contains(&set), "{set}");
        }
        let mean = f64::from(flips) / 65536.0;
        assert!((15.5..16.5).contains(&mean), "{mean}");
        assert!(
            (40_000..43_000).contains(&prefixes.len()),
            "{}",
            prefixes.len()
        );
    }
}
