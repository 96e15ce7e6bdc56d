// SPDX-License-Identifier: GPL-2.0

//! Devices, peers and sessions: the structs, which refer to each other. What each of them can do is in the file of its
//! name.

#![forbid(unsafe_code)]

use core::net::IpAddr;
use kernel::{
    prelude::*,
    rbtree::RBTree,
    sync::{aref::ARef, atomic::Atomic, Arc, Mutex},
    workqueue::{impl_has_work, Work},
};

use crate::{
    crypto::DataKey,
    device::{
        counters::{DeviceCounters, PeerCounters},
        endpoint::Endpoint,
        engine::Engine,
        lane::{Delivery, Lane},
        news::{DeviceNews, PeerNews, TELL},
        sockets::Sockets,
    },
    id_table::IdTable,
    net::{device::CountedDevice, namespace::NetId, napi::NapiSet, route::RouteCache},
    protocol::{
        allowedips::{AllowedIps, Writer},
        cookie::{CookieSecret, MacKeys, PeerCookie},
        index_seal::IndexSeal,
        noise::{Handshake, PublicKey, StaticIdentity},
        replay::{Path, ReplayWindow},
        timers::Timers,
    },
    queueing::{
        handshakes::Handshakes,
        pace::{Inflow, Pace},
        queue::OrderedQueue,
        staged::Staged,
        waitlist::{WaitEntry, Waitlist},
        workers::Workers,
    },
    rcu::{RcuArc, RcuSlot},
    sync::SpinLockBh,
    timer::Timer,
};

/// Who a device is.
pub(crate) struct Identity {
    pub(crate) keys: StaticIdentity,
    /// What messages to this device are stamped with.
    pub(crate) macs: MacKeys,
}

/// What an index that we gave out stands for.
pub(crate) enum IndexEntry {
    /// A handshake of ours that waits for a response.
    Handshake(RcuArc<Peer>),
    /// A session.
    Session(RcuArc<Keypair>),
}

/// A device.
#[pin_data]
pub(crate) struct Device {
    pub(crate) engine: Arc<Engine>,
    pub(crate) netdev: ARef<CountedDevice>,
    pub(crate) counters: DeviceCounters,
    #[pin]
    pub(crate) news: DeviceNews,
    /// Expires when what is to be told of peers has waited for long enough.
    #[pin]
    pub(crate) news_timer: Timer<Device, TELL>,
    /// The namespace that the device was created in: where its sockets are.
    pub(crate) creating: NetId,
    /// Whether that namespace has died.
    pub(super) orphaned: Atomic<bool>,
    pub(crate) identity: RcuSlot<Identity>,
    pub(super) fwmark: Atomic<u32>,
    pub(crate) sockets: RcuSlot<Sockets<Device>>,
    pub(super) allowed_ips: AllowedIps<Peer>,
    #[pin]
    pub(crate) indices: IdTable<IndexEntry>,
    pub(crate) index_seal: IndexSeal,
    #[pin]
    pub(super) peers_by_key: Mutex<RBTree<PublicKey, RcuArc<Peer>>>,
    #[pin]
    pub(crate) lanes: NapiSet<Lane>,
    pub(crate) inflow: Inflow,
    /// Held while a datagram is put into the queue of its peer.
    #[pin]
    pub(crate) turns: SpinLockBh<()>,
    /// Handshake messages that wait to be handled.
    #[pin]
    pub(crate) handshakes: SpinLockBh<Handshakes>,
    /// Peers that wait for a handshake to be begun, or for their keys to be erased.
    #[pin]
    pub(crate) requests: Waitlist<Requested>,
    /// The work items that see to both.
    pub(super) handshake_workers: Workers<Device>,
    #[pin]
    pub(crate) cookie_secret: SpinLockBh<CookieSecret>,
    #[pin]
    pub(super) configured: Mutex<Configured>,
    #[pin]
    pub(super) news_work: Work<Device, TELL>,
}

impl_has_work! {
    impl HasWork<Device, TELL> for Device { self.news_work }
}

/// What a device's mutex protects.
pub(super) struct Configured {
    /// The peers, numbered in the order in which they were added.
    pub(super) peers: RBTree<u64, Member>,
    pub(super) peer_count: usize,
    /// The last number given to a peer or an allowed IP.
    pub(super) last_number: u64,
    pub(super) listen_port: u16,
    /// Of all devices' states a number of its own, so that a reader can tell whether it has seen a
    /// consistent one, and not the state of a device that took another's place.
    pub(super) generation: u64,
    pub(super) allowed_ips: Writer,
}

/// A peer with what only configuration needs to know of it.
pub(super) struct Member {
    pub(super) peer: RcuArc<Peer>,
    /// Its allowed IPs, numbered in the order in which they were added.
    pub(super) allowed_ips: RBTree<u64, Prefix>,
}

/// A prefix of addresses.
#[derive(Clone, Copy)]
pub(super) struct Prefix {
    pub(super) address: IpAddr,
    pub(super) cidr: u8,
}

/// A peer.
#[pin_data]
pub(crate) struct Peer {
    pub(crate) device: RcuArc<Device>,
    /// Tells peers apart in messages, and orders them by when they were added.
    pub(crate) id: u64,
    pub(crate) public_key: PublicKey,
    /// Whether the peer has been removed from its device, and is only waiting to be forgotten.
    pub(super) removed: Atomic<bool>,
    #[pin]
    pub(crate) exchange: Mutex<Exchange>,
    #[pin]
    pub(crate) cookie: Mutex<PeerCookie>,
    /// When a handshake message was last sent, zero if never.
    pub(super) last_sent_handshake: Atomic<u64>,
    /// When the last initiation was sent, on the clock of [`crate::timer::monotonic_ns`]; zero if it was answered.
    pub(super) initiation_sent_at: Atomic<u64>,
    /// How long the last answer took, in microseconds; zero before the first.
    pub(super) round_trip: Atomic<u32>,
    #[pin]
    pub(crate) keypairs: Keypairs,
    #[pin]
    pub(super) endpoint: SpinLockBh<Option<Endpoint>>,
    /// Whether there is one, as there is for ever from the first on.
    pub(super) is_located: Atomic<bool>,
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
    /// The poll of a lane in which such a packet was delivered last.
    pub(crate) delivered_in: Atomic<u32>,
    /// Where the peer waits for the decrypted ones to be delivered.
    #[pin]
    pub(crate) lane: WaitEntry<Delivery>,
    pub(crate) timers: Timers,
    /// Expires when the first of these is due, or earlier.
    #[pin]
    pub(super) alarm: Timer<Peer, ALARM>,
    /// When the last handshake was completed: wall-clock seconds and nanoseconds.
    #[pin]
    pub(super) last_handshake: SpinLockBh<(i64, u32)>,
    pub(crate) rx_bytes: Atomic<u64>,
    pub(crate) tx_bytes: Atomic<u64>,
    pub(crate) counters: PeerCounters,
    #[pin]
    pub(crate) news: PeerNews,
    pub(crate) wants_initiation: Atomic<bool>,
    pub(crate) wants_erasure: Atomic<bool>,
    /// Where the peer waits for that.
    #[pin]
    pub(crate) requests: WaitEntry<Requested>,
    #[pin]
    pub(super) send_work: Work<Peer, SEND>,
}

impl_has_work! {
    impl HasWork<Peer, SEND> for Peer { self.send_work }
}

/// The work item of a peer that sends, on the CPU where its queue is at home.
pub(crate) const SEND: u64 = 1;

/// The kernel's timer of a peer.
pub(crate) const ALARM: u64 = 0;

/// What peers wait for in their device's list of requests.
pub(crate) struct Requested;

/// Encryption: what is done in the queue of what a peer is sent.
pub(crate) struct Seal;

/// Decryption: what is done in the queue of what comes from a peer.
pub(crate) struct Open;

/// The handshake with a peer, and our number of it in the device's table while it goes on.
pub(crate) struct Exchange {
    pub(crate) noise: Handshake,
    pub(crate) id: Option<u32>,
    /// How often the preshared key was changed.
    pub(crate) preshared_key_changes: u32,
}

/// A peer's keypairs.
#[pin_data]
pub(crate) struct Keypairs {
    pub(super) current: RcuSlot<Keypair>,
    pub(super) previous: RcuSlot<Keypair>,
    pub(super) next: RcuSlot<Keypair>,
    /// Held while they change places. What became of the messages of those that are gone.
    #[pin]
    pub(super) rotating: SpinLockBh<Path>,
}

/// The two keys of one session with a peer.
#[pin_data]
pub(crate) struct Keypair {
    /// The peer that the session is with.
    pub(crate) peer: RcuArc<Peer>,
    /// Encrypts what is sent.
    pub(crate) sending: DataKey,
    /// Decrypts what is received.
    pub(crate) receiving: DataKey,
    /// How many messages have been numbered for sending.
    pub(super) sent: Atomic<u64>,
    /// Whether the keys may still be used, apart from their age.
    pub(super) sending_valid: Atomic<bool>,
    pub(super) receiving_valid: Atomic<bool>,
    /// Which messages have been received.
    #[pin]
    pub(crate) replay: SpinLockBh<ReplayWindow>,
    /// When the session began, on the clock of [`crate::timer::coarse_boottime_ns`].
    pub(super) created_at: u64,
    /// Our number of the session in the device's table.
    pub(crate) local_id: u32,
    /// The peer's index of the session.
    pub(crate) remote_index: u32,
    /// Whether we began the handshake, and thus the next one.
    pub(crate) we_initiated: bool,
    /// Which of the peer's preshared keys was mixed in, `None` if none was.
    pub(crate) preshared_key: Option<u32>,
}
