// SPDX-License-Identifier: GPL-2.0

//! Makes dense numbers look random on the wire, and back.
//!
//! The whitepaper wants indices (section 5.4.2: `I_i`, `I_r`) that a stranger cannot guess, because a
//! message with a known index is one that a receiver spends time on. But a table is best addressed
//! by small numbers, with which a lookup is an array access that no choice of numbers can slow
//! down. A keyed bijection gives both: the table's number goes out sealed and comes in unsealed, and
//! no second table is needed.
//!
//! It is a four-round Feistel network over two halves of 16 bits with a key of its own per round.
//! The round function multiplies and keeps the high bits, twice: some ten instructions, as this is on
//! the way of every received packet. It is a scrambler and no cipher: with enough of its outputs, which
//! those who can read the traffic see anyway, it could be worked out. Nothing rests on it but the
//! guesses of those who cannot.

#![forbid(unsafe_code)]

use crate::crypto::{random_bytes, Blake2s};

/// Rounds of the network. Four make every output bit depend on every input bit and key.
const ROUNDS: usize = 4;

/// One round's key.
#[derive(Clone, Copy)]
struct RoundKey {
    add: u64,
    /// Odd, so that no bit is lost by multiplying.
    multiply: u64,
}

impl RoundKey {
    /// Scrambles half a number. Need not be invertible.
    #[inline]
    fn scramble(self, half: u16) -> u16 {
        let product = u64::from(half)
            .wrapping_add(self.add)
            .wrapping_mul(self.multiply);
        // The high bits depend on all bits below them; fold them back for the second time.
        let product = (product ^ product >> 32).wrapping_mul(self.multiply);
        (product >> 48) as u16
    }
}

/// A random bijection of 32-bit numbers.
pub(crate) struct IndexSeal {
    rounds: [RoundKey; ROUNDS],
}

impl IndexSeal {
    /// A bijection that nobody knows, from 128 random bits.
    pub(crate) fn random() -> Self {
        let mut seed = [0; 16];
        random_bytes(&mut seed);
        Self::from_seed(&seed)
    }

    /// The bijection that belongs to a seed.
    pub(crate) fn from_seed(seed: &[u8; 16]) -> Self {
        let mut number = 0u8;
        Self {
            rounds: [(); ROUNDS].map(|()| {
                number = number.wrapping_add(1);
                let mut hash = Blake2s::<16>::keyed(seed);
                hash.update(&[number]);
                let bits = u128::from_le_bytes(hash.finish());
                RoundKey {
                    add: bits as u64,
                    multiply: (bits >> 64) as u64 | 1,
                }
            }),
        }
    }

    /// The number that goes out for a number of the table.
    #[inline]
    pub(crate) fn seal(&self, index: u32) -> u32 {
        let (mut left, mut right) = halves(index);
        for round in self.rounds {
            (left, right) = (right, left ^ round.scramble(right));
        }
        join(left, right)
    }

    /// The number of the table for a number that came in.
    #[inline]
    pub(crate) fn unseal(&self, sealed: u32) -> u32 {
        let (mut left, mut right) = halves(sealed);
        for round in self.rounds.iter().rev() {
            (left, right) = (right ^ round.scramble(left), left);
        }
        join(left, right)
    }
}

#[inline]
fn halves(number: u32) -> (u16, u16) {
    ((number >> 16) as u16, number as u16)
}

#[inline]
fn join(left: u16, right: u16) -> u32 {
    u32::from(left) << 16 | u32::from(right)
}
