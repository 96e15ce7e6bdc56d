// SPDX-License-Identifier: GPL-2.0

//! What the kernel's prelude has, as far as it is needed.

pub use crate::alloc::{flags::*, KBox, KVVec, KVec};
pub use crate::error::{code::*, Error, Result};
pub use crate::{pr_err, try_pin_init};
pub use core::pin::Pin;
pub use pin_init::{pin_data, pin_init, Init, PinInit};
