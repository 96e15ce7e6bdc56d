// SPDX-License-Identifier: GPL-2.0

//! Receive lanes: one per CPU and device, in which peers wait for their packets to be delivered.

#![forbid(unsafe_code)]

use kernel::{prelude::*, sync::Arc};

use crate::{device::engine::Engine, queueing::waitlist::Waitlist};

/// What peers wait for in a lane.
pub(crate) struct Delivery;

/// A lane.
#[pin_data]
pub(crate) struct Lane {
    pub(crate) engine: Arc<Engine>,
    #[pin]
    pub(crate) peers: Waitlist<Delivery>,
}

impl Lane {
    /// An empty lane.
    pub(crate) fn new(engine: &Arc<Engine>) -> impl PinInit<Self, Error> {
        let engine = engine.clone();
        try_pin_init!(Self {
            engine,
            peers <- Waitlist::new(),
        })
    }
}
