// SPDX-License-Identifier: GPL-2.0

//! What bindgen makes of the kernel's headers ([`bindings.h`]) and of the C helpers
//! ([`helpers.c`]): the part of the kernel's C interface that the `kernel` crate's own bindings
//! lack.
//!
//! [`bindings.h`]: rust/bindings/bindings.h
//! [`helpers.c`]: rust/helpers.c

// Thousands of C declarations, which the kernel documents.
#![doc(hidden)]
#![allow(
    clippy::all,
    clippy::as_ptr_cast_mut,
    clippy::as_underscore,
    clippy::cast_lossless,
    clippy::ptr_as_ptr,
    clippy::ref_as_ptr,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
#![allow(clippy::undocumented_unsafe_blocks)]
#![cfg_attr(CONFIG_RUSTC_HAS_UNNECESSARY_TRANSMUTES, allow(unnecessary_transmutes))]

use kernel::ffi;

mod generated {
    use super::ffi;
    use kernel::bindings::tracepoint;
    use pin_init::MaybeZeroable;
    type __kernel_size_t = usize;
    type __kernel_ssize_t = isize;
    type __kernel_ptrdiff_t = isize;

    include!(env!("WIREGUARD_BINDINGS"));
}
pub(crate) use generated::*;

mod helpers {
    use super::{ffi, generated::*};

    include!(env!("WIREGUARD_HELPERS"));
}
pub(crate) use helpers::*;
