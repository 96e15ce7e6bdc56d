// SPDX-License-Identifier: GPL-2.0

//! `SET_DEVICE` of the family `wireguard`: changes a device.

#![forbid(unsafe_code)]

use core::net::IpAddr;
use kernel::prelude::*;

use crate::{
    compat::EPFNOSUPPORT,
    control::attributes::{
        allowed_ip, device, find, parse_endpoint, peer, ALLOWED_IP_TYPES, DEVICE_TYPES, PEER_TYPES,
        PROTOCOL_VERSION, SET_POLICY,
    },
    crypto::{with_wiped_stack, Secret},
    data::send::send_staged,
    device::{config::Config, endpoint::Endpoint, news::News, note::note, Peer},
    handshake::expiry::set_persistent_keepalive,
    net::{
        genetlink::{Attribute, Do, Policy, Request, Step, Table},
        rtnl, AF_INET, AF_INET6,
    },
    protocol::messages::KEY_LEN,
    rcu::RcuArc,
    uapi,
};

/// `SET_DEVICE`.
pub(super) struct SetDevice;

impl Do for SetDevice {
    const COMMAND: u8 = uapi::wg_cmd_WG_CMD_SET_DEVICE as u8;
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
