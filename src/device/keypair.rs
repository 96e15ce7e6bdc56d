// SPDX-License-Identifier: GPL-2.0

//! Keypairs: the keys of a session, and a peer's previous, current and next one (whitepaper
//! section 6.3).

#![forbid(unsafe_code)]

use core::net::SocketAddr;
use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use crate::{
    crypto::DataKey,
    device::types::{Keypair, Keypairs, Peer},
    events,
    net::device::NetDevice,
    protocol::{
        messages::{REJECT_AFTER_MESSAGES, REJECT_AFTER_TIME},
        noise::SessionKeys,
        replay::{Path, ReplayWindow},
    },
    rcu::{read_lock, Guard, RcuArc, RcuArcBorrow, RcuSlot},
    sync::new_spinlock_bh,
    timer, tracepoints,
};

impl Keypair {
    /// Makes the keypair that a handshake resulted in.
    pub(crate) fn new(
        peer: RcuArc<Peer>,
        keys: SessionKeys,
        local_id: u32,
        preshared_key: Option<u32>,
    ) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            peer,
            sending: DataKey::new(&keys.sending),
            receiving: DataKey::new(&keys.receiving),
            sent: Atomic::new(0),
            sending_valid: Atomic::new(true),
            receiving_valid: Atomic::new(true),
            replay <- new_spinlock_bh!(ReplayWindow::new(), "Keypair::replay"),
            created_at: timer::coarse_boottime_ns(),
            local_id,
            remote_index: keys.remote_index,
            we_initiated: keys.we_initiated,
            preshared_key,
        })
    }

    /// What a tracepoint tells of the session.
    pub(crate) fn told(&self) -> (i32, u64, u32, bool) {
        let peer = &self.peer;
        let ifindex = peer.device.netdev.index();
        (ifindex, peer.id, self.local_id, self.we_initiated)
    }

    /// Returns whether the session began longer than `limit` nanoseconds ago.
    pub(crate) fn older_than(&self, limit: u64) -> bool {
        timer::coarse_boottime_ns().saturating_sub(self.created_at) >= limit
    }

    /// Returns whether nothing forbids sending yet. What does, does so for good.
    pub(crate) fn may_send(&self) -> bool {
        if !self.sending_valid.load(Relaxed) {
            return false;
        }
        if self.older_than(REJECT_AFTER_TIME) || self.sent() >= REJECT_AFTER_MESSAGES {
            self.sending_valid.store(false, Relaxed);
            return false;
        }
        true
    }

    /// Returns whether nothing forbids receiving yet. What does, does so for good.
    pub(crate) fn may_receive(&self) -> bool {
        if !self.receiving_valid.load(Relaxed) {
            return false;
        }
        if self.older_than(REJECT_AFTER_TIME) {
            self.receiving_valid.store(false, Relaxed);
            return false;
        }
        true
    }

    /// Forbids sending.
    pub(crate) fn expire_sending(&self) {
        self.sending_valid.store(false, Relaxed);
    }

    /// Returns whether sending has not been forbidden.
    pub(crate) fn sending_is_valid(&self) -> bool {
        self.sending_valid.load(Relaxed)
    }

    /// Returns how many messages have been numbered.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Numbers `count` messages: returns the counter of the first, `None` when the keypair's
    /// numbers are used up, or sending was forbidden.
    pub(crate) fn reserve_counters(&self, count: usize) -> Option<u64> {
        if !self.sending_is_valid() {
            return None;
        }
        let mut first = self.sent();
        loop {
            // Never more than there are, so that no sum overflows, however often this is called.
            let end = first.checked_add(count as u64);
            let Some(end) = end.filter(|end| *end <= REJECT_AFTER_MESSAGES) else {
                self.sending_valid.store(false, Relaxed);
                return None;
            };
            match self.sent.cmpxchg(first, end, Relaxed) {
                Ok(_) => return Some(first),
                Err(now) => first = now,
            }
        }
    }
}

impl Keypairs {
    /// A peer without a session.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            current: RcuSlot::empty(),
            previous: RcuSlot::empty(),
            next: RcuSlot::empty(),
            rotating <- new_spinlock_bh!(Path::default(), "Keypairs::rotating"),
        })
    }

    /// Returns the keypair that messages are sent with.
    #[inline]
    pub(crate) fn current<'g>(&'g self, guard: &'g Guard) -> Option<RcuArcBorrow<'g, Keypair>> {
        self.current.get(guard)
    }

    /// Puts a new keypair in its place. Those that lose theirs are taken out of the index table.
    ///
    /// The initiator has proof that the responder has the keys and uses them at once; the
    /// responder waits with the next keypair until a message shows that the initiator has them.
    pub(crate) fn install(&self, new: RcuArc<Keypair>) {
        let mut rotating = self.rotating.lock();
        let retired = if new.we_initiated {
            let current = self.current.swap(Some(new));
            match self.next.swap(None) {
                // The next one was never confirmed, but may be in use by the peer already.
                Some(next) => [self.previous.swap(Some(next)), current],
                None => [self.previous.swap(current), None],
            }
        } else {
            [self.next.swap(Some(new)), self.previous.swap(None)]
        };
        add_up(&mut rotating, &retired);
        drop(rotating);
        retire(retired);
    }

    /// Notes that an authentic message came with `keypair`. Returns `true` if that was the first
    /// one with the next keypair, which thereby becomes the current one.
    #[inline]
    pub(crate) fn confirm(&self, keypair: &RcuArc<Keypair>, guard: &Guard) -> bool {
        let is_next = || self.next.get(guard).is_some_and(|next| next.is(keypair));
        if !is_next() {
            return false;
        }
        let mut rotating = self.rotating.lock();
        // Another CPU may have been faster.
        if !is_next() {
            return false;
        }
        let confirmed = self.next.swap(None);
        let current = self.current.swap(confirmed);
        let retired = [self.previous.swap(current)];
        add_up(&mut rotating, &retired);
        drop(rotating);
        retire(retired);
        true
    }

    /// Gives up all keypairs. Returns whether there was a current one.
    pub(crate) fn clear(&self) -> bool {
        let mut rotating = self.rotating.lock();
        let current = self.current.swap(None);
        let had_session = current.is_some();
        let retired = [self.previous.swap(None), self.next.swap(None), current];
        add_up(&mut rotating, &retired);
        drop(rotating);
        retire(retired);
        had_session
    }

    /// Returns whether there is a keypair that is not too old for everything.
    pub(crate) fn can_be_used(&self) -> bool {
        let guard = read_lock();
        [&self.previous, &self.current, &self.next]
            .into_iter()
            .filter_map(|slot| slot.get(&guard))
            .any(|keypair| !keypair.older_than(REJECT_AFTER_TIME))
    }

    /// What became of the messages of all sessions.
    pub(crate) fn path(&self) -> Path {
        let rotating = self.rotating.lock();
        let mut path = *rotating;
        let guard = read_lock();
        for slot in [&self.previous, &self.current, &self.next] {
            if let Some(keypair) = slot.get(&guard) {
                path.add(&keypair.replay.lock().path());
            }
        }
        path
    }

    /// Has the current and the next keypair send no more, so that a new handshake is made first.
    pub(crate) fn expire_sending(&self) {
        let _rotating = self.rotating.lock();
        let guard = read_lock();
        for slot in [&self.next, &self.current] {
            if let Some(keypair) = slot.get(&guard) {
                keypair.expire_sending();
            }
        }
    }
}

/// Adds what became of the messages of sessions that are over.
fn add_up(path: &mut Path, retired: &[Option<RcuArc<Keypair>>]) {
    for keypair in retired.iter().flatten() {
        path.add(&keypair.replay.lock().path_at_end());
    }
}

/// Makes keypairs unknown to the receiving side and lets go of them.
fn retire<const N: usize>(mut keypairs: [Option<RcuArc<Keypair>>; N]) {
    for keypair in &mut keypairs {
        if let Some(keypair) = keypair.take() {
            events::keypair_destroyed(&*keypair);
            tracepoints::session_ended(|| keypair.told());
            keypair.peer.device.indices.remove(keypair.local_id);
        }
    }
}

impl events::OfDevice for Keypair {
    fn netdev(&self) -> &NetDevice {
        self.peer.netdev()
    }
}

impl events::OfPeer for Keypair {
    fn id(&self) -> u64 {
        self.peer.id
    }

    fn remote(&self) -> Option<SocketAddr> {
        self.peer.remote()
    }
}

impl events::Session for Keypair {
    fn number(&self) -> u32 {
        self.local_id
    }
}
