// SPDX-License-Identifier: GPL-2.0

//! Receive lanes (`crate::device::lane`): when one is scheduled, and what is done in it, by NAPI on the CPU that schedules it.

#![forbid(unsafe_code)]

use kernel::sync::atomic::Relaxed;

use crate::{
    data::{
        helper::{self, PeerJob},
        receive,
    },
    device::{lane::Lane, Open, Peer},
    net::napi::{Poll, Receiver},
    queueing::queue::{Next, OrderedQueue},
    rcu::{read_lock, RcuArc},
};

/// A peer with more datagrams than this is worth another CPU's attention.
const OFFLOAD_DATAGRAMS: usize = 16;

impl Lane {
    /// Drops what its peers have received. For lanes that are not polled any more.
    pub(crate) fn purge(&self) {
        while let Some(peer) = self.peers.dequeue() {
            while peer.incoming.run(usize::MAX, receive::discard) == Next::Schedule {}
        }
    }
}

impl PeerJob for Open {
    fn queue(peer: &Peer) -> &OrderedQueue<Self> {
        &peer.incoming
    }

    /// Packets are delivered in the lane of the queue's home, whose NAPI instance keeps them in order; it is polled on
    /// this CPU, which has something to do with them already.
    fn schedule(peer: &RcuArc<Peer>, home: u32) {
        let lanes = &peer.device.lanes;
        let index = home as usize;
        if let Some(lane) = lanes.get(index) {
            lane.peers.enqueue(peer);
            lanes.schedule(index);
            if lanes.is_detached() {
                lane.purge();
            }
        }
    }
}

impl Poll for Lane {
    fn poll(&self, receiver: &mut Receiver<'_>, budget: usize) -> usize {
        let mut done = 0usize;
        while done < budget {
            let Some(peer) = self.peers.dequeue() else {
                break;
            };
            // It schedules who delivers.
            if self.engine.may_help()
                && peer.incoming.load_to_work_on() > OFFLOAD_DATAGRAMS
                && helper::schedule::<Open>(&peer)
            {
                continue;
            }
            let next = peer.incoming.run(budget - done, |opened| {
                let count = receive::deliver(opened, receiver, &read_lock());
                peer.delivered_in.store(receiver.poll(), Relaxed);
                done = done.saturating_add(count);
                count
            });
            if next == Next::Schedule {
                self.peers.enqueue(&peer);
            }
        }
        done
    }

    fn while_polled<R>(&self, f: impl FnOnce() -> R) -> R {
        match self.engine.local() {
            Ok(local) => local.while_delivering(f),
            Err(_) => f(),
        }
    }
}
