// SPDX-License-Identifier: GPL-2.0

//! Decryption: from datagrams of data messages to packets (whitepaper section 5.4.6), the counterpart of [`crate::data::seal`].
//!
//! Consecutive messages whose packets follow each other in one TCP flow become one packet (GSO): the payload of each
//! is decrypted to behind that of the one before.

#![forbid(unsafe_code)]

use core::ops::Range;
use kernel::{prelude::*, sync::atomic::Relaxed};

use crate::{
    compat::EBADMSG,
    crypto::DataKey,
    data::{
        coalesce::{self, TcpRun},
        datagrams::BEFORE_HEADER,
        payload::PayloadBuffer,
        segment::IPV4_LEN,
    },
    device::{
        bounce::BounceBuffer,
        drops::{count_of_peer, Cause},
        endpoint::Endpoint,
        local::Local,
        Keypair, Open,
    },
    net::{
        skb::{DatagramIn, PacketIn, Pieces, Protocol, SkBuff},
        skb_list::SkbList,
    },
    protocol::messages::{DataHeader, DATA_HEADER_LEN, DATA_MIN_LEN, TAG_LEN},
    queueing::{queue::Job, stages::Decrypted},
    rcu::RcuArc,
    tracepoints,
};

/// Messages of up to so many bytes are copied, which is cheaper than to find out whether that is needed.
const COPIED: usize = 512;

/// How many messages make a full job.
const JOB_MESSAGES: usize = 64;

/// Data messages of one session from one sender, one in each datagram, of which one buffer may hold several.
pub(crate) struct Sealed {
    pub(crate) keypair: RcuArc<Keypair>,
    pub(crate) datagrams: SkbList<DatagramIn>,
    pub(crate) messages: usize,
    pub(crate) endpoint: Endpoint,
}

impl Sealed {
    /// What is in a buffer that came in.
    pub(crate) fn new(
        keypair: RcuArc<Keypair>,
        datagram: SkBuff<DatagramIn>,
        endpoint: Endpoint,
    ) -> Self {
        let messages = datagram.datagrams();
        let mut datagrams = SkbList::new();
        datagrams.push_back(datagram);
        Self {
            keypair,
            datagrams,
            messages,
            endpoint,
        }
    }
}

/// What was in them: packets that are authentic, [`Decrypted`].
pub(crate) struct Opened {
    pub(crate) keypair: RcuArc<Keypair>,
    pub(crate) packets: SkbList<PacketIn>,
    pub(crate) endpoint: Endpoint,
    /// How many messages there were.
    pub(crate) messages: usize,
}

impl Job for Open {
    type Input = Sealed;
    type Output = Opened;

    fn load(sealed: &Sealed) -> usize {
        sealed.messages
    }

    /// A message brings its counter with it.
    fn enter(_: &mut Sealed) {}

    fn join(first: &mut Sealed, mut second: Sealed) -> core::result::Result<(), Sealed> {
        let is_alike = first.endpoint == second.endpoint && first.keypair.ptr_eq(&second.keypair);
        let messages = first.messages.saturating_add(second.messages);
        if !is_alike || messages > JOB_MESSAGES {
            return Err(second);
        }
        first.datagrams.append(&mut second.datagrams);
        first.messages = messages;
        Ok(())
    }

    /// What has been delivered is not in a queue of the CPU's.
    fn is_much(_: &Sealed) -> bool {
        false
    }

    /// But GRO may hold it back, until all that its lane has to deliver at once is.
    fn is_held(sealed: &Sealed, home: u32) -> bool {
        let peer = &sealed.keypair.peer;
        let poll = peer.delivered_in.load(Relaxed);
        !peer.device.lanes.is_handed_over(home as usize, poll)
    }

    fn work(sealed: Sealed) -> Opened {
        let Sealed {
            keypair,
            mut datagrams,
            messages,
            endpoint,
        } = sealed;
        keypair.peer.device.counters.opened.count(messages);
        let mut packets = SkbList::new();
        if let Ok(local) = keypair.peer.device.engine.local() {
            let mut bounce = local.bounce.take();
            let mut opener = Opener::new(&keypair, messages, &mut bounce);
            while let Some(datagram) = datagrams.pop_front() {
                opener.add_all(datagram);
            }
            packets = opener.finish(local);
            local.bounce.put(bounce);
        }
        tracepoints::batch_opened(|| {
            let (mut count, mut bytes) = (0, 0);
            packets.for_each(|packet| {
                count += packet.control::<Decrypted>().messages;
                bytes += packet.len();
            });
            let peer = &keypair.peer;
            (peer.device.netdev.index(), peer.id, count, bytes as u32)
        });
        Opened {
            keypair,
            packets,
            endpoint,
            messages,
        }
    }
}

/// Decrypts messages one after the other.
struct Opener<'a> {
    keypair: &'a Keypair,
    bounce: &'a mut BounceBuffer,
    packets: SkbList<PacketIn>,
    /// The last packet, if others may still be merged with it.
    run: Option<Run>,
    payload: Option<PayloadBuffer>,
    /// Whether packets may be merged at all.
    merges: bool,
    /// Whether there is one message only.
    is_lone: bool,
    /// How many messages are still to come.
    more: usize,
}

/// A packet that others are merged with.
struct Run {
    packet: SkBuff<PacketIn>,
    tcp: TcpRun,
    control: Decrypted,
}

impl<'a> Opener<'a> {
    fn new(keypair: &'a Keypair, messages: usize, bounce: &'a mut BounceBuffer) -> Self {
        Self {
            keypair,
            bounce,
            packets: SkbList::new(),
            run: None,
            payload: None,
            merges: keypair.peer.device.netdev.merges_received(),
            is_lone: messages == 1,
            more: messages,
        }
    }

    /// Decrypts the data messages of a buffer.
    fn add_all(&mut self, datagram: SkBuff<DatagramIn>) {
        let mut datagram = match self.add_in_place(datagram) {
            None => return,
            Some((datagram, EINVAL)) => datagram,
            Some((datagram, e)) => {
                let cause = self.count_failed(e);
                return datagram.drop_for(cause.reason());
            }
        };
        let (len, size) = (datagram.len(), datagram.datagram_len());
        let ds = datagram.ds_field();
        let mut pieces = Pieces::of(&mut datagram);
        let mut failed = None;
        let mut at = 0usize;
        while at < len {
            let end = at.saturating_add(size).min(len);
            self.more = self.more.saturating_sub(1);
            if let Err(e) = self.add(&mut pieces, at..end, ds) {
                failed = Some(self.count_failed(e));
            }
            at = end;
        }
        match failed {
            None => datagram.consume(),
            Some(cause) => datagram.drop_for(cause.reason()),
        }
    }

    /// Counts a message that could not be decrypted, and returns why.
    fn count_failed(&self, e: Error) -> Cause {
        let cause = match e == ENOMEM {
            true => Cause::NoMemoryReceiving,
            false => Cause::NotAuthentic,
        };
        count_of_peer(&self.keypair.peer, cause, 1);
        cause
    }

    /// Decrypts a lone small message to where it came in. Gives it back with the error: `EINVAL`, and nothing done, if it
    /// is another; `EBADMSG` if it is not authentic.
    fn add_in_place(
        &mut self,
        datagram: SkBuff<DatagramIn>,
    ) -> Option<(SkBuff<DatagramIn>, Error)> {
        let len = datagram.len();
        let is_small = self.is_lone && len <= COPIED;
        let (true, Some(text_len)) = (is_small, len.checked_sub(DATA_MIN_LEN)) else {
            return Some((datagram, EINVAL));
        };
        let end = BEFORE_HEADER.saturating_add(len);
        let Ok(message) = self.bounce.with_len(end.saturating_add(DataKey::SPARE)) else {
            return Some((datagram, EINVAL));
        };
        let copied = message.get_mut(BEFORE_HEADER..end).map(|bytes| {
            let copied = datagram.copy_bits(0, bytes).is_ok();
            (copied, bytes.first_chunk().and_then(DataHeader::parse))
        });
        let Some((true, Some(header))) = copied else {
            return Some((datagram, EINVAL));
        };
        let control = Decrypted {
            counter: header.counter,
            messages: 1,
            len: text_len as u32,
            ds: datagram.ds_field(),
        };
        let keypair = self.keypair;
        let fill = |opened: &mut [u8]| open(keypair, header.counter, message, opened);
        match datagram.into_packet(DATA_HEADER_LEN, text_len, DataKey::SCRATCH, fill) {
            Ok(packet) => {
                self.more = 0;
                self.put(packet, control);
                None
            }
            Err(back) => Some(back),
        }
    }

    /// Decrypts a data message (whitepaper section 5.4.6), whose outer header has the DS field `ds`.
    ///
    /// Errors: `EBADMSG` if it is not authentic, `ENOMEM`.
    fn add(&mut self, datagram: &mut Pieces<'_>, range: Range<usize>, ds: u8) -> Result {
        let keypair = self.keypair;
        let len = range.len();
        let text_len = len.checked_sub(DATA_MIN_LEN).ok_or(EBADMSG)?;
        let mut control = Decrypted {
            counter: 0,
            messages: 1,
            len: text_len as u32,
            ds,
        };
        let lent = match len > COPIED {
            true => datagram.lend(range.clone(), BEFORE_HEADER, DataKey::SPARE),
            false => None,
        };
        let message = match lent {
            Some(message) => message,
            None => {
                let end = BEFORE_HEADER.saturating_add(len);
                let Ok(copy) = self.bounce.with_len(end.saturating_add(DataKey::SPARE)) else {
                    let (counter, packet) = open_alone(keypair, datagram, range)?;
                    control.counter = counter;
                    self.put(packet, control);
                    return Ok(());
                };
                let bytes = copy.get_mut(BEFORE_HEADER..end).ok_or(EINVAL)?;
                datagram.copy(range.start, bytes)?;
                copy
            }
        };
        let header = message
            .get(BEFORE_HEADER..)
            .and_then(|rest| rest.first_chunk());
        let header = header.and_then(DataHeader::parse);
        let counter = header.ok_or(EBADMSG)?.counter;
        control.counter = counter;
        let mut run = self.run.as_mut().filter(|run| run.may_take(&control));
        let destination = run.as_mut().and_then(|run| {
            let headers_len = run.tcp.headers_len();
            let is_full = self
                .payload
                .as_ref()
                .is_none_or(|payload| !payload.has_room_for(text_len));
            if is_full {
                run.take_payload(self.payload.take());
                self.payload = PayloadBuffer::alloc(&keypair.peer.device.engine, text_len).ok();
            }
            self.payload.as_mut()?.destination(headers_len, text_len)
        });
        let (Some(run), Some(mut destination)) = (run, destination) else {
            let netdev = &keypair.peer.device.netdev;
            let packet = SkBuff::alloc_received(netdev, text_len, |opened| {
                open(keypair, counter, message, opened)
            })?;
            self.put(packet, control);
            return Ok(());
        };
        if let Err(e) = open(keypair, counter, message, destination.bytes()) {
            destination.restore();
            return Err(e);
        }
        let packet = destination.bytes().get(DataKey::SCRATCH..);
        if let Some(payload) = run.tcp.add(packet.unwrap_or_default()) {
            destination.restore();
            run.control.len = run.control.len.saturating_add(control.len);
            run.control.messages += 1;
            if let Some(buffer) = &mut self.payload {
                buffer.at += payload;
            }
            return Ok(());
        }
        // It begins a new one.
        let netdev = &keypair.peer.device.netdev;
        let packet = SkBuff::alloc_received(netdev, text_len, |opened| {
            opened.copy_from_slice(destination.bytes().get(..opened.len()).ok_or(EINVAL)?);
            Ok(())
        });
        destination.restore();
        self.put(packet?, control);
        Ok(())
    }

    /// Puts a packet behind the others.
    #[inline]
    fn put(&mut self, mut packet: SkBuff<PacketIn>, control: Decrypted) {
        self.end_run();
        packet.set_control(control);
        if self.merges && self.more != 0 && coalesce::may_begin(packet.linear()) {
            self.begin_run(packet);
        } else {
            self.packets.push_back(packet);
        }
    }

    fn begin_run(&mut self, mut packet: SkBuff<PacketIn>) {
        let tcp = TcpRun::begin(packet.linear());
        match tcp.filter(|tcp| packet.trim(tcp.first_len()).is_ok()) {
            Some(tcp) => {
                let control = packet.control();
                self.run = Some(Run {
                    packet,
                    tcp,
                    control,
                });
            }
            None => self.packets.push_back(packet),
        }
    }

    #[inline]
    fn end_run(&mut self) {
        if self.run.is_some() {
            self.put_run();
        }
    }

    fn put_run(&mut self) {
        let Some(mut run) = self.run.take() else {
            return;
        };
        let mut payload = self.payload.take_if(|buffer| !buffer.is_empty());
        if let Some(buffer) = &mut payload {
            // What is left is for the next run.
            self.payload = buffer.split_off();
        }
        run.take_payload(payload);
        let messages = run.control.messages as usize;
        match run.finish() {
            Ok(packet) => self.packets.push_back(packet),
            Err(packet) => {
                let cause = Cause::NoMemoryReceiving;
                count_of_peer(&self.keypair.peer, cause, messages);
                packet.drop_for(cause.reason());
            }
        }
    }

    /// Returns the packets.
    fn finish(mut self, local: &Local) -> SkbList<PacketIn> {
        self.end_run();
        if let Some(rest) = self.payload {
            rest.give_back(local);
        }
        self.packets
    }
}

impl Run {
    /// Returns whether a message, as its control says, may be the next.
    fn may_take(&self, next: &Decrypted) -> bool {
        let Decrypted {
            counter,
            messages,
            ds,
            ..
        } = self.control;
        counter.checked_add(messages.into()) == Some(next.counter)
            && ds == next.ds
            && self.packet.has_room_for_fragment()
            && self.tcp.has_room_for(next.len as usize)
    }

    /// Makes what has been decrypted part of the packet.
    fn take_payload(&mut self, payload: Option<PayloadBuffer>) {
        if let Some(buffer) = payload.filter(|buffer| !buffer.is_empty()) {
            // There is room for it, or nothing would have been added to it (`may_take`).
            let _ = self
                .packet
                .append(buffer.into_frag(), PayloadBuffer::BEFORE);
        }
    }

    /// Completes the packet; gives it back as it is if that is impossible.
    fn finish(mut self) -> core::result::Result<SkBuff<PacketIn>, SkBuff<PacketIn>> {
        self.packet.set_control(self.control);
        let (tcp, size, count) = self.tcp.shape();
        if count < 2 {
            return Ok(self.packet);
        }
        let protocol = match tcp {
            IPV4_LEN => Protocol::Ipv4,
            _ => Protocol::Ipv6,
        };
        let is_whole = self.packet.len() == self.tcp.total_len()
            && self.tcp.write_headers(self.packet.linear_mut());
        match self.packet.set_tcp_segments(protocol, tcp, size, count) {
            Ok(()) if is_whole => Ok(self.packet),
            _ => Err(self.packet),
        }
    }
}

/// Decrypts a message into another buffer. What is behind it stays: it may be the beginning of the next. Errors: `EBADMSG`.
fn open(keypair: &Keypair, counter: u64, message: &mut [u8], opened: &mut [u8]) -> Result {
    let behind: Option<[u8; DataKey::SPARE]> = message.last_chunk().copied();
    let authentic = keypair.receiving.open(counter, message, opened);
    if let (Some(behind), Some(place)) = (behind, message.last_chunk_mut()) {
        *place = behind;
    }
    authentic.then_some(()).ok_or(EBADMSG)
}

/// Decrypts a data message without memory for a copy of it, and returns its counter with it. Errors: as
/// [`Opener::add`].
#[cold]
fn open_alone(
    keypair: &Keypair,
    datagram: &SkBuff<DatagramIn>,
    range: Range<usize>,
) -> Result<(u64, SkBuff<PacketIn>)> {
    let text_len = range.len().checked_sub(DATA_MIN_LEN).ok_or(EBADMSG)?;
    let text_at = range.start.saturating_add(DATA_HEADER_LEN);
    let mut header = [0u8; DATA_HEADER_LEN];
    datagram.copy_bits(range.start, &mut header)?;
    let counter = DataHeader::parse(&header).ok_or(EBADMSG)?.counter;
    let mut tag = [0u8; TAG_LEN];
    datagram.copy_bits(text_at.saturating_add(text_len), &mut tag)?;
    let netdev = &keypair.peer.device.netdev;
    let packet = SkBuff::alloc_received(netdev, text_len, |buffer| {
        let text = buffer.get_mut(DataKey::SCRATCH..).ok_or(EINVAL)?;
        datagram.copy_bits(text_at, text)?;
        let authentic = keypair.receiving.open_alone(counter, buffer, &tag);
        authentic.then_some(()).ok_or(EBADMSG)
    })?;
    Ok((counter, packet))
}
