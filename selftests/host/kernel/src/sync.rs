// SPDX-License-Identifier: GPL-2.0

//! What threads share.

#[cfg(feature = "loom")]
mod arc;
pub mod atomic;
#[cfg(feature = "loom")]
mod mutex;
pub mod rcu;
mod refcount;

pub use self::refcount::Refcount;
#[cfg(feature = "loom")]
pub use self::{arc::Arc, mutex::Mutex};
