// SPDX-License-Identifier: GPL-2.0

//! Encryption: from packets to datagrams of data messages (whitepaper section 5.4.6).

#![forbid(unsafe_code)]

use core::ops::Range;

use crate::{
    data::{
        datagrams::{
            finish_datagram, seal_in_place, seal_single, Message, RunSpace, RUN_BYTES, RUN_MESSAGES,
        },
        segment::{Payload, TcpSegments},
    },
    device::{
        drops::{count_of_peer, drop_of_peer, Cause},
        Keypair, Seal,
    },
    net::{
        skb::{DatagramOut, Flow, Keepable, PacketOut, SkBuff},
        skb_list::SkbList,
    },
    protocol::messages::{padding, DATA_MIN_LEN},
    queueing::{
        queue::Job,
        stages::{Numbered, Outgoing, Padded},
    },
    rcu::RcuArc,
    tracepoints,
};

/// How many packets make a full job.
const JOB_PACKETS: usize = 64;

/// With more packets than these much is sent at once.
const MANY_PACKETS: usize = 16;

/// Packets of a session, [`Outgoing`] at first, and [`Numbered`] in a queue; an empty one stands for a keepalive.
pub(crate) struct Packets {
    pub(crate) keypair: RcuArc<Keypair>,
    pub(crate) packets: SkbList<PacketOut>,
    /// So large that they are a job of their own.
    pub(crate) is_large: bool,
}

/// Datagrams of data messages, ready to be sent.
pub(crate) struct Datagrams {
    pub(crate) keypair: RcuArc<Keypair>,
    pub(crate) datagrams: SkbList<DatagramOut>,
}

impl Job for Seal {
    type Input = Packets;
    type Output = Datagrams;

    fn load(input: &Packets) -> usize {
        input.packets.len()
    }

    /// Messages are numbered in the order in which they will be sent: CPUs that encrypt at once might number the later one
    /// first.
    fn enter(input: &mut Packets) {
        let keypair = &input.keypair;
        input.packets.for_each(|packet| {
            let messages = messages_of(packet);
            let Outgoing { mtu, .. } = packet.control();
            packet.set_control(Numbered {
                counter: keypair.reserve_counters(messages as usize),
                messages,
                mtu,
            });
        });
    }

    fn join(first: &mut Packets, mut second: Packets) -> core::result::Result<(), Packets> {
        let is_full = first.packets.len() >= JOB_PACKETS || first.is_large || second.is_large;
        if is_full || !first.keypair.ptr_eq(&second.keypair) {
            return Err(second);
        }
        first.packets.append(&mut second.packets);
        Ok(())
    }

    fn is_much(input: &Packets) -> bool {
        input.is_large || input.packets.len() > MANY_PACKETS
    }

    fn work(input: Packets) -> Datagrams {
        let Packets {
            keypair, packets, ..
        } = input;
        let count = packets.len();
        let is_lone = count == 1;
        let mut packets = if is_lone {
            packets
        } else {
            gather_flows(packets)
        };
        keypair.peer.device.counters.sealed.count(count);
        let mut sealer = Sealer::new(&keypair);
        while let Some(skb) = packets.pop_front() {
            let Numbered {
                counter,
                messages,
                mtu,
            } = skb.control();
            let Some(counter) = counter else {
                sealer.refuse(skb);
                continue;
            };
            if let Some(segments) = tcp_segments(&skb, messages) {
                sealer.add_tcp(skb, &segments, mtu, counter);
            } else if skb.is_gso() {
                let end = counter.saturating_add(messages.into());
                match skb.segment() {
                    Ok(segments) => sealer.add_segments(segments, mtu, counter..end),
                    Err(_) => {
                        let cause = Cause::NoMemorySending;
                        count_of_peer(&keypair.peer, cause, messages as usize);
                    }
                }
            } else if is_lone {
                sealer.add_alone(skb, mtu, counter);
            } else {
                sealer.add(skb, mtu, counter);
            }
        }
        let mut datagrams = sealer.finish();
        tracepoints::batch_sealed(|| {
            let mut bytes = 0;
            datagrams.for_each(|datagram| bytes += datagram.len());
            let peer = &keypair.peer;
            (
                peer.device.netdev.index(),
                peer.id,
                count as u32,
                bytes as u32,
            )
        });
        Datagrams { keypair, datagrams }
    }
}

/// Returns how many messages a packet will make, by what it says. It may say something else later:
/// a clone shares that.
fn messages_of(packet: &SkBuff<PacketOut>) -> u32 {
    if packet.is_gso() {
        u32::try_from(packet.parts()).unwrap_or(u32::MAX)
    } else {
        1
    }
}

/// Reads the headers of a TCP packet that stands for so many; `None` if it is none, or one that is better
/// left to the stack.
fn tcp_segments(packet: &SkBuff<PacketOut>, messages: u32) -> Option<TcpSegments> {
    let (size, checksum_start) = packet.plain_tcp_gso()?;
    let segments = TcpSegments::parse(packet.linear(), packet.len(), size)?;
    let is_understood = segments.tcp_offset() == checksum_start
        && segments.count() == messages as usize
        && !packet.wants_timestamp();
    is_understood.then_some(segments)
}

impl<K: Keepable> Payload for SkBuff<K> {
    fn copy_and_sum(&self, offset: usize, to: &mut [u8]) -> Option<u32> {
        SkBuff::copy_and_sum(self, offset, to)
    }
}

/// Returns the flow of a packet. A keepalive belongs to none: it is of no device whose namespace says how to look at it.
fn flow_of(packet: &SkBuff<PacketOut>) -> Option<Flow> {
    (packet.len() != 0).then(|| packet.flow())
}

/// Puts the packets of one flow behind each other, in the order in which they came, so that they can share
/// buffers. They share their counters out again: messages leave in the order of these.
fn gather_flows(mut packets: SkbList<PacketOut>) -> SkbList<PacketOut> {
    let mut first = None;
    let mut is_mixed = false;
    let mut can_change = true;
    let mut next = None;
    packets.for_each(|packet| {
        let flow = flow_of(packet);
        is_mixed |= *first.get_or_insert(flow) != flow;
        let Numbered {
            counter, messages, ..
        } = packet.control();
        can_change &= counter.is_some() && (next.is_none() || next == counter);
        next = counter.map(|counter| counter.saturating_add(messages.into()));
    });
    if !is_mixed || !can_change {
        return packets;
    }
    let mut gathered = SkbList::new();
    let mut counter = u64::MAX;
    while let Some(head) = packets.pop_front() {
        let mut others = SkbList::new();
        let flow = flow_of(&head);
        let Numbered { counter: own, .. } = head.control();
        counter = own.map_or(counter, |own| own.min(counter));
        gathered.push_back(head);
        while let Some(packet) = packets.pop_front() {
            if flow_of(&packet) == flow {
                gathered.push_back(packet);
            } else {
                others.push_back(packet);
            }
        }
        packets = others;
    }
    gathered.for_each(|packet| {
        let Numbered { messages, mtu, .. } = packet.control();
        packet.set_control(Numbered {
            counter: Some(counter),
            messages,
            mtu,
        });
        counter = counter.saturating_add(messages.into());
    });
    gathered
}

/// Notes how a packet is padded on a route with an MTU, and the DS field of its outer header.
#[inline]
fn pad(packet: &mut SkBuff<PacketOut>, mtu: u32, counter: u64) -> Padded {
    let len = packet.len();
    let padded = Padded {
        counter,
        len: len.saturating_add(padding(len, mtu as usize)) as u32,
        ds: if len == 0 { 0 } else { packet.ecn_for_outer(0) },
    };
    packet.set_control(padded);
    padded
}

/// Encrypts packets one after the other. Messages of the same length, flow and socket go into one datagram
/// buffer, which passes through the IP layer once and is cut up at the very end (UDP GSO): what looks
/// at packets on their way, such as a queueing discipline or a firewall, sees what it would see of the
/// messages one by one.
struct Sealer<'a> {
    keypair: &'a Keypair,
    datagrams: SkbList<DatagramOut>,
    /// Packets whose messages will be of `size` bytes, the last one's possibly less.
    run: SkbList<PacketOut>,
    size: usize,
    bytes: usize,
    /// How many messages it may have, and how many bytes.
    limits: (usize, usize),
    ds: u8,
    flow: Option<Flow>,
    complete: bool,
}

impl<'a> Sealer<'a> {
    fn new(keypair: &'a Keypair) -> Self {
        Self {
            keypair,
            datagrams: SkbList::new(),
            run: SkbList::new(),
            size: 0,
            bytes: 0,
            limits: (0, 0),
            ds: 0,
            flow: None,
            complete: false,
        }
    }

    /// Adds what a GSO packet was cut into.
    fn add_segments(
        &mut self,
        mut segments: SkbList<PacketOut>,
        mtu: u32,
        mut counters: Range<u64>,
    ) {
        while let Some(segment) = segments.pop_front() {
            // It may have said wrongly how many it is.
            let counter = counters.next();
            match counter.or_else(|| self.keypair.reserve_counters(1)) {
                Some(counter) => self.add(segment, mtu, counter),
                None => self.refuse(segment),
            }
        }
    }

    /// Adds what a TCP packet stands for, none of which is made first.
    fn add_tcp(
        &mut self,
        mut packet: SkBuff<PacketOut>,
        segments: &TcpSegments,
        mtu: u32,
        first: u64,
    ) {
        self.end_run();
        let ds = packet.ecn_for_outer(0);
        let message = |number: usize| {
            let packet = &packet;
            let write = move |to: &mut [u8]| segments.write(number, packet, to);
            Message::new(
                first.saturating_add(number as u64),
                segments.len_of(number),
                mtu,
                write,
            )
        };
        let count = segments.count();
        let size = message(0).size();
        let pace = &self.keypair.peer.pace;
        let (messages, bytes) = pace.run_limits(size, packet.has_socket());
        let most = bytes.min(RUN_BYTES).checked_div(size).unwrap_or(0);
        let most = most.min(messages).clamp(1, RUN_MESSAGES);
        let mut made = SkbList::new();
        let mut next = 0;
        while next < count {
            let end = next.saturating_add(most).min(count);
            let run = RunSpace::fill(self.keypair, size, end - next, |n| message(next + n));
            match run {
                Ok(datagrams) => made.push_back(datagrams),
                // If memory is short, there may be some for one at a time.
                Err(_) => {
                    for number in next..end {
                        match seal_single(self.keypair, &message(number)) {
                            Ok(datagram) => made.push_back(datagram),
                            Err(_) => count_of_peer(&self.keypair.peer, Cause::NoMemorySending, 1),
                        }
                    }
                }
            }
            next = end;
        }
        let mut left = made.len();
        made.for_each(|datagrams| {
            left -= 1;
            finish_datagram(datagrams, &mut packet, ds, left == 0);
        });
        self.datagrams.append(&mut made);
        packet.consume();
    }

    /// Drops a packet that the session has no counter for.
    fn refuse(&mut self, packet: SkBuff<PacketOut>) {
        drop_of_peer(&self.keypair.peer, Cause::NoSession, packet);
    }

    /// Adds a packet that no other follows.
    fn add_alone(&mut self, mut packet: SkBuff<PacketOut>, mtu: u32, counter: u64) {
        pad(&mut packet, mtu, counter);
        self.seal_alone(packet);
    }

    /// Adds a packet.
    fn add(&mut self, mut packet: SkBuff<PacketOut>, mtu: u32, counter: u64) {
        let Padded {
            len: padded, ds, ..
        } = pad(&mut packet, mtu, counter);
        let size = DATA_MIN_LEN.saturating_add(padded as usize);
        let len = packet.len();
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
            self.limits = self.keypair.peer.pace.run_limits(size, false);
            self.ds = ds;
            self.flow = flow;
        }
        self.complete = alone || size < self.size;
        self.bytes = self.bytes.saturating_add(size);
        self.run.push_back(packet);
    }

    /// Returns whether the run may have another message of this size.
    fn has_room_for(&self, size: usize) -> bool {
        let (messages, bytes) = self.limits;
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
            if let Ok(datagrams) =
                RunSpace::fill_with_packets(self.keypair, self.size, &mut self.run)
            {
                self.datagrams.push_back(datagrams);
                return;
            }
        }
        // If memory is short, there may be some for one packet at a time. Or one of them is not what it
        // seems, which the others shall not suffer from: what was encrypted with their counters until
        // that was seen has gone nowhere.
        while let Some(packet) = self.run.pop_front() {
            self.seal_alone(packet);
        }
    }

    /// Encrypts a packet to a datagram of its own.
    fn seal_alone(&mut self, packet: SkBuff<PacketOut>) {
        let mut packet = match seal_in_place(self.keypair, packet) {
            Ok(datagram) => return self.datagrams.push_back(datagram),
            Err(packet) => packet,
        };
        let made = seal_single(self.keypair, &Message::of_packet(&packet));
        match made {
            Ok(mut datagram) => {
                let Padded { ds, .. } = packet.control();
                finish_datagram(&mut datagram, &mut packet, ds, true);
                self.datagrams.push_back(datagram);
                packet.consume();
            }
            Err(_) => drop_of_peer(&self.keypair.peer, Cause::NoMemorySending, packet),
        }
    }

    /// Returns the datagrams.
    fn finish(mut self) -> SkbList<DatagramOut> {
        self.end_run();
        self.datagrams
    }
}
