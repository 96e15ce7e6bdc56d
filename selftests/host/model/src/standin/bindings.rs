// SPDX-License-Identifier: GPL-2.0

//! The C functions that `rust/rcu.rs` calls.

#![allow(non_camel_case_types)]

pub(crate) use kernel::sync::rcu::call_rcu as call_rcu_at_once;

pub(crate) type callback_head = kernel::sync::rcu::CallbackHead;
pub(crate) type refcount_t = kernel::sync::Refcount;

pub(crate) unsafe fn refcount_inc_not_zero(count: *mut refcount_t) -> bool {
    // SAFETY: As in C.
    unsafe { &*count }.inc_not_zero()
}

pub(crate) unsafe fn synchronize_net() {
    kernel::sync::rcu::synchronize();
}
