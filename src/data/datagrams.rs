// SPDX-License-Identifier: GPL-2.0

//! Making datagrams of data messages: one message where its packet stands or in a buffer of its own, or a run of messages
//! in the pages of one buffer.

#![forbid(unsafe_code)]

use core::num::NonZeroUsize;
use kernel::prelude::*;

use crate::{
    crypto::DataKey,
    device::{engine::Engine, Keypair},
    net::{
        skb::{DatagramOut, PacketOut, PageFrag, SkBuff},
        skb_list::SkbList,
    },
    protocol::messages::{
        padding, DataHeader, DATA_HEADER_LEN, DATA_MIN_LEN, PADDING_MULTIPLE, TAG_LEN,
    },
    queueing::stages::{Encapsulated, Padded},
};

/// Room for the outer headers: Ethernet's and what else a device may want, IPv6's and UDP's.
pub(crate) const OUTER_HEADROOM: usize = 64 + 40 + 8;

/// How many messages one buffer of datagrams may hold: as many as UDP accepts from user space.
pub(super) const RUN_MESSAGES: usize = 64;

/// How many bytes one buffer of datagrams may hold, so that it fits into an IP packet.
pub(super) const RUN_BYTES: usize = 65_000;

/// The scratch that encryption and decryption want in front of a packet is where the header is, and
/// this many bytes in front of that.
pub(crate) const BEFORE_HEADER: usize = DataKey::SCRATCH - DATA_HEADER_LEN;

/// What memory for messages has more than these: that, and what encryption wants behind each, which is the beginning
/// of the next.
const AROUND_MESSAGES: usize = BEFORE_HEADER + DataKey::SPARE;

/// A message to be made: a packet, zeros up to `padded` bytes, and its counter.
pub(super) struct Message<W> {
    counter: u64,
    len: usize,
    padded: usize,
    /// Writes the packet. Returns `false` if it is not what it seems to be.
    write: W,
}

impl<W: Fn(&mut [u8]) -> bool> Message<W> {
    /// A message of a packet of `len` bytes on a route with an MTU.
    pub(super) fn new(counter: u64, len: usize, mtu: u32, write: W) -> Self {
        let padded = len.saturating_add(padding(len, mtu as usize));
        Self {
            counter,
            len,
            padded,
            write,
        }
    }

    /// How many bytes the message has.
    pub(super) fn size(&self) -> usize {
        self.padded.saturating_add(DATA_MIN_LEN)
    }

    /// Makes the data message (whitepaper section 5.4.6) in a buffer that begins with [`BEFORE_HEADER`] bytes of
    /// scratch and ends with [`DataKey::SPARE`] more. Errors: `EINVAL` if the packet is not what it seems to be.
    fn seal_into(&self, buffer: &mut [u8], keypair: &Keypair) -> Result {
        let text = buffer.get_mut(DataKey::SCRATCH..).ok_or(EINVAL)?;
        let text = text.get_mut(..self.padded).ok_or(EINVAL)?;
        let (packet, padding) = text.split_at_mut_checked(self.len).ok_or(EINVAL)?;
        if !(self.write)(packet) {
            return Err(EINVAL);
        }
        padding.fill(0);
        if !keypair.sending.seal_in_place(self.counter, buffer) {
            return Err(EINVAL);
        }
        let header = DataHeader {
            receiver: keypair.remote_index,
            counter: self.counter,
        };
        buffer
            .get_mut(BEFORE_HEADER..DataKey::SCRATCH)
            .ok_or(EINVAL)?
            .copy_from_slice(&header.to_bytes());
        Ok(())
    }
}

impl Message<()> {
    /// The message of a packet that is [`Padded`].
    pub(super) fn of_packet(
        packet: &SkBuff<PacketOut>,
    ) -> Message<impl Fn(&mut [u8]) -> bool + '_> {
        let Padded { counter, len, .. } = packet.control();
        Message {
            counter,
            len: packet.len(),
            padded: len as usize,
            write: |to: &mut [u8]| packet.copy_finished(to),
        }
    }
}

/// Room for the outer headers on most ways: Ethernet's, IPv4's and UDP's. On others the IP layer makes more.
const USUAL_HEADROOM: usize = 16 + 20 + 8;

/// How much room packets had better have in front of them and behind, so that they can be encrypted where they stand. No
/// more than network cards leave in front of what they receive: the stack would have to move what is forwarded.
pub(crate) const ROOM: (usize, usize) =
    (USUAL_HEADROOM + DATA_HEADER_LEN, PADDING_MULTIPLE + TAG_LEN);

/// Makes a datagram of a packet where it stands. Gives it back, whole, if there is no room for that, or others use it.
pub(super) fn seal_in_place(
    keypair: &Keypair,
    packet: SkBuff<PacketOut>,
) -> core::result::Result<SkBuff<DatagramOut>, SkBuff<PacketOut>> {
    let Padded { counter, len, ds } = packet.control();
    let message = Message {
        counter,
        len: packet.len(),
        padded: len as usize,
        write: |_: &mut [u8]| true,
    };
    let tail = message.padded.saturating_sub(message.len) + TAG_LEN;
    let before = (USUAL_HEADROOM, DATA_HEADER_LEN, DataKey::SCRATCH);
    let fill = |buffer: &mut [u8]| message.seal_into(buffer, keypair);
    match packet.into_datagram(before, (tail, DataKey::SPARE), fill) {
        Ok(mut datagram) => {
            datagram.set_control(Encapsulated { ds });
            Ok(datagram)
        }
        Err((packet, _)) => Err(packet),
    }
}

/// Makes a datagram of one message. Errors: `ENOMEM`, `EINVAL` if the packet is not what it seems to be.
pub(super) fn seal_single(
    keypair: &Keypair,
    message: &Message<impl Fn(&mut [u8]) -> bool>,
) -> Result<SkBuff<DatagramOut>> {
    let fill = |buffer: &mut [u8]| message.seal_into(buffer, keypair);
    SkBuff::alloc_with(
        OUTER_HEADROOM,
        BEFORE_HEADER,
        message.size(),
        DataKey::SPARE,
        GFP_ATOMIC,
        fill,
    )
}

/// How many page fragments a run takes at most: each holds half of [`RUN_BYTES`], or a message
/// less.
const RUN_FRAGS: usize = 3;

/// Memory for the messages of a run: a buffer, and page fragments for it with room for `each` messages of
/// `size` bytes. The scratch in front of a message is the end of the message before it.
pub(super) struct RunSpace {
    datagrams: SkBuff<DatagramOut>,
    frags: [Option<PageFrag>; RUN_FRAGS],
    /// Where what is in each of them ends.
    ends: [usize; RUN_FRAGS],
    each: NonZeroUsize,
    size: usize,
    /// How many messages are in it.
    filled: usize,
}

impl RunSpace {
    /// Allocates room for `count` messages. Errors: `ENOMEM`; `EINVAL` if they are too many.
    pub(super) fn new(engine: &Engine, count: usize, size: usize) -> Result<Self> {
        let each = (PageFrag::MAX - AROUND_MESSAGES)
            .checked_div(size)
            .and_then(NonZeroUsize::new)
            .ok_or(EINVAL)?;
        let mut frags = [const { None }; RUN_FRAGS];
        let mut left = count;
        for frag in &mut frags {
            let messages = left.min(each.get());
            if messages != 0 {
                let bytes = AROUND_MESSAGES.saturating_add(size * messages);
                *frag = Some(engine.local()?.page_frag(bytes)?);
            }
            left -= messages;
        }
        if left != 0 {
            return Err(EINVAL);
        }
        Ok(Self {
            datagrams: SkBuff::alloc_empty(OUTER_HEADROOM, GFP_ATOMIC)?,
            frags,
            ends: [0; RUN_FRAGS],
            each,
            size,
            filled: 0,
        })
    }

    /// Makes one buffer of datagrams of `count` messages of `size` bytes, the last one's possibly less.
    /// Errors: `ENOMEM`, `EINVAL` if one of them is not what it seems to be.
    pub(super) fn fill<W: Fn(&mut [u8]) -> bool>(
        keypair: &Keypair,
        size: usize,
        count: usize,
        message: impl Fn(usize) -> Message<W>,
    ) -> Result<SkBuff<DatagramOut>> {
        if count == 1 {
            return seal_single(keypair, &message(0));
        }
        let mut space = Self::new(&keypair.peer.device.engine, count, size)?;
        for number in 0..count {
            space.seal_next(keypair, &message(number))?;
        }
        space.finish()
    }

    /// Likewise of all packets of a list. Takes packets out only if all goes well.
    pub(super) fn fill_with_packets(
        keypair: &Keypair,
        size: usize,
        run: &mut SkbList<PacketOut>,
    ) -> Result<SkBuff<DatagramOut>> {
        let mut space = Self::new(&keypair.peer.device.engine, run.len(), size)?;
        let mut result = Ok(());
        run.for_each(|packet| {
            if result.is_ok() {
                result = space.seal_next(keypair, &Message::of_packet(packet));
            }
        });
        result?;
        let mut datagrams = space.finish()?;
        let mut is_first = true;
        while let Some(mut packet) = run.pop_front() {
            if is_first {
                let Padded { ds, .. } = packet.control();
                finish_datagram(&mut datagrams, &mut packet, ds, true);
                is_first = false;
            }
            packet.consume();
        }
        Ok(datagrams)
    }

    /// Encrypts a message to its place, behind the one before.
    fn seal_next(
        &mut self,
        keypair: &Keypair,
        message: &Message<impl Fn(&mut [u8]) -> bool>,
    ) -> Result {
        let (index, nth) = (self.filled / self.each, self.filled % self.each);
        let frag = self.frags.get_mut(index).and_then(Option::as_mut);
        let frag = frag.ok_or(EINVAL)?;
        let start = nth.saturating_mul(self.size);
        let end = start
            .saturating_add(AROUND_MESSAGES)
            .saturating_add(message.size());
        let buffer = frag.bytes().get_mut(start..end).ok_or(EINVAL)?;
        let before: [u8; BEFORE_HEADER] = *buffer.first_chunk().ok_or(EINVAL)?;
        message.seal_into(buffer, keypair)?;
        *buffer.first_chunk_mut().ok_or(EINVAL)? = before;
        *self.ends.get_mut(index).ok_or(EINVAL)? = end - DataKey::SPARE;
        self.filled += 1;
        Ok(())
    }

    /// Makes one packet of the messages.
    pub(super) fn finish(self) -> Result<SkBuff<DatagramOut>> {
        let Self {
            mut datagrams,
            frags,
            ends,
            size,
            filled,
            ..
        } = self;
        for (frag, end) in frags.into_iter().zip(ends) {
            if let Some(mut frag) = frag {
                frag.shorten(end);
                datagrams.append(frag, BEFORE_HEADER)?;
            }
        }
        datagrams.set_datagrams(size, filled)?;
        Ok(datagrams)
    }
}

/// Gives a datagram what it needs of the packet that is in it, or of which this is the last part.
pub(super) fn finish_datagram(
    datagram: &mut SkBuff<DatagramOut>,
    packet: &mut SkBuff<PacketOut>,
    ds: u8,
    is_last: bool,
) {
    datagram.set_control(Encapsulated { ds });
    if packet.len() != 0 {
        datagram.copy_flow_hash(packet);
        if is_last {
            datagram.take_owner(packet);
        } else {
            datagram.share_owner(packet);
        }
    }
}

/// Takes a buffer of datagrams apart, for a way on which that many are not allowed in one. Those for which
/// there is no memory are left out.
#[cold]
pub(crate) fn single_datagrams(mut run: SkBuff<DatagramOut>) -> SkbList<DatagramOut> {
    let mut datagrams = SkbList::new();
    let (len, size) = (run.len(), run.gso_size());
    let control: Encapsulated = run.control();
    let mut at = 0usize;
    while at < len && size != 0 {
        let end = at.saturating_add(size).min(len);
        let fill = |bytes: &mut [u8]| run.copy_bits(at, bytes);
        if let Ok(mut datagram) =
            SkBuff::alloc_with(OUTER_HEADROOM, 0, end - at, 0, GFP_ATOMIC, fill)
        {
            datagram.set_control(control);
            datagram.copy_flow_hash(&run);
            if end == len {
                datagram.take_owner(&mut run);
            } else {
                datagram.share_owner(&run);
            }
            datagrams.push_back(datagram);
        }
        at = end;
    }
    run.consume();
    datagrams
}
