// SPDX-License-Identifier: GPL-2.0

//! Handling the handshake messages that come in (whitepaper sections 5.3 and 5.4). All of it is in process context.

#![forbid(unsafe_code)]

use kernel::sync::atomic::Relaxed;

use crate::{
    cpu,
    crypto::with_wiped_stack,
    data::send::send_keepalive,
    device::{
        drops::{count_of_peer, Cause},
        endpoint::Endpoint,
        roaming::heard_from,
        timers, Device, Identity, IndexEntry, Peer,
    },
    events,
    handshake::{
        arrival::{passes_under_load, read, Buffer},
        send::{begin_session, send_response},
    },
    net::skb::{DatagramIn, SkBuff},
    protocol::{
        cookie::MacKeys,
        messages::{CookieReply, Initiation, Kind, Response, INITIATION_LEN},
        noise::{open_initiation, Rejected},
    },
    queueing::handshakes::Standing,
    rcu::{read_lock, RcuArc, RcuArcBorrow},
    timer, tracepoints,
};

/// Handles one message. Returns why it is dropped, if it is.
pub(super) fn handle(
    device: &RcuArc<Device>,
    skb: &SkBuff<DatagramIn>,
    standing: Standing,
) -> core::result::Result<(), Cause> {
    let came_at = timer::monotonic_ns();
    let mut buffer: Buffer = [0; INITIATION_LEN];
    let message = read(skb, &mut buffer)?;
    let kind = Kind::of_message(message).ok_or(Cause::NotMessage)?;
    let from = Endpoint::of_sender(skb).ok_or(Cause::NotMessage)?;
    if kind == Kind::CookieReply {
        events::cookie_reply_received(&**device, from.remote());
        return CookieReply::parse(message)
            .ok_or(Cause::NotMessage)
            .and_then(|reply| consume_cookie_reply(device, &reply))
            .inspect_err(|_| events::invalid_cookie_reply(&**device, from.remote()));
    }
    let identity = device.identity.load().ok_or(Cause::HandshakeNotReady)?;
    // It came when there was no load.
    let now = timer::coarse_boottime_ns();
    if standing == Standing::Unproven && device.is_under_load(now) {
        passes_under_load(device, &identity, message, &from, now)?;
    }
    let peer = with_wiped_stack(|| match kind {
        Kind::Initiation => Initiation::parse(message)
            .ok_or(Cause::NotMessage)
            .and_then(|initiation| consume_initiation(device, &identity, &initiation, from)),
        Kind::Response => Response::parse(message)
            .ok_or(Cause::NotMessage)
            .and_then(|response| consume_response(device, &identity, &response, from, came_at)),
        Kind::CookieReply | Kind::Data => Err(Cause::NotMessage),
    })
    .inspect_err(|_| match kind {
        Kind::Initiation => events::invalid_initiation(&**device, from.remote()),
        _ => events::invalid_response(&**device, from.remote()),
    })?;
    let softirqs = cpu::SoftirqsDisabled::new();
    device.netdev.count_received(1, message.len());
    drop(softirqs);
    let _ = peer.rx_bytes.fetch_add(message.len() as u64, Relaxed);
    peer.counters.rx_packets.add(1);
    tracepoints::handshake_received(|| {
        let ifindex = device.netdev.index();
        (ifindex, peer.id, kind as u8, message.len() as u32)
    });
    Ok(())
}

/// Draws the conclusions from an authentic message of a peer. To be called before anything is sent
/// in answer: from then on the peer's next message is awaited.
fn authenticated(peer: &RcuArc<Peer>, from: Endpoint) {
    heard_from(peer, from);
    timers::authenticated_received(peer);
}

/// Takes the cookie out of a reply to a message of ours.
fn consume_cookie_reply(device: &Device, reply: &CookieReply) -> core::result::Result<(), Cause> {
    let peer = {
        let guard = read_lock();
        device
            .index_entry(reply.receiver, &guard)
            .map(|entry| match entry.get() {
                IndexEntry::Handshake(peer) => peer.clone(),
                IndexEntry::Session(keypair) => keypair.peer.clone(),
            })
    };
    let peer = peer.ok_or(Cause::HandshakeUnknownIndex)?;
    let keys = MacKeys::new(peer.public_key());
    let now = timer::coarse_boottime_ns();
    let mut cookie = peer.cookie.lock();
    match cookie.consume_reply(&keys, reply, now) {
        true => Ok(()),
        false => Err(Cause::HandshakeNotAuthentic),
    }
}

/// Accepts an initiation and responds to it. Returns the peer if it is authentic.
fn consume_initiation(
    device: &RcuArc<Device>,
    identity: &RcuArc<Identity>,
    initiation: &Initiation,
    from: Endpoint,
) -> core::result::Result<RcuArc<Peer>, Cause> {
    let opened = open_initiation(&identity.keys, initiation).ok_or(Cause::HandshakeNotAuthentic)?;
    let peer = device
        .peer_by_key(opened.remote_static())
        .ok_or(Cause::HandshakeNotAuthentic)?;
    {
        let mut exchange = peer.exchange.lock();
        // A new identity is there before the peer's handshake is told of it, with this lock: what is
        // derived from the former one must not be put into it afterwards.
        if !peer.is_in_use() || !device.has_identity(identity) {
            return Err(Cause::HandshakeTooLate);
        }
        let now = timer::coarse_boottime_ns();
        exchange
            .noise
            .accept_initiation(&identity.keys, opened, now)
            .map_err(|rejected| match rejected {
                Rejected::NotAuthentic => Cause::HandshakeNotAuthentic,
                Rejected::Replayed | Rejected::TooSoon => {
                    peer.counters.initiations_refused.add(1);
                    Cause::InitiationRefused
                }
            })?;
        peer.release_id(&mut exchange);
    }
    authenticated(&peer, from);
    peer.counters.initiations_received.add(1);
    events::initiation_received(&*peer);
    send_response(&peer);
    Ok(peer)
}

/// Completes the handshake that a response belongs to. Returns the peer if it is authentic.
fn consume_response(
    device: &RcuArc<Device>,
    identity: &Identity,
    response: &Response,
    from: Endpoint,
    came_at: u64,
) -> core::result::Result<RcuArc<Peer>, Cause> {
    let peer = {
        let guard = read_lock();
        match device
            .index_entry(response.receiver, &guard)
            .map(RcuArcBorrow::get)
        {
            Some(IndexEntry::Handshake(peer)) => peer.clone(),
            Some(IndexEntry::Session(_)) | None => return Err(Cause::HandshakeUnknownIndex),
        }
    };
    let begun = {
        let mut exchange = peer.exchange.lock();
        if !peer.is_in_use() {
            return Err(Cause::HandshakeTooLate);
        }
        if !exchange.noise.consume_response(&identity.keys, response) {
            return Err(Cause::HandshakeNotAuthentic);
        }
        authenticated(&peer, from);
        peer.note_round_trip(came_at);
        let id = exchange.id.take().ok_or(Cause::HandshakeTooLate)?;
        begin_session(&peer, &mut exchange, id)
    };
    events::response_received(&*peer);
    if begun.is_ok() {
        timers::session_derived(&peer);
        timers::handshake_completed(&peer);
        // Shows the responder that we have the keys, if no packet waits that does.
        send_keepalive(&peer);
    } else {
        count_of_peer(&peer, Cause::NoMemoryReceiving, 1);
    }
    Ok(peer)
}
