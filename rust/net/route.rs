// SPDX-License-Identifier: GPL-2.0

//! Routes to where datagrams are sent, and per-CPU caches of them.
//!
//! Context: softirqs disabled, for which the [`SoftirqsDisabled`] is evidence, or the RCU read side; [`Drop`]: any but hard
//! interrupts. Locking: none. Only making a cache can fail.
//!
//! C headers: [`include/net/route.h`](srctree/include/net/route.h),
//! [`include/net/ip6_route.h`](srctree/include/net/ip6_route.h),
//! [`include/net/dst_cache.h`](srctree/include/net/dst_cache.h)

use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    alloc::Flags,
    error::to_result,
    list::{impl_list_arc_safe, impl_list_item, ListArc, ListLinks},
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Release},
        Arc,
    },
    types::Opaque,
};

use super::{namespace::NetId, residents::Residents};
use crate::{bindings, cpu::SoftirqsDisabled, gfp, rcu::Guard};

/// A counted reference to a route (`struct dst_entry`), for an RCU read side.
///
/// # Invariants
///
/// `dst` is a valid route in the namespace `net`, which is not freed during `'g`; this object owns one reference.
pub(crate) struct Route<'g> {
    dst: NonNull<bindings::dst_entry>,
    net: NetId,
    _guard: PhantomData<&'g Guard>,
}

impl<'g> Route<'g> {
    /// Takes over a reference.
    ///
    /// # Safety
    ///
    /// The caller owns one reference to `dst` and gives it up. It is a route in `net`, which is not freed during `'g`.
    pub(super) unsafe fn from_raw(dst: NonNull<bindings::dst_entry>, net: NetId) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            dst,
            net,
            _guard: PhantomData,
        }
    }

    /// Gives the reference away.
    pub(super) fn into_raw(self) -> *mut bindings::dst_entry {
        core::mem::ManuallyDrop::new(self).dst.as_ptr()
    }

    /// Takes another reference.
    pub(crate) fn share(&self) -> Self {
        // SAFETY: The route is valid.
        unsafe { bindings::dst_hold(self.dst.as_ptr()) };
        // INVARIANT: The reference just taken belongs to the copy.
        Self {
            dst: self.dst,
            net: self.net,
            _guard: PhantomData,
        }
    }

    /// Returns the index of the interface that the route leaves by.
    pub(crate) fn interface(&self, _guard: &Guard) -> i32 {
        // SAFETY: The route is valid, and so is its device while RCU is held.
        unsafe { (*bindings::dst_dev(self.dst.as_ptr())).ifindex }
    }

    /// Returns what one buffer of several UDP datagrams may be on this route, as for a local socket
    /// (`sk_setup_caps`). Context: softirqs disabled.
    pub(crate) fn gso_limits(&self, _guard: &Guard) -> GsoLimits {
        // Ethernet's, IPv6's and UDP's, and what else a device may want.
        const HEADERS: u32 = 128;

        // SAFETY: The route is valid, and so is its device while RCU is held, whose fields are read once
        // each.
        unsafe {
            let dst = self.dst.as_ptr();
            let dev = bindings::dst_dev(dst);
            let size = if self.family() == bindings::AF_INET {
                &raw const (*dev).gso_ipv4_max_size
            } else {
                &raw const (*dev).gso_max_size
            };
            let can_gso = bindings::dst_can_gso(dst);
            let segments = (&raw const (*dev).gso_max_segs).read_volatile();
            GsoLimits {
                bytes: size.read_volatile().saturating_sub(HEADERS),
                segments: if can_gso { segments.max(1).into() } else { 1 },
                is_queued: bindings::dev_has_backlog(dev),
            }
        }
    }

    /// Returns the address family of the route.
    pub(super) fn family(&self) -> u32 {
        // SAFETY: The route is valid, and so are its operations, which are static or part of its
        // namespace.
        u32::from(unsafe { (*(*self.dst.as_ptr()).ops).family })
    }

    /// Returns the time to live of IPv4 packets on this route.
    pub(super) fn hop_limit_v4(&self) -> u8 {
        // SAFETY: The route is a valid one of IPv4.
        unsafe { bindings::ip4_dst_hoplimit(self.dst.as_ptr()) as u8 }
    }

    /// Returns the hop limit of IPv6 packets on this route.
    pub(super) fn hop_limit_v6(&self) -> u8 {
        // SAFETY: The route is a valid one of IPv6.
        unsafe { bindings::ip6_dst_hoplimit(self.dst.as_ptr()) as u8 }
    }
}

impl Drop for Route<'_> {
    fn drop(&mut self) {
        // SAFETY: The reference is ours and given up here.
        unsafe { bindings::dst_release(self.dst.as_ptr()) };
    }
}

/// What one buffer of several UDP datagrams may be on a route.
#[derive(Clone, Copy)]
pub(crate) struct GsoLimits {
    /// How many bytes of payload it may hold.
    pub(crate) bytes: u32,
    /// How many datagrams it may hold; one if the device is to get each on its own.
    pub(crate) segments: u32,
    /// Whether packets wait in the device's queue.
    pub(crate) is_queued: bool,
}

/// Remembers, per CPU, one route in a namespace, and the source address that goes with it.
pub(crate) struct RouteCache {
    remembered: Arc<Remembered>,
    residents: Arc<Residents>,
}

/// What the namespace's end must find.
///
/// # Invariants
///
/// `cache` is initialised, and all routes in it are of the namespace `net`. No context that sees `is_shut`
/// set puts one in, and none is in it when that namespace is freed.
#[pin_data(PinnedDrop)]
pub(super) struct Remembered {
    pub(super) net: NetId,
    is_shut: Atomic<bool>,
    #[pin]
    cache: Opaque<bindings::dst_cache>,
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Remembered { untracked; }
}
impl_list_item! {
    impl ListItem<0> for Remembered { using ListLinks { self.links }; }
}

// SAFETY: The cache is per CPU and used with softirqs disabled.
unsafe impl Send for Remembered {}
// SAFETY: As above.
unsafe impl Sync for Remembered {}

impl Remembered {
    /// From a grace period after this on no thread puts anything into the cache, or takes anything out.
    /// Returns whether it was not shut before.
    pub(super) fn shut(&self) -> bool {
        let was_shut = self.is_shut();
        self.is_shut.store(true, Release);
        !was_shut
    }

    /// Returns whether it was shut.
    pub(super) fn is_shut(&self) -> bool {
        self.is_shut.load(Acquire)
    }

    /// Lets go of all routes.
    ///
    /// # Safety
    ///
    /// A grace period has passed since the cache was shut, or it is empty and stays so.
    pub(super) unsafe fn forget(&self) {
        // SAFETY: The cache is initialised, and by the safety requirement nobody uses it.
        unsafe { bindings::dst_cache_reset_now(self.cache.get()) };
    }

    /// Returns the cache, unless it is shut.
    fn open(&self, _softirqs: &SoftirqsDisabled) -> Option<*mut bindings::dst_cache> {
        // With softirqs disabled, this is an RCU read side.
        (!self.is_shut()).then(|| self.cache.get())
    }
}

#[pinned_drop]
impl PinnedDrop for Remembered {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The cache is initialised and not used any more.
        unsafe { bindings::dst_cache_destroy(self.cache.get()) };
    }
}

impl RouteCache {
    /// Creates an empty cache of routes in a namespace. Context: that of `flags`. Errors: `ENOMEM`.
    pub(crate) fn new(residents: &Arc<Residents>, net: NetId, flags: Flags) -> Result<Self> {
        let remembered = ListArc::pin_init(
            try_pin_init!(Remembered {
                net,
                is_shut: Atomic::new(false),
                links <- ListLinks::new(),
                // Last, as nothing may fail any more: only the drop of the whole destroys it.
                // SAFETY: The cache is valid for writes.
                cache <- Opaque::try_ffi_init(|cache| unsafe {
                    to_result(bindings::dst_cache_init(cache, gfp::raw(flags)))
                }),
            }),
            flags,
        )?;
        let this = remembered.clone_arc();
        residents.enter(remembered, flags)?;
        Ok(Self {
            remembered: this,
            residents: residents.clone(),
        })
    }

    /// Returns the cached IPv4 route and its source address, if it is still valid.
    #[inline]
    pub(crate) fn get_v4<'g>(
        &self,
        softirqs: &'g SoftirqsDisabled,
    ) -> Option<(Route<'g>, [u8; 4])> {
        let mut source = 0u32;
        // SAFETY: The cache is initialised; `source` is valid for writes.
        let rt =
            unsafe { bindings::dst_cache_get_ip4(self.remembered.open(softirqs)?, &mut source) };
        // SAFETY: The callee returned a reference that is ours, to a route in this namespace, which lives on while
        // softirqs are disabled. A `rtable` starts with its `dst`.
        let route = unsafe { Route::from_raw(NonNull::new(rt.cast())?, self.remembered.net) };
        (route.family() == bindings::AF_INET).then(|| (route, source.to_ne_bytes()))
    }

    /// Caches an IPv4 route with its source address, if it is one in this namespace.
    pub(crate) fn set_v4(&self, route: &Route<'_>, source: [u8; 4], softirqs: &SoftirqsDisabled) {
        let Some(cache) = self.remembered.open(softirqs) else {
            return;
        };
        if route.net == self.remembered.net && route.family() == bindings::AF_INET {
            let source = u32::from_ne_bytes(source);
            // SAFETY: The cache is initialised and the route is valid; the callee takes a reference
            // of its own.
            unsafe { bindings::dst_cache_set_ip4(cache, route.dst.as_ptr(), source) };
        }
    }

    /// Returns the cached IPv6 route and its source address, if it is still valid.
    #[inline]
    pub(crate) fn get_v6<'g>(
        &self,
        softirqs: &'g SoftirqsDisabled,
    ) -> Option<(Route<'g>, [u8; 16])> {
        let mut source = bindings::in6_addr::default();
        // SAFETY: The cache is initialised; `source` is valid for writes.
        let dst =
            unsafe { bindings::dst_cache_get_ip6(self.remembered.open(softirqs)?, &mut source) };
        // SAFETY: As in `get_v4`.
        let route = unsafe { Route::from_raw(NonNull::new(dst)?, self.remembered.net) };
        // SAFETY: All views of the union are plain bytes.
        let source = unsafe { source.in6_u.u6_addr8 };
        (route.family() == bindings::AF_INET6).then_some((route, source))
    }

    /// Caches an IPv6 route with its source address, if it is one in this namespace.
    pub(crate) fn set_v6(&self, route: &Route<'_>, source: [u8; 16], softirqs: &SoftirqsDisabled) {
        let Some(cache) = self.remembered.open(softirqs) else {
            return;
        };
        if route.net == self.remembered.net && route.family() == bindings::AF_INET6 {
            let source = super::udp::in6_addr(source);
            // SAFETY: As in `set_v4`; the route is one of IPv6.
            unsafe { bindings::dst_cache_set_ip6(cache, route.dst.as_ptr(), &source) };
        }
    }

    /// Makes all CPUs forget their routes when they next look. Context: any.
    pub(crate) fn reset(&self) {
        // SAFETY: The cache is initialised.
        unsafe { bindings::dst_cache_reset(self.remembered.cache.get()) };
    }
}

impl Drop for RouteCache {
    fn drop(&mut self) {
        // SAFETY: It was taken in when this was made, and nobody else has it.
        unsafe { self.residents.remove(&self.remembered) };
    }
}
