// SPDX-License-Identifier: GPL-2.0

//! A peer, as far as packets go through it.

use super::device::Device;
use super::endpoint::Endpoint;
use super::net::{
    skb::{PacketOut, SkBuff},
    skb_list::SkbList,
};
use crate::batch::InOrder;
use crate::gfp::Gfp;
use crate::keypair::Keypairs;
use crate::lane::LaneOfPeer;
use crate::pace::Pace;
use crate::rcu::RcuArc;
use crate::seal::Seal;
use crate::send;
use crate::staged::Staged;
use kernel::prelude::*;
use kernel::sync::atomic::Atomic;
use kernel::workqueue::Work;
use loom::cell::UnsafeCell;
use std::cell::Cell;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    BeginHandshake,
}

pub(crate) struct Timers {
    pub(crate) sent_last_minute_handshake: Atomic<bool>,
}

/// A message as it was sent, or a packet as it was received: a number that grows, and the bytes.
pub(crate) type Seen = (usize, Vec<u8>);

thread_local! {
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

#[pin_data]
pub(crate) struct Peer {
    pub(crate) device: RcuArc<Device>,
    #[pin]
    pub(crate) keypairs: Keypairs,
    #[pin]
    pub(crate) staged: Staged,
    #[pin]
    pub(crate) outgoing: InOrder<Seal>,
    pub(crate) pace: Pace,
    pub(crate) lane: LaneOfPeer,
    pub(crate) timers: Timers,
    pub(crate) rx_bytes: Atomic<i64>,
    #[pin]
    send_work: Work<Peer, { send::SEND }>,
    /// What was sent: loom sees to it that two never send at a time.
    pub(crate) wire: UnsafeCell<Vec<Seen>>,
}

// SAFETY: loom tells when the cells are used by two at a time.
unsafe impl Send for Peer {}
// SAFETY: As above.
unsafe impl Sync for Peer {}

impl Peer {
    pub(crate) fn new(device: RcuArc<Device>) -> Result<RcuArc<Self>> {
        RcuArc::pin_init(
            try_pin_init!(Self {
                device,
                keypairs <- Keypairs::new(),
                staged <- Staged::new(),
                outgoing <- InOrder::new(),
                pace: Pace::new(),
                lane: LaneOfPeer::new(),
                timers: Timers {
                    sent_last_minute_handshake: Atomic::new(false),
                },
                rx_bytes: Atomic::new(0),
                send_work <- Work::new(),
                wire: UnsafeCell::new(Vec::new()),
            }),
            Gfp::Kernel,
        )
    }

    pub(crate) fn endpoint(&self) -> Option<()> {
        Some(())
    }

    pub(crate) fn set_endpoint(&self, _: Endpoint) {}

    pub(crate) fn is_removed(&self) -> bool {
        false
    }

    pub(crate) fn stage(&self, packets: &mut SkbList<PacketOut>) {
        assert!(self.staged.push(packets).is_empty(), "packets are dropped");
    }
}

impl RcuArc<Peer> {
    /// A session, if there is none, comes anyway.
    pub(crate) fn request(&self, _: Action) {}

    pub(crate) fn send_staged_packets(&self) {
        send::send_staged(self);
    }
}

/// Takes note of something seen at an end of the tunnel.
pub(crate) fn see<K>(place: &UnsafeCell<Vec<Seen>>, skb: SkBuff<K>) {
    place.with_mut(|seen| {
        // SAFETY: loom has checked that nobody else looks.
        let seen = unsafe { &mut *seen };
        for bytes in skb.into_messages() {
            NUMBER.set(NUMBER.get() + 1);
            seen.push((NUMBER.get(), bytes));
        }
    });
}
