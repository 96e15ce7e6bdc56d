// SPDX-License-Identifier: GPL-2.0

//! Peers: everything that is known about another party.

#![forbid(unsafe_code)]

use core::net::SocketAddr;
use kernel::{
    new_mutex, new_work,
    prelude::*,
    sync::atomic::{Atomic, Full, Relaxed},
    sync::Mutex,
    workqueue::{impl_has_work, Work},
};

use crate::{
    cookie::PeerCookie,
    counters::PeerCounters,
    crypto::Secret,
    device::Device,
    drops::{drop_of_peer, Cause},
    endpoint::Endpoint,
    events,
    gfp::Gfp,
    handshake,
    keypair::Keypairs,
    lane::Delivery,
    messages::REKEY_TIMEOUT,
    net::{route::RouteCache, skb::PacketOut, skb_list::SkbList},
    news::{note, note_move, News, PeerNews},
    noise::{Handshake, PublicKey},
    open::Open,
    pace::Pace,
    peer_list::{Place, Purpose},
    queue::OrderedQueue,
    rcu::{self, RcuArc, RcuSlot},
    seal::Seal,
    send,
    staged::Staged,
    sync::{new_spinlock_bh, SpinLockBh},
    timer,
    timers::{self, Timers},
};

/// With more packets than these a CPU does not send fast enough for those that encrypt.
const CROWDED_PACKETS: usize = 256;

/// The handshake with a peer, and our number of it in the device's table while it goes on.
pub(crate) struct Exchange {
    pub(crate) noise: Handshake,
    pub(crate) id: Option<u32>,
    /// How often the preshared key was changed.
    pub(crate) preshared_key_changes: u32,
}

impl Exchange {
    /// Which preshared key there is, if there is one.
    pub(crate) fn preshared_key(&self) -> Option<u32> {
        let is_set = !self.noise.preshared_key().is_zero();
        is_set.then_some(self.preshared_key_changes)
    }
}

/// What peers wait for in their device's list of requests.
pub(crate) struct Requested;

impl Purpose for Requested {
    fn place(peer: &Peer) -> &Place<Self> {
        &peer.requests
    }
}

/// Something to be done for a peer in process context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Send an initiation because there is a reason to.
    BeginHandshake,
    /// Send an initiation because the last one was not answered.
    RetryHandshake,
    /// Erase all keys.
    EraseKeys,
}

/// A peer.
#[pin_data]
pub(crate) struct Peer {
    pub(crate) device: RcuArc<Device>,
    /// Tells peers apart in messages, and orders them by when they were added.
    pub(crate) id: u64,
    pub(crate) public_key: PublicKey,
    /// Whether the peer has been removed from its device, and is only waiting to be forgotten.
    removed: Atomic<bool>,
    #[pin]
    pub(crate) exchange: Mutex<Exchange>,
    #[pin]
    pub(crate) cookie: Mutex<PeerCookie>,
    /// When a handshake message was last sent, zero if never.
    last_sent_handshake: Atomic<i64>,
    /// When the last initiation was sent, on the clock of [`timer::monotonic_ns`]; zero if it was answered.
    initiation_sent_at: Atomic<i64>,
    /// How long the last answer took, in microseconds; zero before the first.
    round_trip: Atomic<i32>,
    #[pin]
    pub(crate) keypairs: Keypairs,
    #[pin]
    endpoint: SpinLockBh<Option<Endpoint>>,
    /// Routes to the endpoint, from the first session on.
    pub(crate) routes: RcuSlot<RouteCache>,
    #[pin]
    pub(crate) staged: Staged,
    /// Packets that are being encrypted.
    #[pin]
    pub(crate) outgoing: OrderedQueue<Seal>,
    pub(crate) pace: Pace,
    /// Packets that are being decrypted.
    #[pin]
    pub(crate) incoming: OrderedQueue<Open>,
    /// Where the peer waits for the decrypted ones to be delivered.
    #[pin]
    pub(crate) lane: Place<Delivery>,
    #[pin]
    pub(crate) timers: Timers,
    pub(crate) rx_bytes: Atomic<i64>,
    pub(crate) tx_bytes: Atomic<i64>,
    pub(crate) counters: PeerCounters,
    #[pin]
    pub(crate) news: PeerNews,
    wants_initiation: Atomic<bool>,
    wants_erasure: Atomic<bool>,
    /// Where the peer waits for that.
    #[pin]
    pub(crate) requests: Place<Requested>,
    #[pin]
    send_work: Work<Peer, { send::SEND }>,
}

impl_has_work! {
    impl HasWork<Peer, { send::SEND }> for Peer { self.send_work }
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
        let memory = device.engine.peers.allocate(Gfp::Kernel)?;
        RcuArc::pin_init_in(
            memory,
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
                routes: RcuSlot::empty(),
                staged <- Staged::new(),
                outgoing <- OrderedQueue::new(CROWDED_PACKETS),
                pace: Pace::new(),
                incoming <- OrderedQueue::new(usize::MAX),
                lane <- Place::new(),
                timers <- Timers::new(),
                rx_bytes: Atomic::new(0),
                tx_bytes: Atomic::new(0),
                counters: PeerCounters::new(),
                news <- PeerNews::new(),
                wants_initiation: Atomic::new(false),
                wants_erasure: Atomic::new(false),
                requests <- Place::new(),
                send_work <- new_work!("Peer::send_work"),
            }),
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
            let cache = RouteCache::new(&device.engine.residents, device.creating, Gfp::Kernel);
            if let Ok(cache) = cache {
                if let Ok(cache) = RcuArc::new(cache) {
                    self.routes.swap(Some(cache));
                }
            }
        }
    }

    /// The interval of persistent keepalives in seconds, zero for none.
    pub(crate) fn persistent_keepalive(&self) -> u16 {
        self.timers.persistent_keepalive_interval.load(Relaxed) as u16
    }

    /// Bytes received from the peer in authentic messages.
    pub(crate) fn rx_bytes(&self) -> u64 {
        self.rx_bytes.load(Relaxed) as u64
    }

    /// Bytes sent to the peer.
    pub(crate) fn tx_bytes(&self) -> u64 {
        self.tx_bytes.load(Relaxed) as u64
    }

    /// When the last handshake was completed: wall-clock seconds and nanoseconds, zeros if never.
    pub(crate) fn last_handshake(&self) -> (i64, u32) {
        self.timers.last_handshake()
    }

    /// Takes back a request to erase all keys: there are going to be new ones.
    pub(crate) fn keep_keys(&self) {
        self.wants_erasure.store(false, Relaxed);
    }

    /// Returns whether the peer is in use: whether its device is up, and it has not been removed.
    ///
    /// What is done for a peer in use must be done in softirq or under the lock of [`Self::exchange`]:
    /// who takes it out of use waits for the former and then takes the latter.
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
    fn may_send_handshake(&self) -> bool {
        let last = self.last_sent_handshake.load(Relaxed);
        may_follow(last, timer::coarse_boottime_ns())
    }

    /// Notes that an initiation is being sent, if one may be. Returns whether it may; of several who
    /// ask at once, only one may.
    pub(crate) fn begin_initiation(&self) -> bool {
        let last = self.last_sent_handshake.load(Relaxed);
        let now = timer::coarse_boottime_ns();
        let sent = &self.last_sent_handshake;
        may_follow(last, now) && sent.cmpxchg(last, now as i64, Relaxed).is_ok()
    }

    /// Notes that a handshake message is being sent.
    pub(crate) fn note_handshake_sent(&self) {
        let now = timer::coarse_boottime_ns();
        self.last_sent_handshake.store(now as i64, Relaxed);
    }

    /// Allows a handshake message at once.
    pub(crate) fn forget_handshake_sent(&self) {
        self.last_sent_handshake.store(0, Relaxed);
    }

    /// An initiation is being sent.
    pub(crate) fn begin_round_trip(&self) {
        self.initiation_sent_at
            .store(timer::monotonic_ns() as i64, Relaxed);
    }

    /// The response to the last initiation came then.
    pub(crate) fn note_round_trip(&self, came_at: u64) {
        let sent_at = self.initiation_sent_at.xchg(0, Relaxed) as u64;
        if sent_at != 0 {
            let micros = came_at.saturating_sub(sent_at) / 1000;
            self.round_trip
                .store(i32::try_from(micros).unwrap_or(i32::MAX).max(1), Relaxed);
        }
    }

    /// How long the last handshake that we began took, in microseconds; `None` before the first.
    pub(crate) fn round_trip_us(&self) -> Option<u32> {
        match self.round_trip.load(Relaxed) {
            0 => None,
            micros => Some(micros as u32),
        }
    }

    /// Adds packets to those that wait for a session, dropping the oldest if they are too many.
    pub(crate) fn stage(&self, packets: &mut SkbList<PacketOut>) {
        let oldest = self.staged.push(packets);
        self.drop_waiting(oldest, Cause::StagedOverflow);
    }

    /// Drops all packets that wait for a session.
    pub(crate) fn drop_staged(&self) {
        let dropped = self.staged.take();
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

    /// Has the next packet begin a new session, at once.
    pub(crate) fn expire_session(&self) {
        self.clear_handshake();
        self.forget_handshake_sent();
        self.keypairs.expire_sending();
    }

    /// The device has another identity, or none: what was done with the former one ends.
    pub(crate) fn identity_changed(&self) {
        {
            // At once, so that a handshake of the new one is not among what ends.
            let mut exchange = self.exchange.lock();
            exchange.noise.identity_changed();
            self.release_id(&mut exchange);
        }
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

    /// Finishes the removal, a grace period after [`Self::mark_removed`]. Context: process context.
    pub(crate) fn finish_removal(&self) {
        self.timers.stop();
        self.clear_handshake();
        self.keypairs.clear();
        self.drop_staged();
        self.drop_routes();
        events::peer_destroyed(self);
    }
}

/// Returns whether a handshake message may be sent now, if the last one was sent then (zero: never).
fn may_follow(last: i64, now: u64) -> bool {
    last == 0 || now.saturating_sub(last as u64) >= REKEY_TIMEOUT
}

/// What needs a counted reference to the peer.
impl RcuArc<Peer> {
    /// Has something done soon in process context, unless there is no point in it.
    pub(crate) fn request(&self, action: Action) {
        match action {
            Action::EraseKeys => self.wants_erasure.store(true, Relaxed),
            Action::BeginHandshake | Action::RetryHandshake => {
                if action == Action::BeginHandshake {
                    self.timers.attempts.store(0, Relaxed);
                }
                if !self.may_send_handshake() {
                    return;
                }
                self.wants_initiation.store(true, Relaxed);
            }
        }
        if !self.is_removed() {
            self.device.requests.push(self);
            handshake::schedule(&self.device);
        }
    }

    /// An authentic message has come from there. Context: any but hard interrupts.
    #[inline]
    pub(crate) fn heard_from(&self, endpoint: Endpoint) {
        match self.set_endpoint(endpoint) {
            Some(former) if former != endpoint => self.note_move_from(&former, &endpoint),
            _ => (),
        }
    }

    #[cold]
    fn note_move_from(&self, former: &Endpoint, endpoint: &Endpoint) {
        let from = former.remote();
        // It may be another address of ours only.
        if from != endpoint.remote() {
            note_move(self, from);
        }
    }

    /// Gives up all keys.
    pub(crate) fn end_sessions(&self) {
        if self.keypairs.clear() {
            note(self, News::SessionExpired);
        }
    }

    /// Does what was requested. Context: process context.
    pub(crate) fn do_requested(&self) {
        if self.wants_erasure.xchg(false, Full) {
            self.clear_handshake();
            self.end_sessions();
        }
        if self.wants_initiation.xchg(false, Full) {
            handshake::send_initiation(self);
        }
    }

    /// The device went down at least a grace period ago: everything about the peer that is not
    /// configuration is forgotten.
    pub(crate) fn stop(&self) {
        self.drop_staged();
        self.timers.stop();
        self.wants_initiation.store(false, Relaxed);
        self.wants_erasure.store(false, Relaxed);
        self.clear_handshake();
        self.end_sessions();
        self.forget_handshake_sent();
    }

    /// Sends what waits for a session, or begins a handshake if there is none.
    pub(crate) fn send_staged_packets(&self) {
        send::send_staged(self);
    }

    /// Sends a keepalive, or the packets that wait instead.
    pub(crate) fn send_keepalive(&self) {
        send::send_keepalive(self);
    }

    /// Sets the interval of persistent keepalives in seconds, zero for none. If they are turned on
    /// and the device is up, one is sent at once; else the next comes when the new interval has it.
    pub(crate) fn set_persistent_keepalive(&self, seconds: u16) {
        let interval = &self.timers.persistent_keepalive_interval;
        let before = interval.xchg(i32::from(seconds), Full) as u16;
        if before == seconds {
            return;
        }
        if before != 0 {
            timers::interval_changed(self, before, seconds);
        } else if self.device.netdev.is_running() {
            self.send_keepalive();
        }
    }
}
