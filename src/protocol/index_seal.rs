// SPDX-License-Identifier: GPL-2.0

//! Makes dense numbers look random on the wire, and back.
//!
//! The whitepaper wants indices (section 5.4.2: `I_i`, `I_r`) that a stranger cannot guess, because a
//! message with a known index is one that a receiver spends time on. But a table is best addressed
//! by small numbers, with which a lookup is an array access that no choice of numbers can slow
//! down. A keyed bijection gives both: the table's number goes out sealed and comes in unsealed, and
//! no second table is needed.
//!
//! It is a four-round Feistel network over two halves of 16 bits, with the kernel's HSipHash under a secret
//! key as the function of each round. A peer that could undo it would learn from the indices that it is given how
//! many handshakes all other peers make.

#![forbid(unsafe_code)]

use crate::crypto::{random_bytes, HsipKey};

/// Rounds of the network.
const ROUNDS: u32 = 4;

/// A random bijection of 32-bit numbers.
pub(crate) struct IndexSeal {
    key: HsipKey,
}

impl IndexSeal {
    /// A random bijection.
    pub(crate) fn random() -> Self {
        let mut seed = [0; 16];
        random_bytes(&mut seed);
        Self::from_seed(&seed)
    }

    /// The bijection that belongs to a seed.
    pub(crate) fn from_seed(seed: &[u8; 16]) -> Self {
        Self {
            key: HsipKey::new(seed),
        }
    }

    /// A round's function: not invertible, and unlike that of any other round.
    #[inline]
    fn scramble(&self, round: u32, half: u16) -> u16 {
        self.key.hash(round << 16 | u32::from(half)) as u16
    }

    /// The number that goes out for a number of the table.
    #[inline]
    pub(crate) fn seal(&self, index: u32) -> u32 {
        let (mut left, mut right) = halves(index);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.scramble(round, right));
        }
        join(left, right)
    }

    /// The number of the table for a number that came in.
    #[inline]
    pub(crate) fn unseal(&self, sealed: u32) -> u32 {
        let (mut left, mut right) = halves(sealed);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.scramble(round, left), left);
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
