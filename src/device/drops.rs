// SPDX-License-Identifier: GPL-2.0

//! Dropping packets and messages.
//!
//! Each drop is one call here, which counts it for its cause in the device's statistics (`ethtool -S`),
//! in the peer's (the family `wg-monitor`), and in the link's (`ip -s link`), and tells the kernel the reason.

#![forbid(unsafe_code)]

use crate::{
    device::types::{Device, Peer},
    net::{
        drop_reason::DropReason,
        skb::{DatagramIn, DatagramOut, Keepable, PacketIn, PacketOut, Routed, SkBuff},
        skb_list::SkbList,
    },
    queueing::stages::Decrypted,
    tracepoints,
};

pub(crate) use crate::device::causes::Cause;

/// Something that can be dropped.
pub(crate) trait Drops: Sized {
    /// How many packets or messages it is.
    fn count(&mut self) -> usize;

    /// Drops it without counting.
    fn end(self, reason: DropReason);
}

macro_rules! drops {
    ($($kind:ty: |$skb:ident| $count:expr;)*) => {$(
        impl Drops for SkBuff<$kind> {
            fn count(&mut self) -> usize {
                let $skb = self;
                $count
            }

            fn end(self, reason: DropReason) {
                self.drop_for(reason);
            }
        }
    )*};
}

drops! {
    // What the stack has sent is one packet until it is cut.
    Routed: |_skb| 1;
    PacketOut: |skb| skb.parts();
    DatagramOut: |skb| skb.parts();
    DatagramIn: |skb| skb.datagrams();
    PacketIn: |skb| skb.control::<Decrypted>().messages as usize;
}

impl<K: Keepable> Drops for SkbList<K>
where
    SkBuff<K>: Drops,
{
    fn count(&mut self) -> usize {
        let mut count = 0usize;
        self.for_each(|skb| count = count.saturating_add(skb.count()));
        count
    }

    fn end(self, reason: DropReason) {
        self.drop_for(reason);
    }
}

/// Drops something that has nothing to do with a peer.
#[cold]
pub(crate) fn drop_of_device(device: &Device, cause: Cause, mut what: impl Drops) {
    count_of_device(device, cause, what.count());
    what.end(cause.reason());
}

/// Drops something of a peer's.
#[cold]
pub(crate) fn drop_of_peer(peer: &Peer, cause: Cause, mut what: impl Drops) {
    count_of_peer(peer, cause, what.count());
    what.end(cause.reason());
}

/// Counts what was dropped of a peer's.
#[cold]
pub(crate) fn count_of_peer(peer: &Peer, cause: Cause, count: usize) {
    count_in(&peer.device, peer.id, cause, count);
    if let Some(counter) = cause.of_peer().and_then(|c| peer.counters.dropped(c)) {
        counter.add(count);
    }
}

/// Counts what was dropped that has nothing to do with a peer.
#[cold]
pub(crate) fn count_of_device(device: &Device, cause: Cause, count: usize) {
    count_in(device, 0, cause, count);
}

fn count_in(device: &Device, peer: u64, cause: Cause, count: usize) {
    if count == 0 {
        return;
    }
    if let Some(counter) = device.counters.drops.get(cause as usize) {
        counter.add(count);
    }
    if let Some(statistic) = cause.statistic() {
        device.netdev.count_statistic(statistic, count);
    }
    tracepoints::dropped(device.netdev.index(), peer, cause.name(), count as u32);
}
