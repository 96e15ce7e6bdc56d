// SPDX-License-Identifier: GPL-2.0

//! The tests: one module for each of the driver's, and one for each source of vectors that goes across them.

mod allowedips;
mod attribute;
mod boringtun;
mod coalesce;
mod cookie;
mod crypto;
mod fuzz;
mod handshakes;
mod index_seal;
mod messages;
mod noise;
mod ratelimiter;
mod replay;
mod ring;
mod segment;
mod snow;
mod tai64n;
mod timers;
mod wycheproof;

use crate::numbers::Numbers;

/// Bytes written as hexadecimal digits; anything between them is skipped.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    assert!(digits.len() % 2 == 0);
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
