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
    dynamic_debug::events,
    net::device::NetDevice,
    protocol::messages::{ERASE_KEYS_AFTER, KEEPALIVE_TIMEOUT, NSEC_PER_SEC, REKEY_TIMEOUT},
};

/// Something of a device.
pub(crate) trait OfDevice {
    /// The network device.
    fn netdev(&self) -> &NetDevice;
}

/// Something of a peer.
pub(crate) trait OfPeer: OfDevice {
    /// The peer's number.
    fn id(&self) -> u64;

    /// Where the peer is, if that is known.
    fn remote(&self) -> Option<SocketAddr>;
}

/// A session.
pub(crate) trait Session: OfPeer {
    /// Our number of it.
    fn number(&self) -> u32;
}

/// A device's name, as a message begins with it.
struct Name<'a>(&'a NetDevice);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
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
    fn of(peer: &dyn OfPeer) -> Self {
        Self {
            id: peer.id(),
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
    pub(crate) fn interface_created(device: &dyn OfDevice)
        => Unlimited "{}: Interface created", Name(device.netdev());
    /// A link is gone.
    pub(crate) fn interface_destroyed(device: &dyn OfDevice)
        => Unlimited "{}: Interface destroyed", Name(device.netdev());
    /// The namespace that holds a link's sockets goes away.
    pub(crate) fn creating_namespace_exits(device: &dyn OfDevice)
        => Unlimited "{}: Creating namespace is exiting", Name(device.netdev());
    /// A peer was configured.
    pub(crate) fn peer_created(peer: &dyn OfPeer)
        => Unlimited "{}: Peer {} created", Name(peer.netdev()), peer.id();
    /// A peer was removed.
    pub(crate) fn peer_destroyed(peer: &dyn OfPeer)
        => Unlimited "{}: Peer {} destroyed", Name(peer.netdev()), Whole::of(peer);
    /// A session's keys were derived.
    pub(crate) fn keypair_created(session: &dyn Session)
        => Limited "{}: Keypair {} created for peer {}",
        Name(session.netdev()), session.number(), session.id();
    /// A session's keys were given up.
    pub(crate) fn keypair_destroyed(session: &dyn Session)
        => Limited "{}: Keypair {} destroyed for peer {}",
        Name(session.netdev()), session.number(), session.id();
}

// Packets that cannot be sent.
events! {
    /// Something else than IP was sent to the device.
    pub(crate) fn not_ip(device: &dyn OfDevice)
        => Limited "{}: Not an IP packet", Name(device.netdev());
    /// A packet has a destination that no peer has among its allowed IPs.
    pub(crate) fn no_peer(device: &dyn OfDevice, destination: IpAddr)
        => Limited "{}: No peer has {} among its allowed IPs", Name(device.netdev()), destination;
    /// It is not known where the peer is.
    pub(crate) fn no_endpoint(peer: &dyn OfPeer)
        => Limited "{}: No endpoint of peer {} is known", Name(peer.netdev()), peer.id();
    /// The endpoint of the peer leads back into the tunnel.
    pub(crate) fn endpoint_is_behind_itself(peer: &dyn OfPeer)
        => Limited "{}: Endpoint is routed to the peer {} itself", Name(peer.netdev()), Whole::of(peer);
    /// There is no route to an endpoint.
    pub(crate) fn no_route(device: &dyn OfDevice, endpoint: SocketAddr, error: Error)
        => Limited "{}: No route to {}, error {}", Name(device.netdev()), endpoint, error.to_errno();
}

// Messages that are sent.
events! {
    /// A handshake begins, or is tried again.
    pub(crate) fn initiation_sent(peer: &dyn OfPeer)
        => Limited "{}: Sending handshake initiation to peer {}", Name(peer.netdev()), Whole::of(peer);
    /// An initiation was accepted.
    pub(crate) fn response_sent(peer: &dyn OfPeer)
        => Limited "{}: Sending handshake response to peer {}", Name(peer.netdev()), Whole::of(peer);
    /// Under load, a sender has to prove its address first.
    pub(crate) fn cookie_reply_sent(device: &dyn OfDevice, to: SocketAddr)
        => Limited "{}: Sending cookie reply to {}", Name(device.netdev()), to;
    /// A message without a packet is to be sent.
    pub(crate) fn keepalive_sent(peer: &dyn OfPeer)
        => Limited "{}: Sending keepalive to peer {}", Name(peer.netdev()), Whole::of(peer);
}

// Messages that are received.
events! {
    /// An authentic initiation.
    pub(crate) fn initiation_received(peer: &dyn OfPeer)
        => Limited "{}: Received handshake initiation from peer {}", Name(peer.netdev()), Whole::of(peer);
    /// An authentic response.
    pub(crate) fn response_received(peer: &dyn OfPeer)
        => Limited "{}: Received handshake response from peer {}", Name(peer.netdev()), Whole::of(peer);
    /// A cookie reply, authentic or not.
    pub(crate) fn cookie_reply_received(device: &dyn OfDevice, from: SocketAddr)
        => Limited "{}: Received cookie reply from {}", Name(device.netdev()), from;
    /// A data message without a packet in it.
    pub(crate) fn keepalive_received(peer: &dyn OfPeer)
        => Limited "{}: Received keepalive from peer {}", Name(peer.netdev()), Whole::of(peer);
}

// Messages and packets that are not accepted.
events! {
    /// More handshake messages come than can be handled.
    pub(crate) fn handshake_queue_full(device: &dyn OfDevice)
        => Limited "{}: Too many handshake messages are waiting, dropping one", Name(device.netdev());
    /// A handshake message does not show that its sender knows our public key.
    pub(crate) fn invalid_mac1(device: &dyn OfDevice, from: SocketAddr)
        => Limited "{}: Invalid mac1 in a handshake message from {}", Name(device.netdev()), from;
    /// A sender that has a cookie sends more than its share.
    pub(crate) fn handshakes_too_fast(device: &dyn OfDevice, from: SocketAddr)
        => Limited "{}: Handshake messages come too fast from {}", Name(device.netdev()), from;
    /// An initiation of an unknown public key, or an old one.
    pub(crate) fn invalid_initiation(device: &dyn OfDevice, from: SocketAddr)
        => Limited "{}: Invalid handshake initiation from {}", Name(device.netdev()), from;
    /// A response to no initiation, or not from the peer that it was sent to.
    pub(crate) fn invalid_response(device: &dyn OfDevice, from: SocketAddr)
        => Limited "{}: Invalid handshake response from {}", Name(device.netdev()), from;
    /// A cookie reply to no message, or not from the peer that it was sent to.
    pub(crate) fn invalid_cookie_reply(device: &dyn OfDevice, from: SocketAddr)
        => Limited "{}: Invalid cookie reply from {}", Name(device.netdev()), from;
    /// A data message's counter was received before, or is too old to tell.
    pub(crate) fn replayed(session: &dyn Session, counter: u64)
        => Limited "{}: Counter {} of peer {} was received before or is too old",
        Name(session.netdev()), counter, session.id();
    /// The peer may not send from the packet's source.
    pub(crate) fn source_not_allowed(peer: &dyn OfPeer, source: IpAddr)
        => Limited "{}: Source {} is not among the allowed IPs of peer {}",
        Name(peer.netdev()), source, Whole::of(peer);
    /// What was encrypted is no IP packet.
    pub(crate) fn inner_not_ip(peer: &dyn OfPeer)
        => Limited "{}: Not an IP packet from peer {}", Name(peer.netdev()), Whole::of(peer);
    /// An encrypted packet is shorter than its header says, or says nonsense.
    pub(crate) fn inner_length_wrong(peer: &dyn OfPeer)
        => Limited "{}: Packet of a wrong length from peer {}", Name(peer.netdev()), Whole::of(peer);
}

// Timers.
events! {
    /// No response to an initiation: there will be another.
    pub(crate) fn handshake_retried(peer: &dyn OfPeer, attempt: u32)
        => Unlimited "{}: No response from peer {} after {} seconds, attempt {} follows",
        Name(peer.netdev()), Whole::of(peer), REKEY_TIMEOUT / NSEC_PER_SEC, attempt;
    /// No response to so many initiations: there will be no other until there is something to send.
    pub(crate) fn handshake_given_up(peer: &dyn OfPeer, attempts: u64)
        => Unlimited "{}: No response from peer {} after {} attempts, giving up",
        Name(peer.netdev()), Whole::of(peer), attempts;
    /// Data was sent and nothing came back.
    pub(crate) fn peer_is_silent(peer: &dyn OfPeer)
        => Unlimited "{}: Nothing heard from peer {} for {} seconds, beginning a handshake",
        Name(peer.netdev()), Whole::of(peer), (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT) / NSEC_PER_SEC;
    /// There was no new session for long.
    pub(crate) fn keys_erased(peer: &dyn OfPeer)
        => Unlimited "{}: Erasing all keys of peer {}: no new ones for {} seconds",
        Name(peer.netdev()), Whole::of(peer), ERASE_KEYS_AFTER / NSEC_PER_SEC;
}
