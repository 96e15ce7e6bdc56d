// SPDX-License-Identifier: GPL-2.0

//! The attributes of the family `wireguard`, what each may be, and what requests name devices by.

#![forbid(unsafe_code)]

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use kernel::prelude::*;

use crate::{
    compat::{EBADR, EOPNOTSUPP},
    device::Device,
    net::{
        device::NetDevice,
        genetlink::{policy, Attribute, Policy, Table, Writer},
        link,
        namespace::Net,
        rtnl::RtnlGuard,
        AF_INET, AF_INET6,
    },
    protocol::messages::KEY_LEN,
    rcu::RcuArcBorrow,
    uapi,
};

/// Constants of attributes, without the prefix that they have in the header.
macro_rules! attributes {
    ($prefix:ident: $($name:ident,)+) => {
        $(pub(crate) const $name: u16 = kernel::macros::concat_idents!($prefix, $name) as u16;)+
    };
}

/// Attributes of a device (`enum wgdevice_attribute`).
pub(super) mod device {
    use crate::uapi::*;

    attributes! { wgdevice_attribute_WGDEVICE_A_:
        IFINDEX, IFNAME, PRIVATE_KEY, PUBLIC_KEY, FLAGS, LISTEN_PORT, FWMARK, PEERS,
    }

    /// Remove all peers before adding those that come with the message.
    pub(crate) const REPLACE_PEERS: u32 = wgdevice_flag_WGDEVICE_F_REPLACE_PEERS;
}

/// Attributes of a peer (`enum wgpeer_attribute`).
pub(super) mod peer {
    use crate::uapi::*;

    attributes! { wgpeer_attribute_WGPEER_A_:
        UNSPEC, PUBLIC_KEY, PRESHARED_KEY, FLAGS, ENDPOINT, PERSISTENT_KEEPALIVE_INTERVAL,
        LAST_HANDSHAKE_TIME, RX_BYTES, TX_BYTES, ALLOWEDIPS, PROTOCOL_VERSION,
    }

    /// Remove the peer.
    pub(crate) const REMOVE_ME: u32 = wgpeer_flag_WGPEER_F_REMOVE_ME;
    /// Remove all its allowed IPs before adding those that come with the message.
    pub(crate) const REPLACE_ALLOWEDIPS: u32 = wgpeer_flag_WGPEER_F_REPLACE_ALLOWEDIPS;
    /// Do not add the peer if there is none of that key.
    pub(crate) const UPDATE_ONLY: u32 = wgpeer_flag_WGPEER_F_UPDATE_ONLY;
}

/// Attributes of an allowed IP (`enum wgallowedip_attribute`).
pub(super) mod allowed_ip {
    use crate::uapi::*;

    attributes! { wgallowedip_attribute_WGALLOWEDIP_A_:
        FAMILY, IPADDR, CIDR_MASK, FLAGS,
    }

    /// Take the allowed IP from the peer.
    pub(crate) const REMOVE_ME: u32 = wgallowedip_flag_WGALLOWEDIP_F_REMOVE_ME;
}

/// The version of the protocol, the only one there is.
pub(super) const PROTOCOL_VERSION: u32 = 1;
/// Length of a `sockaddr_in`, in bytes.
pub(super) const SOCKADDR_IN_LEN: usize = 16;
/// Length of a `sockaddr_in6`, in bytes.
pub(super) const SOCKADDR_IN6_LEN: usize = 28;
/// Length of a `__kernel_timespec`, in bytes.
pub(super) const TIMESPEC_LEN: usize = 16;

/// How many types there are of an allowed IP's attributes, with the unused zero.
pub(super) const ALLOWED_IP_TYPES: usize =
    uapi::wgallowedip_attribute___WGALLOWEDIP_A_LAST as usize;
/// How many types there are of a peer's attributes, with the unused zero.
pub(super) const PEER_TYPES: usize = uapi::wgpeer_attribute___WGPEER_A_LAST as usize;
/// How many types there are of a device's attributes, with the unused zero.
pub(super) const DEVICE_TYPES: usize = uapi::wgdevice_attribute___WGDEVICE_A_LAST as usize;
/// How many of them `GET_DEVICE` accepts: those that name the device.
pub(super) const NAME_TYPES: usize = device::IFNAME as usize + 1;

/// What the attributes of an allowed IP may be.
pub(super) static ALLOWED_IP_POLICY: [Policy; ALLOWED_IP_TYPES] = policy::table(&[
    (allowed_ip::FAMILY, Policy::u16()),
    (allowed_ip::IPADDR, Policy::min_len(4)),
    (allowed_ip::CIDR_MASK, Policy::u8()),
    (allowed_ip::FLAGS, Policy::u32_mask(allowed_ip::REMOVE_ME)),
]);

/// What those of a peer may be.
pub(super) static PEER_POLICY: [Policy; PEER_TYPES] = policy::table(&[
    (peer::PUBLIC_KEY, Policy::exact_len(KEY_LEN as i16)),
    (peer::PRESHARED_KEY, Policy::exact_len(KEY_LEN as i16)),
    (
        peer::FLAGS,
        Policy::u32_mask(peer::REMOVE_ME | peer::REPLACE_ALLOWEDIPS | peer::UPDATE_ONLY),
    ),
    (peer::ENDPOINT, Policy::min_len(SOCKADDR_IN_LEN as i16)),
    (peer::PERSISTENT_KEEPALIVE_INTERVAL, Policy::u16()),
    (
        peer::LAST_HANDSHAKE_TIME,
        Policy::exact_len(TIMESPEC_LEN as i16),
    ),
    (peer::RX_BYTES, Policy::u64()),
    (peer::TX_BYTES, Policy::u64()),
    (peer::ALLOWEDIPS, Policy::nested_array(&ALLOWED_IP_POLICY)),
    (peer::PROTOCOL_VERSION, Policy::u32()),
]);

/// The longest name of a device, without its NUL.
pub(super) const NAME_LEN: u16 = uapi::IFNAMSIZ as u16 - 1;

/// What those of `GET_DEVICE` may be.
pub(super) static GET_POLICY: [Policy; NAME_TYPES] = policy::table(&[
    (device::IFINDEX, Policy::u32()),
    (device::IFNAME, Policy::nul_string(NAME_LEN)),
]);

/// What those of `SET_DEVICE` may be.
pub(super) static SET_POLICY: [Policy; DEVICE_TYPES] = policy::table(&[
    (device::IFINDEX, Policy::u32()),
    (device::IFNAME, Policy::nul_string(NAME_LEN)),
    (device::PRIVATE_KEY, Policy::exact_len(KEY_LEN as i16)),
    (device::PUBLIC_KEY, Policy::exact_len(KEY_LEN as i16)),
    (device::FLAGS, Policy::u32_mask(device::REPLACE_PEERS)),
    (device::LISTEN_PORT, Policy::u16()),
    (device::FWMARK, Policy::u32()),
    (device::PEERS, Policy::nested_array(&PEER_POLICY)),
]);

/// Finds the device that a request names.
///
/// Errors: `EBADR` unless it is named by exactly one of index and name, `ENODEV` if there is none
/// in the namespace, `EOPNOTSUPP` if it is of another kind.
pub(super) fn find<'a, const N: usize>(
    attributes: &Table<'_, N>,
    namespace: &'a Net,
    rtnl: &'a RtnlGuard,
) -> Result<(&'a NetDevice, RcuArcBorrow<'a, Device>)> {
    let index = attributes.get(device::IFINDEX);
    let name = attributes.get(device::IFNAME);
    find_named(index, name, namespace, rtnl)
}

/// Finds the device that an attribute with its index, or one with its name, tells. Errors: as [`find`].
pub(crate) fn find_named<'a>(
    index: Option<Attribute<'_>>,
    name: Option<Attribute<'_>>,
    namespace: &'a Net,
    rtnl: &'a RtnlGuard,
) -> Result<(&'a NetDevice, RcuArcBorrow<'a, Device>)> {
    let found = match (index, name) {
        (Some(index), None) => {
            NetDevice::by_index(namespace, index.u32().ok_or(EINVAL)? as i32, rtnl)
        }
        (None, Some(name)) => NetDevice::by_name(namespace, name.string().ok_or(EINVAL)?, rtnl),
        _ => return Err(EBADR),
    };
    let dev = found.ok_or(ENODEV)?;
    let device = link::driver_of::<Device>(dev, rtnl).ok_or(EOPNOTSUPP)?;
    Ok((dev, device))
}

/// Reads a `sockaddr_in` or `sockaddr_in6`; anything else is ignored.
pub(super) fn parse_endpoint(attribute: Attribute<'_>) -> Option<SocketAddr> {
    let family = attribute.u16()?;
    if let Some(sockaddr) = attribute.array::<SOCKADDR_IN_LEN>() {
        let [_, _, p0, p1, a, b, c, d, ..] = *sockaddr;
        let address = SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([p0, p1]));
        (family == AF_INET).then_some(address.into())
    } else if let Some(sockaddr) = attribute.array::<SOCKADDR_IN6_LEN>() {
        let [_, _, p0, p1, f0, f1, f2, f3, rest @ ..] = sockaddr;
        let (address, scope) = rest.split_first_chunk::<16>()?;
        let address = SocketAddrV6::new(
            Ipv6Addr::from(*address),
            u16::from_be_bytes([*p0, *p1]),
            u32::from_be_bytes([*f0, *f1, *f2, *f3]),
            u32::from_ne_bytes(scope.try_into().ok()?),
        );
        (family == AF_INET6).then_some(address.into())
    } else {
        None
    }
}

/// Writes a `sockaddr_in` or `sockaddr_in6`.
pub(super) fn put_endpoint(message: &mut Writer<'_>, endpoint: &SocketAddr) -> Result {
    let port = endpoint.port().to_be_bytes();
    match endpoint {
        SocketAddr::V4(endpoint) => message.put_pieces(
            peer::ENDPOINT,
            [
                &AF_INET.to_ne_bytes()[..],
                &port,
                &endpoint.ip().octets(),
                &[0; 8],
            ],
        ),
        SocketAddr::V6(endpoint) => message.put_pieces(
            peer::ENDPOINT,
            [
                &AF_INET6.to_ne_bytes()[..],
                &port,
                &endpoint.flowinfo().to_be_bytes(),
                &endpoint.ip().octets(),
                &endpoint.scope_id().to_ne_bytes(),
            ],
        ),
    }
}
