// SPDX-License-Identifier: GPL-2.0

//! Roaming: a peer is where its last authentic message came from.

#![forbid(unsafe_code)]

use crate::{
    device::{endpoint::Endpoint, note::note_move, types::Peer},
    rcu::RcuArc,
};

/// An authentic message has come from there. Context: any but hard interrupts.
#[inline]
pub(crate) fn heard_from(peer: &RcuArc<Peer>, endpoint: Endpoint) {
    match peer.set_endpoint(endpoint) {
        Some(former) if former != endpoint => note_move_from(peer, &former, &endpoint),
        _ => (),
    }
}

#[cold]
fn note_move_from(peer: &RcuArc<Peer>, former: &Endpoint, endpoint: &Endpoint) {
    let from = former.remote();
    // It may be another address of ours only.
    if from != endpoint.remote() {
        note_move(peer, from);
    }
}
