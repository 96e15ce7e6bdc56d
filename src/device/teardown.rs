// SPDX-License-Identifier: GPL-2.0

//! The end of what a peer has: of its sessions, of all that is not configuration when its device goes down, and of all
//! when it is removed.

#![forbid(unsafe_code)]

use kernel::sync::atomic::Relaxed;

use crate::{
    device::{news::News, note::note, timers, types::Peer},
    events,
    rcu::RcuArc,
};

/// Gives up all keys.
pub(crate) fn end_sessions(peer: &RcuArc<Peer>) {
    if peer.keypairs.clear() {
        note(peer, News::SessionExpired);
    }
}

/// The device went down at least a grace period ago: everything about the peer that is not
/// configuration is forgotten.
pub(crate) fn stop(peer: &RcuArc<Peer>) {
    peer.drop_staged();
    timers::stop(peer);
    peer.wants_initiation.store(false, Relaxed);
    peer.wants_erasure.store(false, Relaxed);
    peer.clear_handshake();
    end_sessions(peer);
    peer.forget_handshake_sent();
}

/// Finishes the removal, a grace period after [`Peer::mark_removed`]. Context: process context.
pub(crate) fn finish_removal(peer: &RcuArc<Peer>) {
    timers::stop(peer);
    peer.clear_handshake();
    peer.keypairs.clear();
    peer.drop_staged();
    peer.drop_routes();
    events::peer_destroyed(&**peer);
}
