// SPDX-License-Identifier: GPL-2.0

//! How the driver is told what to do, and what it tells.
//!
//! The operations of a network interface, the generic netlink families `wireguard` and `wg-monitor`, and what happens to
//! the machine. This is the uppermost room: the module registers what is here.

#![forbid(unsafe_code)]

mod attributes;
mod get_device;
pub(crate) mod link;
pub(crate) mod monitor;
pub(crate) mod netlink;
pub(crate) mod power;
mod set_device;
mod tell;
