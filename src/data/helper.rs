// SPDX-License-Identifier: GPL-2.0

//! Helpers: other CPUs that encrypt or decrypt for a peer.
//!
//! Which CPU that is, the scheduler decides, who knows which have time, and which are set apart. There are never more
//! helpers than there are other CPUs.

#![forbid(unsafe_code)]

use core::marker::PhantomData;
use kernel::{
    new_work,
    prelude::*,
    sync::Arc,
    workqueue::{impl_has_work, Work, WorkItem},
};

use crate::{
    device::Peer,
    queueing::queue::{Job, OrderedQueue},
    rcu::RcuArc,
};

/// How many jobs a helper works on: then others, who may be other peers', get help.
const JOBS: usize = 16;

/// Jobs that each peer has a queue for.
pub(crate) trait PeerJob: Job + Sized {
    /// The peer's queue.
    fn queue(peer: &Peer) -> &OrderedQueue<Self>;

    /// Schedules an owner of the queue, whose home is this CPU. Context: any but hard interrupts.
    fn schedule(peer: &RcuArc<Peer>, home: u32);
}

/// A helper on its way.
#[pin_data]
struct Helper<J: PeerJob> {
    peer: RcuArc<Peer>,
    #[pin]
    work: Work<Helper<J>>,
    _job: PhantomData<fn(J)>,
}

impl_has_work! {
    impl{J: PeerJob} HasWork<Helper<J>> for Helper<J> { self.work }
}

impl<J: PeerJob> WorkItem for Helper<J> {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        help::<J>(&this.peer, JOBS);
        this.peer.device.engine.end_help();
    }
}

/// Schedules a helper for a peer's queue. Returns whether one is on its way; if not, all have enough to do.
///
/// Context: any but hard interrupts.
pub(crate) fn schedule<J: PeerJob>(peer: &RcuArc<Peer>) -> bool {
    let engine = &peer.device.engine;
    if !engine.begin_help() {
        return false;
    }
    let helper = Arc::pin_init(
        try_pin_init!(Helper::<J> {
            peer: peer.clone(),
            work <- new_work!("Helper::work"),
            _job: PhantomData,
        }),
        GFP_ATOMIC,
    );
    match helper {
        // A new one is in no queue.
        Ok(helper) => engine.helpers().enqueue(helper).is_ok(),
        Err(_) => {
            engine.end_help();
            false
        }
    }
}

/// Works on up to `most` jobs of a peer. Context: any but hard interrupts.
pub(crate) fn help<J: PeerJob>(peer: &RcuArc<Peer>, most: usize) {
    J::queue(peer).help(most, |home| J::schedule(peer, home));
}
