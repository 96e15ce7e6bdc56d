// SPDX-License-Identifier: GPL-2.0

//! Handshakes: sending initiations, and handling the messages that come in (whitepaper section 5).
//!
//! Everything here runs in process context on a work queue of its own, so that it never keeps data
//! waiting, but for [`queue`] and [`schedule`].

#![forbid(unsafe_code)]

use kernel::{prelude::*, sync::atomic::Relaxed, workqueue::WorkItem};

use crate::{
    compat::{EKEYREJECTED, ENOKEY},
    cookie::{mac1_of, mac2_is_valid, MacKeys},
    cpu,
    crypto::{random_is_ready, wait_for_random, with_wiped_stack},
    device::{Device, Identity, IndexEntry},
    drops::{drop_of_device, Cause},
    endpoint::Endpoint,
    events,
    gfp::Gfp,
    keypair::Keypair,
    messages::{
        CookieReply, Initiation, Kind, Response, HANDSHAKE_DS, INITIATION_LEN,
        MAX_QUEUED_HANDSHAKES, NSEC_PER_SEC, UNDER_LOAD_QUEUED,
    },
    net::skb::{DatagramIn, SkBuff},
    noise::{open_initiation, Rejected, SessionKeys},
    peer::{Exchange, Peer},
    rcu::{read_lock, Borrowed, RcuArc},
    send, socket,
    tai64n::Tai64n,
    timer, timers, tracepoints,
};

/// How many messages and requests a work item handles before it queues itself again: other devices
/// have their turn then, and whoever waits for the work queue, such as a suspension, must not wait
/// for as long as messages come in.
const IN_A_ROW: usize = 64;

/// Puts a handshake message into the queue. If that is full, it is dropped.
///
/// Context: softirq.
pub(crate) fn queue(device: Borrowed<'_, Device>, kind: Kind, skb: SkBuff<DatagramIn>) {
    device.counters.received.count(kind);
    // Without good random numbers no answer can be given.
    if !random_is_ready() {
        drop_of_device(&device, Cause::HandshakeNotReady, skb);
        return;
    }
    let mut queued = device.handshakes.lock();
    if queued.len() >= MAX_QUEUED_HANDSHAKES {
        drop(queued);
        events::handshake_queue_full(&device);
        drop_of_device(&device, Cause::HandshakeQueueFull, skb);
        return;
    }
    queued.push_back(skb);
    drop(queued);
    if let Some(device) = device.upgrade() {
        schedule(&device);
    }
}

/// Has what was queued or requested done soon.
///
/// Context: process context or softirq.
pub(crate) fn schedule(device: &RcuArc<Device>) {
    let turn = device.handshake_turn.fetch_add(1, Relaxed) as u32;
    // More than one for each CPU would only take time from others, data above all.
    let workers = cpu::online_count().clamp(1, 4) as u32;
    let queue = &device.engine.handshake;
    // Whoever is queued already will find it.
    let _ = match turn.checked_rem(workers).unwrap_or(0) {
        0 => queue.enqueue::<_, 0>(device.clone()),
        1 => queue.enqueue::<_, 1>(device.clone()),
        2 => queue.enqueue::<_, 2>(device.clone()),
        _ => queue.enqueue::<_, 3>(device.clone()),
    };
}

/// Handles messages in the queue, and does what peers have requested. Returns whether there may be
/// more.
fn work(device: &RcuArc<Device>) -> bool {
    for _ in 0..IN_A_ROW {
        // In turn: neither has to wait until nothing is left of the other.
        let handled = handle_next(device);
        let requested = device.requests.pop();
        if let Some(peer) = &requested {
            peer.do_requested();
        }
        if !handled && requested.is_none() {
            return false;
        }
        cpu::cond_resched();
    }
    true
}

/// Handles the first message in the queue. Returns whether there was one.
fn handle_next(device: &RcuArc<Device>) -> bool {
    let mut queued = device.handshakes.lock();
    let load = queued.len();
    let Some(skb) = queued.pop_front() else {
        return false;
    };
    drop(queued);
    match handle(device, &skb, load) {
        Ok(()) => skb.consume(),
        Err(cause) => drop_of_device(device, cause, skb),
    }
    true
}

macro_rules! impl_handshake_work {
    ($($id:literal)*) => {$(
        impl WorkItem<$id> for Device {
            type Pointer = RcuArc<Self>;

            fn run(this: RcuArc<Self>) {
                if work(&this) {
                    let queue = &this.engine.handshake;
                    let _ = queue.enqueue::<_, $id>(this.clone());
                }
            }
        }
    )*};
}
impl_handshake_work!(0 1 2 3);

/// Handles one message; `load` is how many were waiting with it. Returns why it is dropped, if it
/// is.
fn handle(
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
        events::cookie_reply_received(device, &from);
        return CookieReply::parse(message)
            .ok_or(Cause::NotMessage)
            .and_then(|reply| consume_cookie_reply(device, &reply))
            .inspect_err(|_| events::invalid_cookie_reply(device, &from));
    }
    let identity = device.identity.load().ok_or(Cause::HandshakeNotReady)?;
    if !identity.macs.mac1_is_valid(message) {
        events::invalid_mac1(device, &from);
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
        Kind::Initiation => events::invalid_initiation(device, &from),
        _ => events::invalid_response(device, &from),
    })?;
    let softirqs = cpu::SoftirqsDisabled::new();
    device.netdev.count_received(1, message.len());
    drop(softirqs);
    let _ = peer.rx_bytes.fetch_add(message.len() as i64, Relaxed);
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
    peer.heard_from(from);
    timers::authenticated_received(peer);
    timers::authenticated_traversed(peer);
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
        events::handshakes_too_fast(device, from);
        return Err(Cause::RateLimited);
    }
    let sender = message.get(4..8).and_then(|bytes| bytes.first_chunk());
    if let (Some(sender), Some(mac1)) = (sender, mac1_of(message)) {
        let reply = identity
            .macs
            .create_reply(u32::from_le_bytes(*sender), mac1, &cookie);
        if let Ok(skb) = send::message_buffer(&reply.to_bytes(), 0) {
            events::cookie_reply_sent(device, from);
            count_sent(device, 0, Kind::CookieReply);
            // A reply that cannot be sent is like one that got lost.
            let _ = socket::send_reply(device, *from, skb);
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
        peer.send_keepalive();
    }
    Ok(peer)
}

/// Sends an initiation, unless the last handshake message was sent a moment ago.
///
/// Context: process context.
pub(crate) fn send_initiation(peer: &RcuArc<Peer>) {
    if !peer.begin_initiation() {
        return;
    }
    // Before there is any lock: early in boot this may take a second.
    wait_for_random();
    let message = match with_wiped_stack(|| create_initiation(peer)) {
        Ok(message) => message,
        Err(e) => {
            if e == ENOMEM {
                // There may be memory in some seconds.
                timers::initiation_sent(peer);
            } else if e == ENODEV {
                // Nothing was, and the device may be up again at once.
                peer.forget_handshake_sent();
            }
            return;
        }
    };
    events::initiation_sent(peer);
    count_sent(&peer.device, peer.id, Kind::Initiation);
    peer.counters.initiations_sent.add(1);
    timers::authenticated_traversed(peer);
    timers::authenticated_sent(peer);
    peer.note_handshake_sent();
    // Before it is: the response, which disarms the timer, may come while we are still here.
    timers::initiation_sent(peer);
    peer.begin_round_trip();
    // One that cannot be sent is like one that got lost: the timer tries again.
    let _ = send::send_handshake_message(peer, &message, HANDSHAKE_DS);
}

/// Makes an initiation with its MACs. Errors: `ENOMEM`, `ENOKEY` if the device has no keys,
/// `EKEYREJECTED` if the peer's key is one that no secret can be shared with, `ENODEV` if the peer
/// is not in use.
fn create_initiation(peer: &RcuArc<Peer>) -> Result<[u8; INITIATION_LEN]> {
    let device = &peer.device;
    let (seconds, nanoseconds) = timer::real_time();
    let now = u64::try_from(seconds)
        .unwrap_or(0)
        .wrapping_mul(NSEC_PER_SEC)
        .wrapping_add(nanoseconds.into());
    let mut exchange = peer.exchange.lock();
    if !peer.is_in_use() {
        return Err(ENODEV);
    }
    // Loaded under the lock: see `consume_initiation`.
    let identity = device.identity.load().ok_or(ENOKEY)?;
    let id = device.new_index(IndexEntry::Handshake(peer.clone()))?;
    let index = device.index_seal.seal(id);
    let timestamp = Tai64n::from_unix_ns(now);
    let Some(initiation) = exchange
        .noise
        .create_initiation(&identity.keys, index, timestamp)
    else {
        device.indices.remove(id);
        return Err(EKEYREJECTED);
    };
    peer.release_id(&mut exchange);
    exchange.id = Some(id);
    drop(exchange);
    let mut message = initiation.to_bytes();
    stamp(peer, &mut message);
    Ok(message)
}

/// Sends the response to an accepted initiation and begins the session.
fn send_response(peer: &RcuArc<Peer>) {
    let device = &peer.device;
    peer.note_handshake_sent();
    let mut message = {
        let mut exchange = peer.exchange.lock();
        if !peer.is_in_use() {
            return;
        }
        let Ok(id) = device.new_index(IndexEntry::Handshake(peer.clone())) else {
            return;
        };
        let index = device.index_seal.seal(id);
        let Some(response) = exchange.noise.create_response(index) else {
            device.indices.remove(id);
            return;
        };
        if begin_session(peer, &mut exchange, id).is_err() {
            return;
        }
        response.to_bytes()
    };
    stamp(peer, &mut message);
    events::response_sent(peer);
    count_sent(device, peer.id, Kind::Response);
    timers::session_derived(peer);
    timers::authenticated_traversed(peer);
    timers::authenticated_sent(peer);
    peer.note_handshake_sent();
    // One that cannot be sent is like one that got lost: the initiator tries again.
    let _ = send::send_handshake_message(peer, &message, HANDSHAKE_DS);
}

/// Counts a message that is being sent; to a peer, unless its number is zero.
fn count_sent(device: &Device, peer: u64, kind: Kind) {
    device.counters.sent.count(kind);
    tracepoints::handshake_sent(|| {
        let len = kind.handshake_len().unwrap_or(0) as u32;
        (device.netdev.index(), peer, kind as u8, len)
    });
}

/// Adds the MACs to a message for a peer.
fn stamp(peer: &Peer, message: &mut [u8]) {
    let keys = MacKeys::new(peer.public_key());
    peer.cookie
        .lock()
        .stamp(&keys, message, timer::coarse_boottime_ns());
}

/// Makes the keypair of a completed handshake known, under the number that the handshake had. If
/// that fails, the number is given up. Errors: `ENOMEM`, `EINVAL` if there are no keys.
fn begin_session(peer: &RcuArc<Peer>, exchange: &mut Exchange, id: u32) -> Result {
    let indices = &peer.device.indices;
    let keys: Option<SessionKeys> = exchange.noise.begin_session();
    let psk = exchange.preshared_key();
    let begun = keys
        .ok_or(EINVAL)
        .and_then(|keys| RcuArc::pin_init(Keypair::new(peer.clone(), keys, id, psk), Gfp::Kernel))
        .and_then(|keypair| {
            let entry = RcuArc::new(IndexEntry::Session(keypair.clone()))?;
            indices.replace(id, entry);
            events::keypair_created(&keypair);
            tracepoints::session_begun(|| keypair.told());
            peer.prepare_routes();
            peer.keep_keys();
            peer.keypairs.install(keypair);
            Ok(())
        });
    if begun.is_err() {
        indices.remove(id);
    }
    begun
}
