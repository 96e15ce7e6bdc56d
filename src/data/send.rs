// SPDX-License-Identifier: GPL-2.0

//! Sending: from a packet routed to the device to a datagram for a peer's endpoint.

#![forbid(unsafe_code)]

use kernel::{alloc::Flags, prelude::*, workqueue::WorkItem};

use crate::{
    compat::{EDESTADDRREQ, ELOOP, ENOKEY, EPROTONOSUPPORT},
    cpu,
    data::{
        datagrams::OUTER_HEADROOM,
        helper::{self, PeerJob},
        seal::{Datagrams, Packets},
        socket,
    },
    device::{
        drops::{count_of_peer, drop_of_device, drop_of_peer, Cause},
        requests::{request, Request},
        timers,
        types::SEND,
        Device, Keypair, Peer, Seal,
    },
    events,
    net::{
        device::transmit_depth,
        icmp,
        skb::{DatagramOut, PacketOut, Protocol, Routed, SkBuff},
        skb_list::SkbList,
    },
    protocol::messages::{
        DATA_MIN_LEN, MAX_QUEUED_PACKETS, REKEY_AFTER_MESSAGES, REKEY_AFTER_TIME,
    },
    queueing::{
        queue::{Enqueued, Next, OrderedQueue, Refused},
        stages::{Encapsulated, Outgoing},
    },
    rcu::{read_lock, Guard, RcuArc, RcuArcBorrow},
};

/// A packet with more bytes than this is worth another CPU's attention.
const OFFLOAD_BYTES: usize = 4096;

/// How many bytes are sent in a row: as many as the largest packet has. Nothing else runs in
/// softirq on the CPU meanwhile.
const BUDGET: usize = 64 * 1024;

/// A packet that is being sent through more devices than this at once is in its third tunnel or
/// deeper: a tunnel counts twice, as a device and as a tunnel, but that in whose work item sending began
/// only once. The kernel allows for few, and its stack of 16 KiB has no room for many: two within each
/// other use up to 7.9 of it on x86, 11.0 on arm64 (selftests/device/device.sh).
const DEEP: u32 = 3;

/// Takes a packet that was routed to the device.
///
/// Context: softirqs disabled. Errors, each after the packet was dropped and counted:
/// `EPROTONOSUPPORT` if it is not IP, `ENOKEY` if no peer has its destination among its allowed
/// IPs, `EDESTADDRREQ` if that peer's endpoint is unknown; the latter two tell the sender by ICMP.
/// `ELOOP` if the packet is a datagram for the very peer that it is routed to.
pub(crate) fn transmit(device: RcuArcBorrow<'_, Device>, mut skb: SkBuff<Routed>) -> Result {
    let guard = read_lock();
    let netdev = &device.netdev;
    let Some(protocol) = skb.ip_protocol() else {
        events::not_ip(&*device);
        drop_of_device(&device, Cause::NotIp, skb);
        return Err(EPROTONOSUPPORT);
    };
    let peer = match find_peer(&device, &skb, protocol, &guard) {
        Ok(peer) => peer,
        Err(nobody) => {
            icmp::host_unreachable(&mut skb, protocol);
            return Err(match nobody {
                Some(peer) => {
                    drop_of_peer(&peer, Cause::NoEndpoint, skb);
                    EDESTADDRREQ
                }
                None => {
                    drop_of_device(&device, Cause::NoPeer, skb);
                    ENOKEY
                }
            });
        }
    };

    let mtu = match skb.route_mtu() {
        0 => netdev.mtu(),
        mtu => mtu,
    };
    if peer.outgoing.is_delivering_here() {
        // Sending to the peer leads here.
        events::endpoint_is_behind_itself(&*peer);
        drop_of_peer(&peer, Cause::Loop, skb);
        return Err(ELOOP);
    }
    let Some(mut skb) = skb.into_packet(protocol) else {
        count_of_peer(&peer, Cause::NoMemorySending, 1);
        return Ok(());
    };
    skb.set_control(Outgoing {
        staged_at: 0,
        mtu: mtu as u32,
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
        let control: Outgoing = skb.control();
        if !skb.is_gso() {
            single.push_back(skb);
            continue;
        }
        let parts = skb.parts();
        match skb.segment() {
            Ok(mut segments) => {
                segments.for_each(|segment| segment.set_control(control));
                single.append(&mut segments);
            }
            Err(_) => count_of_peer(peer, Cause::NoMemorySending, parts),
        }
    }
    single
}

/// Finds the peer that a packet is for, or the one that it would be for if it were known where that is.
fn find_peer(
    device: &Device,
    skb: &SkBuff<Routed>,
    protocol: Protocol,
    guard: &Guard,
) -> core::result::Result<RcuArc<Peer>, Option<RcuArc<Peer>>> {
    let destination = protocol.destination(skb.network_header());
    let peer = destination
        .and_then(|destination| device.peer_of(destination, guard))
        .and_then(RcuArcBorrow::upgrade)
        .ok_or_else(|| {
            if let Some(destination) = destination {
                events::no_peer(device, destination);
            }
            None
        })?;
    if !peer.is_located() {
        events::no_endpoint(&*peer);
        return Err(Some(peer));
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
    xmit(
        peer,
        keypair,
        core::mem::replace(packets, SkbList::new()),
        guard,
    );
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
            let packets = core::mem::replace(&mut moving.packets, SkbList::new());
            let input = Packets {
                keypair,
                packets,
                is_large: false,
            };
            let enqueued = enqueue(peer, input);
            // Now that they are in the queue, others may follow.
            drop(moving);
            if let Some(enqueued) = enqueued {
                process(peer, &enqueued, false);
            }
            continue;
        }
        // They may wait for long, which must not keep their sockets from sending elsewhere.
        moving.packets.for_each(SkBuff::orphan);
        drop(moving);
        // If a session began meanwhile, its first message found nothing to send.
        if usable_session(peer).is_none() {
            request(peer, Request::BeginHandshake);
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
        match SkBuff::empty(GFP_ATOMIC) {
            Ok(empty) => {
                events::keepalive_sent(&**peer);
                let mut packets = SkbList::new();
                packets.push_back(empty);
                let guard = read_lock();
                if send_at_once(peer, &mut packets, &guard) {
                    return;
                }
                // Like a packet it waits for a session.
                peer.stage(&mut packets);
            }
            Err(_) => count_of_peer(peer, Cause::NoMemorySending, 1),
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
/// A lone packet is encrypted and sent where it is, which is the quickest. When many come without an answer in
/// between, they are collected for a work item and sent together, which is the cheapest. A large packet goes to a helper,
/// if there is one. In tunnels within tunnels a work item begins anew.
fn xmit(
    peer: &RcuArc<Peer>,
    keypair: RcuArc<Keypair>,
    mut packets: SkbList<PacketOut>,
    guard: &Guard,
) {
    let (mut bytes, mut parts) = (0usize, 0usize);
    packets.for_each(|skb| {
        bytes = bytes.saturating_add(skb.len());
        parts = parts.saturating_add(skb.parts());
    });
    let is_large = bytes > OFFLOAD_BYTES;
    let is_collected = peer.pace.sent(bytes, parts, is_large);
    let mut input = Some(Packets {
        keypair,
        packets,
        is_large,
    });
    if !is_large && !is_collected && transmit_depth() <= DEEP {
        let deliver = |output| deliver(output, guard);
        if let Some(next) = peer.outgoing.run_bypass(&mut input, || (), BUDGET, deliver) {
            return schedule_if(peer, next);
        }
    }
    let Some(enqueued) = input.and_then(|input| enqueue(peer, input)) else {
        return;
    };
    // If a full job waits, its sender does the work here instead of sending even more.
    if is_collected && (!enqueued.is_new || enqueued.waiting == 1) {
        if enqueued.next == Next::Schedule {
            Seal::schedule(peer, enqueued.home);
        }
    } else {
        process(peer, &enqueued, is_large);
    }
}

/// Puts packets into their peer's queue. If there is no room or memory, they are dropped. Context: softirqs disabled.
fn enqueue(peer: &Peer, input: Packets) -> Option<Enqueued> {
    let (cause, refused) = match peer.outgoing.enqueue(input, MAX_QUEUED_PACKETS) {
        Ok(enqueued) => return Some(enqueued),
        Err(Refused::Full(input)) => (Cause::EncryptionQueueFull, input),
        Err(Refused::NoMemory(input)) => (Cause::NoMemorySending, input),
    };
    drop_of_peer(peer, cause, refused.packets);
    None
}

/// Has what was put into a peer's queue encrypted and sent, by a helper first if it is large. Context: softirqs
/// disabled.
fn process(peer: &RcuArc<Peer>, enqueued: &Enqueued, is_large: bool) {
    if transmit_depth() > DEEP {
        if enqueued.next == Next::Schedule {
            Seal::schedule(peer, enqueued.home);
        }
    } else if is_large && helper::schedule::<Seal>(peer) {
        // It schedules who sends.
    } else if enqueued.home == kernel::cpu::CpuId::current().as_u32() {
        run(peer);
    } else {
        helper::help::<Seal>(peer, 1);
    }
}

impl PeerJob for Seal {
    fn queue(peer: &Peer) -> &OrderedQueue<Self> {
        &peer.outgoing
    }

    fn schedule(peer: &RcuArc<Peer>, home: u32) {
        let crypt = peer.device.engine.crypt();
        // It may be scheduled already, and then comes later than this.
        let _ = crypt.enqueue_on::<_, SEND>(home, peer.clone());
    }
}

/// Encrypts and sends what waits. Context: softirqs disabled, or a work item of one CPU.
fn run(peer: &RcuArc<Peer>) {
    let deliver = |output| deliver(output, &read_lock());
    schedule_if(peer, peer.outgoing.run(BUDGET, deliver));
}

/// Goes on sending later, if there is more. Context: as above.
fn schedule_if(peer: &RcuArc<Peer>, next: Next) {
    if next == Next::Schedule {
        Seal::schedule(peer, kernel::cpu::CpuId::current().as_u32());
    }
}

impl WorkItem<SEND> for Peer {
    type Pointer = RcuArc<Self>;

    fn run(this: RcuArc<Self>) {
        run(&this);
    }
}

/// Sends data messages. Returns how many bytes they are.
fn deliver(output: Datagrams, guard: &Guard) -> usize {
    let Datagrams {
        keypair,
        mut datagrams,
    } = output;
    if datagrams.is_empty() {
        return 1;
    }
    let peer = &keypair.peer;
    if peer.is_removed() {
        drop_of_peer(peer, Cause::NoSession, datagrams);
        return 1;
    }
    let mut bytes = 0usize;
    let mut has_data = false;
    // A keepalive never shares a buffer.
    datagrams.for_each(|datagram| {
        bytes = bytes.saturating_add(datagram.len());
        has_data |= datagram.len() > DATA_MIN_LEN;
    });
    timers::authenticated_sent(peer);
    if socket::send_to_peer(peer, datagrams, guard).is_ok() && has_data {
        timers::data_sent(peer, guard);
    }
    keep_session_fresh(peer, guard);
    bytes
}

/// Begins a handshake when the session gets old, if it is our turn.
fn keep_session_fresh(peer: &RcuArc<Peer>, guard: &Guard) {
    let due = peer.keypairs.current(guard).is_some_and(|keypair| {
        keypair.sending_is_valid()
            && (keypair.sent() > REKEY_AFTER_MESSAGES
                || keypair.we_initiated && keypair.older_than(REKEY_AFTER_TIME))
    });
    if due {
        request(peer, Request::BeginHandshake);
    }
}

/// Sends a handshake message to a peer. Context: process context.
pub(crate) fn send_handshake_message(peer: &Peer, message: &[u8], ds: u8) -> Result {
    let mut packets = SkbList::new();
    packets.push_back(
        message_buffer(message, ds, GFP_KERNEL)
            .inspect_err(|_| count_of_peer(peer, Cause::NoMemorySending, 1))?,
    );
    socket::send_to_peer(peer, packets, &read_lock())
}

/// Puts a message into a buffer that can be sent. Errors: `ENOMEM`.
pub(crate) fn message_buffer(message: &[u8], ds: u8, flags: Flags) -> Result<SkBuff<DatagramOut>> {
    let mut skb = SkBuff::alloc_with(OUTER_HEADROOM, 0, message.len(), 0, flags, |buffer| {
        buffer.copy_from_slice(message);
        Ok(())
    })?;
    skb.set_control(Encapsulated { ds });
    Ok(skb)
}
