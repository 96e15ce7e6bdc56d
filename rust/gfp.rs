// SPDX-License-Identifier: GPL-2.0

//! Allocation flags for C functions.
//!
//! Context: any. It locks nothing, and nothing can fail.
//!
//! C header: [`include/linux/gfp_types.h`](srctree/include/linux/gfp_types.h)

use kernel::alloc::{flags, Flags};

use crate::bindings;

/// Returns the value of allocation flags. ([`Flags`] tells it to the `kernel` crate only.)
///
/// [`flags::__GFP_ZERO`] and flags without a constant in the crate are left out.
#[inline(always)]
pub(crate) fn raw(flags: Flags) -> bindings::gfp_t {
    let values = [
        (flags::GFP_KERNEL, kernel::bindings::GFP_KERNEL),
        (flags::GFP_ATOMIC, kernel::bindings::GFP_ATOMIC),
        (flags::__GFP_NOWARN, kernel::bindings::__GFP_NOWARN),
    ];
    values.into_iter().fold(0, |raw, (flag, value)| {
        raw | if flags.contains(flag) { value } else { 0 }
    })
}
