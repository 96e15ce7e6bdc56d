// SPDX-License-Identifier: GPL-2.0

//! Receive lanes: one per CPU and device, in which peers wait for their packets to be delivered, by NAPI on that CPU.

#![forbid(unsafe_code)]

use kernel::prelude::*;

use crate::{
    helper,
    net::napi::{Poll, Receiver},
    open::Open,
    peer::Peer,
    peer_list::{PeerList, Place, Purpose},
    queue::Next,
    receive,
};

/// A peer with more datagrams than this is worth another CPU's attention.
const OFFLOAD_DATAGRAMS: usize = 16;

/// What peers wait for in a lane.
pub(crate) struct Delivery;

impl Purpose for Delivery {
    fn place(peer: &Peer) -> &Place<Self> {
        &peer.lane
    }
}

/// A lane.
#[pin_data]
pub(crate) struct Lane {
    #[pin]
    pub(crate) peers: PeerList<Delivery>,
}

impl Lane {
    /// An empty lane.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            peers <- PeerList::new(),
        })
    }

    /// Drops what its peers have received. For lanes that are not polled any more.
    pub(crate) fn purge(&self) {
        while let Some(peer) = self.peers.pop() {
            while peer.incoming.run(usize::MAX, receive::discard) == Next::Call {}
        }
    }
}

impl Poll for Lane {
    fn poll(&self, receiver: &mut Receiver<'_>, budget: usize) -> usize {
        let mut done = 0usize;
        while done < budget {
            let Some(peer) = self.peers.pop() else {
                break;
            };
            // It calls who delivers.
            if peer.device.engine.may_help()
                && peer.incoming.load_to_work_on() > OFFLOAD_DATAGRAMS
                && helper::send::<Open>(&peer)
            {
                continue;
            }
            let next = peer.incoming.run(budget - done, |opened| {
                let count = receive::deliver(opened, receiver);
                done = done.saturating_add(count);
                count
            });
            if next == Next::Call {
                self.peers.push(&peer);
            }
        }
        done
    }
}
