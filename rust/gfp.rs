// SPDX-License-Identifier: GPL-2.0

//! How hard to try when allocating memory.
//!
//! Context: any. It locks nothing, and nothing can fail.
//!
//! C header: [`include/linux/gfp_types.h`](srctree/include/linux/gfp_types.h)

use kernel::alloc::{flags, Flags};

use crate::bindings;

/// Allocation flags for both Rust's allocators and C functions. ([`Flags`] does not tell its
/// value.)
#[derive(Clone, Copy)]
pub(crate) enum Gfp {
    /// May sleep (`GFP_KERNEL`). Context: process context.
    Kernel,
    /// Must not sleep (`GFP_ATOMIC`). Context: any.
    Atomic,
}

impl Gfp {
    /// Returns the value for C functions.
    #[inline]
    pub(crate) const fn raw(self) -> bindings::gfp_t {
        match self {
            Gfp::Kernel => kernel::bindings::GFP_KERNEL,
            Gfp::Atomic => kernel::bindings::GFP_ATOMIC,
        }
    }

    /// Returns the value for Rust's allocators.
    #[inline]
    pub(crate) const fn flags(self) -> Flags {
        match self {
            Gfp::Kernel => flags::GFP_KERNEL,
            Gfp::Atomic => flags::GFP_ATOMIC,
        }
    }
}
