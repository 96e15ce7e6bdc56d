// SPDX-License-Identifier: GPL-2.0

//! Sending initiations and responses (whitepaper sections 5.4.2 to 5.4.4), and beginning the sessions that come of them.
//! All of it is in process context.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use crate::{
    compat::{EKEYREJECTED, ENOKEY},
    crypto::{wait_for_random, with_wiped_stack},
    data::send::send_handshake_message,
    device::{
        drops::{count_of_peer, Cause},
        timers, Device, Exchange, IndexEntry, Keypair, Peer,
    },
    events,
    protocol::{
        cookie::MacKeys,
        messages::{Kind, HANDSHAKE_DS, INITIATION_LEN, NSEC_PER_SEC},
        noise::SessionKeys,
        tai64n::Tai64n,
    },
    rcu::RcuArc,
    timer, tracepoints,
};

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
                count_of_peer(peer, Cause::NoMemorySending, 1);
                // There may be memory in some seconds.
                timers::initiation_sent(peer);
            } else if e == ENODEV {
                // Nothing was, and the device may be up again at once.
                peer.forget_handshake_sent();
            }
            return;
        }
    };
    events::initiation_sent(&**peer);
    count_sent(&peer.device, peer.id, Kind::Initiation);
    peer.counters.initiations_sent.add(1);
    timers::authenticated_sent(peer);
    peer.note_handshake_sent();
    // Before it is: the response, which disarms the timer, may come while we are still here.
    timers::initiation_sent(peer);
    peer.begin_round_trip();
    // One that cannot be sent is like one that got lost: the timer tries again.
    let _ = send_handshake_message(peer, &message, HANDSHAKE_DS);
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
pub(super) fn send_response(peer: &RcuArc<Peer>) {
    let device = &peer.device;
    peer.note_handshake_sent();
    let mut message = {
        let mut exchange = peer.exchange.lock();
        if !peer.is_in_use() {
            return;
        }
        let Ok(id) = device.new_index(IndexEntry::Handshake(peer.clone())) else {
            return count_of_peer(peer, Cause::NoMemorySending, 1);
        };
        let index = device.index_seal.seal(id);
        let Some(response) = exchange.noise.create_response(index) else {
            device.indices.remove(id);
            return;
        };
        if begin_session(peer, &mut exchange, id).is_err() {
            return count_of_peer(peer, Cause::NoMemorySending, 1);
        }
        response.to_bytes()
    };
    stamp(peer, &mut message);
    events::response_sent(&**peer);
    count_sent(device, peer.id, Kind::Response);
    timers::session_derived(peer);
    timers::authenticated_sent(peer);
    peer.note_handshake_sent();
    // One that cannot be sent is like one that got lost: the initiator tries again.
    let _ = send_handshake_message(peer, &message, HANDSHAKE_DS);
}

/// Counts a message that is being sent; to a peer, unless its number is zero.
pub(super) fn count_sent(device: &Device, peer: u64, kind: Kind) {
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
pub(super) fn begin_session(peer: &RcuArc<Peer>, exchange: &mut Exchange, id: u32) -> Result {
    let indices = &peer.device.indices;
    let keys: Option<SessionKeys> = exchange.noise.begin_session();
    let psk = exchange.preshared_key();
    let begun = keys
        .ok_or(EINVAL)
        .and_then(|keys| RcuArc::pin_init(Keypair::new(peer.clone(), keys, id, psk), GFP_KERNEL))
        .and_then(|keypair| {
            let entry = RcuArc::new(IndexEntry::Session(keypair.clone()))?;
            indices.replace(id, entry);
            events::keypair_created(&*keypair);
            tracepoints::session_begun(|| keypair.told());
            peer.prepare_routes();
            peer.keypairs.install(keypair);
            Ok(())
        });
    if begun.is_err() {
        indices.remove(id);
    }
    begun
}
