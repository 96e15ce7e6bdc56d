// SPDX-License-Identifier: GPL-2.0

//! Safe layers over the kernel's networking that the `kernel` crate lacks.

pub(crate) mod device;
pub(crate) mod drop_reason;
mod ethtool;
pub(crate) mod genetlink;
mod gro;
pub(crate) mod icmp;
pub(crate) mod link;
pub(crate) mod namespace;
pub(crate) mod napi;
pub(crate) mod residents;
pub(crate) mod route;
pub(crate) mod rtnl;
pub(crate) mod skb;
pub(crate) mod skb_list;
pub(crate) mod udp;
pub(crate) mod udp_receive;

/// `AF_INET`, as attributes and socket addresses hold it.
pub(crate) const AF_INET: u16 = crate::bindings::AF_INET as u16;
/// `AF_INET6`, likewise.
pub(crate) const AF_INET6: u16 = crate::bindings::AF_INET6 as u16;
