// SPDX-License-Identifier: GPL-2.0

//! The kernel's crypto library: ChaCha20, Poly1305, their AEAD, BLAKE2s, Curve25519, SipHash and the
//! random number generator.
//!
//! All of it is synchronous, allocates nothing and works in every context in which the CPU may be
//! used at all; the library itself decides whether SIMD can be used, so softirq context is fine.
//!
//! Context: any but hard interrupts; [`wait_for_random`] may sleep. It locks nothing. What can fail says so by its
//! return value: [`None`] or `false` for what is not authentic or no point of the curve. Keys and contexts are values of
//! their owner.
//!
//! C headers: those that its files name.
//!
//! # Secrets
//!
//! [`Secret`] is overwritten when dropped, compared in constant time and has neither `Debug`, `Clone`
//! nor `Copy`. Moving a Rust value copies its bytes and leaves the old ones where they were; so
//! functions that make secrets either return them straight into the caller's place or take a `&mut`
//! place to write to, and callers keep secrets where they are instead of moving them about.

mod aead;
mod blake2s;
mod data_key;
mod random;
mod secret;
mod siphash;
mod x25519;

pub(crate) use self::{
    aead::{aead_open, aead_seal, xaead_open, xaead_seal},
    blake2s::Blake2s,
    data_key::DataKey,
    random::{random_bytes, random_is_ready, random_nonce, wait_for_random},
    secret::{ct_eq, with_wiped_stack, Secret},
    siphash::{HsipKey, SipKey},
    x25519::{x25519, x25519_clamp, x25519_public},
};

/// Length of the tag that the AEADs append.
const TAG_LEN: usize = 16;
