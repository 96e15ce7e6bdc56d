// SPDX-License-Identifier: GPL-2.0

//! `GET_DEVICE` of the family `wireguard`: dumps a device with its peers.

#![forbid(unsafe_code)]

use core::net::IpAddr;
use kernel::prelude::*;

use crate::{
    control::attributes::{
        allowed_ip, device, find, peer, put_endpoint, GET_POLICY, NAME_TYPES, PROTOCOL_VERSION,
    },
    device::{config::Config, Device, Peer},
    net::{
        device::NetDevice,
        genetlink::{Batch, Dump, Policy, Progress, Request, Table, Writer},
        link, rtnl, AF_INET, AF_INET6,
    },
    rcu::RcuArc,
    uapi,
};

/// A `GET_DEVICE` under way.
///
/// It holds no lock and no reference, so that a reader that stops reading blocks nothing: neither the
/// device, which may be deleted meanwhile, nor a peer. A peer has a number that grows from peer
/// to peer and is never used again, and so has an allowed IP. After additions and removals between
/// two messages the dump finds the next that it has not shown; and user space is told that what it
/// got was never true at one time.
pub(super) struct GetDevice {
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
    const COMMAND: u8 = uapi::wg_cmd_WG_CMD_GET_DEVICE as u8;
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
            batch.at_generation(self.generation.wrapping_add(1));
            batch.message()?.end();
            return Ok(Progress::Complete);
        };
        let config = Config::lock(device);
        self.generation = config.generation();
        batch.at_generation(self.generation);
        let mut message = batch.message()?;

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
