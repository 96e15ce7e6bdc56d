// SPDX-License-Identifier: GPL-2.0

//! Encryption: from packets to datagrams of data messages (whitepaper section 5.4.6).

#![forbid(unsafe_code)]

use core::ops::Range;
use kernel::prelude::*;

use crate::{
    batch::Direction,
    crypto::DataKey,
    gfp::Gfp,
    keypair::Keypair,
    messages::{padding, DataHeader, DATA_HEADER_LEN, DATA_MIN_LEN},
    net::{
        device::Trouble,
        drop_reason::DropReason,
        skb::{Control, Flow, Piece, SkBuff},
        skb_list::SkbList,
    },
    rcu::RcuArc,
    send::{self, OUTER_HEADROOM},
};

/// How many messages one buffer of datagrams may hold: as many as UDP accepts from user space.
const RUN_MESSAGES: usize = 64;

/// How many bytes one buffer of datagrams may hold, so that it fits into an IP packet.
const RUN_BYTES: usize = 65_000;

/// How many packets make a full batch.
const BATCH_PACKETS: usize = 64;

/// What stands for the counter of a message that there is none for.
const NO_COUNTER: u64 = u64::MAX;

/// Encryption.
pub(crate) struct Seal;

impl Direction for Seal {
    /// Packets as they were routed to the device, with the MTU of their routes as the length in their
    /// control; an empty one stands for a keepalive. In a queue, the counters of its messages are in its
    /// control, too.
    type Input = SkbList;
    /// Datagrams of data messages, ready to be sent.
    type Output = SkbList;

    fn count(packets: &SkbList) -> usize {
        packets.len()
    }

    /// Messages are numbered in the order in which they will be sent: if that were left to whoever
    /// encrypts them, the one with the larger counter might leave first.
    fn enter(keypair: &Keypair, packets: &mut SkbList) {
        packets.for_each(|packet| {
            let messages = messages_of(packet);
            let number = keypair.reserve_counters(messages as usize);
            packet.set_control(Control {
                number: number.unwrap_or(NO_COUNTER),
                messages,
                ..packet.control()
            });
        });
    }

    fn has_room(waiting: &SkbList, _: &SkbList) -> bool {
        waiting.len() < BATCH_PACKETS
    }

    fn add(waiting: &mut SkbList, mut more: SkbList) {
        waiting.append(&mut more);
    }

    fn refuse(packets: SkbList) {
        packets.drop_for(DropReason::FullRing);
    }

    fn process(keypair: &RcuArc<Keypair>, packets: SkbList) -> SkbList {
        let mut packets = gather_flows(packets);
        let mut sealer = Sealer::new(keypair);
        while let Some(skb) = packets.pop_front() {
            let Control {
                length,
                number,
                messages,
                ..
            } = skb.control();
            if number == NO_COUNTER {
                sealer.refuse(skb);
            } else if skb.is_gso() {
                let end = number.saturating_add(messages.into());
                match skb.segment() {
                    Ok(segments) => sealer.add_segments(segments, length, number..end),
                    Err(_) => sealer.dropped += 1,
                }
            } else {
                sealer.add(skb, length, number);
            }
        }
        sealer.finish()
    }

    fn finished(keypair: &RcuArc<Keypair>) {
        send::send_at_home(&keypair.peer, false);
    }
}

/// Returns how many messages a packet will make, by what it says. It may say something else later:
/// a clone shares that.
fn messages_of(packet: &SkBuff) -> u32 {
    if packet.is_gso() {
        u32::try_from(packet.parts()).unwrap_or(u32::MAX)
    } else {
        1
    }
}

/// Puts the packets of one flow behind each other, in the order in which they came, so that they can share
/// buffers. They share their counters out again: messages leave in the order of these.
fn gather_flows(mut packets: SkbList) -> SkbList {
    let mut first = None;
    let mut is_mixed = false;
    let mut can_change = true;
    let mut next = None;
    packets.for_each(|packet| {
        is_mixed |= *first.get_or_insert(packet.flow()) != packet.flow();
        let Control {
            number, messages, ..
        } = packet.control();
        can_change &= number != NO_COUNTER && next.is_none_or(|next| next == number);
        next = Some(number.saturating_add(messages.into()));
    });
    if !is_mixed || !can_change {
        return packets;
    }
    let mut gathered = SkbList::new();
    let mut number = NO_COUNTER;
    while let Some(head) = packets.pop_front() {
        let mut others = SkbList::new();
        let flow = head.flow();
        number = number.min(head.control().number);
        gathered.push_back(head);
        while let Some(packet) = packets.pop_front() {
            if packet.flow() == flow {
                gathered.push_back(packet);
            } else {
                others.push_back(packet);
            }
        }
        packets = others;
    }
    gathered.for_each(|packet| {
        let control = packet.control();
        packet.set_control(Control { number, ..control });
        number = number.saturating_add(control.messages.into());
    });
    gathered
}

/// Encrypts packets one after the other. Messages of the same length, flow and socket go into one datagram
/// buffer, which passes through the IP layer once and is cut up at the very end (UDP GSO): whatever looks
/// at packets on their way, such as a queueing discipline or a firewall, is to see what it would see of the
/// messages one by one.
struct Sealer<'a> {
    keypair: &'a Keypair,
    datagrams: SkbList,
    dropped: usize,
    /// Packets whose messages will be of `size` bytes, the last one's possibly less.
    run: SkbList,
    size: usize,
    bytes: usize,
    ds: u8,
    flow: Option<Flow>,
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
            flow: None,
            complete: false,
        }
    }

    /// Adds what a GSO packet was cut into.
    fn add_segments(&mut self, mut segments: SkbList, mtu: u32, mut counters: Range<u64>) {
        while let Some(segment) = segments.pop_front() {
            // It may have said wrongly how many it is.
            let counter = counters.next();
            match counter.or_else(|| self.keypair.reserve_counters(1)) {
                Some(counter) => self.add(segment, mtu, counter),
                None => self.refuse(segment),
            }
        }
    }

    /// Drops a packet that the session has no counter for.
    fn refuse(&mut self, packet: SkBuff) {
        self.dropped += 1;
        packet.drop_for(DropReason::QueuePurge);
    }

    /// Adds a packet.
    fn add(&mut self, mut packet: SkBuff, mtu: u32, counter: u64) {
        let len = packet.len();
        let padded = len.saturating_add(padding(len, mtu as usize));
        let size = padded.saturating_add(DATA_MIN_LEN);
        let ds = if len == 0 { 0 } else { packet.ecn_for_outer(0) };
        packet.set_control(Control {
            number: counter,
            length: padded as u32,
            messages: 1,
            ds,
        });
        // A keepalive belongs to no flow. Who wants to be told when a packet leaves means that one only.
        let alone = len == 0 || packet.wants_timestamp();
        let flow = (!alone).then(|| packet.flow());
        let fits = !self.run.is_empty()
            && !alone
            && !self.complete
            && flow == self.flow
            && ds == self.ds
            && size <= self.size
            && self.has_room_for(size);
        if !fits {
            self.end_run();
            self.size = size;
            self.ds = ds;
            self.flow = flow;
        }
        self.complete = alone || size < self.size;
        self.bytes = self.bytes.saturating_add(size);
        self.run.push_back(packet);
    }

    /// Returns whether the run may have another message of this size.
    fn has_room_for(&self, size: usize) -> bool {
        let (messages, bytes) = self.keypair.peer.pace.run_limits(self.size);
        self.run.len() < messages.min(RUN_MESSAGES)
            && self.bytes.saturating_add(size) <= bytes.min(RUN_BYTES)
    }

    /// Encrypts the packets of the run.
    fn end_run(&mut self) {
        self.complete = false;
        self.bytes = 0;
        let count = self.run.len();
        if count == 0 {
            return;
        }
        if count > 1 {
            let space = RunSpace::new(count, self.size);
            let sealed = space.and_then(|space| space.seal(self.keypair, &mut self.run));
            if let Ok(datagrams) = sealed {
                self.datagrams.push_back(datagrams);
                return;
            }
        }
        // If memory is short, there may be some for one packet at a time. Or one of them is not what it
        // seems, which the others shall not suffer from: what was encrypted with their counters until
        // that was seen has gone nowhere.
        while let Some(packet) = self.run.pop_front() {
            match seal_single(self.keypair, packet) {
                Ok(datagram) => self.datagrams.push_back(datagram),
                Err(_) => self.dropped += 1,
            }
        }
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

/// The scratch that encryption and decryption want in front of a packet is where the header is, and
/// this many bytes in front of that.
pub(crate) const BEFORE_HEADER: usize = DataKey::SCRATCH - DATA_HEADER_LEN;

/// Makes a data message of a packet (whitepaper section 5.4.6) in a buffer that begins with
/// [`BEFORE_HEADER`] bytes of scratch. Errors: `EINVAL` if the packet is not what it seems to be.
fn seal_into(buffer: &mut [u8], keypair: &Keypair, packet: &SkBuff) -> Result {
    let counter = packet.control().number;
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
fn seal_single(keypair: &Keypair, mut packet: SkBuff) -> Result<SkBuff> {
    let Control { length, ds, .. } = packet.control();
    let len = DATA_MIN_LEN.saturating_add(length as usize);
    let fill = |buffer: &mut [u8]| seal_into(buffer, keypair, &packet);
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

/// How many pieces of memory a run takes at most: each holds half of [`RUN_BYTES`], or a message
/// less.
const RUN_PIECES: usize = 3;

/// Memory for the messages of a run: a buffer, and pieces for it with room for `each` messages of
/// `size` bytes. The scratch in front of a message is the end of the message before it.
struct RunSpace {
    datagrams: SkBuff,
    pieces: [Option<Piece>; RUN_PIECES],
    each: usize,
    size: usize,
}

impl RunSpace {
    /// Allocates room for `count` messages. Errors: `ENOMEM`; `EINVAL` if they are too many.
    fn new(count: usize, size: usize) -> Result<Self> {
        let each = (Piece::MAX - BEFORE_HEADER)
            .checked_div(size)
            .filter(|each| *each != 0)
            .ok_or(EINVAL)?;
        let mut pieces = [const { None }; RUN_PIECES];
        let mut left = count;
        for piece in &mut pieces {
            let messages = left.min(each);
            if messages != 0 {
                *piece = Some(Piece::alloc(BEFORE_HEADER.saturating_add(size * messages))?);
            }
            left -= messages;
        }
        if left != 0 {
            return Err(EINVAL);
        }
        Ok(Self {
            datagrams: SkBuff::alloc_empty(OUTER_HEADROOM, Gfp::Atomic)?,
            pieces,
            each,
            size,
        })
    }

    /// Makes one buffer of datagrams of all packets. Takes packets out only if all goes well.
    /// Errors: `EINVAL` if one of them is not what it seems to be.
    fn seal(mut self, keypair: &Keypair, run: &mut SkbList) -> Result<SkBuff> {
        let count = run.len();
        let mut place = (0, 0);
        let mut result = Ok(());
        run.for_each(|packet| {
            if result.is_ok() {
                result = self.seal_at(place, keypair, packet);
                place.1 += 1;
                if place.1 == self.each {
                    place = (place.0 + 1, 0);
                }
            }
        });
        result?;
        let Self {
            mut datagrams,
            pieces,
            size,
            ..
        } = self;
        for piece in pieces.into_iter().flatten() {
            datagrams.append(piece, BEFORE_HEADER)?;
        }
        datagrams.set_datagrams(size, count)?;
        let mut is_first = true;
        run.for_each(|packet| {
            if is_first {
                let ds = packet.control().ds;
                finish_datagram(&mut datagrams, packet, ds);
                is_first = false;
            }
        });
        while let Some(packet) = run.pop_front() {
            packet.consume();
        }
        Ok(datagrams)
    }

    /// Encrypts a packet to its place: which piece, and which message in it.
    fn seal_at(
        &mut self,
        (piece, nth): (usize, usize),
        keypair: &Keypair,
        packet: &SkBuff,
    ) -> Result {
        let piece = self.pieces.get_mut(piece).and_then(Option::as_mut);
        let piece = piece.ok_or(EINVAL)?;
        let len = DATA_MIN_LEN.saturating_add(packet.control().length as usize);
        let start = nth.saturating_mul(self.size);
        let end = start.saturating_add(BEFORE_HEADER).saturating_add(len);
        let buffer = piece.bytes().get_mut(start..end).ok_or(EINVAL)?;
        let before: [u8; BEFORE_HEADER] = *buffer.first_chunk().ok_or(EINVAL)?;
        seal_into(buffer, keypair, packet)?;
        *buffer.first_chunk_mut().ok_or(EINVAL)? = before;
        if len < self.size {
            // Only the last one of a run is shorter.
            piece.shorten(end);
        }
        Ok(())
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

/// Takes a buffer of datagrams apart, for a way on which that many are not allowed in one. Those for which
/// there is no memory are left out.
#[cold]
pub(crate) fn single_datagrams(mut run: SkBuff) -> SkbList {
    let mut datagrams = SkbList::new();
    let (len, size, control) = (run.len(), run.datagram_size(), run.control());
    let mut at = 0usize;
    while at < len && size != 0 {
        let end = at.saturating_add(size).min(len);
        let fill = |bytes: &mut [u8]| run.copy_bits(at, bytes);
        if let Ok(mut datagram) = SkBuff::alloc_with(OUTER_HEADROOM, 0, end - at, Gfp::Atomic, fill)
        {
            datagram.set_control(control);
            datagram.copy_flow_hash(&mut run);
            datagram.take_owner(&mut run);
            datagrams.push_back(datagram);
        }
        at = end;
    }
    run.consume();
    datagrams
}
