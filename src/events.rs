// SPDX-License-Identifier: GPL-2.0

//! Events: what dynamic debugging can show of the driver's work.
//!
//! Nothing of it is printed unless asked for, for example with
//! `echo module wireguard +p >/sys/kernel/debug/dynamic_debug/control`; `func initiation_sent`
//! instead of `module wireguard` asks for one event. Messages name peers by their number and
//! endpoint, and never hold a key.
//!
//! This is the one file that denies `unsafe` instead of forbidding it: the static that describes an
//! event to the kernel must be in a section of its own, which [`events`] sees to.

#![deny(unsafe_code)]

use core::{
    fmt,
    net::{IpAddr, SocketAddr},
};
use kernel::error::Error;

use crate::{
    device::Device,
    dynamic_debug::events,
    endpoint::Endpoint,
    keypair::Keypair,
    messages::{ERASE_KEYS_AFTER, KEEPALIVE_TIMEOUT, NSEC_PER_SEC, REKEY_TIMEOUT},
    peer::Peer,
};

/// A device's name, as a message begins with it.
struct Name<'a>(&'a Device);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .netdev
            .with_name(|name| f.write_str(name.to_str().unwrap_or_default()))
    }
}

/// A peer: its number and where it is.
///
/// Looked up when the message is put together: printing it happens with interrupts disabled, where
/// the peer's locks must not be taken.
struct Whole {
    id: u64,
    remote: Remote,
}

impl Whole {
    fn of(peer: &Peer) -> Self {
        Self {
            id: peer.id,
            remote: Remote(peer.remote()),
        }
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.id, self.remote)
    }
}

/// Where a peer is, if that is known.
struct Remote(Option<SocketAddr>);

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(remote) => remote.fmt(f),
            None => f.write_str("no endpoint"),
        }
    }
}

// What there is.
events! {
    /// A link was made.
    pub(crate) fn interface_created(device: &Device)
        => Unlimited "{}: Interface created", Name(device);
    /// A link is gone.
    pub(crate) fn interface_destroyed(device: &Device)
        => Unlimited "{}: Interface destroyed", Name(device);
    /// The namespace that holds a link's sockets goes away.
    pub(crate) fn creating_namespace_exits(device: &Device)
        => Unlimited "{}: Creating namespace is exiting", Name(device);
    /// A peer was configured.
    pub(crate) fn peer_created(peer: &Peer)
        => Unlimited "{}: Peer {} created", Name(&peer.device), peer.id;
    /// A peer was removed.
    pub(crate) fn peer_destroyed(peer: &Peer)
        => Unlimited "{}: Peer {} destroyed", Name(&peer.device), Whole::of(peer);
    /// A session's keys were derived.
    pub(crate) fn keypair_created(keypair: &Keypair)
        => Limited "{}: Keypair {} created for peer {}",
        Name(&keypair.peer.device), keypair.local_id, keypair.peer.id;
    /// A session's keys were given up.
    pub(crate) fn keypair_destroyed(keypair: &Keypair)
        => Limited "{}: Keypair {} destroyed for peer {}",
        Name(&keypair.peer.device), keypair.local_id, keypair.peer.id;
}

// Packets that cannot be sent.
events! {
    /// Something else than IP was sent to the device.
    pub(crate) fn not_ip(device: &Device)
        => Limited "{}: Not an IP packet", Name(device);
    /// A packet has a destination that no peer has among its allowed IPs.
    pub(crate) fn no_peer(device: &Device, destination: IpAddr)
        => Limited "{}: No peer has {} among its allowed IPs", Name(device), destination;
    /// It is not known where the peer is.
    pub(crate) fn no_endpoint(peer: &Peer)
        => Limited "{}: No endpoint of peer {} is known", Name(&peer.device), peer.id;
    /// The endpoint of the peer leads back into the tunnel.
    pub(crate) fn endpoint_is_behind_itself(peer: &Peer)
        => Limited "{}: Endpoint is routed to the peer {} itself", Name(&peer.device), Whole::of(peer);
    /// There is no route to an endpoint.
    pub(crate) fn no_route(device: &Device, endpoint: &Endpoint, error: Error)
        => Limited "{}: No route to {}, error {}", Name(device), endpoint.remote(), error.to_errno();
}

// Messages that are sent.
events! {
    /// A handshake begins, or is tried again.
    pub(crate) fn initiation_sent(peer: &Peer)
        => Limited "{}: Sending handshake initiation to peer {}", Name(&peer.device), Whole::of(peer);
    /// An initiation was accepted.
    pub(crate) fn response_sent(peer: &Peer)
        => Limited "{}: Sending handshake response to peer {}", Name(&peer.device), Whole::of(peer);
    /// Under load, a sender has to prove its address first.
    pub(crate) fn cookie_reply_sent(device: &Device, to: &Endpoint)
        => Limited "{}: Sending cookie reply to {}", Name(device), to.remote();
    /// A message without a packet is to be sent.
    pub(crate) fn keepalive_sent(peer: &Peer)
        => Limited "{}: Sending keepalive to peer {}", Name(&peer.device), Whole::of(peer);
}

// Messages that are received.
events! {
    /// An authentic initiation.
    pub(crate) fn initiation_received(peer: &Peer)
        => Limited "{}: Received handshake initiation from peer {}", Name(&peer.device), Whole::of(peer);
    /// An authentic response.
    pub(crate) fn response_received(peer: &Peer)
        => Limited "{}: Received handshake response from peer {}", Name(&peer.device), Whole::of(peer);
    /// A cookie reply, authentic or not.
    pub(crate) fn cookie_reply_received(device: &Device, from: &Endpoint)
        => Limited "{}: Received cookie reply from {}", Name(device), from.remote();
    /// A data message without a packet in it.
    pub(crate) fn keepalive_received(peer: &Peer)
        => Limited "{}: Received keepalive from peer {}", Name(&peer.device), Whole::of(peer);
}

// Messages and packets that are not accepted.
events! {
    /// More handshake messages come than can be handled.
    pub(crate) fn handshake_queue_full(device: &Device)
        => Limited "{}: Too many handshake messages are waiting, dropping one", Name(device);
    /// A handshake message does not show that its sender knows our public key.
    pub(crate) fn invalid_mac1(device: &Device, from: &Endpoint)
        => Limited "{}: Invalid mac1 in a handshake message from {}", Name(device), from.remote();
    /// A sender that has a cookie sends more than its share.
    pub(crate) fn handshakes_too_fast(device: &Device, from: &Endpoint)
        => Limited "{}: Handshake messages come too fast from {}", Name(device), from.remote();
    /// An initiation of nobody that we know, or an old one.
    pub(crate) fn invalid_initiation(device: &Device, from: &Endpoint)
        => Limited "{}: Invalid handshake initiation from {}", Name(device), from.remote();
    /// A response to nothing, or not from whom the initiation was for.
    pub(crate) fn invalid_response(device: &Device, from: &Endpoint)
        => Limited "{}: Invalid handshake response from {}", Name(device), from.remote();
    /// A cookie reply to nothing, or not from whom the message was for.
    pub(crate) fn invalid_cookie_reply(device: &Device, from: &Endpoint)
        => Limited "{}: Invalid cookie reply from {}", Name(device), from.remote();
    /// A data message's counter was received before, or is too old to tell.
    pub(crate) fn replayed(keypair: &Keypair, counter: u64)
        => Limited "{}: Counter {} of peer {} was received before or is too old",
        Name(&keypair.peer.device), counter, keypair.peer.id;
    /// The peer may not send from the packet's source.
    pub(crate) fn source_not_allowed(peer: &Peer, source: IpAddr)
        => Limited "{}: Source {} is not among the allowed IPs of peer {}",
        Name(&peer.device), source, Whole::of(peer);
    /// What was encrypted is no IP packet.
    pub(crate) fn inner_not_ip(peer: &Peer)
        => Limited "{}: Not an IP packet from peer {}", Name(&peer.device), Whole::of(peer);
    /// An encrypted packet is shorter than its header says, or says nonsense.
    pub(crate) fn inner_length_wrong(peer: &Peer)
        => Limited "{}: Packet of a wrong length from peer {}", Name(&peer.device), Whole::of(peer);
}

// Timers.
events! {
    /// No response to an initiation: there will be another.
    pub(crate) fn handshake_retried(peer: &Peer, attempt: u32)
        => Unlimited "{}: No response from peer {} after {} seconds, attempt {} follows",
        Name(&peer.device), Whole::of(peer), REKEY_TIMEOUT / NSEC_PER_SEC, attempt;
    /// No response to so many initiations: there will be no other until there is something to send.
    pub(crate) fn handshake_given_up(peer: &Peer, attempts: u64)
        => Unlimited "{}: No response from peer {} after {} attempts, giving up",
        Name(&peer.device), Whole::of(peer), attempts;
    /// Data was sent and nothing came back.
    pub(crate) fn peer_is_silent(peer: &Peer)
        => Unlimited "{}: Nothing heard from peer {} for {} seconds, beginning a handshake",
        Name(&peer.device), Whole::of(peer), (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT) / NSEC_PER_SEC;
    /// There was no new session for long.
    pub(crate) fn keys_erased(peer: &Peer)
        => Unlimited "{}: Erasing all keys of peer {}: no new ones for {} seconds",
        Name(&peer.device), Whole::of(peer), ERASE_KEYS_AFTER / NSEC_PER_SEC;
}
