// SPDX-License-Identifier: GPL-2.0

//! Receiving: from a datagram to a packet that comes out of the device.

#![forbid(unsafe_code)]

use kernel::{prelude::*, sync::atomic::Relaxed};

use crate::{
    cpu::SoftirqsDisabled,
    data::{
        helper::{self, PeerJob},
        open::{Opened, Sealed},
        segment::TcpSegments,
        send::send_staged,
    },
    device::{
        drops::{count_of_device, count_of_peer, drop_of_device, drop_of_peer, Cause},
        endpoint::Endpoint,
        requests::{request, Request},
        roaming::heard_from,
        timers, Device, Keypair, Open, Peer,
    },
    events,
    net::{
        napi::Receiver,
        skb::{DatagramIn, PacketIn, Pieces, Protocol, SkBuff},
        skb_list::SkbList,
        udp_receive::Turn,
    },
    protocol::{
        messages::{
            Kind, DATA_MIN_LEN, KEEPALIVE_TIMEOUT, MAX_QUEUED_PACKETS, PADDING_MULTIPLE,
            REJECT_AFTER_TIME, REKEY_TIMEOUT,
        },
        replay::ReplayWindow,
    },
    queueing::{
        queue::{Next, Refused},
        stages::Decrypted,
    },
    rcu::{read_lock, Guard, RcuArc, RcuArcBorrow},
};

/// Takes a datagram from a socket of the device, or several in one buffer. Returns whether they come in
/// numbers: several in this buffer, or more from the peer than is usual when two parties take turns. What belongs to a handshake is given to `handshake`.
///
/// Context: softirq. What is not a message, or has an unknown index, is dropped silently.
pub(crate) fn datagram(
    device: RcuArcBorrow<'_, Device>,
    mut skb: SkBuff<DatagramIn>,
    turn: &mut Turn<'_>,
    handshake: fn(RcuArcBorrow<'_, Device>, Kind, SkBuff<DatagramIn>),
) -> bool {
    let guard = read_lock();
    match start_of(&mut skb) {
        Some((Kind::Data, index)) => return data(device, skb, index, turn, &guard),
        Some((kind @ (Kind::Initiation | Kind::Response | Kind::CookieReply), _)) => {
            turn.end();
            handshake(device, kind, skb);
        }
        None if skb.datagram_len() < DATA_MIN_LEN => drop_of_device(&device, Cause::TooShort, skb),
        None if skb.gso_size() != 0 => {
            let mut is_flooded = false;
            let (mut datagrams, missing) = skb.split();
            if let Some((rest, count)) = missing {
                let cause = Cause::NoMemoryReceiving;
                count_of_device(&device, cause, count);
                rest.drop_for(cause.reason());
            }
            while let Some(single) = datagrams.pop_front() {
                is_flooded |= datagram(device, single, turn, handshake);
            }
            return is_flooded;
        }
        None => drop_of_device(&device, Cause::NotMessage, skb),
    }
    false
}

/// Reads the start of a message: what it is, and the index that it is for if it is data. `None` if it is no message, or if
/// there are several of which not all are data for one index.
fn start_of(skb: &mut SkBuff<DatagramIn>) -> Option<(Kind, u32)> {
    let (len, size) = (skb.len(), skb.datagram_len());
    let mut pieces = Pieces::of(skb);
    let first = start_at(&mut pieces, 0, size)?;
    if size == len {
        return Some(first);
    }
    let mut at = size;
    while at < len {
        let size = size.min(len - at);
        if first.0 != Kind::Data || start_at(&mut pieces, at, size)? != first {
            return None;
        }
        at += size;
    }
    Some(first)
}

/// Reads the start of a message of `len` bytes at an offset into a buffer.
#[inline]
fn start_at(pieces: &mut Pieces<'_>, at: usize, len: usize) -> Option<(Kind, u32)> {
    if len < DATA_MIN_LEN {
        return None;
    }
    let mut start = [0u8; 8];
    pieces.copy(at, &mut start).ok()?;
    let [a, b, c, d, index @ ..] = start;
    Some((Kind::of([a, b, c, d], len)?, u32::from_le_bytes(index)))
}

/// Puts data messages into the queue of their peer. Returns whether they are several, or the peer is flooded.
fn data(
    device: RcuArcBorrow<'_, Device>,
    skb: SkBuff<DatagramIn>,
    index: u32,
    turn: &mut Turn<'_>,
    guard: &Guard,
) -> bool {
    let Some(keypair) = device.session(index, guard).filter(|k| k.may_receive()) else {
        drop_of_device(&device, Cause::UnknownIndex, skb);
        return false;
    };
    let (Some(keypair), Some(endpoint)) = (keypair.upgrade(), Endpoint::of_sender(&skb)) else {
        drop_of_device(&device, Cause::UnknownIndex, skb);
        return false;
    };
    let peer = &keypair.peer;
    if peer.is_removed() {
        drop_of_device(&device, Cause::Purged, skb);
        return false;
    }
    let sealed = Sealed::new(keypair.clone(), skb, endpoint);
    let many = sealed.messages > 1 || peer.pace.is_flooded();
    let mut sealed = Some(sealed);
    if !many {
        deliver_at_once(&device, peer, &mut sealed, turn, guard);
    }
    let Some(sealed) = sealed else {
        return false;
    };
    let enqueued = peer.incoming.enqueue(sealed, MAX_QUEUED_PACKETS);
    turn.end();
    match enqueued {
        Ok(enqueued) if enqueued.next == Next::Schedule => Open::schedule(peer, enqueued.home),
        // Who brings more while a full job waits works, too.
        Ok(enqueued) if enqueued.is_new && enqueued.waiting > 1 => helper::help::<Open>(peer, 1),
        Ok(_) => (),
        Err(Refused::Full(sealed)) => {
            drop_of_peer(peer, Cause::DecryptionQueueFull, sealed.datagrams)
        }
        Err(Refused::NoMemory(sealed)) => {
            drop_of_peer(peer, Cause::NoMemoryReceiving, sealed.datagrams)
        }
    }
    many
}

/// Decrypts and delivers a lone datagram where it came in, if nothing else of its peer's is under way. Otherwise leaves it.
fn deliver_at_once(
    device: &Device,
    peer: &RcuArc<Peer>,
    sealed: &mut Option<Sealed>,
    turn: &mut Turn<'_>,
    guard: &Guard,
) {
    let mut softirqs = SoftirqsDisabled::new();
    let here = kernel::cpu::CpuId::current().as_u32();
    let next = device.engine.local().ok().and_then(|local| {
        local.at_once(|| {
            let mut receiver = Receiver::for_lone_packets(&mut softirqs);
            let deliver = |opened| deliver(opened, &mut receiver, guard);
            peer.incoming.run_bypass(sealed, || turn.end(), 1, deliver)
        })
    });
    if next.flatten() == Some(Next::Schedule) {
        Open::schedule(peer, here);
    }
}

/// Drops packets instead of delivering them.
pub(crate) fn discard(opened: Opened) -> usize {
    drop_of_device(&opened.keypair.peer.device, Cause::Purged, opened.packets);
    opened.messages
}

/// Delivers packets to the stack and returns how many there were.
///
/// Context: softirq.
pub(crate) fn deliver(opened: Opened, receiver: &mut Receiver<'_>, guard: &Guard) -> usize {
    let keypair = &opened.keypair;
    let peer = &keypair.peer;
    let (mut packets, new) = without_replays(keypair, opened.packets);
    if !packets.is_empty() {
        peer.pace.received(new);
        authenticated(keypair, &opened.endpoint, guard);
        let (mut count, mut bytes) = (0usize, 0usize);
        let mut has_data = false;
        while let Some(packet) = packets.pop_front() {
            if !has_data && packet.len() != 0 {
                has_data = true;
                // Before the stack has it, which may answer at once.
                timers::data_received(peer, guard);
            }
            let Decrypted { messages, .. } = packet.control();
            let accepted = accept(peer, packet, guard, receiver);
            if accepted != 0 {
                count = count.saturating_add(messages as usize);
            }
            bytes = bytes.saturating_add(accepted);
        }
        let _ = peer.rx_bytes.fetch_add(bytes as u64, Relaxed);
        peer.counters.rx_packets.add(count);
    }
    opened.messages
}

/// Keeps the packets whose counters are new, and counts their messages.
fn without_replays(
    keypair: &Keypair,
    mut packets: SkbList<PacketIn>,
) -> (SkbList<PacketIn>, usize) {
    let mut kept = SkbList::new();
    let mut new = 0usize;
    let mut replay = keypair.replay.lock();
    while let Some(packet) = packets.pop_front() {
        let Decrypted {
            counter, messages, ..
        } = packet.control();
        let mut counters = (0..u64::from(messages)).map(|nth| counter.saturating_add(nth));
        if messages > 1 && !counters.clone().all(|counter| replay.would_accept(counter)) {
            let before = kept.len();
            keep_new(keypair, &packet, &mut replay, &mut kept);
            new = new.saturating_add(kept.len() - before);
            packet.drop_for(Cause::Replayed.reason());
            continue;
        }
        if counters.all(|counter| replay.accept(counter)) {
            kept.push_back(packet);
            new = new.saturating_add(messages as usize);
        } else {
            refuse(keypair, &replay, counter);
            packet.drop_for(Cause::Replayed.reason());
        }
    }
    (kept, new)
}

/// Counts a message with a counter that was not accepted.
#[cold]
fn refuse(keypair: &Keypair, replay: &ReplayWindow, counter: u64) {
    events::replayed(keypair, counter);
    let cause = match replay.is_too_old(counter) {
        true => Cause::TooOld,
        false => Cause::Replayed,
    };
    count_of_peer(&keypair.peer, cause, 1);
}

/// Takes a packet apart that stands for several, and keeps those whose counters are new.
#[cold]
fn keep_new(
    keypair: &Keypair,
    packet: &SkBuff<PacketIn>,
    replay: &mut ReplayWindow,
    kept: &mut SkbList<PacketIn>,
) {
    let control: Decrypted = packet.control();
    let segments = TcpSegments::parse(packet.linear(), packet.len(), packet.gso_size());
    let Some(segments) = segments else {
        count_of_peer(&keypair.peer, Cause::Replayed, control.messages as usize);
        return;
    };
    for index in 0..segments.count() {
        let counter = control.counter.saturating_add(index as u64);
        if !replay.accept(counter) {
            refuse(keypair, replay, counter);
            continue;
        }
        let len = segments.len_of(index);
        let single = SkBuff::alloc_received(&keypair.peer.device.netdev, len, |buffer| {
            let start = buffer.len().saturating_sub(len);
            let to = buffer.get_mut(start..).ok_or(EINVAL)?;
            let is_written = segments.write(index, packet, to);
            is_written.then_some(()).ok_or(EINVAL)
        });
        match single {
            Ok(mut single) => {
                single.set_control(Decrypted {
                    counter,
                    messages: 1,
                    len: len.next_multiple_of(PADDING_MULTIPLE) as u32,
                    ds: control.ds,
                });
                kept.push_back(single);
            }
            Err(_) => count_of_peer(&keypair.peer, Cause::NoMemoryReceiving, 1),
        }
    }
}

/// Draws the conclusions from authentic messages having come from somewhere.
fn authenticated(keypair: &RcuArc<Keypair>, from: &Endpoint, guard: &Guard) {
    let peer = &keypair.peer;
    heard_from(peer, *from);
    // First: what is sent below expects an answer of its own.
    timers::authenticated_received(peer);
    if peer.keypairs.confirm(keypair, guard) {
        timers::handshake_completed(peer);
        send_staged(peer);
    }
    keep_session_fresh(peer, guard);
}

/// Begins a handshake while there is still time, if only receiving shows that the session is used.
fn keep_session_fresh(peer: &RcuArc<Peer>, guard: &Guard) {
    const LAST_MINUTE: u64 = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;

    if peer.timers.is_in_last_minute() {
        return;
    }
    let due = peer.keypairs.current(guard).is_some_and(|keypair| {
        keypair.sending_is_valid() && keypair.we_initiated && keypair.older_than(LAST_MINUTE)
    });
    if due && peer.timers.last_minute() {
        request(peer, Request::BeginHandshake);
    }
}

/// Checks an authentic packet, or several that are one now, and hands it to the stack. Returns how many bytes are to be
/// counted.
fn accept(
    peer: &RcuArc<Peer>,
    mut packet: SkBuff<PacketIn>,
    guard: &Guard,
    receiver: &mut Receiver<'_>,
) -> usize {
    let device = &peer.device;
    let netdev = &device.netdev;
    let Decrypted {
        messages, len, ds, ..
    } = packet.control();
    let messages = messages as usize;
    let message_len = len as usize + messages * DATA_MIN_LEN;
    if len == 0 {
        events::keepalive_received(&**peer);
        netdev.count_received(messages, message_len);
        packet.consume();
        return message_len;
    }
    match inspect(&packet) {
        Ok(inner) if inner.len <= packet.len() => {
            packet.set_received(netdev, inner.protocol);
            packet.apply_outer_ecn(ds, inner.ds);
            if packet.trim(inner.len).is_err() {
                drop_of_peer(peer, Cause::NoMemoryReceiving, packet);
                return 0;
            }
            let source = inner.protocol.source(packet.network_header());
            let owner = source.and_then(|source| device.peer_of(source, guard));
            if !owner.is_some_and(|owner| owner.is(peer)) {
                if let Some(source) = source {
                    events::source_not_allowed(&**peer, source);
                }
                drop_of_peer(peer, Cause::SourceNotAllowed, packet);
                return 0;
            }
            receiver.receive(packet, inner.protocol);
            netdev.count_received(messages, message_len);
            message_len
        }
        Ok(_) => {
            events::inner_length_wrong(&**peer);
            drop_of_peer(peer, Cause::InnerTruncated, packet);
            0
        }
        Err(cause) => {
            if cause == Cause::InnerHeader {
                events::inner_length_wrong(&**peer);
            } else {
                events::inner_not_ip(&**peer);
            }
            drop_of_peer(peer, cause, packet);
            0
        }
    }
}

/// What an inner packet says about itself.
struct Inner {
    protocol: Protocol,
    len: usize,
    ds: u8,
}

/// Reads the start of an inner packet's IP header.
fn inspect(packet: &SkBuff<PacketIn>) -> core::result::Result<Inner, Cause> {
    const IPV4_HEADER: usize = 20;
    const IPV6_HEADER: usize = 40;

    let header = packet.linear();
    let v4: &[u8; IPV4_HEADER] = header.first_chunk().ok_or(Cause::InnerNotIp)?;
    match v4[0] >> 4 {
        4 => {
            let len = usize::from(u16::from_be_bytes([v4[2], v4[3]]));
            if len < IPV4_HEADER {
                return Err(Cause::InnerHeader);
            }
            Ok(Inner {
                protocol: Protocol::Ipv4,
                len,
                ds: v4[1],
            })
        }
        6 => {
            let v6: &[u8; IPV6_HEADER] = header.first_chunk().ok_or(Cause::InnerNotIp)?;
            let len = usize::from(u16::from_be_bytes([v6[4], v6[5]])) + IPV6_HEADER;
            Ok(Inner {
                protocol: Protocol::Ipv6,
                len,
                ds: v6[0] << 4 | v6[1] >> 4,
            })
        }
        _ => Err(Cause::InnerNotIp),
    }
}
