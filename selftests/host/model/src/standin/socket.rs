// SPDX-License-Identifier: GPL-2.0

//! Where messages leave the host.

use super::net::{route::GsoLimits, skb::DatagramOut, skb_list::SkbList};
use super::peer::{see, Peer};
use kernel::prelude::*;

pub(crate) fn send_to_peer(peer: &Peer, mut messages: SkbList<DatagramOut>) -> Result {
    peer.pace.note_below(&GsoLimits::NONE);
    while let Some(skb) = messages.pop_front() {
        see(&peer.wire, skb);
    }
    Ok(())
}
