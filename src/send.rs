// SPDX-License-Identifier: GPL-2.0

//! Sending: from a packet routed to the device to a datagram for a peer's endpoint.

use kernel::prelude::*;

use crate::{
    batch::{Batch, Direction},
    crypto::DataKey,
    device::Device,
    gfp::Gfp,
    keypair::Keypair,
    messages::{
        padding, DataHeader, DATA_HEADER_LEN, DATA_MIN_LEN, MAX_QUEUED_PACKETS,
        REKEY_AFTER_MESSAGES, REKEY_AFTER_TIME, TAG_LEN,
    },
    net::{
        device::Trouble,
        icmp,
        skb::{Control, Protocol, SkBuff},
        skb_list::SkbList,
    },
    peer::{Action, Peer, PeerRef},
    rcu::{read_lock, Borrowed, Guard, RcuArc},
    socket, timers,
};

/// Room for the outer headers: Ethernet's and what else a device may want, IPv6's and UDP's.
const OUTER_HEADROOM: usize = 64 + 40 + 8;

/// A batch with more bytes than this is worth another CPU's attention.
const OFFLOAD_BYTES: usize = 4096;

/// Takes a packet that was routed to the device.
///
/// Context: softirqs disabled. Errors, each after the packet was dropped and counted:
/// `EPROTONOSUPPORT` if it is not IP, `ENOKEY` if no peer has its destination among its allowed
/// IPs, `EDESTADDRREQ` if that peer's endpoint is unknown; the latter two tell the sender by ICMP.
pub(crate) fn transmit(device: Borrowed<'_, Device>, mut skb: SkBuff) -> Result {
    let guard = read_lock();
    let netdev = &device.netdev;
    let Some(protocol) = skb.ip_protocol() else {
        netdev.count_trouble(Trouble::Sending, 1);
        return Err(EPROTONOSUPPORT);
    };
    let peer = match find_peer(&device, &skb, protocol, &guard) {
        Ok(peer) => peer,
        Err(e) => {
            icmp::host_unreachable(&mut skb, protocol);
            netdev.count_trouble(Trouble::Sending, 1);
            return Err(e);
        }
    };

    let mtu = match skb.route_mtu() {
        0 => netdev.mtu(),
        mtu => mtu,
    };
    let Some(mut skb) = skb.unshare() else {
        return Ok(());
    };
    // The route was only needed for ICMP, and must not be held while the packet waits.
    skb.drop_route();
    skb.set_control(Control {
        length: mtu as u32,
        ..Control::default()
    });

    let mut packets = SkbList::new();
    packets.push_back(skb);
    if !send_at_once(&peer, &mut packets, &guard) {
        peer.stage(&mut packets);
        send_staged(&peer);
    }
    Ok(())
}

/// Finds the peer that a packet is for.
fn find_peer(
    device: &Device,
    skb: &SkBuff,
    protocol: Protocol,
    guard: &Guard,
) -> Result<RcuArc<Peer>> {
    let peer = device
        .peer_of_destination(skb.network_header(), protocol, guard)
        .and_then(Borrowed::upgrade)
        .ok_or(ENOKEY)?;
    if peer.endpoint().is_none() {
        return Err(EDESTADDRREQ);
    }
    Ok(peer)
}

/// Sends packets with the current session, unless others wait already or there is no session.
fn send_at_once(peer: &RcuArc<Peer>, packets: &mut SkbList, guard: &Guard) -> bool {
    if peer.has_staged() {
        return false;
    }
    let current = peer.keypairs.current(guard);
    let Some(keypair) = current.filter(|keypair| keypair.may_send()) else {
        return false;
    };
    let Some(keypair) = keypair.upgrade() else {
        return false;
    };
    submit(&keypair, core::mem::replace(packets, SkbList::new()));
    true
}

/// Sends the packets that wait for a session, or begins a handshake if there is none.
///
/// Context: any but hard interrupts.
pub(crate) fn send_staged(peer: &RcuArc<Peer>) {
    let packets = peer.take_staged();
    if packets.is_empty() {
        return;
    }
    let guard = read_lock();
    let current = peer.keypairs.current(&guard);
    let usable = current.filter(|keypair| keypair.may_send());
    match usable.and_then(Borrowed::upgrade) {
        Some(keypair) => {
            drop(guard);
            submit(&keypair, packets);
        }
        None => {
            drop(guard);
            let mut packets = packets;
            // They may wait for long, which must not keep their sockets from sending elsewhere.
            packets.for_each(SkBuff::orphan);
            peer.unstage(packets);
            peer.request(Action::BeginHandshake);
        }
    }
}

/// Encrypts packets and sends them in order: here if nothing is in the way and they are few, else
/// by way of the peer's queue.
fn submit(keypair: &RcuArc<Keypair>, mut packets: SkbList) {
    let peer = &keypair.peer;
    let mut bytes = 0usize;
    packets.for_each(|skb| bytes = bytes.saturating_add(skb.len()));
    let offload = bytes > OFFLOAD_BYTES && crate::cpu::online_count() > 1;
    if !offload && peer.outgoing.begin_if_idle() {
        deliver(keypair, Seal::process(keypair, packets));
        peer.outgoing.drain_as_owner(deliver);
        return;
    }
    let count = packets.len();
    let queued = match Batch::new(keypair.clone(), packets) {
        Ok(batch) => peer.outgoing.push(batch, MAX_QUEUED_PACKETS, offload),
        Err(_) => false,
    };
    if !queued {
        peer.device
            .netdev
            .count_trouble(Trouble::SendingDropped, count);
    }
    peer.outgoing.drain(deliver);
}

/// Encryption.
pub(crate) struct Seal;

impl Direction for Seal {
    /// Packets as they were routed to the device; an empty one stands for a keepalive.
    type Input = SkbList;
    /// Data messages, ready to be sent.
    type Output = SkbList;

    fn process(keypair: &RcuArc<Keypair>, mut packets: SkbList) -> SkbList {
        let mut messages = SkbList::new();
        while let Some(skb) = packets.pop_front() {
            if seal_packet(keypair, skb, &mut messages).is_err() {
                keypair
                    .peer
                    .device
                    .netdev
                    .count_trouble(Trouble::SendingDropped, 1);
            }
        }
        messages
    }

    fn finished(keypair: &RcuArc<Keypair>) {
        keypair.peer.outgoing.drain(deliver);
    }
}

/// Encrypts one packet, or all that a GSO packet stands for.
fn seal_packet(keypair: &Keypair, skb: SkBuff, messages: &mut SkbList) -> Result {
    let mtu = skb.control().length as usize;
    let mut segments = if skb.is_gso() {
        skb.segment()?
    } else {
        let mut single = SkbList::new();
        single.push_back(skb);
        single
    };
    let mut counter = keypair
        .reserve_counters(segments.len())
        .ok_or(EKEYEXPIRED)?;
    while let Some(segment) = segments.pop_front() {
        messages.push_back(seal(keypair, counter, segment, mtu)?);
        counter = counter.wrapping_add(1);
    }
    Ok(())
}

/// Makes a data message of a packet (whitepaper section 5.4.6).
fn seal(keypair: &Keypair, counter: u64, mut packet: SkBuff, mtu: usize) -> Result<SkBuff> {
    let len = packet.len();
    let padded = len + padding(len, mtu);
    let header = DataHeader {
        receiver: keypair.remote_index,
        counter,
    };
    // The scratch that encryption wants in front of the packet is where the header goes, and
    // headroom in front of that.
    const MORE: usize = DataKey::SCRATCH - DATA_HEADER_LEN;
    let mut message = SkBuff::alloc_with(
        OUTER_HEADROOM,
        MORE,
        DATA_HEADER_LEN + padded + TAG_LEN,
        Gfp::Atomic,
        |buffer| {
            let text = buffer.get_mut(DataKey::SCRATCH..).ok_or(EINVAL)?;
            if !packet.copy_finished(text.get_mut(..len).ok_or(EINVAL)?) {
                return Err(EINVAL);
            }
            if !keypair.sending.seal_in_place(counter, buffer) {
                return Err(EINVAL);
            }
            buffer
                .get_mut(MORE..DataKey::SCRATCH)
                .ok_or(EINVAL)?
                .copy_from_slice(&header.to_bytes());
            Ok(())
        },
    )?;
    let ds = if len == 0 { 0 } else { packet.ecn_for_outer(0) };
    message.set_control(Control {
        ds,
        ..Control::default()
    });
    if len != 0 {
        message.copy_flow_hash(&packet);
        message.take_owner(&mut packet);
    }
    packet.consume();
    Ok(message)
}

/// Sends a batch of data messages.
fn deliver(keypair: &RcuArc<Keypair>, mut messages: SkbList) {
    if messages.is_empty() {
        return;
    }
    let peer = &keypair.peer;
    let mut has_data = false;
    messages.for_each(|message| has_data |= message.len() > DATA_MIN_LEN);
    timers::authenticated_traversed(peer);
    timers::authenticated_sent(peer);
    if socket::send_to_peer(peer, messages).is_ok() && has_data {
        timers::data_sent(peer);
    }
    keep_session_fresh(peer);
}

/// Begins a handshake when the session gets old, if it is our turn.
fn keep_session_fresh(peer: &RcuArc<Peer>) {
    let guard = read_lock();
    let due = peer.keypairs.current(&guard).is_some_and(|keypair| {
        keypair.sending_is_valid()
            && (keypair.sent() > REKEY_AFTER_MESSAGES
                || keypair.we_initiated && keypair.older_than(REKEY_AFTER_TIME))
    });
    drop(guard);
    if due {
        peer.request(Action::BeginHandshake);
    }
}

/// Sends a handshake message to a peer. Context: process context.
pub(crate) fn send_handshake_message(peer: &Peer, message: &[u8], ds: u8) -> Result {
    let mut packets = SkbList::new();
    packets.push_back(message_buffer(message, ds)?);
    socket::send_to_peer(peer, packets)
}

/// Puts a message into a buffer that can be sent. Errors: `ENOMEM`.
pub(crate) fn message_buffer(message: &[u8], ds: u8) -> Result<SkBuff> {
    let mut skb = SkBuff::alloc_with(OUTER_HEADROOM, 0, message.len(), Gfp::Kernel, |buffer| {
        buffer.copy_from_slice(message);
        Ok(())
    })?;
    skb.set_control(Control {
        ds,
        ..Control::default()
    });
    Ok(skb)
}
