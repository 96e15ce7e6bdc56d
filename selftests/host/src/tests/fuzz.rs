// SPDX-License-Identifier: GPL-2.0

//! The seeds of the fuzz targets, and inputs that once made one fail.

use super::hex;
use crate::fuzz::TARGETS;

const SEEDS: [(&str, &str); 5] = [
    ("allowedips", include_str!("../../fuzz/seeds/allowedips")),
    ("attribute", include_str!("../../fuzz/seeds/attribute")),
    ("boringtun", include_str!("../../fuzz/seeds/boringtun")),
    ("handshake", include_str!("../../fuzz/seeds/handshake")),
    ("messages", include_str!("../../fuzz/seeds/messages")),
];

#[test]
fn seeds() {
    for ((name, target), (seeds_name, seeds)) in TARGETS.into_iter().zip(SEEDS) {
        assert_eq!(name, seeds_name);
        // It calls C, which Miri does not run.
        if cfg!(miri) && name == "boringtun" {
            continue;
        }
        let seeds = seeds.lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;
        for seed in seeds {
            target(&hex(seed));
            count += 1;
        }
        assert!(count > 1, "{name}");
    }
}
