// SPDX-License-Identifier: GPL-2.0

//! Stands in for the kernel's `kernel` crate, of which it has what the driver's files need that are
//! tested on the host: the same names and signatures, with the same promises, by other means.
//!
//! With the feature `loom`, all that threads share is made of loom's primitives, so that the model
//! checker sees every access and knows every order in which they may happen.

#![cfg_attr(feature = "loom", feature(const_eval_select, core_intrinsics))]
#![cfg_attr(feature = "loom", allow(internal_features))]

extern crate pinned_init as pin_init;

pub mod alloc;
pub mod cpu;
pub mod error;
#[cfg(feature = "loom")]
pub mod model;
pub mod prelude;
pub mod sync;
pub mod task;
pub mod types;
#[cfg(feature = "loom")]
pub mod workqueue;

#[doc(hidden)]
pub use pinned_init as pinned;

/// Initialises in place; what fails does so with an [`error::Error`].
#[macro_export]
macro_rules! try_pin_init {
    ($type:ident { $($fields:tt)* }) => {
        $crate::pinned::try_pin_init!($type { $($fields)* }? $crate::error::Error)
    };
    ($type:ident { $($fields:tt)* }? $error:ty) => {
        $crate::pinned::try_pin_init!($type { $($fields)* }? $error)
    };
}

/// The beginning of a struct of which a field is known by its address.
#[macro_export]
macro_rules! container_of {
    ($field:expr, $type:ty, $name:ident) => {{
        let offset = ::core::mem::offset_of!($type, $name);
        $field.byte_sub(offset).cast::<$type>()
    }};
}

/// An error of the kernel's log is a failure here.
#[macro_export]
macro_rules! pr_err {
    ($($message:tt)*) => { panic!($($message)*) };
}

/// A string of C's.
#[macro_export]
macro_rules! c_str {
    ($text:expr) => {
        $text
    };
}
