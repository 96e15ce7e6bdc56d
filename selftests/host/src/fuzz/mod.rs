// SPDX-License-Identifier: GPL-2.0

//! What holds whatever the input is. A fuzzer looks for input for which it does not
//! (`fuzz/fuzz_targets`), and the tests replay what is in `fuzz/seeds`.
//!
//! Each function compares the driver's code with a model: the rule itself, written down without
//! regard to speed. A panic anywhere, overflow included, is a failure as well.

mod allowedips;
mod attribute;
mod boringtun;
mod handshake;
mod messages;

#[cfg(test)]
pub(crate) use self::allowedips::{Both, Peers, Rule};
#[cfg(test)]
pub(crate) use self::attribute::check as check_attributes;
#[cfg(test)]
pub(crate) use self::boringtun::Tunnel;
pub use self::{
    allowedips::allowedips, attribute::attribute, boringtun::boringtun, handshake::handshake,
    messages::messages,
};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// All of them, by the name of the program in `fuzz/fuzz_targets`.
pub const TARGETS: [(&str, Target); 5] = [
    ("allowedips", allowedips),
    ("attribute", attribute),
    ("boringtun", boringtun),
    ("handshake", handshake),
    ("messages", messages),
];

/// Decisions, made by the bytes of an input until there are none left.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_ne_bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }
}
