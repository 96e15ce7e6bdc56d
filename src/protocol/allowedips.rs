// SPDX-License-Identifier: GPL-2.0

//! Allowed IPs (whitepaper, section 2: cryptokey routing): which peer owns which addresses.
//!
//! A binary radix trie with compressed paths for each of IPv4 and IPv6. Each node stands for a
//! prefix, and is there because a peer owns that prefix or because two subtries part there; so there
//! are fewer than twice as many nodes as prefixes. A lookup walks down while the prefixes cover the
//! address and remembers the last owner that it met: longest prefix match in at most 33 (129) steps,
//! usually a handful, each on a node that fits a cache line (two).
//!
//! Lookups take no lock and touch no reference count: they run under RCU, and may run while the trie
//! is changed. Every change takes effect by replacing one pointer, so a lookup finds the trie either
//! before or after it; nothing is ever moved in place. Writers need the [`Writer`] token, which the
//! device keeps behind its mutex.

#![forbid(unsafe_code)]

use core::net::IpAddr;
use core::sync::atomic::{AtomicU32, Ordering};

use crate::rcu::{AllocError, Guard, RcuArc, RcuArcBorrow, RcuSlot};

/// An IP address as a number, its first bit the most significant one.
pub(crate) trait Address: Copy + Eq + Send + Sync + 'static {
    /// How many bits it has.
    const BITS: u8;

    /// How many leading bits two addresses have in common.
    fn common_bits(self, other: Self) -> u8;

    /// Whether the bit at this position is set. `false` past the end.
    fn bit(self, position: u8) -> bool;

    /// The address with all but the first `cidr` bits cleared.
    fn masked(self, cidr: u8) -> Self;
}

macro_rules! impl_address {
    ($number:ty) => {
        impl Address for $number {
            const BITS: u8 = <$number>::BITS as u8;

            #[inline]
            fn common_bits(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }

            #[inline]
            fn bit(self, position: u8) -> bool {
                let shifted = self.wrapping_shl(position.into());
                position < <Self as Address>::BITS && shifted.leading_zeros() == 0
            }

            #[inline]
            fn masked(self, cidr: u8) -> Self {
                let cleared = <Self as Address>::BITS.saturating_sub(cidr);
                let mask = <$number>::MAX.checked_shl(cleared.into()).unwrap_or(0);
                self & mask
            }
        }
    };
}

impl_address!(u32);
impl_address!(u128);

/// The number that a caller attached to a prefix: see [`AllowedIps::insert`].
///
/// Only writers use it, one at a time, so the two halves need no ordering. They are halves because
/// not every CPU has 64-bit atomics.
struct Tag {
    high: AtomicU32,
    low: AtomicU32,
}

impl Tag {
    const fn new(tag: u64) -> Self {
        Self {
            high: AtomicU32::new((tag >> 32) as u32),
            low: AtomicU32::new(tag as u32),
        }
    }

    fn get(&self) -> u64 {
        u64::from(self.high.load(Ordering::Relaxed)) << 32
            | u64::from(self.low.load(Ordering::Relaxed))
    }

    fn set(&self, tag: u64) {
        self.high.store((tag >> 32) as u32, Ordering::Relaxed);
        self.low.store(tag as u32, Ordering::Relaxed);
    }
}

/// A prefix. Children have longer prefixes that begin with it; the next bit says which child.
struct Node<A: Address, P: Send + Sync + 'static> {
    /// The prefix, the bits behind it zero.
    address: A,
    /// Its length in bits.
    cidr: u8,
    zero: RcuSlot<Node<A, P>>,
    one: RcuSlot<Node<A, P>>,
    /// The peer that owns the prefix. Empty where subtries merely part.
    owner: RcuSlot<P>,
    tag: Tag,
}

impl<A: Address, P: Send + Sync + 'static> Node<A, P> {
    fn new(address: A, cidr: u8, owner: Option<RcuArc<P>>, tag: u64) -> Self {
        Self {
            address,
            cidr,
            zero: RcuSlot::empty(),
            one: RcuSlot::empty(),
            owner: RcuSlot::new(owner),
            tag: Tag::new(tag),
        }
    }

    #[inline]
    fn covers(&self, address: A) -> bool {
        self.address.common_bits(address) >= self.cidr
    }

    /// The child towards an address that this prefix covers.
    #[inline]
    fn child(&self, address: A) -> &RcuSlot<Self> {
        if address.bit(self.cidr) {
            &self.one
        } else {
            &self.zero
        }
    }
}

/// Leave to change an [`AllowedIps`].
///
/// One exists per trie; its mutable borrow is the only writer. Keep it inside the mutex
/// that makes this so.
pub(crate) struct Writer(());

impl Writer {
    /// Makes the token for a new trie.
    pub(crate) const fn new() -> Self {
        Self(())
    }
}

/// The trie of one address family.
struct Trie<A: Address, P: Send + Sync + 'static>(RcuSlot<Node<A, P>>);

impl<A: Address, P: Send + Sync + 'static> Trie<A, P> {
    const fn new() -> Self {
        Self(RcuSlot::empty())
    }

    #[inline]
    fn lookup<'g>(&'g self, address: A, guard: &'g Guard) -> Option<RcuArcBorrow<'g, P>> {
        let mut longest = None;
        let mut slot = &self.0;
        while let Some(node) = slot.get(guard) {
            let node = node.get();
            if !node.covers(address) {
                break;
            }
            if let Some(owner) = node.owner.get(guard) {
                longest = Some(owner);
            }
            if node.cidr >= A::BITS {
                break;
            }
            slot = node.child(address);
        }
        longest
    }

    /// The slot in which a walk towards `address` goes on behind `parent`, `None` being the top.
    fn slot<'a>(
        &'a self,
        parent: &'a Option<RcuArc<Node<A, P>>>,
        address: A,
    ) -> &'a RcuSlot<Node<A, P>> {
        match parent {
            Some(parent) => parent.child(address),
            None => &self.0,
        }
    }

    /// See [`AllowedIps::insert`].
    fn insert(
        &self,
        address: A,
        cidr: u8,
        owner: RcuArc<P>,
        tag: u64,
    ) -> Result<Option<(RcuArc<P>, u64)>, AllocError> {
        let cidr = cidr.min(A::BITS);
        let address = address.masked(cidr);

        // Walk down past all shorter prefixes of this one.
        let mut parent = None;
        let below = loop {
            let Some(node) = self.slot(&parent, address).load() else {
                break None;
            };
            if node.cidr > cidr || !node.covers(address) {
                break Some(node);
            }
            if node.cidr == cidr {
                let former_tag = node.tag.get();
                node.tag.set(tag);
                let former = node.owner.swap(Some(owner));
                return Ok(former.map(|former| (former, former_tag)));
            }
            parent = Some(node);
        };

        let leaf = RcuArc::new(Node::new(address, cidr, Some(owner), tag))?;
        let new = match below {
            None => leaf,
            // The node there is longer and begins with the new prefix: it becomes its child.
            Some(below) if leaf.covers(below.address) => {
                let under = below.address;
                leaf.child(under).swap(Some(below));
                leaf
            }
            // They part before either ends: a node without owner takes both.
            Some(below) => {
                let common = address.common_bits(below.address);
                let fork = RcuArc::new(Node::new(address.masked(common), common, None, 0))?;
                let under = below.address;
                fork.child(under).swap(Some(below));
                fork.child(address).swap(Some(leaf));
                fork
            }
        };
        // Up to here no reader could see the new nodes. What was there is now below them.
        self.slot(&parent, address).swap(Some(new));
        Ok(None)
    }

    /// See [`AllowedIps::remove`].
    fn remove(&self, address: A, cidr: u8, owner: &RcuArc<P>) -> Option<u64> {
        let cidr = cidr.min(A::BITS);
        let address = address.masked(cidr);

        let mut grandparent = None;
        let mut parent: Option<RcuArc<Node<A, P>>> = None;
        let node = loop {
            let node = self.slot(&parent, address).load()?;
            if node.cidr > cidr || !node.covers(address) {
                return None;
            }
            if node.cidr == cidr {
                break node;
            }
            grandparent = parent;
            parent = Some(node);
        };
        if !node.owner.load()?.ptr_eq(owner) {
            return None;
        }
        let tag = node.tag.get();
        node.owner.swap(None);

        // A node without owner stays only where two subtries part.
        let remaining = match (node.zero.is_empty(), node.one.is_empty()) {
            (false, false) => return Some(tag),
            (false, true) => node.zero.load(),
            (true, _) => node.one.load(),
        };
        let gone = remaining.is_none();
        self.slot(&parent, address).swap(remaining);
        if let (true, Some(parent)) = (gone, parent) {
            // Its parent has one child fewer, and may have been there only to take two.
            if parent.owner.is_empty() {
                let sibling = if address.bit(parent.cidr) {
                    parent.zero.load()
                } else {
                    parent.one.load()
                };
                self.slot(&grandparent, address).swap(sibling);
            }
        }
        Some(tag)
    }

    /// Takes all nodes out.
    fn take(&self) -> Self {
        Self(RcuSlot::new(self.0.swap(None)))
    }

    /// Detaches all nodes from each other before they are given up, in constant stack space and linear
    /// time. All are then freed after one grace period.
    fn dismantle(&mut self) {
        // The head of a list of nodes, linked through `one`, still to be taken apart.
        let mut list = self.0.swap(None);
        while let Some(node) = list {
            match node.zero.swap(None) {
                // A node with nothing on its zero side heads a list already.
                None => list = node.one.swap(None),
                // Otherwise turn about: the zero child becomes the head and the node follows it, on
                // its one side; what was there goes to the node's zero side, to be taken apart later.
                // Each turn makes the list longer by one node, so it ends.
                Some(child) => {
                    node.zero.swap(child.one.swap(None));
                    child.one.swap(Some(node));
                    list = Some(child);
                }
            }
        }
    }
}

/// A device's table of allowed IPs. `P` is the peer.
pub(crate) struct AllowedIps<P: Send + Sync + 'static> {
    v4: Trie<u32, P>,
    v6: Trie<u128, P>,
}

impl<P: Send + Sync + 'static> AllowedIps<P> {
    /// An empty table.
    pub(crate) const fn new() -> Self {
        Self {
            v4: Trie::new(),
            v6: Trie::new(),
        }
    }

    /// Gives a prefix to a peer, taking it from the one that has it.
    ///
    /// `cidr` is the prefix' length; bits of the address behind it are ignored, as is what exceeds the
    /// address' own length. `tag` is any number, kept for the caller; a former owner (which may be the
    /// same peer) is returned together with its tag, so that the caller finds its own record of it.
    ///
    /// Context: process context, allocates with `GFP_KERNEL`. When that fails nothing has changed.
    pub(crate) fn insert(
        &self,
        _writer: &mut Writer,
        address: IpAddr,
        cidr: u8,
        owner: RcuArc<P>,
        tag: u64,
    ) -> Result<Option<(RcuArc<P>, u64)>, AllocError> {
        match address {
            IpAddr::V4(address) => self.v4.insert(address.to_bits(), cidr, owner, tag),
            IpAddr::V6(address) => self.v6.insert(address.to_bits(), cidr, owner, tag),
        }
    }

    /// Takes a prefix from a peer, if the peer has exactly that one; returns its tag.
    ///
    /// Allocates nothing. Nodes that have become superfluous leave the trie; each keeps its reference
    /// to the node below it until its own grace period has passed, because readers may stand on it,
    /// so when many prefixes within each other are removed the memory returns over several.
    pub(crate) fn remove(
        &self,
        _writer: &mut Writer,
        address: IpAddr,
        cidr: u8,
        owner: &RcuArc<P>,
    ) -> Option<u64> {
        match address {
            IpAddr::V4(address) => self.v4.remove(address.to_bits(), cidr, owner),
            IpAddr::V6(address) => self.v6.remove(address.to_bits(), cidr, owner),
        }
    }

    /// Takes everything out: new lookups find nothing.
    ///
    /// Returns a table with what was in this one, for the caller to drop, which takes linear time. If
    /// there may be lookups under way, after a grace period: until then they find what they always
    /// did.
    #[must_use]
    pub(crate) fn take(&self, _writer: &mut Writer) -> Self {
        Self {
            v4: self.v4.take(),
            v6: self.v6.take(),
        }
    }

    /// Finds the peer that owns the longest prefix of an address, given in network byte order.
    ///
    /// Context: any. Takes no lock and no reference.
    #[inline]
    pub(crate) fn lookup_v4<'g>(
        &'g self,
        address: [u8; 4],
        guard: &'g Guard,
    ) -> Option<RcuArcBorrow<'g, P>> {
        self.v4.lookup(u32::from_be_bytes(address), guard)
    }

    /// As [`AllowedIps::lookup_v4`], for IPv6.
    #[inline]
    pub(crate) fn lookup_v6<'g>(
        &'g self,
        address: [u8; 16],
        guard: &'g Guard,
    ) -> Option<RcuArcBorrow<'g, P>> {
        self.v6.lookup(u128::from_be_bytes(address), guard)
    }
}

impl<P: Send + Sync + 'static> Drop for AllowedIps<P> {
    fn drop(&mut self) {
        self.v4.dismantle();
        self.v6.dismantle();
    }
}
