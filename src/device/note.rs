// SPDX-License-Identifier: GPL-2.0

//! Noting what is to be told of peers (`crate::device::news`).

#![forbid(unsafe_code)]

use core::net::SocketAddr;
use kernel::sync::atomic::Relaxed;

use crate::{
    device::{
        news::{next_generation, News, TELL},
        types::{Device, Peer},
    },
    rcu::RcuArc,
};

/// Something has happened to a peer, of which a notification is sent if a socket listens.
///
/// Context: any but hard interrupts.
pub(crate) fn note(peer: &RcuArc<Peer>, news: News) {
    note_from(peer, news, None);
}

/// The peer has moved.
pub(crate) fn note_move(peer: &RcuArc<Peer>, from: SocketAddr) {
    note_from(peer, News::Endpoint, Some(from));
}

fn note_from(peer: &RcuArc<Peer>, news: News, from: Option<SocketAddr>) {
    let device = &peer.device;
    let mut generations = device.news.generations.lock();
    let generation = next_generation();
    generations.change = generation;
    if news == News::Deleted {
        generations.removal = generation;
    }
    // Under the lock: a dump that has seen the device's number sees the peer's.
    peer.news.generation.store(generation, Relaxed);
    drop(generations);
    if !device.engine.has_listeners(&device.netdev) {
        return;
    }
    let mut untold = peer.news.untold.lock();
    // Who marks a peer as removed notes that afterwards, so that it is the last that is told of it.
    if peer.is_removed() && news != News::Deleted {
        return;
    }
    untold.kinds |= news.bit();
    untold.moved_from = untold.moved_from.or(from);
    drop(untold);
    device.news.now.enqueue(peer);
    schedule(device);
}

/// Has what is to be told be told soon.
pub(crate) fn schedule(device: &RcuArc<Device>) {
    // If it is queued already, it will find all.
    let _ = device.engine.handshake.enqueue::<_, TELL>(device.clone());
}
