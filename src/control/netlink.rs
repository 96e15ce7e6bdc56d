// SPDX-License-Identifier: GPL-2.0

//! Configuration from user space: the generic netlink family `wireguard`.
//!
//! `GET_DEVICE` dumps one device, `SET_DEVICE` changes one. Documentation/netlink.md describes
//! both, with what they answer to what is wrong.

#![forbid(unsafe_code)]

use crate::{
    compat::this_module,
    control::{get_device::GetDevice, set_device::SetDevice},
    net::genetlink::{Family, Operation},
    uapi,
};

/// The family.
pub(crate) static FAMILY: Family = Family::new(
    this_module::<crate::LocalModule>(),
    c"wireguard",
    uapi::WG_GENL_VERSION,
    &OPERATIONS,
    &[],
);

static OPERATIONS: [Operation; 2] = [
    Operation::admin_dump::<GetDevice>(),
    Operation::admin_do::<SetDevice>(),
];
