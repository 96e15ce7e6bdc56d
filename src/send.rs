// SPDX-License-Identifier: GPL-2.0

//! Sending: from a packet routed to the device to a datagram for a peer's endpoint.

#![forbid(unsafe_code)]

use kernel::{prelude::*, workqueue::WorkItem};

use crate::{
    batch::{Batch, Direction, Helper},
    compat::{EDESTADDRREQ, ELOOP, ENOKEY, EPROTONOSUPPORT},
    cpu,
    device::Device,
    events,
    gfp::Gfp,
    keypair::Keypair,
    messages::{DATA_MIN_LEN, MAX_QUEUED_PACKETS, REKEY_AFTER_MESSAGES, REKEY_AFTER_TIME},
    net::{
        device::{transmit_depth, Trouble},
        drop_reason::DropReason,
        icmp,
        skb::{Control, DatagramOut, PacketOut, Protocol, Routed, SkBuff},
        skb_list::SkbList,
    },
    peer::{Action, Peer},
    rcu::{read_lock, Borrowed, Guard, RcuArc},
    seal::Seal,
    socket, timers,
};

/// Room for the outer headers: Ethernet's and what else a device may want, IPv6's and UDP's.
pub(crate) const OUTER_HEADROOM: usize = 64 + 40 + 8;

/// A batch with more bytes than this is worth another CPU's attention.
const OFFLOAD_BYTES: usize = 4096;

/// A packet that is being sent through more devices than this at once is in its third tunnel or
/// deeper: a tunnel counts twice, as a device and as a tunnel. The kernel allows for few, and its stack
/// of 16 KiB has no room for many: two within each other use up to 9.6 of it (selftests/device.sh).
const DEEP: u32 = 4;

/// Takes a packet that was routed to the device.
///
/// Context: softirqs disabled. Errors, each after the packet was dropped and counted:
/// `EPROTONOSUPPORT` if it is not IP, `ENOKEY` if no peer has its destination among its allowed
/// IPs, `EDESTADDRREQ` if that peer's endpoint is unknown; the latter two tell the sender by ICMP.
/// `ELOOP` if the packet is a datagram for the very peer that it is routed to.
pub(crate) fn transmit(device: Borrowed<'_, Device>, mut skb: SkBuff<Routed>) -> Result {
    let guard = read_lock();
    let netdev = &device.netdev;
    let Some(protocol) = skb.ip_protocol() else {
        netdev.count_trouble(Trouble::Sending, 1);
        events::not_ip(&device);
        skb.drop_for(DropReason::InvalidProto);
        return Err(EPROTONOSUPPORT);
    };
    let peer = match find_peer(&device, &skb, protocol, &guard) {
        Ok(peer) => peer,
        Err((e, reason)) => {
            icmp::host_unreachable(&mut skb, protocol);
            netdev.count_trouble(Trouble::Sending, 1);
            skb.drop_for(reason);
            return Err(e);
        }
    };

    let mtu = match skb.route_mtu() {
        0 => netdev.mtu(),
        mtu => mtu,
    };
    if peer.outgoing.is_handing_over_here() {
        // Sending to the peer leads here.
        events::endpoint_is_behind_itself(&peer);
        netdev.count_trouble(Trouble::Sending, 1);
        skb.drop_for(DropReason::RecursionLimit);
        return Err(ELOOP);
    }
    let Some(mut skb) = skb.into_packet() else {
        return Ok(());
    };
    skb.set_control(Control {
        length: mtu as u32,
        ..Control::default()
    });

    let mut packets = SkbList::new();
    packets.push_back(skb);
    if !send_at_once(&peer, &mut packets, &guard) {
        peer.stage(&mut cut(&peer, packets));
        send_staged(&peer);
    }
    Ok(())
}

/// Cuts GSO packets, so that those that wait can be counted.
fn cut(peer: &Peer, mut packets: SkbList<PacketOut>) -> SkbList<PacketOut> {
    let mut single = SkbList::new();
    while let Some(skb) = packets.pop_front() {
        let control = skb.control();
        if !skb.is_gso() {
            single.push_back(skb);
            continue;
        }
        match skb.segment() {
            Ok(mut segments) => {
                segments.for_each(|segment| segment.set_control(control));
                single.append(&mut segments);
            }
            Err(_) => peer.device.netdev.count_trouble(Trouble::SendingDropped, 1),
        }
    }
    single
}

/// Finds the peer that a packet is for.
fn find_peer(
    device: &Device,
    skb: &SkBuff<Routed>,
    protocol: Protocol,
    guard: &Guard,
) -> core::result::Result<RcuArc<Peer>, (Error, DropReason)> {
    let destination = protocol.destination(skb.network_header());
    let peer = destination
        .and_then(|destination| device.peer_of(destination, guard))
        .and_then(Borrowed::upgrade)
        .ok_or_else(|| {
            if let Some(destination) = destination {
                events::no_peer(device, destination);
            }
            (ENOKEY, DropReason::NoTxTarget)
        })?;
    if peer.endpoint().is_none() {
        events::no_endpoint(&peer);
        return Err((EDESTADDRREQ, DropReason::TunnelTxinfo));
    }
    Ok(peer)
}

/// Sends packets with the current session, unless others wait already or there is no session.
fn send_at_once(peer: &RcuArc<Peer>, packets: &mut SkbList<PacketOut>, guard: &Guard) -> bool {
    if !peer.staged.is_empty() {
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
    loop {
        let _softirqs = cpu::SoftirqsDisabled::new();
        let Some(mut moving) = peer.staged.begin_moving() else {
            return;
        };
        if let Some(keypair) = usable_session(peer) {
            let deep = transmit_depth() > DEEP;
            let helper = if deep { Helper::Later } else { Helper::Never };
            let packets = core::mem::replace(&mut moving.packets, SkbList::new());
            queue(&keypair, packets, helper);
            // Now that they are in the queue, others may follow.
            drop(moving);
            if !deep {
                send_at_home(peer, false);
            }
            continue;
        }
        // They may wait for long, which must not keep their sockets from sending elsewhere.
        moving.packets.for_each(SkBuff::orphan);
        drop(moving);
        // Whoever began a session meanwhile found nothing to send.
        if usable_session(peer).is_none() {
            peer.request(Action::BeginHandshake);
            return;
        }
    }
}

/// Sends a keepalive, or the packets that wait instead.
///
/// Context: any but hard interrupts.
pub(crate) fn send_keepalive(peer: &RcuArc<Peer>) {
    let _softirqs = cpu::SoftirqsDisabled::new();
    if peer.staged.is_empty() {
        // A message without a packet.
        if let Ok(empty) = SkBuff::empty(Gfp::Atomic) {
            events::keepalive_sent(peer);
            let mut packets = SkbList::new();
            packets.push_back(empty);
            let guard = read_lock();
            if send_at_once(peer, &mut packets, &guard) {
                return;
            }
            // Like a packet it waits for a session.
            peer.stage(&mut packets);
        }
    }
    send_staged(peer);
}

/// Returns the session that may be sent with, if there is one.
fn usable_session(peer: &RcuArc<Peer>) -> Option<RcuArc<Keypair>> {
    let guard = read_lock();
    peer.keypairs
        .current(&guard)
        .filter(|keypair| keypair.may_send())?
        .upgrade()
}

/// Encrypts packets and sends them in order. Context: softirqs disabled.
///
/// A lone packet is encrypted and sent where it is, which is the quickest. When many come without
/// an answer in between, they are collected for a moment and sent together, which is the cheapest.
/// A large packet, or what is left of one, goes to another CPU if one has nothing to do. In tunnels
/// within tunnels a work item begins anew.
fn submit(keypair: &RcuArc<Keypair>, packets: SkbList<PacketOut>) {
    let peer = &keypair.peer;
    let mut packets = packets;
    let (mut bytes, mut parts) = (0usize, 0usize);
    packets.for_each(|skb| {
        bytes = bytes.saturating_add(skb.len());
        parts = parts.saturating_add(skb.parts());
    });
    peer.pace.sent(bytes);
    if transmit_depth() > DEEP {
        enqueue(keypair, packets, Helper::Later);
    } else if bytes > OFFLOAD_BYTES && cpu::online_count() > 1 {
        enqueue(keypair, packets, Helper::IfIdle);
    } else if bytes <= OFFLOAD_BYTES && peer.pace.is_busy(parts) {
        if let Err(packets) = peer.outgoing.extend_last(keypair, packets) {
            // If a full batch waits, whoever sent it had better do the work than send even more.
            if peer.outgoing.home_elsewhere().is_none() {
                again_if(peer, peer.outgoing.drain(deliver));
            }
            enqueue(keypair, packets, Helper::Later);
        }
    } else if peer.outgoing.begin_if_idle(keypair, &mut packets) {
        let datagrams = Seal::process(keypair, packets);
        peer.outgoing.hand_over(|| {
            deliver(keypair, datagrams);
        });
        again_if(peer, peer.outgoing.drain_as_owner(deliver));
    } else {
        enqueue(keypair, packets, Helper::Here);
    }
}

/// Puts packets into the peer's queue, and sends what is ready.
fn enqueue(keypair: &RcuArc<Keypair>, packets: SkbList<PacketOut>, helper: Helper) {
    queue(keypair, packets, helper);
    match helper {
        // Who does the work sees to the rest.
        Helper::Later => {}
        _ => send_at_home(&keypair.peer, true),
    }
}

/// Puts packets into the peer's queue. Context: softirqs disabled.
fn queue(keypair: &RcuArc<Keypair>, packets: SkbList<PacketOut>, helper: Helper) {
    let peer = &keypair.peer;
    let count = packets.len();
    let queued = Batch::new(keypair.clone(), packets)
        .and_then(|batch| peer.outgoing.push(batch, MAX_QUEUED_PACKETS, helper));
    if queued.is_err() {
        let netdev = &peer.device.netdev;
        netdev.count_trouble(Trouble::SendingDropped, count);
    }
}

/// Sends those of a peer's batches that are encrypted, if this CPU is the home of its queue;
/// otherwise has that CPU send them. `only_done`: not those, either, that nobody has begun with.
///
/// Context: softirqs disabled, or a work item of one CPU.
pub(crate) fn send_at_home(peer: &RcuArc<Peer>, only_done: bool) {
    match peer.outgoing.home_elsewhere() {
        Some(home) => send_later(peer, home),
        None if only_done => again_if(peer, peer.outgoing.drain_done(deliver)),
        None => again_if(peer, peer.outgoing.drain(deliver)),
    }
}

/// Has a CPU send what it can of a peer's batches, soon.
fn send_later(peer: &RcuArc<Peer>, cpu: u32) {
    let crypt = peer.device.engine.crypt();
    // It may be queued already, and will then see these as well.
    let _ = crypt.enqueue_on::<_, SEND>(cpu, peer.clone());
}

/// Goes on sending later, if there is more. Context: as [`send_at_home`].
fn again_if(peer: &RcuArc<Peer>, more: bool) {
    if more {
        send_later(peer, kernel::cpu::CpuId::current().as_u32());
    }
}

/// The work item of a peer that sends what other CPUs have encrypted.
pub(crate) const SEND: u64 = 1;

impl WorkItem<SEND> for Peer {
    type Pointer = RcuArc<Self>;

    fn run(this: RcuArc<Self>) {
        again_if(&this, this.outgoing.drain(deliver));
    }
}

/// Sends a batch of data messages. Returns how many bytes they are.
fn deliver(keypair: &RcuArc<Keypair>, mut messages: SkbList<DatagramOut>) -> usize {
    if messages.is_empty() {
        return 0;
    }
    let peer = &keypair.peer;
    let mut bytes = 0usize;
    let mut has_data = false;
    // A keepalive never shares a buffer.
    messages.for_each(|message| {
        bytes = bytes.saturating_add(message.len());
        has_data |= message.len() > DATA_MIN_LEN;
    });
    timers::authenticated_traversed(peer);
    timers::authenticated_sent(peer);
    if socket::send_to_peer(peer, messages).is_ok() && has_data {
        timers::data_sent(peer);
    }
    keep_session_fresh(peer);
    bytes
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
pub(crate) fn message_buffer(message: &[u8], ds: u8) -> Result<SkBuff<DatagramOut>> {
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
