// SPDX-License-Identifier: GPL-2.0

//! Receive lanes: one per CPU and device, shared by all peers.
//!
//! A peer's packets go to the lane of the CPU that they came in on, but for as long as any of them
//! are in a lane, further ones go there too, which keeps them in order.

#![forbid(unsafe_code)]

use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Full, Relaxed},
};

use crate::{
    batch::InOrder,
    engine::Engine,
    net::napi::{Poll, Receiver},
    receive::{self, Open},
    workspace::Shelf,
};
use kernel::sync::Arc;

/// A lane.
#[pin_data]
pub(crate) struct Lane {
    #[pin]
    pub(crate) incoming: InOrder<Open>,
    /// What is decrypted on the lane's CPU, for whichever lane, is copied there.
    #[pin]
    pub(crate) shelf: Shelf,
    engine: Arc<Engine>,
}

impl Lane {
    /// An empty lane.
    pub(crate) fn new(engine: Arc<Engine>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            incoming <- InOrder::new(),
            shelf <- Shelf::new(),
            engine,
        })
    }

    /// Drops what is in the lane, up to what another CPU is working on: that CPU does the same when it has
    /// finished. For lanes that are not polled any more.
    pub(crate) fn purge(&self) {
        while self.incoming.take(receive::discard) {}
    }
}

impl Poll for Lane {
    fn poll(&self, receiver: &mut Receiver<'_>, budget: usize) -> usize {
        let mut done = 0usize;
        while done < budget {
            self.incoming.offload_rest(&self.engine);
            let more = self.incoming.take(|keypair, opened| {
                done = done.saturating_add(receive::deliver(keypair, opened, receiver));
            });
            if !more {
                break;
            }
        }
        done
    }
}

/// Which lane a peer belongs to, and how many of its datagrams are in it.
///
/// The lane is in the upper half of the number, the count in the lower one.
pub(crate) struct LaneOfPeer(Atomic<i64>);

impl LaneOfPeer {
    /// A peer with nothing in any lane.
    pub(crate) const fn new() -> Self {
        Self(Atomic::new(0))
    }

    /// Counts datagrams in and returns their lane: the given one unless others are in another.
    #[inline]
    pub(crate) fn enter(&self, here: u32, datagrams: u32) -> usize {
        let mut seen = self.0.load(Relaxed);
        loop {
            let (lane, count) = ((seen >> 32) as u32, seen as u32);
            let lane = if count == 0 { here } else { lane };
            let count = count.saturating_add(datagrams);
            let new = i64::from(lane) << 32 | i64::from(count);
            match self.0.cmpxchg(seen, new, Full) {
                Ok(_) => return lane as usize,
                Err(changed) => seen = changed,
            }
        }
    }

    /// Counts datagrams out.
    #[inline]
    pub(crate) fn leave(&self, datagrams: u32) {
        let _ = self.0.fetch_add(-i64::from(datagrams), Full);
    }

    /// Returns the lane that the datagrams counted in are in.
    pub(crate) fn current(&self) -> usize {
        (self.0.load(Relaxed) >> 32) as usize
    }
}
