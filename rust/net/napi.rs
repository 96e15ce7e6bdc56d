// SPDX-License-Identifier: GPL-2.0

//! NAPI: polling for received packets in softirq context.
//!
//! Locking: turning instances on and off is serialised by a mutex of the set. An object that is polled lives as long as
//! the set. Only making one can fail.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{Acquire, Atomic, Full, Relaxed, Release},
        Mutex,
    },
    types::Opaque,
};
use pin_init::PinInit;

use super::{
    device::NetDevice,
    gro::Merging,
    skb::{PacketIn, Protocol, SkBuff},
    skb_list::SkbList,
};
use crate::{bindings, cpu::SoftirqsDisabled, rcu::RcuArc};

/// Something that has packets to deliver when it is polled.
pub(crate) trait Poll: Send + Sync + Sized {
    /// Delivers up to about `budget` packets through `receiver` and returns how many there were;
    /// less than `budget` means that there are no more for now.
    ///
    /// Context: softirq; not on two CPUs at once for the same object.
    fn poll(&self, receiver: &mut Receiver<'_>, budget: usize) -> usize;

    /// Calls a function that polls the object, and hands on what was held back until then. Context: as above.
    fn while_polled<R>(&self, f: impl FnOnce() -> R) -> R;
}

/// Hands packets to the network stack.
///
/// # Invariants
///
/// Softirqs are disabled for `'a`. `napi`, if there is one, is being polled on this CPU meanwhile.
pub(crate) struct Receiver<'a> {
    napi: Option<NonNull<bindings::napi_struct>>,
    poll: u32,
    merging: Merging,
    /// What is not merged, to be handed over together.
    plain: SkbList<PacketIn>,
    _polling: PhantomData<&'a mut ()>,
}

impl<'a> Receiver<'a> {
    /// One that merges nothing, outside of polling. Context: softirq.
    #[inline]
    pub(crate) fn for_lone_packets(_softirqs: &'a mut SoftirqsDisabled) -> Self {
        // INVARIANT: By the argument.
        Self {
            napi: None,
            poll: 0,
            merging: Merging::default(),
            plain: SkbList::new(),
            _polling: PhantomData,
        }
    }

    /// Returns the number of the poll, zero if it is none: see [`NapiSet::is_handed_over`].
    pub(crate) fn poll(&self) -> u32 {
        self.poll
    }

    /// Hands a packet of a protocol to the stack, which merges it with its neighbours where it can while it is polled.
    #[inline]
    pub(crate) fn receive(&mut self, skb: SkBuff<PacketIn>, protocol: Protocol) {
        let Some(napi) = self.napi else {
            // SAFETY: Softirqs are disabled, and the buffer is ours to give.
            unsafe { bindings::netif_receive_skb(skb.into_raw().as_ptr()) };
            return;
        };
        if !self.merging.is_possible(&skb, protocol) {
            self.plain.push_back(skb);
            return;
        }
        let skb = skb.into_raw().as_ptr();
        // SAFETY: The instance is being polled on this CPU by the type invariant, and the buffer is ours to give.
        unsafe { bindings::gro_receive_skb(&raw mut (*napi.as_ptr()).gro, skb) };
    }
}

impl Drop for Receiver<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.plain.is_empty() {
            core::mem::replace(&mut self.plain, SkbList::new()).receive();
        }
    }
}

/// One NAPI instance and the object that it polls.
///
/// # Invariants
///
/// `napi` is initialised by `netif_napi_add`, and pinned.
#[pin_data]
struct Instance<T> {
    #[pin]
    napi: Opaque<bindings::napi_struct>,
    /// The number of the last poll, counted by the CPU that polls.
    begun: Atomic<u32>,
    /// That of one after which nothing was held back.
    handed_over: Atomic<u32>,
    #[pin]
    polled: T,
}

/// The instances of a set: busy polling looks them up by number under RCU, so their end waits for a grace period.
struct Instances<T>(KVec<Pin<KBox<Instance<T>>>>);

// SAFETY: NAPI instances synchronise themselves with atomic state bits.
unsafe impl<T: Send + Sync> Send for Instances<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for Instances<T> {}

/// What state the instances of a set that are known to a device are in.
#[derive(PartialEq, Eq)]
enum State {
    Off,
    On,
}

/// A set of NAPI instances of a device, each polling an object of its own.
///
/// # Invariants
///
/// Unless `detached` is set, all instances are known to `dev`, and enabled exactly when `state` is `On`. It is only
/// set under the lock of `state`.
#[pin_data(PinnedDrop)]
pub(crate) struct NapiSet<T> {
    /// Keeps the device from being freed while it knows the instances.
    dev: ARef<NetDevice>,
    instances: RcuArc<Instances<T>>,
    #[pin]
    state: Mutex<State>,
    detached: Atomic<bool>,
}

impl<T: Poll + 'static> NapiSet<T> {
    /// Creates `count` instances of `dev`, off at first.
    ///
    /// Unregistering the device does not end before [`Self::detach`] is called and the set is dropped. Context:
    /// process context. Errors: `ENOMEM`, and those of `init`.
    pub(crate) fn new<'a, I: PinInit<T, Error>>(
        dev: &'a NetDevice,
        count: usize,
        init: impl Fn(usize) -> I + 'a,
    ) -> impl PinInit<Self, Error> + 'a
    where
        T: 'a,
    {
        try_pin_init!(Self {
            dev: dev.into(),
            instances: {
                let init = &init;
                let mut instances = KVec::with_capacity(count, GFP_KERNEL)?;
                for index in 0..count {
                    let value = init(index);
                    let instance = KBox::try_pin_init(
                        try_pin_init!(Instance {
                            // SAFETY: `slot` is valid for writes; zeroed is how instances are
                            // handed to `netif_napi_add`.
                            napi <- Opaque::ffi_init(|slot: *mut bindings::napi_struct| unsafe {
                                slot.write_bytes(0, 1)
                            }),
                            begun: Atomic::new(0),
                            handed_over: Atomic::new(0),
                            polled <- value,
                        }? Error),
                        GFP_KERNEL,
                    )?;
                    instances.push(instance, GFP_KERNEL)?;
                }
                let instances = RcuArc::new(Instances(instances))?;
                // Only now can nothing fail any more.
                for instance in &instances.0 {
                    // SAFETY: The device is valid. The instance is pinned in its box, which is
                    // kept until the set is dropped.
                    // INVARIANT: The device knows the instance, which is off.
                    unsafe {
                        // What is polled is filled by this device's own work, not by hardware: a
                        // socket that waits for it must not spin meanwhile.
                        bindings::napi_forbid_busy_polling(instance.napi.get());
                        bindings::netif_napi_add(
                            dev.as_raw(),
                            instance.napi.get(),
                            Some(poll::<T>),
                        )
                    };
                }
                instances
            },
            state <- new_mutex!(State::Off, "NapiSet::state"),
            detached: Atomic::new(false),
        })
    }

    /// Returns the objects that are polled.
    pub(crate) fn polled(&self) -> impl Iterator<Item = &T> {
        self.instances.0.iter().map(|instance| &instance.polled)
    }

    /// Returns one of the objects that are polled.
    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        Some(&self.instances.0.get(index)?.polled)
    }

    /// Returns whether all that [`Receiver`]s got in a poll of an instance, of that number, has been handed to the stack. Until
    /// the end of a poll GRO may hold it back (longer, if `gro_flush_timeout` is set for the device).
    #[inline]
    pub(crate) fn is_handed_over(&self, index: usize, poll: u32) -> bool {
        let instance = self.instances.0.get(index);
        instance.is_none_or(|one| one.handed_over.load(Acquire).wrapping_sub(poll) <= u32::MAX / 2)
    }

    /// Has an object polled soon on this CPU, if the set is enabled.
    ///
    /// Context: any but hard interrupts.
    #[inline]
    pub(crate) fn schedule(&self, index: usize) {
        if let Some(instance) = self.instances.0.get(index) {
            // SAFETY: The instance is initialised; one that is disabled or detached has its
            // `SCHED` bit set, which makes this do nothing. Enabling softirqs again runs the poll
            // at once in process context.
            unsafe {
                bindings::local_bh_disable();
                bindings::napi_schedule(instance.napi.get());
                bindings::local_bh_enable();
            }
        }
    }

    /// Lets the objects be polled. Context: process context, may sleep.
    pub(crate) fn enable(&self) {
        let mut state = self.state.lock();
        if *state == State::Off && !self.detached.load(Relaxed) {
            for instance in &self.instances.0 {
                // SAFETY: The instance is attached and off.
                unsafe { bindings::napi_enable(instance.napi.get()) };
            }
            *state = State::On;
        }
    }

    /// Waits for polls under way and forbids further ones. Context: process context, may sleep.
    pub(crate) fn disable(&self) {
        let mut state = self.state.lock();
        if *state == State::On {
            for instance in &self.instances.0 {
                // SAFETY: The instance is attached and on.
                unsafe { bindings::napi_disable(instance.napi.get()) };
            }
            *state = State::Off;
        }
    }

    /// Returns whether the instances were taken away from the device, so that nothing is polled any more.
    ///
    /// A full memory barrier, if not: what a caller has put in before, finding the set attached, the function
    /// that detaches the set sees.
    pub(crate) fn is_detached(&self) -> bool {
        self.detached.cmpxchg(false, false, Full).is_err()
    }

    /// Disables all instances and takes them away from the device, for good.
    ///
    /// Context: process context, may sleep.
    pub(crate) fn detach(&self) {
        self.disable();
        let state = self.state.lock();
        if *state == State::Off && !self.detached.xchg(true, Full) {
            for instance in &self.instances.0 {
                // SAFETY: The instance is attached and off. Its memory stays for a grace period from its last use on.
                unsafe { bindings::netif_napi_del_nosync(instance.napi.get()) };
            }
        }
    }
}

#[pinned_drop]
impl<T> PinnedDrop for NapiSet<T> {
    fn drop(self: Pin<&mut Self>) {
        let this = self.project();
        // Not under the lock: this may be an RCU callback, which must not sleep.
        if !this.detached.load(Relaxed) {
            // The device would still use the instances: better to lose both than to free them.
            pr_err!("NAPI instances were not detached; leaking them\n");
            core::mem::forget(this.dev.clone());
            core::mem::forget(this.instances.clone());
        }
    }
}

/// The C poll function.
///
/// # Safety
///
/// Only to be called by the networking core for an [`Instance<T>`].
unsafe extern "C" fn poll<T: Poll>(
    napi: *mut bindings::napi_struct,
    budget: kernel::ffi::c_int,
) -> kernel::ffi::c_int {
    let Ok(limit) = usize::try_from(budget) else {
        return 0;
    };
    if limit == 0 {
        // Netpoll asks for transmit completions only, which there are none of.
        return 0;
    }
    let outer = napi.cast::<Opaque<bindings::napi_struct>>();
    // SAFETY: The instance is the `napi` of an `Instance<T>`, which lives while it is attached.
    let instance = unsafe { &*kernel::container_of!(outer, Instance<T>, napi) };
    let number = instance.begun.load(Relaxed).wrapping_add(1);
    instance.begun.store(number, Relaxed);
    instance.polled.while_polled(|| {
        let mut receiver = Receiver {
            poll: number,
            // INVARIANT: The core polls this instance on this CPU now.
            // SAFETY: The core hands in a valid pointer.
            napi: Some(unsafe { NonNull::new_unchecked(napi) }),
            merging: Merging::default(),
            plain: SkbList::new(),
            _polling: PhantomData,
        };
        let done = instance.polled.poll(&mut receiver, limit).min(limit);
        drop(receiver);
        if done < limit {
            // SAFETY: The instance is being polled on this CPU.
            unsafe { bindings::napi_complete_done(napi, done as kernel::ffi::c_int) };
            // The next poll may have begun elsewhere; what it gets has a larger number.
            instance.handed_over.store(number, Release);
        }
        done as kernel::ffi::c_int
    })
}
