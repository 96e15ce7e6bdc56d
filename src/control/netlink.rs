// SPDX-License-Identifier: GPL-2.0

//! Configuration from user space: the generic netlink family `wireguard`.
//!
//! `GET_DEVICE` dumps one device, `SET_DEVICE` changes one. Documentation/netlink.md describes
//! both, with what they answer to what is wrong.

#![forbid(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use kernel::prelude::*;

use crate::{
    bindings,
    compat::{this_module, EBADR, EOPNOTSUPP, EPFNOSUPPORT},
    crypto::{with_wiped_stack, Secret},
    data::send::send_staged,
    device::{config::Config, endpoint::Endpoint, news::News, note::note, Device, Peer},
    handshake::expiry::set_persistent_keepalive,
    net::{
        device::NetDevice,
        genetlink::{
            policy, Attribute, Batch, Do, Dump, Family, Operation, Policy, Progress, Request, Step,
            Table, Writer,
        },
        link,
        namespace::Net,
        rtnl::{self, RtnlGuard},
    },
    protocol::messages::KEY_LEN,
    rcu::{Borrowed, RcuArc},
};

/// The family.
pub(crate) static FAMILY: Family = Family::new(
    this_module::<crate::LocalModule>(),
    c"wireguard",
    bindings::WG_GENL_VERSION,
    &OPERATIONS,
    &[],
);

static OPERATIONS: [Operation; 2] = [
    Operation::admin_dump::<GetDevice>(),
    Operation::admin_do::<SetDevice>(),
];

/// Attributes of a device (`enum wgdevice_attribute`).
mod device {
    use crate::bindings::*;

    pub(super) const IFINDEX: u16 = wgdevice_attribute_WGDEVICE_A_IFINDEX as u16;
    pub(super) const IFNAME: u16 = wgdevice_attribute_WGDEVICE_A_IFNAME as u16;
    pub(super) const PRIVATE_KEY: u16 = wgdevice_attribute_WGDEVICE_A_PRIVATE_KEY as u16;
    pub(super) const PUBLIC_KEY: u16 = wgdevice_attribute_WGDEVICE_A_PUBLIC_KEY as u16;
    pub(super) const FLAGS: u16 = wgdevice_attribute_WGDEVICE_A_FLAGS as u16;
    pub(super) const LISTEN_PORT: u16 = wgdevice_attribute_WGDEVICE_A_LISTEN_PORT as u16;
    pub(super) const FWMARK: u16 = wgdevice_attribute_WGDEVICE_A_FWMARK as u16;
    pub(super) const PEERS: u16 = wgdevice_attribute_WGDEVICE_A_PEERS as u16;

    /// Remove all peers before adding those that come with the message.
    pub(super) const REPLACE_PEERS: u32 = wgdevice_flag_WGDEVICE_F_REPLACE_PEERS;
}

/// Attributes of a peer (`enum wgpeer_attribute`).
mod peer {
    use crate::bindings::*;

    pub(super) const UNSPEC: u16 = wgpeer_attribute_WGPEER_A_UNSPEC as u16;
    pub(super) const PUBLIC_KEY: u16 = wgpeer_attribute_WGPEER_A_PUBLIC_KEY as u16;
    pub(super) const PRESHARED_KEY: u16 = wgpeer_attribute_WGPEER_A_PRESHARED_KEY as u16;
    pub(super) const FLAGS: u16 = wgpeer_attribute_WGPEER_A_FLAGS as u16;
    pub(super) const ENDPOINT: u16 = wgpeer_attribute_WGPEER_A_ENDPOINT as u16;
    pub(super) const PERSISTENT_KEEPALIVE_INTERVAL: u16 =
        wgpeer_attribute_WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL as u16;
    pub(super) const LAST_HANDSHAKE_TIME: u16 =
        wgpeer_attribute_WGPEER_A_LAST_HANDSHAKE_TIME as u16;
    pub(super) const RX_BYTES: u16 = wgpeer_attribute_WGPEER_A_RX_BYTES as u16;
    pub(super) const TX_BYTES: u16 = wgpeer_attribute_WGPEER_A_TX_BYTES as u16;
    pub(super) const ALLOWEDIPS: u16 = wgpeer_attribute_WGPEER_A_ALLOWEDIPS as u16;
    pub(super) const PROTOCOL_VERSION: u16 = wgpeer_attribute_WGPEER_A_PROTOCOL_VERSION as u16;

    /// Remove the peer.
    pub(super) const REMOVE_ME: u32 = wgpeer_flag_WGPEER_F_REMOVE_ME;
    /// Remove all its allowed IPs before adding those that come with the message.
    pub(super) const REPLACE_ALLOWEDIPS: u32 = wgpeer_flag_WGPEER_F_REPLACE_ALLOWEDIPS;
    /// Do not add the peer if there is none of that key.
    pub(super) const UPDATE_ONLY: u32 = wgpeer_flag_WGPEER_F_UPDATE_ONLY;
}

/// Attributes of an allowed IP (`enum wgallowedip_attribute`).
mod allowed_ip {
    use crate::bindings::*;

    pub(super) const FAMILY: u16 = wgallowedip_attribute_WGALLOWEDIP_A_FAMILY as u16;
    pub(super) const IPADDR: u16 = wgallowedip_attribute_WGALLOWEDIP_A_IPADDR as u16;
    pub(super) const CIDR_MASK: u16 = wgallowedip_attribute_WGALLOWEDIP_A_CIDR_MASK as u16;
    pub(super) const FLAGS: u16 = wgallowedip_attribute_WGALLOWEDIP_A_FLAGS as u16;

    /// Take the allowed IP from the peer.
    pub(super) const REMOVE_ME: u32 = wgallowedip_flag_WGALLOWEDIP_F_REMOVE_ME;
}

/// The version of the protocol, the only one there is.
const PROTOCOL_VERSION: u32 = 1;
/// `AF_INET`, in an attribute and in a socket address.
const AF_INET: u16 = bindings::AF_INET as u16;
/// `AF_INET6`, likewise.
const AF_INET6: u16 = bindings::AF_INET6 as u16;
/// Length of a `sockaddr_in`, in bytes.
const SOCKADDR_IN_LEN: usize = 16;
/// Length of a `sockaddr_in6`, in bytes.
const SOCKADDR_IN6_LEN: usize = 28;
/// Length of a `__kernel_timespec`, in bytes.
const TIMESPEC_LEN: usize = 16;

/// How many types there are of an allowed IP's attributes, with the unused zero.
const ALLOWED_IP_TYPES: usize = bindings::wgallowedip_attribute___WGALLOWEDIP_A_LAST as usize;
/// How many types there are of a peer's attributes, with the unused zero.
const PEER_TYPES: usize = bindings::wgpeer_attribute___WGPEER_A_LAST as usize;
/// How many types there are of a device's attributes, with the unused zero.
const DEVICE_TYPES: usize = bindings::wgdevice_attribute___WGDEVICE_A_LAST as usize;
/// How many of them `GET_DEVICE` accepts: those that name the device.
const NAME_TYPES: usize = device::IFNAME as usize + 1;

static ALLOWED_IP_POLICY: [Policy; ALLOWED_IP_TYPES] = policy::table(&[
    (allowed_ip::FAMILY, Policy::u16()),
    (allowed_ip::IPADDR, Policy::min_len(4)),
    (allowed_ip::CIDR_MASK, Policy::u8()),
    (allowed_ip::FLAGS, Policy::u32_mask(allowed_ip::REMOVE_ME)),
]);

static PEER_POLICY: [Policy; PEER_TYPES] = policy::table(&[
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
const NAME_LEN: u16 = bindings::IFNAMSIZ as u16 - 1;

static GET_POLICY: [Policy; NAME_TYPES] = policy::table(&[
    (device::IFINDEX, Policy::u32()),
    (device::IFNAME, Policy::nul_string(NAME_LEN)),
]);

static SET_POLICY: [Policy; DEVICE_TYPES] = policy::table(&[
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
fn find<'a, const N: usize>(
    attributes: &Table<'_, N>,
    namespace: &'a Net,
    rtnl: &'a RtnlGuard,
) -> Result<(&'a NetDevice, Borrowed<'a, Device>)> {
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
) -> Result<(&'a NetDevice, Borrowed<'a, Device>)> {
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

/// `SET_DEVICE`.
struct SetDevice;

impl Do for SetDevice {
    const COMMAND: u8 = bindings::wg_cmd_WG_CMD_SET_DEVICE as u8;
    const POLICY: &'static [Policy] = &SET_POLICY;
    const SECRETS: &'static [&'static [Step]] = &[
        &[Step::Kind(device::PRIVATE_KEY)],
        &[
            Step::Kind(device::PEERS),
            Step::Each,
            Step::Kind(peer::PRESHARED_KEY),
        ],
    ];

    /// Applies the attributes in a fixed order, up to the first that fails: what was applied before
    /// it stays.
    fn handle(request: &Request<'_>) -> Result {
        let attributes: Table<'_, DEVICE_TYPES> = request.attributes().table()?;
        let rtnl = rtnl::lock();
        let (_, device) = find(&attributes, request.namespace(), &rtnl)?;
        let mut config = Config::lock(device);

        let port = attributes.get(device::LISTEN_PORT);
        let fwmark = attributes.get(device::FWMARK);
        // Both belong to the sockets, which are in the namespace where the device was created, not
        // where it is now.
        if (port.is_some() || fwmark.is_some()) && !config.may_administer_sockets() {
            return Err(EPERM);
        }

        config.changed();
        if let Some(fwmark) = fwmark {
            config.set_fwmark(fwmark.u32().ok_or(EINVAL)?);
        }
        if let Some(port) = port {
            config.set_listen_port(port.u16().ok_or(EINVAL)?)?;
        }
        if flags(attributes.get(device::FLAGS)) & device::REPLACE_PEERS != 0 {
            config.remove_all_peers();
        }
        if let Some(key) = attributes.get(device::PRIVATE_KEY) {
            let key = key.array().ok_or(EINVAL)?;
            if with_wiped_stack(|| config.set_private_key(&Secret::new(key)))? {
                for (_, peer) in config.peers_after(0) {
                    send_staged_if_up(peer);
                }
            }
        }
        if let Some(peers) = attributes.get(device::PEERS) {
            for peer in peers.attributes() {
                let peer = peer.table()?;
                with_wiped_stack(|| set_peer(&mut config, &peer))?;
            }
        }
        Ok(())
    }
}

/// Returns the bits of a `FLAGS` attribute, none if there is no such attribute.
fn flags(attribute: Option<Attribute<'_>>) -> u32 {
    attribute.and_then(|flags| flags.u32()).unwrap_or(0)
}

/// Adds, changes or removes a peer.
fn set_peer(config: &mut Config<'_>, attributes: &Table<'_, PEER_TYPES>) -> Result {
    let public_key: &[u8; KEY_LEN] = attributes
        .get(peer::PUBLIC_KEY)
        .and_then(|key| key.array())
        .ok_or(EINVAL)?;
    let preshared_key: Option<Secret<KEY_LEN>> = attributes
        .get(peer::PRESHARED_KEY)
        .and_then(|key| key.array())
        .map(Secret::new);
    let flags = flags(attributes.get(peer::FLAGS));
    if let Some(version) = attributes.get(peer::PROTOCOL_VERSION) {
        if version.u32() != Some(PROTOCOL_VERSION) {
            return Err(EPFNOSUPPORT);
        }
    }

    // Whether there may be an answer now where there was none, and whether the peer is another than before.
    let (mut hopeful, mut changes) = (false, false);
    let known = config.peer(public_key);
    let is_new = known.is_none();
    let peer = match known {
        Some(peer) if flags & peer::REMOVE_ME != 0 => {
            config.remove_peer(&peer);
            return Ok(());
        }
        Some(peer) => {
            if let Some(key) = &preshared_key {
                changes |= peer.set_preshared_key(key);
            }
            peer
        }
        None if flags & (peer::REMOVE_ME | peer::UPDATE_ONLY) != 0 => return Ok(()),
        // The same configuration may be given to all peers of a network: each skips itself.
        None if config.is_own_key(public_key) => return Ok(()),
        None => config.create_peer(public_key, preshared_key.as_ref())?,
    };

    if let Some(endpoint) = attributes.get(peer::ENDPOINT).and_then(parse_endpoint) {
        changes |= peer.remote() != Some(endpoint);
        peer.set_endpoint(Endpoint::configured(endpoint));
    }
    hopeful |= changes;
    // Those that are given again are the peer's all the time.
    let replaced = (flags & peer::REPLACE_ALLOWEDIPS != 0).then(|| config.last_number());
    let given: Result = attributes.get(peer::ALLOWEDIPS).map_or(Ok(()), |list| {
        let mut list = list.attributes();
        list.try_for_each(|allowed_ip| {
            changes |= set_allowed_ip(config, &peer, &allowed_ip.table()?)?;
            Ok(())
        })
    });
    if let Some(last) = replaced {
        changes |= config.clear_allowed_ips(&peer, last);
    }
    let interval = attributes.get(peer::PERSISTENT_KEEPALIVE_INTERVAL);
    let interval = interval.and_then(|interval| interval.u16());
    let other_interval = interval.is_some_and(|interval| interval != peer.persistent_keepalive());
    if !is_new && (changes || given.is_ok() && other_interval) {
        note(&peer, News::Set);
    }
    given?;
    if let Some(interval) = interval {
        set_persistent_keepalive(&peer, interval);
    }
    if hopeful {
        send_staged_if_up(&peer);
    }
    Ok(())
}

/// Sends what waits for a peer's session, if the device is up.
fn send_staged_if_up(peer: &RcuArc<Peer>) {
    if peer.device.netdev.is_running() {
        send_staged(peer);
    }
}

/// Gives an allowed IP to a peer, or takes it away. Returns whether that changes anything.
///
/// Errors: `EINVAL` if something is missing or does not fit together, `ENOMEM`.
fn set_allowed_ip(
    config: &mut Config<'_>,
    peer: &RcuArc<Peer>,
    attributes: &Table<'_, ALLOWED_IP_TYPES>,
) -> Result<bool> {
    let required = |kind| attributes.get(kind).ok_or(EINVAL);
    let family = required(allowed_ip::FAMILY)?.u16();
    let address = required(allowed_ip::IPADDR)?;
    let cidr = required(allowed_ip::CIDR_MASK)?.u8().ok_or(EINVAL)?;
    let address = match family {
        Some(AF_INET) if cidr <= 32 => IpAddr::from(*address.array::<4>().ok_or(EINVAL)?),
        Some(AF_INET6) if cidr <= 128 => IpAddr::from(*address.array::<16>().ok_or(EINVAL)?),
        _ => return Err(EINVAL),
    };
    if flags(attributes.get(allowed_ip::FLAGS)) & allowed_ip::REMOVE_ME != 0 {
        Ok(config.remove_allowed_ip(peer, address, cidr))
    } else {
        config.insert_allowed_ip(peer, address, cidr)
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6`; anything else is ignored.
fn parse_endpoint(attribute: Attribute<'_>) -> Option<SocketAddr> {
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
fn put_endpoint(message: &mut Writer<'_>, endpoint: &SocketAddr) -> Result {
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

/// A `GET_DEVICE` under way.
///
/// It holds on to nothing, so that a reader who stops reading is in nobody's way: neither to the
/// device, which may be deleted meanwhile, nor to a peer. A peer has a number that grows from peer
/// to peer and is never used again, and so has an allowed IP. Whatever is added or removed between
/// two messages, the dump finds the next that it has not shown; and user space is told that what it
/// got was never true at one time.
struct GetDevice {
    /// The device's index in the namespace of the socket.
    index: i32,
    /// The generation of the configuration of which the last message told.
    generation: u64,
    /// The last peer that has been shown in full; zero before the first.
    shown: u64,
    /// A peer of whose allowed IPs some have been shown.
    partial: Option<Partial>,
}

/// How far a peer has been shown that does not fit into one message.
struct Partial {
    peer: u64,
    /// The last of its allowed IPs that has been shown; zero before the first.
    shown: u64,
}

impl Dump for GetDevice {
    const COMMAND: u8 = bindings::wg_cmd_WG_CMD_GET_DEVICE as u8;
    const POLICY: &'static [Policy] = &GET_POLICY;

    fn start(request: &Request<'_>) -> Result<Self> {
        let attributes: Table<'_, NAME_TYPES> = request.attributes().table()?;
        let rtnl = rtnl::lock();
        let (dev, _) = find(&attributes, request.namespace(), &rtnl)?;
        Ok(Self {
            index: dev.index(),
            generation: 0,
            shown: 0,
            partial: None,
        })
    }

    fn next(&mut self, batch: &mut Batch<'_>) -> Result<Progress> {
        let rtnl = rtnl::lock();
        let found = NetDevice::by_index(batch.namespace(), self.index, &rtnl)
            .and_then(|dev| Some((dev, link::driver_of::<Device>(dev, &rtnl)?)));
        let Some((dev, device)) = found else {
            if self.generation == 0 {
                return Err(ENODEV);
            }
            // Deleted since the last message, which counts as a change: this one, though empty,
            // says that the dump is not to be trusted.
            batch.message(self.generation.wrapping_add(1))?.end();
            return Ok(Progress::Complete);
        };
        let config = Config::lock(device);
        self.generation = config.generation();
        let mut message = batch.message(self.generation)?;

        // A message that continues the very first peer names the device once more.
        if self.shown == 0 {
            put_device(&mut message, &config, dev)?;
        }
        let mut progress = Progress::Complete;
        let mut peers = config.peers_after(self.shown).peekable();
        if peers.peek().is_some() {
            let mut nest = message.nest(device::PEERS)?;
            for (number, peer) in peers {
                match put_peer(&mut nest, &config, number, peer, &mut self.partial) {
                    Ok(Progress::Complete) => self.shown = number,
                    // No room, for the whole peer or the rest of its allowed IPs.
                    Ok(Progress::More) | Err(_) => {
                        progress = Progress::More;
                        break;
                    }
                }
            }
            nest.end()?;
        }
        message.end();
        Ok(progress)
    }
}

/// Writes what is a device's own.
fn put_device(message: &mut Writer<'_>, config: &Config<'_>, dev: &NetDevice) -> Result {
    message.put_u16(device::LISTEN_PORT, config.listen_port())?;
    message.put_u32(device::FWMARK, config.fwmark())?;
    message.put_u32(device::IFINDEX, dev.index() as u32)?;
    dev.with_name(|name| message.put_string(device::IFNAME, name))?;
    if let Some(identity) = config.identity() {
        message.put(device::PRIVATE_KEY, identity.keys.private().expose())?;
        message.put(device::PUBLIC_KEY, identity.keys.public())?;
    }
    Ok(())
}

/// Writes a peer, or if it is the one that `partial` tells of, its key and what follows there.
///
/// If there is no room for all of its allowed IPs, `partial` tells where to go on and the answer is
/// [`Progress::More`]. On an error nothing was written.
fn put_peer(
    message: &mut Writer<'_>,
    config: &Config<'_>,
    number: u64,
    peer: &RcuArc<Peer>,
    partial: &mut Option<Partial>,
) -> Result<Progress> {
    let mut nest = message.nest(0)?;
    nest.put(peer::PUBLIC_KEY, peer.public_key())?;
    let mut shown = match partial {
        Some(partial) if partial.peer == number => partial.shown,
        _ => {
            put_peer_state(&mut nest, peer)?;
            0
        }
    };
    let mut allowed_ips = config.allowed_ips_after(peer, shown).peekable();
    if allowed_ips.peek().is_some() {
        let mut list = nest.nest(peer::ALLOWEDIPS)?;
        for (sequence, address, cidr) in allowed_ips {
            if put_allowed_ip(&mut list, address, cidr).is_err() {
                list.end()?;
                nest.end()?;
                *partial = Some(Partial {
                    peer: number,
                    shown,
                });
                return Ok(Progress::More);
            }
            shown = sequence;
        }
        list.end()?;
    }
    nest.end()?;
    *partial = None;
    Ok(Progress::Complete)
}

/// Writes what a peer has besides its key and its allowed IPs.
fn put_peer_state(message: &mut Writer<'_>, peer: &Peer) -> Result {
    peer.with_preshared_key(|key| message.put(peer::PRESHARED_KEY, key.expose()))?;
    let (seconds, nanoseconds) = peer.last_handshake();
    message.put_pieces(
        peer::LAST_HANDSHAKE_TIME,
        [
            &seconds.to_ne_bytes()[..],
            &i64::from(nanoseconds).to_ne_bytes(),
        ],
    )?;
    message.put_u16(
        peer::PERSISTENT_KEEPALIVE_INTERVAL,
        peer.persistent_keepalive(),
    )?;
    message.put_u64(peer::TX_BYTES, peer.tx_bytes(), peer::UNSPEC)?;
    message.put_u64(peer::RX_BYTES, peer.rx_bytes(), peer::UNSPEC)?;
    message.put_u32(peer::PROTOCOL_VERSION, PROTOCOL_VERSION)?;
    match peer.remote() {
        Some(endpoint) => put_endpoint(message, &endpoint),
        None => Ok(()),
    }
}

/// Writes an allowed IP.
fn put_allowed_ip(message: &mut Writer<'_>, address: IpAddr, cidr: u8) -> Result {
    let mut nest = message.nest(0)?;
    nest.put_u8(allowed_ip::CIDR_MASK, cidr)?;
    match address {
        IpAddr::V4(address) => {
            nest.put_u16(allowed_ip::FAMILY, AF_INET)?;
            nest.put(allowed_ip::IPADDR, &address.octets())?;
        }
        IpAddr::V6(address) => {
            nest.put_u16(allowed_ip::FAMILY, AF_INET6)?;
            nest.put(allowed_ip::IPADDR, &address.octets())?;
        }
    }
    nest.end()
}
