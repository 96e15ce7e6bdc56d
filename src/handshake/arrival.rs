// SPDX-License-Identifier: GPL-2.0

//! Handshake messages that have just come in: which of them may wait to be handled (whitepaper sections 5.3 and 5.4.7).
//!
//! `mac1`, or the index of a cookie reply, is checked at once. Under load a message waits only if its `mac2` shows that its sender receives at its address, and
//! if that sender has not had its share; it is handled before those that came when there was no load. Other senders get a
//! cookie, at once: no work item runs for them, and no memory is held. When no more cookies may be sent, what has no `mac2` is dropped
//! before all else.
//!
//! [`arrived`] is called in softirq; what else is here, by work items, too.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use crate::{
    crypto::random_is_ready,
    data::{send::message_buffer, socket::send_reply},
    device::{
        drops::{count_of_device, drop_of_device, Cause},
        endpoint::Endpoint,
        requests::enqueue_handshake,
        Device, Identity,
    },
    events,
    handshake::send::count_sent,
    net::skb::{DatagramIn, SkBuff},
    protocol::{
        cookie::{has_mac2, mac1_of, mac2_is_valid},
        messages::{CookieReply, Kind, INITIATION_LEN},
    },
    queueing::handshakes::Standing,
    rcu::{read_lock, RcuArcBorrow},
    timer,
};

/// The room for the largest handshake message.
pub(super) type Buffer = [u8; INITIATION_LEN];

/// Takes a handshake message from a socket of the device: queues, answers or drops it.
///
/// Context: softirq.
pub(crate) fn arrived(device: RcuArcBorrow<'_, Device>, kind: Kind, skb: SkBuff<DatagramIn>) {
    device.counters.received.count(kind);
    match standing_of(&device, &skb) {
        Ok(standing) => enqueue_handshake(device, standing, skb),
        Err(cause) => drop_of_device(&device, cause, skb),
    }
}

/// Returns how its sender stands, or why the message is dropped.
fn standing_of(device: &Device, skb: &SkBuff<DatagramIn>) -> core::result::Result<Standing, Cause> {
    // Without good random numbers no answer can be given.
    if !random_is_ready() {
        return Err(Cause::HandshakeNotReady);
    }
    let from = Endpoint::of_sender(skb).ok_or(Cause::NotMessage)?;
    let mut buffer: Buffer = [0; INITIATION_LEN];
    let message = read(skb, &mut buffer)?;
    let guard = read_lock();
    if let Some(reply) = CookieReply::parse(message) {
        // A stranger's takes no place in the queue.
        if device.index_entry(reply.receiver, &guard).is_none() {
            events::invalid_cookie_reply(device, from.remote());
            return Err(Cause::HandshakeUnknownIndex);
        }
        return Ok(Standing::Unproven);
    }
    let now = timer::coarse_boottime_ns();
    let is_under_load = device.is_under_load(now);
    // Who has no cookie and would get none is not worth a hash.
    if is_under_load && !has_mac2(message) && !device.cookie_secret.lock().could_reply(now) {
        return Err(Cause::CookieWanted);
    }
    let identity = device
        .identity
        .get(&guard)
        .ok_or(Cause::HandshakeNotReady)?;
    if !identity.macs.mac1_is_valid(message) {
        events::invalid_mac1(device, from.remote());
        return Err(Cause::BadMac1);
    }
    if !is_under_load {
        return Ok(Standing::Unproven);
    }
    if let Err(cause) = passes_under_load(device, &identity, message, &from, now) {
        device.handshakes.lock().turned_away(now);
        return Err(cause);
    }
    Ok(Standing::Proven)
}

/// Copies a message out of its buffer.
pub(super) fn read<'a>(
    skb: &SkBuff<DatagramIn>,
    buffer: &'a mut Buffer,
) -> core::result::Result<&'a [u8], Cause> {
    let message = buffer.get_mut(..skb.len()).ok_or(Cause::NotMessage)?;
    skb.copy_bits(0, message).map_err(|_| Cause::NotMessage)?;
    Ok(message)
}

/// Decides about a message with a valid `mac1` under load (section 5.4.7): only senders that show by `mac2` that they receive
/// at their address are served, and each of those only so often. Other senders get the cookie that they need for that, as many as may
/// be sent. Returns why the message is dropped, if it is.
///
/// Context: any but hard interrupts.
pub(super) fn passes_under_load(
    device: &Device,
    identity: &Identity,
    message: &[u8],
    from: &Endpoint,
    now: u64,
) -> core::result::Result<(), Cause> {
    let cookie = device.cookie_secret.lock().cookie_for(&from.remote(), now);
    if mac2_is_valid(&cookie, message) {
        let namespace = device.netdev.namespace().as_u32();
        if device.engine.allow_handshake(namespace, &from.ip()) {
            return Ok(());
        }
        events::handshakes_too_fast(device, from.remote());
        return Err(Cause::RateLimited);
    }
    if !device.cookie_secret.lock().may_reply(now) {
        return Err(Cause::CookieWanted);
    }
    let sender = message.get(4..8).and_then(|bytes| bytes.first_chunk());
    if let (Some(sender), Some(mac1)) = (sender, mac1_of(message)) {
        let reply = identity
            .macs
            .create_reply(u32::from_le_bytes(*sender), mac1, &cookie);
        match message_buffer(&reply.to_bytes(), 0, GFP_ATOMIC) {
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
