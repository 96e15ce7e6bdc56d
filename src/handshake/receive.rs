// SPDX-License-Identifier: GPL-2.0

//! Handling the handshake messages that come in (whitepaper sections 5.3 and 5.4). All of it is in process context.

#![forbid(unsafe_code)]

use kernel::sync::atomic::Relaxed;

use crate::{
    cpu,
    crypto::with_wiped_stack,
    data::{
        send::{message_buffer, send_keepalive},
        socket::send_reply,
    },
    device::{
        drops::{count_of_device, count_of_peer, Cause},
        endpoint::Endpoint,
        roaming::heard_from,
        timers, Device, Identity, IndexEntry, Peer,
    },
    events,
    handshake::send::{begin_session, count_sent, send_response},
    net::skb::{DatagramIn, SkBuff},
    protocol::{
        cookie::{mac1_of, mac2_is_valid, MacKeys},
        messages::{CookieReply, Initiation, Kind, Response, INITIATION_LEN, UNDER_LOAD_QUEUED},
        noise::{open_initiation, Rejected},
    },
    rcu::{read_lock, Borrowed, RcuArc},
    timer, tracepoints,
};

/// Handles one message; `load` is how many were waiting with it. Returns why it is dropped, if it
/// is.
pub(super) fn handle(
    device: &RcuArc<Device>,
    skb: &SkBuff<DatagramIn>,
    load: usize,
) -> core::result::Result<(), Cause> {
    let came_at = timer::monotonic_ns();
    let mut buffer = [0u8; INITIATION_LEN];
    let message = buffer.get_mut(..skb.len()).ok_or(Cause::NotMessage)?;
    skb.copy_bits(0, message).map_err(|_| Cause::NotMessage)?;
    let kind = Kind::of_message(message).ok_or(Cause::NotMessage)?;
    let from = Endpoint::of_sender(skb).ok_or(Cause::NotMessage)?;
    if kind == Kind::CookieReply {
        events::cookie_reply_received(device, from.remote());
        return CookieReply::parse(message)
            .ok_or(Cause::NotMessage)
            .and_then(|reply| consume_cookie_reply(device, &reply))
            .inspect_err(|_| events::invalid_cookie_reply(device, from.remote()));
    }
    let identity = device.identity.load().ok_or(Cause::HandshakeNotReady)?;
    if !identity.macs.mac1_is_valid(message) {
        events::invalid_mac1(device, from.remote());
        return Err(Cause::BadMac1);
    }
    if device.engine.is_under_load(load >= UNDER_LOAD_QUEUED) {
        passes_under_load(device, &identity, message, &from)?;
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
        Kind::Initiation => events::invalid_initiation(device, from.remote()),
        _ => events::invalid_response(device, from.remote()),
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

/// Decides about a message with a valid `mac1` under load (section 5.4.7): only senders that show
/// by `mac2` that they receive at their address are served, and each of those only so often. Others
/// get the cookie that they need for that. Returns why the message is dropped, if it is.
fn passes_under_load(
    device: &RcuArc<Device>,
    identity: &Identity,
    message: &[u8],
    from: &Endpoint,
) -> core::result::Result<(), Cause> {
    let now = timer::coarse_boottime_ns();
    let cookie = device.cookie_secret.lock().cookie_for(&from.remote(), now);
    if mac2_is_valid(&cookie, message) {
        let namespace = device.netdev.namespace().as_u32();
        if device.engine.allow_handshake(namespace, &from.ip()) {
            return Ok(());
        }
        events::handshakes_too_fast(device, from.remote());
        return Err(Cause::RateLimited);
    }
    let sender = message.get(4..8).and_then(|bytes| bytes.first_chunk());
    if let (Some(sender), Some(mac1)) = (sender, mac1_of(message)) {
        let reply = identity
            .macs
            .create_reply(u32::from_le_bytes(*sender), mac1, &cookie);
        match message_buffer(&reply.to_bytes(), 0) {
            Ok(skb) => {
                events::cookie_reply_sent(device, from.remote());
                count_sent(device, 0, Kind::CookieReply);
                // A reply that cannot be sent is like one that got lost.
                let _ = send_reply(device, *from, skb);
            }
            Err(_) => count_of_device(device, Cause::NoMemorySending, 1),
        }
    }
    Err(Cause::CookieWanted)
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
    events::initiation_received(&peer);
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
            .map(Borrowed::get)
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
    events::response_received(&peer);
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
