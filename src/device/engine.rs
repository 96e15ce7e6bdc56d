// SPDX-License-Identifier: GPL-2.0

//! What all devices share: the work queues, and the rate limit of handshakes.

#![forbid(unsafe_code)]

use core::{alloc::Layout, net::IpAddr};
use kernel::{
    c_str,
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
    sync::Arc,
};

use crate::{
    cpu,
    device::local::Local,
    net::{device::NetDevice, residents::Residents},
    protocol::{
        messages::UNDER_LOAD_TIME,
        ratelimiter::{RateLimiter, Row},
    },
    slab::Cache,
    sync::{new_spinlock_bh, SpinLockBh},
    timer,
    workqueue::{OwnedQueue, Placement},
};

/// How many rows of senders the rate limiter remembers.
const RATE_LIMITER_ROWS: usize = 8192;

/// What all devices share.
#[pin_data]
pub(crate) struct Engine {
    /// Encrypts what was collected, and sends, on the CPU where a queue is at home.
    crypt: OwnedQueue,
    /// Encrypts and decrypts for other CPUs.
    helpers: OwnedQueue,
    /// How many do so.
    helping: Atomic<u32>,
    /// Makes handshakes, which take long.
    pub(crate) handshake: OwnedQueue,
    /// Whether a socket listens for what happens to peers, in the namespace that a device is in.
    has_listeners: fn(&NetDevice) -> bool,
    /// What the devices have in network namespaces.
    pub(crate) residents: Arc<Residents>,
    /// Memory of peers.
    pub(crate) peers: Cache,
    locals: KVec<Pin<KBox<Local>>>,
    /// When the machine was last under load, zero if that is long ago.
    last_under_load: Atomic<u64>,
    /// Since when it has been, zero if it is not; and for how long it had been before, in nanoseconds.
    under_load_since: Atomic<u64>,
    was_under_load: Atomic<u64>,
    #[pin]
    rate_limiter: SpinLockBh<SharedLimiter>,
}

/// The rate limiter of all links, which is there as long as there are any.
struct SharedLimiter {
    users: usize,
    limiter: Option<RateLimiter<KVVec<Row>>>,
}

impl Engine {
    /// Creates the work queues. Context: process context. Errors: `ENOMEM`.
    ///
    /// `has_listeners` returns whether a socket listens for what happens to peers of a device. Context: any.
    /// `peer` is the layout of a peer's memory.
    pub(crate) fn new(has_listeners: fn(&NetDevice) -> bool, peer: Layout) -> Result<Arc<Self>> {
        let residents = Residents::register()?;
        let peers = Cache::new(c_str!("wg_peer"), peer)?;
        let mut locals = KVec::new();
        for _ in 0..kernel::cpu::nr_cpu_ids() {
            locals.push(KBox::try_pin_init(Local::new(), GFP_KERNEL)?, GFP_KERNEL)?;
        }
        let crypt = OwnedQueue::new(c_str!("wg-crypt"), Placement::PerCpu)?;
        let helpers = OwnedQueue::new(c_str!("wg-help"), Placement::Anywhere)?;
        let handshake = OwnedQueue::new(c_str!("wg-kex"), Placement::AnywhereFrozen)?;
        Arc::pin_init(
            pin_init!(Self {
                crypt,
                helpers,
                helping: Atomic::new(0),
                handshake,
                has_listeners,
                residents,
                peers,
                locals,
                last_under_load: Atomic::new(0),
                under_load_since: Atomic::new(0),
                was_under_load: Atomic::new(0),
                rate_limiter <- new_spinlock_bh!(
                    SharedLimiter {
                        users: 0,
                        limiter: None,
                    },
                    "Engine::rate_limiter"
                ),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns whether a socket listens for what happens to the peers of a device. Context: any.
    pub(crate) fn has_listeners(&self, netdev: &NetDevice) -> bool {
        (self.has_listeners)(netdev)
    }

    /// Returns the queue for what belongs on a CPU.
    pub(crate) fn crypt(&self) -> &OwnedQueue {
        &self.crypt
    }

    /// Returns the queue of helpers.
    pub(crate) fn helpers(&self) -> &OwnedQueue {
        &self.helpers
    }

    /// Returns whether another helper may be sent: there are never more than there are other CPUs that may be given work.
    /// Who cannot send one does best to work himself, which also keeps senders from getting ahead of the crypto.
    pub(crate) fn may_help(&self) -> bool {
        self.helping.load(Relaxed) + 1 < cpu::housekeeping_count() as u32
    }

    /// Counts in another helper, if one may be sent.
    pub(crate) fn begin_help(&self) -> bool {
        if !self.may_help() {
            return false;
        }
        let most = cpu::housekeeping_count() as u32;
        if self.helping.fetch_add(1, Relaxed) + 1 >= most {
            self.end_help();
            return false;
        }
        true
    }

    /// A helper has finished.
    pub(crate) fn end_help(&self) {
        let _ = self.helping.fetch_sub(1, Relaxed);
    }

    /// Returns the data of the CPU that this runs on. It stays valid if the caller migrates to another CPU meanwhile.
    #[inline]
    pub(crate) fn local(&self) -> Result<&Local> {
        let here = kernel::cpu::CpuId::current().as_u32();
        Ok(self.locals.get(here as usize).ok_or(EINVAL)?)
    }

    /// Returns whether handshakes are under load: whether too many are waiting now, or were a moment
    /// ago.
    pub(crate) fn is_under_load(&self, now_loaded: bool, now: u64) -> bool {
        if now_loaded {
            self.last_under_load.store(now, Relaxed);
            let _ = self.under_load_since.cmpxchg(0, now, Relaxed);
            return true;
        }
        let last = self.last_under_load.load(Relaxed);
        if last == 0 {
            return false;
        }
        if now.saturating_sub(last) < UNDER_LOAD_TIME {
            return true;
        }
        self.last_under_load.store(0, Relaxed);
        let since = self.under_load_since.xchg(0, Relaxed);
        if since != 0 {
            let lasted = (last + UNDER_LOAD_TIME).saturating_sub(since);
            let _ = self.was_under_load.fetch_add(lasted, Relaxed);
        }
        false
    }

    /// For how long the machine has been under load in all, in milliseconds.
    pub(crate) fn under_load_ms(&self) -> u64 {
        let since = self.under_load_since.load(Relaxed);
        let last = self.last_under_load.load(Relaxed);
        let until = timer::coarse_boottime_ns().min(last.saturating_add(UNDER_LOAD_TIME));
        let now = if since == 0 {
            0
        } else {
            until.saturating_sub(since)
        };
        self.was_under_load.load(Relaxed).saturating_add(now) / 1_000_000
    }

    /// Keeps the rate limiter for one more link, and sets it up for the first. Context: process
    /// context. Errors: `ENOMEM`.
    pub(crate) fn open_rate_limiter(&self) -> Result {
        let rows = KVVec::from_elem(Row::EMPTY, RATE_LIMITER_ROWS, GFP_KERNEL)?;
        let mut shared = self.rate_limiter.lock();
        let spare = match shared.limiter {
            Some(_) => Some(rows),
            None => {
                shared.limiter = Some(RateLimiter::new(rows));
                None
            }
        };
        shared.users += 1;
        drop(shared);
        drop(spare);
        Ok(())
    }

    /// A link needs the rate limiter no more; it goes with the last. Context: process context.
    pub(crate) fn close_rate_limiter(&self) {
        let mut shared = self.rate_limiter.lock();
        shared.users = shared.users.saturating_sub(1);
        let last = match shared.users {
            0 => shared.limiter.take(),
            _ => None,
        };
        drop(shared);
        drop(last);
    }

    /// Returns whether a handshake message from this address may be answered now.
    ///
    /// Context: any but hard interrupts.
    pub(crate) fn allow_handshake(&self, namespace: u32, from: &IpAddr) -> bool {
        let now = timer::coarse_boottime_ns();
        match &mut self.rate_limiter.lock().limiter {
            Some(limiter) => limiter.allow(namespace, from, now),
            None => false,
        }
    }
}
