// SPDX-License-Identifier: GPL-2.0

//! Devices: a WireGuard interface, its configuration and its life.

#![forbid(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use kernel::{
    c_str, new_mutex, new_work,
    prelude::*,
    rbtree::{RBTree, RBTreeNode},
    str::CStr,
    sync::{
        aref::ARef,
        atomic::{Atomic, Full, Relaxed},
        lock::{mutex::MutexBackend, Guard as LockGuard},
        Arc, Mutex,
    },
    workqueue::{impl_has_work, Work},
};

use crate::{
    allowedips::{AllowedIps, Writer},
    compat::{rcu_barrier, ENONET},
    cookie::{CookieSecret, MacKeys},
    counters::{DeviceCounters, STATISTICS},
    cpu,
    crypto::Secret,
    drops::{drop_of_device, Cause},
    engine::Engine,
    events,
    gfp::Gfp,
    id_table::IdTable,
    index_seal::IndexSeal,
    keypair::Keypair,
    lane::Lane,
    messages::{DATA_MIN_LEN, MAX_PEERS, PADDING_MULTIPLE},
    net::{
        device::CountedDevice,
        link::{self, TunnelDriver},
        namespace::{NamespaceExit, Net, NetId},
        napi::NapiSet,
        rtnl::{self, RtnlGuard},
        skb::{DatagramIn, Routed, SkBuff},
        skb_list::SkbList,
        udp_receive::DatagramReceiver,
    },
    news::{note, DeviceNews, News, TELL},
    noise::{PublicKey, StaticIdentity},
    notifier::Notified,
    pace::Inflow,
    peer::{Peer, Requested},
    peer_list::PeerList,
    rcu::{self, Borrowed, Guard, RcuArc, RcuSlot},
    receive, send,
    socket::Sockets,
    sync::{new_spinlock_bh, SpinLockBh},
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
    /// The namespace that the device was created in: where its sockets are.
    pub(crate) creating: NetId,
    /// Whether that namespace has died.
    orphaned: Atomic<bool>,
    pub(crate) identity: RcuSlot<Identity>,
    fwmark: Atomic<i32>,
    pub(crate) sockets: RcuSlot<Sockets>,
    allowed_ips: AllowedIps<Peer>,
    #[pin]
    pub(crate) indices: IdTable<IndexEntry>,
    pub(crate) index_seal: IndexSeal,
    #[pin]
    peers_by_key: Mutex<RBTree<PublicKey, RcuArc<Peer>>>,
    #[pin]
    pub(crate) lanes: NapiSet<Lane>,
    inflow: Inflow,
    /// Handshake messages that wait to be handled.
    #[pin]
    pub(crate) handshakes: SpinLockBh<SkbList<DatagramIn>>,
    /// Peers that wait for a handshake to be begun, or for their keys to be erased.
    #[pin]
    pub(crate) requests: PeerList<Requested>,
    pub(crate) handshake_turn: Atomic<i32>,
    #[pin]
    pub(crate) cookie_secret: Mutex<CookieSecret>,
    #[pin]
    configured: Mutex<Configured>,
    #[pin]
    handshake_work_0: Work<Device, 0>,
    #[pin]
    handshake_work_1: Work<Device, 1>,
    #[pin]
    handshake_work_2: Work<Device, 2>,
    #[pin]
    handshake_work_3: Work<Device, 3>,
    #[pin]
    news_work: Work<Device, TELL>,
}

impl_has_work! {
    impl HasWork<Device, 0> for Device { self.handshake_work_0 }
    impl HasWork<Device, 1> for Device { self.handshake_work_1 }
    impl HasWork<Device, 2> for Device { self.handshake_work_2 }
    impl HasWork<Device, 3> for Device { self.handshake_work_3 }
    impl HasWork<Device, TELL> for Device { self.news_work }
}

/// A prefix of addresses.
#[derive(Clone, Copy)]
struct Prefix {
    address: IpAddr,
    cidr: u8,
}

/// A peer with what only configuration needs to know of it.
struct Member {
    peer: RcuArc<Peer>,
    /// Its allowed IPs, numbered in the order in which they were added.
    allowed_ips: RBTree<u64, Prefix>,
}

/// What the device's mutex protects.
struct Configured {
    /// The peers, numbered in the order in which they were added.
    peers: RBTree<u64, Member>,
    peer_count: usize,
    /// The last number given to a peer or an allowed IP.
    last_number: u64,
    listen_port: u16,
    /// Of all devices' states a number of its own, so that a reader can tell whether it has seen a
    /// consistent one, and not the state of a device that took another's place.
    generation: u64,
    allowed_ips: Writer,
}

/// Returns a number that no state of a device has had before, and greater than those; never zero.
pub(crate) fn next_generation() -> u64 {
    static LAST: Atomic<i64> = Atomic::new(0);
    LAST.fetch_add(1, Relaxed) as u64 + 1
}

impl Device {
    /// The firewall mark of what the device sends, zero for none.
    #[inline]
    pub(crate) fn fwmark(&self) -> u32 {
        self.fwmark.load(Relaxed) as u32
    }

    /// Finds the peer that has an address among its allowed IPs: whom packets to it are for, and who
    /// may send packets from it.
    #[inline]
    pub(crate) fn peer_of<'g>(
        &'g self,
        address: IpAddr,
        guard: &'g Guard,
    ) -> Option<Borrowed<'g, Peer>> {
        match address {
            IpAddr::V4(v4) => self.allowed_ips.lookup_v4(v4.octets(), guard),
            IpAddr::V6(v6) => self.allowed_ips.lookup_v6(v6.octets(), guard),
        }
    }

    /// Finds a peer by its public key. Context: process context.
    pub(crate) fn peer_by_key(&self, public_key: &PublicKey) -> Option<RcuArc<Peer>> {
        self.peers_by_key.lock().get(public_key).cloned()
    }

    /// Finds what an index in a message stands for.
    #[inline]
    pub(crate) fn index_entry<'g>(
        &'g self,
        index: u32,
        guard: &'g Guard,
    ) -> Option<Borrowed<'g, IndexEntry>> {
        self.indices.get(self.index_seal.unseal(index), guard)
    }

    /// Finds the session that an index in a data message stands for.
    #[inline]
    pub(crate) fn session<'g>(
        &'g self,
        index: u32,
        guard: &'g Guard,
    ) -> Option<Borrowed<'g, Keypair>> {
        match self.index_entry(index, guard)?.get() {
            IndexEntry::Session(keypair) => Some(keypair.borrow()),
            IndexEntry::Handshake(_) => None,
        }
    }

    /// Gives out a number for a handshake or session; sealed, it is the index in messages.
    ///
    /// Context: process context. Errors: `ENOMEM`, `EBUSY`.
    pub(crate) fn new_index(&self, entry: IndexEntry) -> Result<u32> {
        self.indices.insert(RcuArc::new(entry)?, Gfp::Kernel)
    }

    /// Closes the sockets, if any, which takes at least a grace period. Returns whether there were
    /// any. Context: process context.
    fn close_sockets(&self) -> bool {
        let sockets = self.sockets.swap(None);
        if let Some(sockets) = &sockets {
            sockets.close();
        }
        sockets.is_some()
    }

    /// Returns whether these are the device's keys.
    pub(crate) fn has_identity(&self, identity: &RcuArc<Identity>) -> bool {
        let guard = rcu::read_lock();
        let current = self.identity.get(&guard);
        current.is_some_and(|current| current.is(identity))
    }

    /// Calls a function for each peer. Context: process context.
    fn for_each_peer(&self, mut f: impl FnMut(&RcuArc<Peer>)) {
        for member in self.configured.lock().peers.values() {
            f(&member.peer);
        }
    }

    /// Opens sockets on a port and closes the former ones. Errors: `ENONET` when the namespace
    /// that the device was created in is gone, those of opening.
    fn open_sockets(this: &RcuArc<Self>, configured: &mut Configured, port: u16) -> Result {
        let net = this.creating.find().ok_or(ENONET)?;
        let sockets = RcuArc::try_new(|| Sockets::open(this, &net, port))?;
        configured.listen_port = sockets.port();
        if let Some(former) = this.sockets.swap(Some(sockets)) {
            former.close();
        }
        Ok(())
    }
}

impl<'g> Borrowed<'g, Device> {
    /// Locks the configuration. Context: process context.
    pub(crate) fn lock(self) -> Config<'g> {
        let device = self.get();
        Config {
            this: self,
            configured: device.configured.lock(),
            removed: RBTree::new(),
        }
    }
}

/// A device's configuration, locked.
pub(crate) struct Config<'g> {
    this: Borrowed<'g, Device>,
    configured: LockGuard<'g, Configured, MutexBackend>,
    /// The peers that were removed since it was locked.
    removed: RBTree<u64, Member>,
}

impl Config<'_> {
    /// Returns whether the caller may change what concerns the sockets: whether it has
    /// `CAP_NET_ADMIN` in the namespace that they are in.
    pub(crate) fn may_administer_sockets(&self) -> bool {
        self.this
            .creating
            .find()
            .is_some_and(|net| net.may_administer())
    }

    /// Notes a change.
    pub(crate) fn changed(&mut self) {
        self.configured.generation = next_generation();
    }

    /// A number that grows with each change, and that no other device has; never zero.
    pub(crate) fn generation(&self) -> u64 {
        self.configured.generation
    }

    pub(crate) fn peer_count(&self) -> usize {
        self.configured.peer_count
    }

    /// The port that is or will be listened on, zero if one is yet to be chosen.
    pub(crate) fn listen_port(&self) -> u16 {
        self.configured.listen_port
    }

    /// Sets the port, at once if the device is up. Errors: `EADDRINUSE`, `ENOMEM`, …
    pub(crate) fn set_listen_port(&mut self, port: u16) -> Result {
        if self.configured.listen_port == port {
            return Ok(());
        }
        for member in self.configured.peers.values() {
            member.peer.forget_source();
        }
        if !self.this.netdev.is_running() {
            self.configured.listen_port = port;
            return Ok(());
        }
        let this = self.this.upgrade().ok_or(ENODEV)?;
        Device::open_sockets(&this, &mut self.configured, port)
    }

    /// The firewall mark of what the device sends, zero for none.
    pub(crate) fn fwmark(&self) -> u32 {
        self.this.fwmark()
    }

    /// Sets the firewall mark, which routes may depend on.
    pub(crate) fn set_fwmark(&mut self, fwmark: u32) {
        if fwmark == self.fwmark() {
            return;
        }
        self.this.fwmark.store(fwmark as i32, Relaxed);
        for member in self.configured.peers.values() {
            member.peer.forget_source();
        }
    }

    /// The device's keys, if it has any.
    pub(crate) fn identity(&self) -> Option<RcuArc<Identity>> {
        self.this.identity.load()
    }

    /// Returns whether a public key is the device's own.
    pub(crate) fn is_own_key(&self, public_key: &PublicKey) -> bool {
        self.this
            .identity
            .load()
            .is_some_and(|identity| identity.keys.public() == public_key)
    }

    /// Sets the private key, zeros for none. A peer that has the same key is removed, and all
    /// handshakes and sessions of the old key end. Errors: `ENOMEM`.
    pub(crate) fn set_private_key(&mut self, private: &Secret<32>) -> Result {
        let unchanged = match self.this.identity.load() {
            Some(identity) => identity.keys.is_of(private),
            None => private.is_zero(),
        };
        if unchanged {
            return Ok(());
        }
        let identity = match StaticIdentity::new(private) {
            Some(keys) => {
                let macs = MacKeys::new(keys.public());
                Some(RcuArc::new(Identity { keys, macs })?)
            }
            None => None,
        };
        if let Some(identity) = &identity {
            if let Some(peer) = self.peer(identity.keys.public()) {
                self.remove_peer(&peer);
            }
        }
        let had_identity = self.this.identity.swap(identity).is_some();
        for member in self.configured.peers.values() {
            let peer = &member.peer;
            peer.identity_changed();
            if !had_identity {
                // Packets may have waited for the device to have a key at all.
                self.send_staged(peer);
            }
        }
        Ok(())
    }

    /// Finds a peer.
    pub(crate) fn peer(&self, public_key: &PublicKey) -> Option<RcuArc<Peer>> {
        self.this.peer_by_key(public_key)
    }

    /// Adds a peer. Errors: `ENOMEM`, also when there are too many.
    pub(crate) fn create_peer(
        &mut self,
        public_key: &PublicKey,
        preshared_key: Option<&Secret<32>>,
    ) -> Result<RcuArc<Peer>> {
        if self.configured.peer_count >= MAX_PEERS {
            return Err(ENOMEM);
        }
        let device = self.this.upgrade().ok_or(ENODEV)?;
        let none = Secret::zero();
        let number = self.configured.next_number();
        let peer = Peer::new(device, number, public_key, preshared_key.unwrap_or(&none))?;
        let member = Member {
            peer: peer.clone(),
            allowed_ips: RBTree::new(),
        };
        self.configured
            .peers
            .try_create_and_insert(number, member, GFP_KERNEL)?;
        let by_key = self.this.peers_by_key.lock().try_create_and_insert(
            *public_key,
            peer.clone(),
            GFP_KERNEL,
        );
        if let Err(e) = by_key {
            self.configured.peers.remove(&number);
            return Err(e);
        }
        self.configured.peer_count += 1;
        events::peer_created(&peer);
        note(&peer, News::New);
        Ok(peer)
    }

    /// Removes a peer: it is unknown to everybody at once, and all that belongs to it goes when the
    /// configuration is unlocked.
    pub(crate) fn remove_peer(&mut self, peer: &RcuArc<Peer>) {
        self.clear_allowed_ips(peer, u64::MAX);
        if let Some(member) = self.configured.peers.remove_node(&peer.id) {
            self.configured.peer_count -= 1;
            self.this.peers_by_key.lock().remove(peer.public_key());
            peer.mark_removed();
            note(peer, News::Deleted);
            self.removed.insert(member);
        }
    }

    /// Removes all peers. Waits for one grace period, however many there are.
    pub(crate) fn remove_all_peers(&mut self) {
        let members = core::mem::replace(&mut self.configured.peers, RBTree::new());
        if members.is_empty() {
            return;
        }
        self.configured.peer_count = 0;
        *self.this.peers_by_key.lock() = RBTree::new();
        let allowed_ips = self.this.allowed_ips.take(&mut self.configured.allowed_ips);
        for member in members.values() {
            member.peer.mark_removed();
            note(&member.peer, News::Deleted);
        }
        finish_removals(&members);
        drop(allowed_ips);
    }

    /// The peers that were added after the one of a number, in order, with their numbers.
    pub(crate) fn peers_after(&self, number: u64) -> impl Iterator<Item = (u64, &RcuArc<Peer>)> {
        after(&self.configured.peers, number).map(|(number, member)| (number, &member.peer))
    }

    /// A peer's allowed IPs that were added after the one of a number, in order, with their
    /// numbers.
    pub(crate) fn allowed_ips_after(
        &self,
        peer: &RcuArc<Peer>,
        number: u64,
    ) -> impl Iterator<Item = (u64, IpAddr, u8)> + '_ {
        self.configured
            .peers
            .get(&peer.id)
            .into_iter()
            .flat_map(move |member| after(&member.allowed_ips, number))
            .map(|(number, prefix)| (number, prefix.address, prefix.cidr))
    }

    /// Gives a prefix to a peer; whoever had it loses it. Returns whether it was another's, or nobody's. Errors: `ENOMEM`.
    pub(crate) fn insert_allowed_ip(
        &mut self,
        peer: &RcuArc<Peer>,
        address: IpAddr,
        cidr: u8,
    ) -> Result<bool> {
        let configured = &mut *self.configured;
        let number = configured.next_number();
        let prefix = Prefix {
            address: masked(address, cidr),
            cidr,
        };
        let entry = RBTreeNode::new(number, prefix, GFP_KERNEL)?;
        if configured.peers.get(&peer.id).is_none() {
            return Err(ENODEV);
        }
        let former = self.this.allowed_ips.insert(
            &mut configured.allowed_ips,
            address,
            cidr,
            peer.clone(),
            number,
        )?;
        let mut changes = true;
        if let Some((owner, number)) = former {
            if let Some(member) = configured.peers.get_mut(&owner.id) {
                member.allowed_ips.remove(&number);
            }
            changes = !owner.ptr_eq(peer);
            if changes {
                note(&owner, News::Set);
            }
        }
        if let Some(member) = configured.peers.get_mut(&peer.id) {
            member.allowed_ips.insert(entry);
        }
        Ok(changes)
    }

    /// Takes a prefix from a peer, if it has it, and returns whether it had.
    pub(crate) fn remove_allowed_ip(
        &mut self,
        peer: &RcuArc<Peer>,
        address: IpAddr,
        cidr: u8,
    ) -> bool {
        let configured = &mut *self.configured;
        let removed =
            self.this
                .allowed_ips
                .remove(&mut configured.allowed_ips, address, cidr, peer);
        if let (Some(number), Some(member)) = (removed, configured.peers.get_mut(&peer.id)) {
            member.allowed_ips.remove(&number);
        }
        removed.is_some()
    }

    /// The number of the last peer or allowed IP that was added.
    pub(crate) fn last_number(&self) -> u64 {
        self.configured.last_number
    }

    /// Takes from a peer all prefixes with numbers up to the given one. Returns whether there were any.
    pub(crate) fn clear_allowed_ips(&mut self, peer: &RcuArc<Peer>, last: u64) -> bool {
        let mut changes = false;
        let configured = &mut *self.configured;
        let Some(member) = configured.peers.get_mut(&peer.id) else {
            return changes;
        };
        while let Some(cursor) = member.allowed_ips.cursor_front_mut() {
            if *cursor.current().0 > last {
                return changes;
            }
            changes = true;
            let (_, prefix) = cursor.remove_current().1.to_key_value();
            self.this.allowed_ips.remove(
                &mut configured.allowed_ips,
                prefix.address,
                prefix.cidr,
                peer,
            );
        }
        changes
    }

    /// Sends what waits for a peer's session, if the device is up.
    pub(crate) fn send_staged(&self, peer: &RcuArc<Peer>) {
        if self.this.netdev.is_running() {
            peer.send_staged_packets();
        }
    }
}

/// Waits until nobody who has found one of these peers begins anything for it, and takes all from them that
/// they have. Waits for one grace period, however many they are.
fn finish_removals(members: &RBTree<u64, Member>) {
    if members.is_empty() {
        return;
    }
    rcu::synchronize_net();
    for member in members.values() {
        member.peer.finish_removal();
        cpu::cond_resched();
    }
}

impl Drop for Config<'_> {
    fn drop(&mut self) {
        finish_removals(&self.removed);
    }
}

impl Configured {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// The entries of a tree behind a key.
fn after<V>(tree: &RBTree<u64, V>, key: u64) -> impl Iterator<Item = (u64, &V)> {
    let mut key = key;
    core::iter::from_fn(move || {
        let first = key.checked_add(1)?;
        key = *tree.cursor_lower_bound(&first)?.current().0;
        Some((key, tree.get(&key)?))
    })
}

/// An address without the bits behind a prefix of it.
fn masked(address: IpAddr, cidr: u8) -> IpAddr {
    let keep = u32::from(cidr);
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32u32.saturating_sub(keep))
                .unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & mask).into()
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128u32.saturating_sub(keep))
                .unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & mask).into()
        }
    }
}

impl TunnelDriver for Device {
    type Context = Arc<Engine>;

    const KIND: &'static CStr = c_str!("wireguard");
    const OVERHEAD: usize = 40 + 8 + DATA_MIN_LEN;
    const PADDING: usize = PADDING_MULTIPLE;
    const STATISTICS: usize = STATISTICS;

    fn new_link(
        engine: &Arc<Engine>,
        netdev: ARef<CountedDevice>,
        creating: &Net,
    ) -> Result<RcuArc<Self>> {
        engine.open_rate_limiter()?;
        let dev = netdev.clone();
        let creating = creating.id();
        let lanes = kernel::cpu::nr_cpu_ids() as usize;
        RcuArc::pin_init(
            try_pin_init!(Self {
                engine: engine.clone(),
                netdev,
                counters: DeviceCounters::new(),
                news <- DeviceNews::new(),
                creating,
                orphaned: Atomic::new(false),
                identity: RcuSlot::empty(),
                fwmark: Atomic::new(0),
                sockets: RcuSlot::empty(),
                allowed_ips: AllowedIps::new(),
                indices <- IdTable::new(),
                index_seal: IndexSeal::random(),
                peers_by_key <- new_mutex!(RBTree::new(), "Device::peers_by_key"),
                lanes <- NapiSet::new(&dev, lanes, |_| Lane::new()),
                inflow: Inflow::new(),
                handshakes <- new_spinlock_bh!(SkbList::new(), "Device::handshakes"),
                requests <- PeerList::new(),
                handshake_turn: Atomic::new(0),
                cookie_secret <- new_mutex!(CookieSecret::new(), "Device::cookie_secret"),
                configured <- new_mutex!(
                    Configured {
                        peers: RBTree::new(),
                        peer_count: 0,
                        last_number: 0,
                        listen_port: 0,
                        generation: next_generation(),
                        allowed_ips: Writer::new(),
                    },
                    "Device::configured"
                ),
                handshake_work_0 <- new_work!("Device::handshake_work_0"),
                handshake_work_1 <- new_work!("Device::handshake_work_1"),
                handshake_work_2 <- new_work!("Device::handshake_work_2"),
                handshake_work_3 <- new_work!("Device::handshake_work_3"),
                news_work <- new_work!("Device::news_work"),
            }),
            Gfp::Kernel,
        )
        .inspect(|device| {
            events::interface_created(device);
            device.lanes.enable();
        })
        .inspect_err(|_| engine.close_rate_limiter())
    }

    fn open(this: Borrowed<'_, Self>, rtnl: &RtnlGuard) -> Result {
        this.netdev.quiet_addressing(rtnl);
        let device = this.upgrade().ok_or(ENODEV)?;
        let mut config = this.lock();
        let port = config.listen_port();
        Device::open_sockets(&device, &mut config.configured, port)?;
        for member in config.configured.peers.values() {
            member.peer.send_staged_packets();
            if member.peer.persistent_keepalive() != 0 {
                member.peer.send_keepalive();
            }
        }
        Ok(())
    }

    fn stop(this: Borrowed<'_, Self>) {
        // After a grace period nobody who has seen the device up is still about to set a timer or stage
        // a packet.
        if !this.close_sockets() {
            rcu::synchronize_net();
        }
        this.for_each_peer(|peer| peer.stop());
        let dropped = core::mem::replace(&mut *this.handshakes.lock(), SkbList::new());
        drop_of_device(&this, Cause::Purged, dropped);
    }

    fn transmit(this: Borrowed<'_, Self>, skb: SkBuff<Routed>) -> Result {
        send::transmit(this, skb)
    }

    fn statistics(this: Borrowed<'_, Self>, tell: &mut dyn FnMut(&'static CStr, u64)) {
        this.counters.tell(this.engine.under_load_ms(), tell);
    }

    fn uninit(this: RcuArc<Self>) {
        this.close_sockets();
        this.borrow().lock().remove_all_peers();
        this.news.stop();
        this.lanes.detach();
        // Nobody puts in jobs any more. What is being worked on goes when that is done: to wait for it would
        // be to wait, with the RTNL, for a CPU that somebody else may hold.
        for lane in this.lanes.polled() {
            lane.purge();
        }
        // Not waited for, because the RTNL is held: handshakes that are being handled. They hold on to
        // the device, and find it without sockets, peers and keys.
        this.engine.close_rate_limiter();
        this.identity.swap(None);
        events::interface_destroyed(&this);
    }
}

impl DatagramReceiver for Device {
    fn receive(this: Borrowed<'_, Self>, skb: SkBuff<DatagramIn>) -> bool {
        let many = receive::datagram(this, skb);
        this.inflow.note(many)
    }
}

impl NamespaceExit for Device {
    fn exit(net: NetId, rtnl: &RtnlGuard) {
        link::for_each::<Device>(rtnl, |device| {
            if device.creating == net && !device.orphaned.xchg(true, Full) {
                events::creating_namespace_exits(&device);
                device.netdev.carrier_off();
                let config = device.lock();
                device.close_sockets();
                for member in config.configured.peers.values() {
                    member.peer.forget_source();
                }
            }
        });
    }
}

/// The machine is about to sleep: whoever gets at its memory shall find no keys.
impl Notified for Device {
    fn notified() {
        let rtnl = rtnl::lock();
        link::for_each::<Device>(&rtnl, |device| {
            device.for_each_peer(|peer| {
                peer.timers.state.keys_erased();
                peer.clear_handshake();
                peer.end_sessions();
            });
        });
        drop(rtnl);
        // Once for what names the keypairs in the index table, once for them.
        for _ in 0..2 {
            rcu_barrier();
        }
    }
}

/// What to do when the virtual machine was cloned: two machines must not use the same counters.
pub(crate) struct Cloned;

impl Notified for Cloned {
    fn notified() {
        let rtnl = rtnl::lock();
        link::for_each::<Device>(&rtnl, |device| {
            device.for_each_peer(|peer| peer.expire_session());
        });
    }
}
