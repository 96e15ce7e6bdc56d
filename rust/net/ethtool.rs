// SPDX-License-Identifier: GPL-2.0

//! What `ethtool -S` shows of a link.
//!
//! Context: process context, under the RTNL: the callbacks of [`super::link::TunnelDriver::statistics`].
//!
//! C header: [`include/linux/ethtool.h`](srctree/include/linux/ethtool.h)

use core::marker::PhantomData;
use kernel::ffi;

use super::link::{private, TunnelDriver};
use crate::{bindings, compat::EOPNOTSUPP};

/// How long the name of a number may be, with its NUL.
const NAME_LEN: usize = bindings::ETH_GSTRING_LEN as usize;

/// The operations of ethtool on devices of kind `T`.
pub(super) struct Ethtool<T>(PhantomData<T>);

impl<T: TunnelDriver> Ethtool<T> {
    /// What C is given. Valid for as long as the module is there.
    pub(super) const TABLE: bindings::ethtool_ops = bindings::ethtool_ops {
        get_sset_count: Some(count::<T>),
        get_strings: Some(names::<T>),
        get_ethtool_stats: Some(numbers::<T>),
        // SAFETY: All others are numbers, flags, and optional pointers, for which zero means none.
        ..unsafe { core::mem::zeroed() }
    };
}

/// How many numbers there are.
///
/// # Safety
///
/// Only to be called by ethtool.
unsafe extern "C" fn count<T: TunnelDriver>(
    _dev: *mut bindings::net_device,
    set: ffi::c_int,
) -> ffi::c_int {
    if set == bindings::ethtool_stringset_ETH_SS_STATS as ffi::c_int {
        T::STATISTICS as ffi::c_int
    } else {
        EOPNOTSUPP.to_errno()
    }
}

/// What they are called.
///
/// # Safety
///
/// Only to be called by ethtool for a device of kind `T`, under the RTNL, with room for as many names as [`count`] says.
unsafe extern "C" fn names<T: TunnelDriver>(
    dev: *mut bindings::net_device,
    set: u32,
    data: *mut u8,
) {
    if set != bindings::ethtool_stringset_ETH_SS_STATS {
        return;
    }
    // SAFETY: By the safety requirement there is room for so many names, which ethtool has zeroed.
    let names =
        unsafe { core::slice::from_raw_parts_mut(data.cast::<[u8; NAME_LEN]>(), T::STATISTICS) };
    let mut names = names.iter_mut();
    // SAFETY: By the safety requirement.
    if let Some(driver) = unsafe { private::<T>(dev) } {
        T::statistics(driver, &mut |name, _| {
            if let Some(place) = names.next() {
                // The last byte stays zero.
                for (to, from) in place.iter_mut().take(NAME_LEN - 1).zip(name.to_bytes()) {
                    *to = *from;
                }
            }
        });
    }
}

/// The numbers.
///
/// # Safety
///
/// Only to be called by ethtool for a device of kind `T`, under the RTNL, with room for as many numbers as [`count`]
/// says.
unsafe extern "C" fn numbers<T: TunnelDriver>(
    dev: *mut bindings::net_device,
    _stats: *mut bindings::ethtool_stats,
    data: *mut u64,
) {
    // SAFETY: By the safety requirement there is room for so many numbers, which ethtool has zeroed.
    let numbers = unsafe { core::slice::from_raw_parts_mut(data, T::STATISTICS) };
    let mut numbers = numbers.iter_mut();
    // SAFETY: By the safety requirement.
    if let Some(driver) = unsafe { private::<T>(dev) } {
        T::statistics(driver, &mut |_, number| {
            if let Some(place) = numbers.next() {
                *place = number;
            }
        });
    }
}
