// SPDX-License-Identifier: GPL-2.0

//! Numbers of C.

pub const GFP_KERNEL: u32 = 0xcc0;
pub const GFP_ATOMIC: u32 = 0x820;
