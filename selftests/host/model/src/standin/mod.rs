// SPDX-License-Identifier: GPL-2.0

//! What the driver's files need of the kernel, as little as will do.

pub(crate) mod bindings;
pub(crate) mod cpu;
pub(crate) mod sync;
pub(crate) mod timer;
