// SPDX-License-Identifier: GPL-2.0

//! KUnit suites: the protocol's tables and state machines, and what they stand on, in the kernel.
//!
//! Compiled only for a kernel with `CONFIG_KUNIT=y`, which distributions' kernels are without. They
//! run when the module is loaded; `selftests/kunit/kunit.sh` reads what they found. Each computes what it
//! expects by other means than the code that it tests: a list instead of a trie, a set instead of a
//! window, and for the protocol vectors that `selftests/kunit/vectors.py` made.
//!
//! The suite of the handshake is part of `crate::protocol::noise`, because it plays with a state that no
//! other file may see.

#![forbid(unsafe_code)]

mod allowedips;
mod cookie;
mod index;
mod ratelimiter;
mod replay;
mod timer;
pub(crate) mod vectors;

/// The bytes of hexadecimal digits, at compile time.
const fn hex<const N: usize>(digits: &str) -> [u8; N] {
    const fn value(digit: u8) -> u8 {
        match digit {
            b'0'..=b'9' => digit - b'0',
            _ => digit - b'a' + 10,
        }
    }

    let digits = digits.as_bytes();
    assert!(digits.len() == 2 * N);
    let mut bytes = [0; N];
    let mut at = 0;
    while at < N {
        bytes[at] = value(digits[2 * at]) << 4 | value(digits[2 * at + 1]);
        at += 1;
    }
    bytes
}

/// Numbers that look random and are the same in each run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// A number below `bound`, which is not zero.
    fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.next()) << 64 | u128::from(self.next())
    }
}
