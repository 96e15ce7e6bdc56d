// SPDX-License-Identifier: GPL-2.0

//! Sending: from a packet routed to the device to a datagram for a peer's endpoint.

#![forbid(unsafe_code)]

use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
    workqueue::WorkItem,
};

use crate::{
    batch::{Batch, Direction, Helper},
    cpu,
    crypto::DataKey,
    device::Device,
    events,
    gfp::Gfp,
    keypair::Keypair,
    messages::{
        padding, DataHeader, DATA_HEADER_LEN, DATA_MIN_LEN, MAX_QUEUED_PACKETS,
        REKEY_AFTER_MESSAGES, REKEY_AFTER_TIME,
    },
    net::{
        device::Trouble,
        drop_reason::DropReason,
        icmp,
        skb::{Control, Piece, Protocol, SkBuff},
        skb_list::SkbList,
    },
    peer::{Action, Peer},
    rcu::{read_lock, Borrowed, Guard, RcuArc},
    socket, timer, timers,
};

/// Room for the outer headers: Ethernet's and what else a device may want, IPv6's and UDP's.
const OUTER_HEADROOM: usize = 64 + 40 + 8;

/// A batch with more bytes than this is worth another CPU's attention.
const OFFLOAD_BYTES: usize = 4096;

/// How many packets are collected at most while a peer is busy.
const COLLECTED_PACKETS: usize = 64;

/// How many messages one buffer of datagrams may hold: as many as UDP accepts from user space.
const RUN_MESSAGES: usize = 64;

/// How many bytes one buffer of datagrams may hold, so that it fits into an IP packet.
const RUN_BYTES: usize = 65_000;

/// Takes a packet that was routed to the device.
///
/// Context: softirqs disabled. Errors, each after the packet was dropped and counted:
/// `EPROTONOSUPPORT` if it is not IP, `ENOKEY` if no peer has its destination among its allowed
/// IPs, `EDESTADDRREQ` if that peer's endpoint is unknown; the latter two tell the sender by ICMP.
/// `ELOOP` if the packet is a datagram for the very peer that it is routed to.
pub(crate) fn transmit(device: Borrowed<'_, Device>, mut skb: SkBuff) -> Result {
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
        peer.stage(&mut cut(&peer, packets));
        send_staged(&peer);
    }
    Ok(())
}

/// Cuts GSO packets, so that those that wait can be counted.
fn cut(peer: &Peer, mut packets: SkbList) -> SkbList {
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
    skb: &SkBuff,
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
    loop {
        let mut packets = peer.take_staged();
        if packets.is_empty() {
            return;
        }
        if let Some(keypair) = usable_session(peer) {
            let _softirqs = cpu::SoftirqsDisabled::new();
            submit(&keypair, packets);
            return;
        }
        // They may wait for long, which must not keep their sockets from sending elsewhere.
        packets.for_each(SkBuff::orphan);
        peer.unstage(packets);
        // Whoever began a session meanwhile found nothing to send.
        if usable_session(peer).is_none() {
            peer.request(Action::BeginHandshake);
            return;
        }
    }
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
/// A large packet, or what is left of one, goes to another CPU if one has nothing to do.
fn submit(keypair: &RcuArc<Keypair>, packets: SkbList) {
    let peer = &keypair.peer;
    let mut packets = packets;
    let (mut bytes, mut parts) = (0usize, 0usize);
    packets.for_each(|skb| {
        bytes = bytes.saturating_add(skb.len());
        parts = parts.saturating_add(skb.parts());
    });
    if bytes > OFFLOAD_BYTES && cpu::online_count() > 1 {
        enqueue(keypair, packets, Helper::IfIdle);
    } else if bytes <= OFFLOAD_BYTES && peer.pace.is_busy(parts) {
        let mut packets = Some(packets);
        let collected = peer.outgoing.extend_last(keypair, |waiting| {
            if waiting.len() < COLLECTED_PACKETS {
                if let Some(mut packets) = packets.take() {
                    waiting.append(&mut packets);
                }
            }
            packets.is_none()
        });
        if let (false, Some(packets)) = (collected, packets) {
            // If a full batch waits, whoever sent it had better do the work than send even more.
            if peer.outgoing.home_elsewhere().is_none() {
                peer.outgoing.drain(deliver);
            }
            enqueue(keypair, packets, Helper::Later);
        }
    } else if peer.outgoing.begin_if_idle() {
        let datagrams = Seal::process(keypair, packets);
        peer.outgoing.hand_over(|| deliver(keypair, datagrams));
        peer.outgoing.drain_as_owner(deliver);
    } else {
        enqueue(keypair, packets, Helper::Here);
    }
}

/// Puts packets into the peer's queue, and sends what is ready.
fn enqueue(keypair: &RcuArc<Keypair>, packets: SkbList, helper: Helper) {
    let peer = &keypair.peer;
    let count = packets.len();
    let queued = Batch::new(keypair.clone(), packets)
        .and_then(|batch| peer.outgoing.push(batch, MAX_QUEUED_PACKETS, helper));
    if queued.is_err() {
        let netdev = &peer.device.netdev;
        netdev.count_trouble(Trouble::SendingDropped, count);
    }
    match helper {
        // Who does the work sees to the rest.
        Helper::Later => {}
        _ => send_at_home(peer, true),
    }
}

/// Sends those of a peer's batches that are encrypted, if this CPU is the home of its queue;
/// otherwise has that CPU send them. `only_done`: not those, either, that nobody has begun with.
///
/// Context: softirqs disabled, or a work item of one CPU.
fn send_at_home(peer: &RcuArc<Peer>, only_done: bool) {
    match peer.outgoing.home_elsewhere() {
        Some(home) => {
            let crypt = peer.device.engine.crypt();
            // It may be queued already, and will then see these as well.
            let _ = crypt.enqueue_on::<_, SEND>(home, peer.clone());
        }
        None if only_done => peer.outgoing.drain_done(deliver),
        None => peer.outgoing.drain(deliver),
    }
}

/// The work item of a peer that sends what other CPUs have encrypted.
pub(crate) const SEND: u64 = 1;

impl WorkItem<SEND> for Peer {
    type Pointer = RcuArc<Self>;

    fn run(this: RcuArc<Self>) {
        this.outgoing.drain(deliver);
    }
}

/// How busy a peer is being sent to.
///
/// Two parties that take turns wait for each other, and nothing is to be gained by making them wait
/// longer. Whoever sends without waiting for answers has more to send, and a moment's patience
/// makes all of it cheaper. What tells them apart is how many more packets are sent than received.
///
/// One number holds the moment (32 bits), that surplus in it (31 bits) and whether it was large in
/// the moment before (one bit).
pub(crate) struct Pace(Atomic<i64>);

impl Pace {
    /// A surplus of so many packets in a moment is large.
    const LARGE: i64 = 32;
    /// The length of a moment in milliseconds.
    const MOMENT: u32 = 4;
    const MOST: i64 = 0x7fff_ffff;

    /// A peer that nothing has been sent to.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// The surplus of this moment, and whether it was large in the moment before.
    fn look(&self, now: u32) -> (i64, bool) {
        let seen = self.0.load(Relaxed);
        let (surplus, was_large) = (seen >> 1 & Self::MOST, seen & 1 != 0);
        match now.wrapping_sub((seen >> 32) as u32) {
            0 => (surplus, was_large),
            1 => (0, surplus > Self::LARGE),
            _ => (0, false),
        }
    }

    /// Two CPUs may count one packet only: it is a guess anyway.
    fn note(&self, now: u32, surplus: i64, was_large: bool) {
        let noted = i64::from(now) << 32 | surplus << 1 | i64::from(was_large);
        self.0.store(noted, Relaxed);
    }

    /// Counts packets sent. Returns whether it is worthwhile to wait for more.
    fn is_busy(&self, packets: usize) -> bool {
        let now = timer::moment(Self::MOMENT);
        let (surplus, was_large) = self.look(now);
        let packets = i64::try_from(packets).unwrap_or(Self::MOST);
        let surplus = surplus.saturating_add(packets).min(Self::MOST);
        self.note(now, surplus, was_large);
        was_large || surplus > Self::LARGE
    }

    /// Counts packets received.
    #[inline]
    pub(crate) fn received(&self, packets: usize) {
        let now = timer::moment(Self::MOMENT);
        let (surplus, was_large) = self.look(now);
        if surplus != 0 {
            let packets = i64::try_from(packets).unwrap_or(Self::MOST);
            self.note(now, (surplus - packets).max(0), was_large);
        }
    }
}

/// Encryption.
pub(crate) struct Seal;

impl Direction for Seal {
    /// Packets as they were routed to the device; an empty one stands for a keepalive.
    type Input = SkbList;
    /// Datagrams of data messages, ready to be sent.
    type Output = SkbList;

    fn count(packets: &SkbList) -> usize {
        packets.len()
    }

    fn refuse(packets: SkbList) {
        packets.drop_for(DropReason::FullRing);
    }

    fn process(keypair: &RcuArc<Keypair>, mut packets: SkbList) -> SkbList {
        let mut sealer = Sealer::new(keypair);
        while let Some(skb) = packets.pop_front() {
            let mtu = skb.control().length as usize;
            if skb.is_gso() {
                match skb.segment() {
                    Ok(mut segments) => {
                        while let Some(segment) = segments.pop_front() {
                            sealer.add(segment, mtu);
                        }
                    }
                    Err(_) => sealer.dropped += 1,
                }
            } else {
                sealer.add(skb, mtu);
            }
        }
        sealer.finish()
    }

    fn finished(keypair: &RcuArc<Keypair>) {
        send_at_home(&keypair.peer, false);
    }
}

/// Encrypts packets one after the other. Messages of the same length go into one datagram buffer,
/// which passes through the IP layer once and is cut up at the very end (UDP GSO).
struct Sealer<'a> {
    keypair: &'a Keypair,
    datagrams: SkbList,
    dropped: usize,
    /// Packets whose messages will be of `size` bytes, the last one's possibly less.
    run: SkbList,
    size: usize,
    bytes: usize,
    ds: u8,
    complete: bool,
}

impl<'a> Sealer<'a> {
    fn new(keypair: &'a Keypair) -> Self {
        Self {
            keypair,
            datagrams: SkbList::new(),
            dropped: 0,
            run: SkbList::new(),
            size: 0,
            bytes: 0,
            ds: 0,
            complete: false,
        }
    }

    /// Adds a packet.
    fn add(&mut self, mut packet: SkBuff, mtu: usize) {
        let len = packet.len();
        let padded = len.saturating_add(padding(len, mtu));
        let size = padded.saturating_add(DATA_MIN_LEN);
        let ds = if len == 0 { 0 } else { packet.ecn_for_outer(0) };
        packet.set_control(Control {
            length: padded as u32,
            ds,
            ..Control::default()
        });
        // Its sender is to be told when it leaves, and no other.
        let alone = packet.wants_timestamp();
        let fits = !self.run.is_empty()
            && !alone
            && !self.complete
            && ds == self.ds
            && size <= self.size
            && self.run.len() < RUN_MESSAGES
            && self.bytes.saturating_add(size) <= RUN_BYTES;
        if !fits {
            self.end_run();
            self.size = size;
            self.ds = ds;
        }
        self.complete = alone || size < self.size;
        self.bytes = self.bytes.saturating_add(size);
        self.run.push_back(packet);
    }

    /// Encrypts the packets of the run.
    fn end_run(&mut self) {
        self.complete = false;
        self.bytes = 0;
        let count = self.run.len();
        if count == 0 {
            return;
        }
        let Some(mut counter) = self.keypair.reserve_counters(count) else {
            self.drop_run();
            return;
        };
        if count > 1 {
            if let Ok(datagrams) = seal_run(self.keypair, counter, &mut self.run, self.size) {
                self.datagrams.push_back(datagrams);
                self.run = SkbList::new();
                return;
            }
            // Memory is short: perhaps there is some for one at a time. Their counters must not be
            // used again.
            match self.keypair.reserve_counters(count) {
                Some(again) => counter = again,
                None => {
                    self.drop_run();
                    return;
                }
            }
        }
        while let Some(packet) = self.run.pop_front() {
            match seal_single(self.keypair, counter, packet) {
                Ok(datagram) => self.datagrams.push_back(datagram),
                Err(_) => self.dropped += 1,
            }
            counter = counter.wrapping_add(1);
        }
    }

    /// Drops the packets of the run: the session has no counters left.
    fn drop_run(&mut self) {
        self.dropped += self.run.len();
        core::mem::replace(&mut self.run, SkbList::new()).drop_for(DropReason::QueuePurge);
    }

    /// Returns the datagrams.
    fn finish(mut self) -> SkbList {
        self.end_run();
        if self.dropped != 0 {
            let netdev = &self.keypair.peer.device.netdev;
            netdev.count_trouble(Trouble::SendingDropped, self.dropped);
        }
        self.datagrams
    }
}

/// The scratch that encryption wants in front of a packet is where the header goes, and this many
/// bytes in front of that.
const BEFORE_HEADER: usize = DataKey::SCRATCH - DATA_HEADER_LEN;

/// Makes a data message of a packet (whitepaper section 5.4.6) in a buffer that begins with
/// [`BEFORE_HEADER`] bytes of scratch. Errors: `EINVAL` if the packet is not what it seems to be.
fn seal_into(buffer: &mut [u8], keypair: &Keypair, counter: u64, packet: &SkBuff) -> Result {
    let text = buffer.get_mut(DataKey::SCRATCH..).ok_or(EINVAL)?;
    if !packet.copy_finished(text.get_mut(..packet.len()).ok_or(EINVAL)?) {
        return Err(EINVAL);
    }
    if !keypair.sending.seal_in_place(counter, buffer) {
        return Err(EINVAL);
    }
    let header = DataHeader {
        receiver: keypair.remote_index,
        counter,
    };
    buffer
        .get_mut(BEFORE_HEADER..DataKey::SCRATCH)
        .ok_or(EINVAL)?
        .copy_from_slice(&header.to_bytes());
    Ok(())
}

/// Makes a datagram of one packet, which is dropped if that fails.
fn seal_single(keypair: &Keypair, counter: u64, mut packet: SkBuff) -> Result<SkBuff> {
    let Control { length, ds, .. } = packet.control();
    let len = DATA_MIN_LEN.saturating_add(length as usize);
    let fill = |buffer: &mut [u8]| seal_into(buffer, keypair, counter, &packet);
    let made = SkBuff::alloc_with(OUTER_HEADROOM, BEFORE_HEADER, len, Gfp::Atomic, fill);
    let mut datagram = match made {
        Ok(datagram) => datagram,
        Err(e) => {
            packet.drop_for(DropReason::NoMem);
            return Err(e);
        }
    };
    finish_datagram(&mut datagram, &mut packet, ds);
    packet.consume();
    Ok(datagram)
}

/// Makes one buffer of datagrams of all packets, whose messages are of `size` bytes each. Takes
/// packets out only if all goes well.
fn seal_run(keypair: &Keypair, first: u64, run: &mut SkbList, size: usize) -> Result<SkBuff> {
    let count = run.len();
    let each = (Piece::MAX - BEFORE_HEADER)
        .checked_div(size)
        .filter(|each| *each != 0)
        .ok_or(EINVAL)?;
    let mut datagrams = SkBuff::alloc_empty(OUTER_HEADROOM, Gfp::Atomic)?;
    let mut counter = first;
    let mut left = count;
    let mut piece: Option<(Piece, usize)> = None;
    let mut result = Ok(());
    run.for_each(|packet| {
        if result.is_err() {
            return;
        }
        let len = DATA_MIN_LEN.saturating_add(packet.control().length as usize);
        result = seal_in_piece(
            &mut piece,
            keypair,
            counter,
            packet,
            len,
            size,
            left.min(each),
        );
        counter = counter.wrapping_add(1);
        left -= 1;
        if result.is_ok() && (left == 0 || (count - left) % each == 0) {
            result = close_piece(&mut piece, &mut datagrams);
        }
    });
    result?;
    datagrams.set_datagrams(size, count)?;
    let mut ds = 0;
    let mut is_first = true;
    run.for_each(|packet| {
        if is_first {
            ds = packet.control().ds;
            finish_datagram(&mut datagrams, packet, ds);
            is_first = false;
        }
    });
    while let Some(packet) = run.pop_front() {
        packet.consume();
    }
    Ok(datagrams)
}

/// Encrypts a packet behind those that are in a piece already; begins one for `room` of them if
/// there is none.
fn seal_in_piece(
    piece: &mut Option<(Piece, usize)>,
    keypair: &Keypair,
    counter: u64,
    packet: &SkBuff,
    len: usize,
    size: usize,
    room: usize,
) -> Result {
    let (piece, used) = match piece {
        Some(begun) => begun,
        None => {
            let new = Piece::alloc(BEFORE_HEADER.saturating_add(size.saturating_mul(room)))?;
            piece.insert((new, BEFORE_HEADER))
        }
    };
    let start = used.checked_sub(BEFORE_HEADER).ok_or(EINVAL)?;
    let end = used.checked_add(len).ok_or(EINVAL)?;
    let buffer = piece.bytes().get_mut(start..end).ok_or(EINVAL)?;
    // The scratch is the end of the message before.
    let before: [u8; BEFORE_HEADER] = *buffer.first_chunk().ok_or(EINVAL)?;
    seal_into(buffer, keypair, counter, packet)?;
    *buffer.first_chunk_mut().ok_or(EINVAL)? = before;
    *used = end;
    Ok(())
}

/// Adds a full piece to the datagrams.
fn close_piece(piece: &mut Option<(Piece, usize)>, datagrams: &mut SkBuff) -> Result {
    match piece.take() {
        Some((mut piece, used)) => {
            piece.shorten(used);
            datagrams.append(piece, BEFORE_HEADER)
        }
        None => Ok(()),
    }
}

/// Gives a datagram what it needs of the packet that is in it.
fn finish_datagram(datagram: &mut SkBuff, packet: &mut SkBuff, ds: u8) {
    datagram.set_control(Control {
        ds,
        ..Control::default()
    });
    if packet.len() != 0 {
        datagram.copy_flow_hash(packet);
        datagram.take_owner(packet);
    }
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
