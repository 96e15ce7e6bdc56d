// SPDX-License-Identifier: GPL-2.0

//! What all devices share: the work queues, and the rate limit of handshakes.

#![forbid(unsafe_code)]

use core::net::IpAddr;
use kernel::{
    c_str, new_mutex,
    prelude::*,
    sync::atomic::{Atomic, Full, Relaxed, Release},
    sync::{Arc, Mutex},
};

use crate::{
    cpu,
    messages::UNDER_LOAD_TIME,
    net::residents::Residents,
    ratelimiter::{RateLimiter, Row},
    timer,
    workqueue::{OwnedQueue, Placement},
};

/// How many rows of senders the rate limiter remembers.
const RATE_LIMITER_ROWS: usize = 8192;

/// What all devices share.
#[pin_data]
pub(crate) struct Engine {
    /// Encrypts and decrypts batches for other CPUs.
    crypt: OwnedQueue,
    /// Makes handshakes, which take long.
    pub(crate) handshake: OwnedQueue,
    /// What the devices have in network namespaces.
    pub(crate) residents: Arc<Residents>,
    /// For each CPU, whether it has been given a batch that it has not finished.
    busy: KVec<Atomic<bool>>,
    /// When the machine was last under load, zero if that is long ago.
    last_under_load: Atomic<i64>,
    #[pin]
    rate_limiter: Mutex<SharedLimiter>,
}

/// The rate limiter of all links, which is there as long as there are any.
struct SharedLimiter {
    users: usize,
    limiter: Option<RateLimiter<KVVec<Row>>>,
}

impl Engine {
    /// Creates the work queues. Context: process context. Errors: `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let mut busy = KVec::new();
        for _ in 0..kernel::cpu::nr_cpu_ids() {
            busy.push(Atomic::new(false), GFP_KERNEL)?;
        }
        let residents = Residents::register()?;
        let crypt = OwnedQueue::new(c_str!("wg-crypt"), Placement::PerCpu)?;
        let handshake = OwnedQueue::new(c_str!("wg-kex"), Placement::Unbound)?;
        Arc::pin_init(
            pin_init!(Self {
                crypt,
                handshake,
                residents,
                busy,
                last_under_load: Atomic::new(0),
                rate_limiter <- new_mutex!(
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

    /// Returns the queue for batches.
    pub(crate) fn crypt(&self) -> &OwnedQueue {
        &self.crypt
    }

    /// Finds a CPU that has no batch to work on and marks it as having one. CPUs that are set apart get
    /// no work of others.
    ///
    /// `None` if there is no other CPU than this one, or none is free: then whoever asks does best
    /// to work itself, which also keeps senders from getting ahead of the crypto.
    pub(crate) fn claim_idle_cpu(&self) -> Option<u32> {
        if cpu::online_count() < 2 {
            return None;
        }
        let here = kernel::cpu::CpuId::current().as_u32();
        let mut candidate = cpu::next_online(here);
        while candidate != here {
            if let Some(busy) = self.busy.get(candidate as usize) {
                let is_free = !busy.load(Relaxed) && cpu::is_housekeeping(candidate);
                if is_free && !busy.xchg(true, Full) {
                    return Some(candidate);
                }
            }
            let next = cpu::next_online(candidate);
            if next == candidate {
                break;
            }
            candidate = next;
        }
        None
    }

    /// Marks a CPU as having no batch to work on.
    pub(crate) fn release_cpu(&self, cpu: u32) {
        if let Some(busy) = self.busy.get(cpu as usize) {
            busy.store(false, Release);
        }
    }

    /// Returns whether handshakes are under load: whether too many are waiting now, or were a moment
    /// ago.
    pub(crate) fn is_under_load(&self, now_loaded: bool) -> bool {
        let now = timer::coarse_boottime_ns();
        if now_loaded {
            self.last_under_load.store(now as i64, Relaxed);
            return true;
        }
        let last = self.last_under_load.load(Relaxed) as u64;
        if last == 0 {
            return false;
        }
        if now.saturating_sub(last) < UNDER_LOAD_TIME {
            return true;
        }
        self.last_under_load.store(0, Relaxed);
        false
    }

    /// Keeps the rate limiter for one more link, and sets it up for the first. Context: process
    /// context. Errors: `ENOMEM`.
    pub(crate) fn open_rate_limiter(&self) -> Result {
        let mut shared = self.rate_limiter.lock();
        if shared.limiter.is_none() {
            let rows = KVVec::from_elem(Row::EMPTY, RATE_LIMITER_ROWS, GFP_KERNEL)?;
            shared.limiter = Some(RateLimiter::new(rows));
        }
        shared.users += 1;
        Ok(())
    }

    /// A link needs the rate limiter no more; it goes with the last. Context: process context.
    pub(crate) fn close_rate_limiter(&self) {
        let mut shared = self.rate_limiter.lock();
        shared.users = shared.users.saturating_sub(1);
        if shared.users == 0 {
            shared.limiter = None;
        }
    }

    /// Returns whether a handshake message from this address may be answered now.
    ///
    /// Context: process context.
    pub(crate) fn allow_handshake(&self, namespace: u32, from: &IpAddr) -> bool {
        let now = timer::coarse_boottime_ns();
        match &mut self.rate_limiter.lock().limiter {
            Some(limiter) => limiter.allow(namespace, from, now),
            None => false,
        }
    }
}
