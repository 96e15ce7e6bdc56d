// SPDX-License-Identifier: GPL-2.0

//! What a CPU has of its own, for all devices: memory that is used over and over.

#![forbid(unsafe_code)]

use kernel::{
    prelude::*,
    sync::atomic::{Atomic, Relaxed},
};

use crate::{
    device::bounce::BounceCache,
    net::skb::{PageFrag, PagePool},
    sync::{new_spinlock_bh, SpinLockBh},
};

/// What a CPU has of its own, in cache lines of its own.
#[pin_data]
#[repr(align(64))]
pub(crate) struct Local {
    /// Whether packets are being delivered here.
    is_delivering: Atomic<bool>,
    /// Where messages are decrypted from.
    #[pin]
    pub(crate) bounce: BounceCache,
    #[pin]
    memory: SpinLockBh<Memory>,
}

/// Memory for parts of packets.
struct Memory {
    /// What the last received packets have left of theirs, for the next ones.
    rest: Option<PageFrag>,
    pool: PagePool,
}

impl Local {
    /// What a CPU has at first: nothing.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            is_delivering: Atomic::new(false),
            bounce <- BounceCache::new(),
            memory <- new_spinlock_bh!(
                Memory {
                    rest: None,
                    pool: PagePool::new()?,
                },
                "Local::memory"
            ),
        })
    }

    /// Allocates memory for parts of packets. Context: any but hard interrupts. Errors: as [`PagePool::alloc`].
    pub(crate) fn page_frag(&self, len: usize) -> Result<PageFrag> {
        self.memory.lock().pool.alloc(len)
    }

    /// Returns memory of `least` bytes or more. Who has taken what is wanted of it gives the rest back
    /// ([`Self::keep_rest`]). Context, errors: as above.
    pub(crate) fn page_frag_with_rest(&self, least: usize) -> Result<PageFrag> {
        let mut memory = self.memory.lock();
        match memory.rest.take_if(|rest| rest.len() >= least) {
            Some(rest) => Ok(rest),
            None => memory.pool.alloc(least.max(PageFrag::MAX)),
        }
    }

    /// Keeps what is left of memory, or what there was of it, if that is more. Context: as above.
    pub(crate) fn keep_rest(&self, rest: PageFrag) {
        let mut memory = self.memory.lock();
        let has_more = |kept: &PageFrag| kept.len() >= rest.len();
        let unused = match memory.rest.as_ref().is_some_and(has_more) {
            true => Some(rest),
            false => memory.rest.replace(rest),
        };
        drop(memory);
        drop(unused);
    }

    /// Calls a function that delivers packets. Context: softirqs disabled, on this CPU.
    #[inline]
    pub(crate) fn while_delivering<R>(&self, deliver: impl FnOnce() -> R) -> R {
        self.is_delivering.store(true, Relaxed);
        let result = deliver();
        self.is_delivering.store(false, Relaxed);
        result
    }

    /// Calls a function that delivers a packet at once, unless this is called by what a delivered one led to: the stack is
    /// not deep enough for tunnels within tunnels. Context: as above.
    #[inline]
    pub(crate) fn at_once<R>(&self, deliver: impl FnOnce() -> R) -> Option<R> {
        let is_delivering = self.is_delivering.load(Relaxed);
        (!is_delivering).then(|| self.while_delivering(deliver))
    }
}
