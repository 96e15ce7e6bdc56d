// SPDX-License-Identifier: GPL-2.0

//! Monitoring from user space: the generic netlink family `wg-monitor`, which changes nothing.
//!
//! Documentation/netlink/specs/wg-monitor.yaml describes it; the numbers are those of the header that is made of that.

#![forbid(unsafe_code)]

use core::net::{IpAddr, SocketAddr};
use kernel::{
    error::code::{EINVAL, ENODEV, ENOENT},
    prelude::*,
};

use crate::{
    compat::this_module,
    control::attributes::find_named,
    cpu,
    device::{config::Config, news::News, Device, Peer},
    net::{
        device::NetDevice,
        genetlink::{
            policy, Batch, Dump, Family, Get, Group, Operation, Policy, Progress, Request, Table,
            Writer,
        },
        link, rtnl,
    },
    protocol::{
        messages::{KEY_LEN, MAX_HANDSHAKE_ATTEMPTS, NSEC_PER_SEC},
        noise::PublicKey,
    },
    rcu::{read_lock, RcuArc},
    uapi::*,
};

/// The family.
pub(crate) static FAMILY: Family = Family::new(
    this_module::<crate::LocalModule>(),
    c"wg-monitor",
    WG_MONITOR_FAMILY_VERSION,
    &OPERATIONS,
    &GROUPS,
);

static OPERATIONS: [Operation; 2] = [
    Operation::admin_get::<DeviceGet>(),
    Operation::admin_dump::<PeerGet>(),
];

static GROUPS: [Group; 1] = [Group::admin(c"peers")];

/// The number of the multicast group in which notifications of peers are sent.
const PEERS: u32 = 0;

/// The longest name of a device, without its NUL.
const NAME_LEN: u16 = IFNAMSIZ as u16 - 1;

/// How many types of attributes each request may have, with the unused zero.
const DEVICE_GET_TYPES: usize = WG_MONITOR_A_DEVICE_IFNAME as usize + 1;
const PEER_GET_TYPES: usize = WG_MONITOR_A_PEER_PUBLIC_KEY as usize + 1;

static DEVICE_GET_POLICY: [Policy; DEVICE_GET_TYPES] = policy::table(&[
    (WG_MONITOR_A_DEVICE_IFINDEX as u16, Policy::u32()),
    (
        WG_MONITOR_A_DEVICE_IFNAME as u16,
        Policy::nul_string(NAME_LEN),
    ),
]);

static PEER_GET_POLICY: [Policy; PEER_GET_TYPES] = policy::table(&[
    (WG_MONITOR_A_PEER_IFINDEX as u16, Policy::u32()),
    (
        WG_MONITOR_A_PEER_IFNAME as u16,
        Policy::nul_string(NAME_LEN),
    ),
    (WG_MONITOR_A_PEER_GENERATION as u16, Policy::uint()),
    (
        WG_MONITOR_A_PEER_PUBLIC_KEY as u16,
        Policy::exact_len(WG_MONITOR_KEY_LEN as i16),
    ),
]);

/// `device-get`.
struct DeviceGet;

impl Get for DeviceGet {
    const COMMAND: u8 = wg_monitor_cmd_WG_MONITOR_CMD_DEVICE_GET as u8;
    const POLICY: &'static [Policy] = &DEVICE_GET_POLICY;

    fn answer(request: &Request<'_>, message: &mut Writer<'_>) -> Result {
        let attributes: Table<'_, DEVICE_GET_TYPES> = request.attributes().table()?;
        let rtnl = rtnl::lock();
        let index = attributes.get(WG_MONITOR_A_DEVICE_IFINDEX as u16);
        let name = attributes.get(WG_MONITOR_A_DEVICE_IFNAME as u16);
        let (dev, device) = find_named(index, name, request.namespace(), &rtnl)?;
        let peers = Config::lock(device).peer_count();
        let generations = device.news.generations();
        let mut put = |kind: u32, value: u64| message.put_uint(kind as u16, value);
        put(WG_MONITOR_A_DEVICE_GENERATION, generations.change)?;
        put(WG_MONITOR_A_DEVICE_REMOVAL_GENERATION, generations.removal)?;
        message.put_u32(WG_MONITOR_A_DEVICE_PEERS as u16, peers as u32)?;
        message.put_u32(WG_MONITOR_A_DEVICE_IFINDEX as u16, dev.index() as u32)?;
        dev.with_name(|name| message.put_string(WG_MONITOR_A_DEVICE_IFNAME as u16, name))
    }
}

/// At how many peers a `peer-get` looks while it holds the locks.
const LOOKED_AT: usize = 1024;

/// A `peer-get` under way. Like `GET_DEVICE` of the family `wireguard` it holds on to nothing.
struct PeerGet {
    /// The device's index in the namespace of the socket.
    index: i32,
    /// The peer that is wanted, if it is one.
    key: Option<PublicKey>,
    /// Only peers that changed after this are.
    after: u64,
    /// The last peer that has been looked at; zero before the first.
    seen: u64,
}

impl Dump for PeerGet {
    const COMMAND: u8 = wg_monitor_cmd_WG_MONITOR_CMD_PEER_GET as u8;
    const POLICY: &'static [Policy] = &PEER_GET_POLICY;

    /// Errors: those of [`find_named`], `ENOENT` if there is no peer of that key.
    fn start(request: &Request<'_>) -> Result<Self> {
        let attributes: Table<'_, PEER_GET_TYPES> = request.attributes().table()?;
        let get = |kind: u32| attributes.get(kind as u16);
        let rtnl = rtnl::lock();
        let (index, name) = (
            get(WG_MONITOR_A_PEER_IFINDEX),
            get(WG_MONITOR_A_PEER_IFNAME),
        );
        let (dev, device) = find_named(index, name, request.namespace(), &rtnl)?;
        let key: Option<PublicKey> = get(WG_MONITOR_A_PEER_PUBLIC_KEY)
            .map(|key| key.array::<KEY_LEN>().copied().ok_or(EINVAL))
            .transpose()?;
        if let Some(key) = &key {
            device.peer_by_key(key).ok_or(ENOENT)?;
        }
        let after = get(WG_MONITOR_A_PEER_GENERATION).map(|after| after.uint().ok_or(EINVAL));
        Ok(Self {
            index: dev.index(),
            key,
            after: after.transpose()?.unwrap_or(0),
            seen: 0,
        })
    }

    fn next(&mut self, batch: &mut Batch<'_>) -> Result<Progress> {
        loop {
            // With no lock held: who waits for one of them has it first.
            cpu::cond_resched();
            if let Some(progress) = self.some(batch)? {
                return Ok(progress);
            }
        }
    }
}

impl PeerGet {
    /// Looks at the next peers. Returns `None` if that were as many as one hold of the locks is for.
    fn some(&mut self, batch: &mut Batch<'_>) -> Result<Option<Progress>> {
        let rtnl = rtnl::lock();
        let dev = NetDevice::by_index(batch.namespace(), self.index, &rtnl).ok_or(ENODEV)?;
        let device = link::driver_of::<Device>(dev, &rtnl).ok_or(ENODEV)?;
        let config = Config::lock(device);
        batch.at_generation(config.generation());
        let mut put = |peer: &RcuArc<Peer>| -> Result {
            if peer.news.generation() <= self.after {
                return Ok(());
            }
            let mut message = batch.message()?;
            put_peer(&mut message, dev, peer)?;
            message.end();
            Ok(())
        };
        if let Some(key) = &self.key {
            // It may be gone by now.
            if let Some(peer) = config.peer(key) {
                put(&peer)?;
            }
            return Ok(Some(Progress::Complete));
        }
        for (looked_at, (number, peer)) in config.peers_after(self.seen).enumerate() {
            if looked_at == LOOKED_AT {
                return Ok(None);
            }
            if put(peer).is_err() {
                return Ok(Some(Progress::More));
            }
            self.seen = number;
        }
        Ok(Some(Progress::Complete))
    }
}

/// Returns whether a socket listens for what happens to a device's peers. Context: any.
pub(crate) fn has_listeners(netdev: &NetDevice) -> bool {
    FAMILY.has_listeners(PEERS, netdev)
}

/// Sends a notification to the group in the namespace that the link is in. Context: process context.
pub(crate) fn tell(peer: &RcuArc<Peer>, news: News, moved_from: Option<SocketAddr>) {
    let command = match news {
        News::New => wg_monitor_cmd_WG_MONITOR_CMD_PEER_NEW_NTF,
        News::Set => wg_monitor_cmd_WG_MONITOR_CMD_PEER_SET_NTF,
        News::Endpoint => wg_monitor_cmd_WG_MONITOR_CMD_ENDPOINT_NTF,
        News::Session => wg_monitor_cmd_WG_MONITOR_CMD_SESSION_NTF,
        News::SessionExpired => wg_monitor_cmd_WG_MONITOR_CMD_SESSION_EXPIRED_NTF,
        News::HandshakeFailed => wg_monitor_cmd_WG_MONITOR_CMD_HANDSHAKE_FAILED_NTF,
        News::Deleted => wg_monitor_cmd_WG_MONITOR_CMD_PEER_DEL_NTF,
    };
    let dev: &NetDevice = &peer.device.netdev;
    let Some(net) = dev.living_namespace() else {
        return;
    };
    if !has_listeners(dev) {
        return;
    }
    // Who has no room for it is told so by the socket, and a link that is being moved is told of by its next news.
    let _ = FAMILY.multicast(&net, PEERS, command as u8, |message| {
        put_news(message, dev, peer, news, moved_from)?;
        (dev.namespace() == net.id()).then_some(()).ok_or(ENODEV)
    });
}

/// Writes a piece of news.
fn put_news(
    message: &mut Writer<'_>,
    dev: &NetDevice,
    peer: &RcuArc<Peer>,
    news: News,
    moved_from: Option<SocketAddr>,
) -> Result {
    put_name(message, dev, peer)?;
    match news {
        News::New | News::Set | News::SessionExpired | News::Deleted => Ok(()),
        News::Endpoint => {
            put_remote(message, peer)?;
            match moved_from {
                Some(from) => put_endpoint(message, WG_MONITOR_A_PEER_OLD_ENDPOINT, &from),
                None => Ok(()),
            }
        }
        News::HandshakeFailed => {
            put_remote(message, peer)?;
            let attempts = MAX_HANDSHAKE_ATTEMPTS as u32 + 2;
            message.put_u32(WG_MONITOR_A_PEER_ATTEMPTS as u16, attempts)
        }
        News::Session => {
            put_remote(message, peer)?;
            put_session(message, peer)?;
            put_path(message, peer)
        }
    }
}

/// Writes what names a peer, and the number of its last change.
fn put_name(message: &mut Writer<'_>, dev: &NetDevice, peer: &Peer) -> Result {
    message.put_u32(WG_MONITOR_A_PEER_IFINDEX as u16, dev.index() as u32)?;
    dev.with_name(|name| message.put_string(WG_MONITOR_A_PEER_IFNAME as u16, name))?;
    message.put_uint(WG_MONITOR_A_PEER_GENERATION as u16, peer.news.generation())?;
    message.put_uint(WG_MONITOR_A_PEER_ID as u16, peer.id)?;
    message.put(WG_MONITOR_A_PEER_PUBLIC_KEY as u16, peer.public_key())
}

/// Writes where a peer is, if that is known.
fn put_remote(message: &mut Writer<'_>, peer: &Peer) -> Result {
    match peer.remote() {
        Some(remote) => put_endpoint(message, WG_MONITOR_A_PEER_ENDPOINT, &remote),
        None => Ok(()),
    }
}

/// Writes an endpoint.
fn put_endpoint(message: &mut Writer<'_>, kind: u32, endpoint: &SocketAddr) -> Result {
    let mut nest = message.nest(kind as u16)?;
    let address = WG_MONITOR_A_ENDPOINT_ADDR as u16;
    match endpoint.ip() {
        IpAddr::V4(ip) => nest.put(address, &ip.octets())?,
        IpAddr::V6(ip) => nest.put(address, &ip.octets())?,
    }
    nest.put(
        WG_MONITOR_A_ENDPOINT_PORT as u16,
        &endpoint.port().to_be_bytes(),
    )?;
    if let SocketAddr::V6(endpoint) = endpoint {
        if endpoint.scope_id() != 0 {
            nest.put_u32(WG_MONITOR_A_ENDPOINT_SCOPE_ID as u16, endpoint.scope_id())?;
        }
    }
    nest.end()
}

/// Writes how a peer's session came about.
fn put_session(message: &mut Writer<'_>, peer: &Peer) -> Result {
    let guard = read_lock();
    let current = peer.keypairs.current(&guard);
    let current = current.map(|keypair| (keypair.we_initiated, keypair.preshared_key));
    drop(guard);
    // It may be over by now.
    let Some((we_initiated, preshared_key)) = current else {
        return Ok(());
    };
    let role = match we_initiated {
        true => wg_monitor_role_WG_MONITOR_ROLE_INITIATOR,
        false => wg_monitor_role_WG_MONITOR_ROLE_RESPONDER,
    };
    message.put_u32(WG_MONITOR_A_PEER_ROLE as u16, role)?;
    put_preshared_key(message, preshared_key)
}

/// Writes whether there is a preshared key, and which.
fn put_preshared_key(message: &mut Writer<'_>, key: Option<u32>) -> Result {
    message.put_u8(
        WG_MONITOR_A_PEER_HAS_PRESHARED_KEY as u16,
        key.is_some().into(),
    )?;
    match key {
        Some(number) => message.put_u32(WG_MONITOR_A_PEER_PRESHARED_KEY_GENERATION as u16, number),
        None => Ok(()),
    }
}

/// Writes all about a peer.
fn put_peer(message: &mut Writer<'_>, dev: &NetDevice, peer: &RcuArc<Peer>) -> Result {
    put_name(message, dev, peer)?;
    put_remote(message, peer)?;
    put_preshared_key(message, peer.preshared_key())?;
    let counters = &peer.counters;
    let (seconds, nanoseconds) = peer.last_handshake();
    let last_handshake = (seconds as u64)
        .wrapping_mul(NSEC_PER_SEC)
        .wrapping_add(nanoseconds.into());
    put_numbers(
        message,
        [
            (WG_MONITOR_A_PEER_LAST_HANDSHAKE, last_handshake),
            (WG_MONITOR_A_PEER_RX_BYTES, peer.rx_bytes()),
            (WG_MONITOR_A_PEER_TX_BYTES, peer.tx_bytes()),
            (WG_MONITOR_A_PEER_RX_PACKETS, counters.rx_packets.get()),
            (WG_MONITOR_A_PEER_TX_PACKETS, counters.tx_packets.get()),
        ],
    )?;
    let (waiting, nanoseconds) = peer.staged.waiting();
    let millis = u32::try_from(nanoseconds / 1_000_000).unwrap_or(u32::MAX);
    message.put_u32(WG_MONITOR_A_PEER_WAITING as u16, waiting as u32)?;
    message.put_u32(WG_MONITOR_A_PEER_WAITING_MS as u16, millis)?;

    let mut nest = message.nest(WG_MONITOR_A_PEER_HANDSHAKES as u16)?;
    let sent = counters.initiations_sent.get();
    let received = counters.initiations_received.get();
    let refused = counters.initiations_refused.get();
    put_numbers(
        &mut nest,
        [
            (WG_MONITOR_A_HANDSHAKES_SESSIONS, counters.sessions.get()),
            (WG_MONITOR_A_HANDSHAKES_INITIATIONS_SENT, sent),
            (WG_MONITOR_A_HANDSHAKES_INITIATIONS_RECEIVED, received),
            (WG_MONITOR_A_HANDSHAKES_INITIATIONS_REFUSED, refused),
            (WG_MONITOR_A_HANDSHAKES_GIVEN_UP, counters.given_up.get()),
        ],
    )?;
    nest.end()?;

    let mut nest = message.nest(WG_MONITOR_A_PEER_DROPS as u16)?;
    for (kind, counter) in counters.drops() {
        nest.put_uint(kind, counter.get())?;
    }
    nest.end()?;
    put_path(message, peer)
}

/// Writes the quality of the path from a peer, and to it and back.
fn put_path(message: &mut Writer<'_>, peer: &Peer) -> Result {
    let path = peer.keypairs.path();
    let mut nest = message.nest(WG_MONITOR_A_PEER_PATH as u16)?;
    put_numbers(
        &mut nest,
        [
            (WG_MONITOR_A_PATH_RECEIVED, path.received),
            (WG_MONITOR_A_PATH_LOST, path.lost),
            (WG_MONITOR_A_PATH_REORDERED, path.reordered),
            (WG_MONITOR_A_PATH_DUPLICATE, path.duplicate),
        ],
    )?;
    if let Some(micros) = peer.round_trip_us() {
        nest.put_u32(WG_MONITOR_A_PATH_RTT_US as u16, micros)?;
    }
    nest.end()
}

fn put_numbers<const N: usize>(message: &mut Writer<'_>, numbers: [(u32, u64); N]) -> Result {
    for (kind, number) in numbers {
        message.put_uint(kind as u16, number)?;
    }
    Ok(())
}
