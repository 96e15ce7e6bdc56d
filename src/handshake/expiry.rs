// SPDX-License-Identifier: GPL-2.0

//! What is done when a timer of a peer expires, or when that of persistent keepalives is set.

#![forbid(unsafe_code)]

use crate::{
    data::send::send_keepalive,
    device::{
        news::News,
        note::note,
        requests::{request, Request},
        timers,
        types::ALARM,
        Peer,
    },
    events,
    protocol::{
        messages::MAX_HANDSHAKE_ATTEMPTS,
        timers::{Action, IntervalChange},
    },
    rcu::{read_lock, RcuArc},
    timer::TimerExpired,
};

impl TimerExpired<ALARM> for Peer {
    fn expired(this: RcuArc<Self>) {
        let next = this
            .timers
            .expired(timers::Jiffies, |action| carry_out(&this, action));
        timers::happens(&this, &read_lock(), |_| next);
    }
}

/// Does what is to be done for a peer.
fn carry_out(peer: &RcuArc<Peer>, action: Action) {
    match action {
        Action::RetryHandshake(attempt) => {
            events::handshake_retried(&**peer, attempt);
            // Perhaps it is the source address that makes the packets get lost.
            peer.forget_source();
            request(peer, Request::RetryHandshake);
        }
        Action::GiveUp => {
            events::handshake_given_up(&**peer, MAX_HANDSHAKE_ATTEMPTS + 2);
            peer.counters.given_up.add(1);
            note(peer, News::HandshakeFailed);
            peer.drop_staged();
        }
        Action::SendKeepalive => send_keepalive(peer),
        Action::BeginHandshake => {
            events::peer_is_silent(&**peer);
            peer.forget_source();
            request(peer, Request::BeginHandshake);
        }
        Action::EraseKeys => {
            events::keys_erased(&**peer);
            request(peer, Request::EraseKeys);
        }
    }
}

/// Sets the interval of persistent keepalives in seconds, zero for none. If they are turned on and the device is up, one
/// is sent at once; else the next comes when the new interval has it.
pub(crate) fn set_persistent_keepalive(peer: &RcuArc<Peer>, seconds: u16) {
    let guard = read_lock();
    match peer.timers.set_interval(seconds, timers::Jiffies) {
        IntervalChange::Nothing => (),
        IntervalChange::TurnedOn => {
            drop(guard);
            if peer.device.netdev.is_running() {
                send_keepalive(peer);
            }
        }
        IntervalChange::Moved(due) => {
            if let Some(due) = due.filter(|_| peer.is_in_use()) {
                timers::arm(peer, due);
            }
        }
    }
}
