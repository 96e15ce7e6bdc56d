// SPDX-License-Identifier: GPL-2.0

//! Peers: everything that is known about another party.

#![forbid(unsafe_code)]

use core::net::SocketAddr;
use kernel::{
    new_mutex, new_work,
    prelude::*,
    sync::atomic::{Atomic, Full, Relaxed},
};

use crate::{
    crypto::Secret,
    device::{
        counters::PeerCounters,
        drops::{drop_of_peer, Cause},
        endpoint::Endpoint,
        lane::Delivery,
        news::{Later, Now, PeerNews},
        types::{Device, Exchange, Keypairs, Peer, Requested},
    },
    events,
    net::{device::NetDevice, route::RouteCache, skb::PacketOut, skb_list::SkbList},
    protocol::{
        cookie::PeerCookie,
        messages::REKEY_TIMEOUT,
        noise::{Handshake, PublicKey},
        timers::Timers,
    },
    queueing::{
        pace::Pace,
        queue::OrderedQueue,
        staged::Staged,
        waitlist::{Purpose, WaitEntry},
    },
    rcu::{self, RcuArc, RcuSlot},
    sync::new_spinlock_bh,
    timer::{self, new_timer},
};

/// With more packets than these a CPU does not send fast enough for those that encrypt.
const CROWDED_PACKETS: usize = 256;

impl Exchange {
    /// Which preshared key there is, if there is one.
    pub(crate) fn preshared_key(&self) -> Option<u32> {
        let is_set = !self.noise.preshared_key().is_zero();
        is_set.then_some(self.preshared_key_changes)
    }
}

impl Peer {
    /// Makes a peer that its device does not know yet. Errors: `ENOMEM`.
    pub(crate) fn new(
        device: RcuArc<Device>,
        id: u64,
        public_key: &PublicKey,
        preshared_key: &Secret<32>,
    ) -> Result<RcuArc<Self>> {
        let noise = Handshake::new(public_key, preshared_key);
        let engine = device.engine.clone();
        RcuArc::pin_init_in(
            &engine.peers,
            try_pin_init!(Self {
                device,
                id,
                public_key: *public_key,
                removed: Atomic::new(false),
                exchange <- new_mutex!(
                    Exchange {
                        noise,
                        id: None,
                        preshared_key_changes: 0,
                    },
                    "Peer::exchange"
                ),
                cookie <- new_mutex!(PeerCookie::new(), "Peer::cookie"),
                last_sent_handshake: Atomic::new(0),
                initiation_sent_at: Atomic::new(0),
                round_trip: Atomic::new(0),
                keypairs <- Keypairs::new(),
                endpoint <- new_spinlock_bh!(None, "Peer::endpoint"),
                is_located: Atomic::new(false),
                routes: RcuSlot::empty(),
                staged <- Staged::new(),
                outgoing <- OrderedQueue::new(CROWDED_PACKETS),
                pace: Pace::new(),
                incoming <- OrderedQueue::new(usize::MAX),
                delivered_in: Atomic::new(0),
                lane <- WaitEntry::new(),
                timers: Timers::new(),
                alarm <- new_timer!("alarm"),
                last_handshake <- new_spinlock_bh!((0, 0), "Peer::last_handshake"),
                rx_bytes: Atomic::new(0),
                tx_bytes: Atomic::new(0),
                counters: PeerCounters::new(),
                news <- PeerNews::new(),
                wants_initiation: Atomic::new(false),
                wants_erasure: Atomic::new(false),
                requests <- WaitEntry::new(),
                send_work <- new_work!("Peer::send_work"),
            }),
            GFP_KERNEL,
        )
    }

    /// The key that the peer is known by.
    pub(crate) fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Shows the preshared key, zeros if there is none, to a function. Context: process context.
    pub(crate) fn with_preshared_key<R>(&self, f: impl FnOnce(&Secret<32>) -> R) -> R {
        f(self.exchange.lock().noise.preshared_key())
    }

    /// Which preshared key there is, if there is one. Context: process context.
    pub(crate) fn preshared_key(&self) -> Option<u32> {
        self.exchange.lock().preshared_key()
    }

    /// Sets the preshared key, zeros for none. Returns whether it was another. Context: process context.
    pub(crate) fn set_preshared_key(&self, key: &Secret<32>) -> bool {
        let mut exchange = self.exchange.lock();
        let changes = exchange.noise.preshared_key() != key;
        exchange.noise.set_preshared_key(key);
        let former = exchange.preshared_key_changes;
        exchange.preshared_key_changes = former.wrapping_add(changes.into());
        changes
    }

    /// Where the peer's packets go.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        *self.endpoint.lock()
    }

    /// Returns whether it is known where the peer's packets go.
    #[inline]
    pub(crate) fn is_located(&self) -> bool {
        self.is_located.load(Relaxed)
    }

    /// Where the peer is, as far as is known.
    pub(crate) fn remote(&self) -> Option<SocketAddr> {
        self.endpoint().map(|endpoint| endpoint.remote())
    }

    /// Notes where the peer is, and returns where it was. Context: any but hard interrupts.
    #[inline]
    pub(crate) fn set_endpoint(&self, endpoint: Endpoint) -> Option<Endpoint> {
        let mut current = self.endpoint.lock();
        let former = current.replace(endpoint);
        if former != Some(endpoint) {
            self.is_located.store(true, Relaxed);
            self.forget_routes();
        }
        former
    }

    /// Replaces the endpoint, unless it has changed from what it was.
    pub(crate) fn replace_endpoint_if(&self, was: &Endpoint, endpoint: Endpoint) {
        let mut current = self.endpoint.lock();
        if current.as_ref() == Some(was) {
            *current = Some(endpoint);
        }
    }

    /// Does something that is right for this endpoint only, unless the peer has another.
    pub(crate) fn while_endpoint_is(&self, endpoint: &Endpoint, act: impl FnOnce()) {
        let current = self.endpoint.lock();
        if current.as_ref() == Some(endpoint) {
            act();
        }
    }

    /// Forgets which of this host's addresses the peer sent to, so that routing chooses again.
    pub(crate) fn forget_source(&self) {
        let mut current = self.endpoint.lock();
        if let Some(endpoint) = &mut *current {
            endpoint.forget_source();
        }
        self.forget_routes();
    }

    fn forget_routes(&self) {
        let guard = rcu::read_lock();
        if let Some(routes) = self.routes.get(&guard) {
            routes.reset();
        }
    }

    /// Gives the peer a route cache if it has none. Without one, sending is only slower.
    ///
    /// Context: process context.
    pub(crate) fn prepare_routes(&self) {
        if self.routes.is_empty() {
            let device = &self.device;
            let cache = RouteCache::new(&device.engine.residents, device.creating, GFP_KERNEL);
            if let Ok(cache) = cache {
                if let Ok(cache) = RcuArc::new(cache) {
                    self.routes.swap(Some(cache));
                }
            }
        }
    }

    /// The interval of persistent keepalives in seconds, zero for none.
    pub(crate) fn persistent_keepalive(&self) -> u16 {
        self.timers.interval()
    }

    /// Bytes received from the peer in authentic messages.
    pub(crate) fn rx_bytes(&self) -> u64 {
        self.rx_bytes.load(Relaxed)
    }

    /// Bytes sent to the peer.
    pub(crate) fn tx_bytes(&self) -> u64 {
        self.tx_bytes.load(Relaxed)
    }

    /// When the last handshake was completed: wall-clock seconds and nanoseconds, zeros if never.
    pub(crate) fn last_handshake(&self) -> (i64, u32) {
        *self.last_handshake.lock()
    }

    /// Returns whether the peer is in use: whether its device is up, and it has not been removed.
    ///
    /// What is done for a peer in use must be done in softirq or under the lock of [`Self::exchange`]:
    /// what takes it out of use waits for the former (a grace period) and then takes the latter.
    #[inline]
    pub(crate) fn is_in_use(&self) -> bool {
        self.device.netdev.is_running() && !self.is_removed()
    }

    /// Returns whether the peer was removed.
    #[inline]
    pub(crate) fn is_removed(&self) -> bool {
        self.removed.load(Relaxed)
    }

    /// Begins the removal: the peer starts nothing new after a grace period.
    pub(crate) fn mark_removed(&self) {
        self.removed.store(true, Relaxed);
    }

    /// Returns whether a handshake message may be sent again.
    pub(super) fn may_send_handshake(&self) -> bool {
        let last = self.last_sent_handshake.load(Relaxed);
        may_follow(last, timer::coarse_boottime_ns())
    }

    /// Notes that an initiation is being sent, if one may be. Returns whether it may; of several
    /// callers at once, only one may.
    pub(crate) fn begin_initiation(&self) -> bool {
        let last = self.last_sent_handshake.load(Relaxed);
        let now = timer::coarse_boottime_ns();
        let sent = &self.last_sent_handshake;
        may_follow(last, now) && sent.cmpxchg(last, now, Relaxed).is_ok()
    }

    /// Notes that a handshake message is being sent.
    pub(crate) fn note_handshake_sent(&self) {
        let now = timer::coarse_boottime_ns();
        self.last_sent_handshake.store(now, Relaxed);
    }

    /// Allows a handshake message at once.
    pub(crate) fn forget_handshake_sent(&self) {
        self.last_sent_handshake.store(0, Relaxed);
    }

    /// An initiation is being sent.
    pub(crate) fn begin_round_trip(&self) {
        self.initiation_sent_at
            .store(timer::monotonic_ns(), Relaxed);
    }

    /// The response to the last initiation came then.
    pub(crate) fn note_round_trip(&self, came_at: u64) {
        let sent_at = self.initiation_sent_at.xchg(0, Relaxed);
        if sent_at != 0 {
            let micros = came_at.saturating_sub(sent_at) / 1000;
            self.round_trip
                .store(u32::try_from(micros).unwrap_or(u32::MAX).max(1), Relaxed);
        }
    }

    /// How long the last handshake that we began took, in microseconds; `None` before the first.
    pub(crate) fn round_trip_us(&self) -> Option<u32> {
        match self.round_trip.load(Relaxed) {
            0 => None,
            micros => Some(micros),
        }
    }

    /// Adds packets to those that wait for a session, dropping the oldest if they are too many.
    pub(crate) fn stage(&self, packets: &mut SkbList<PacketOut>) {
        let oldest = self.staged.enqueue(packets);
        self.drop_waiting(oldest, Cause::StagedOverflow);
    }

    /// Drops all packets that wait for a session.
    pub(crate) fn drop_staged(&self) {
        let dropped = self.staged.dequeue_all();
        self.drop_waiting(dropped, Cause::NoSession);
    }

    fn drop_waiting(&self, dropped: SkbList<PacketOut>, cause: Cause) {
        if !dropped.is_empty() {
            drop_of_peer(self, cause, dropped);
        }
    }

    /// Ends the handshake under way, if any.
    pub(crate) fn clear_handshake(&self) {
        let mut exchange = self.exchange.lock();
        exchange.noise.clear();
        self.release_id(&mut exchange);
    }

    /// Erases all keys if that is wanted and none can be used: not if a session has begun since it was due. Returns whether
    /// a session has ended.
    pub(crate) fn erase_keys(&self) -> bool {
        // Sessions begin under this lock.
        let mut exchange = self.exchange.lock();
        if !self.wants_erasure.xchg(false, Full) || self.keypairs.can_be_used() {
            return false;
        }
        exchange.noise.clear();
        self.release_id(&mut exchange);
        self.keypairs.clear()
    }

    /// Has the next packet begin a new session, at once.
    pub(crate) fn expire_session(&self) {
        self.expire(|exchange| exchange.noise.clear());
    }

    /// The device has another identity, or none: what was done with the former one ends.
    pub(crate) fn identity_changed(&self) {
        self.expire(|exchange| exchange.noise.identity_changed());
    }

    /// Ends the handshake under way, and has the session send no more.
    fn expire(&self, end_handshake: impl FnOnce(&mut Exchange)) {
        // Until the end: a session that begins when the handshake has ended is not meant.
        let mut exchange = self.exchange.lock();
        end_handshake(&mut exchange);
        self.release_id(&mut exchange);
        self.forget_handshake_sent();
        self.keypairs.expire_sending();
    }

    /// Gives up the number of the handshake under way, if there is one.
    pub(crate) fn release_id(&self, exchange: &mut Exchange) {
        if let Some(id) = exchange.id.take() {
            self.device.indices.remove(id);
        }
    }

    /// Lets go of the routes that senders have used, and uses none of them again.
    pub(crate) fn drop_routes(&self) {
        self.routes.swap(None);
    }
}

/// Returns whether a handshake message may be sent now, if the last one was sent then (zero: never).
fn may_follow(last: u64, now: u64) -> bool {
    last == 0 || now.saturating_sub(last) >= REKEY_TIMEOUT
}

impl Purpose for Requested {
    type Waiter = Peer;

    fn entry(peer: &Peer) -> &WaitEntry<Self> {
        &peer.requests
    }
}

impl Purpose for Delivery {
    type Waiter = Peer;

    fn entry(peer: &Peer) -> &WaitEntry<Self> {
        &peer.lane
    }
}

impl Purpose for Now {
    type Waiter = Peer;

    fn entry(peer: &Peer) -> &WaitEntry<Self> {
        &peer.news.now
    }
}

impl Purpose for Later {
    type Waiter = Peer;

    fn entry(peer: &Peer) -> &WaitEntry<Self> {
        &peer.news.later
    }
}

impl events::OfDevice for Peer {
    fn netdev(&self) -> &NetDevice {
        &self.device.netdev
    }
}

impl events::OfPeer for Peer {
    fn id(&self) -> u64 {
        self.id
    }

    fn remote(&self) -> Option<SocketAddr> {
        self.remote()
    }
}
