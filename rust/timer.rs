// SPDX-License-Identifier: GPL-2.0

//! Timers of jiffies resolution that keep what they are for alive, and clocks.
//!
//! Locking: setting and stopping a timer takes the lock of a CPU's timers, which the caller must not hold, as it is in an expiry of
//! another. Clocks: any context, no lock. Nothing can fail.
//!
//! C headers: [`include/linux/timer.h`](srctree/include/linux/timer.h),
//! [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)
//!
//! # Examples
//!
//! ```
//! use crate::{
//!     rcu::RcuArc,
//!     timer::{jiffies, new_timer, seconds, Timer, TimerExpired},
//! };
//! #[pin_data]
//! struct Egg {
//!     #[pin]
//!     timer: Timer<Egg, 0>,
//! }
//! impl TimerExpired<0> for Egg {
//!     fn expired(_this: RcuArc<Self>) {
//!         pr_info!("done\n");
//!     }
//! }
//! let egg = RcuArc::pin_init(
//!     try_pin_init!(Egg {
//!         timer <- new_timer!("egg"),
//!     }? Error),
//!     GFP_KERNEL,
//! )?;
//! egg.timer.reduce(&egg, jiffies().wrapping_add(seconds(240)));
//! egg.timer.stop();
//! ```

use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr,
    sync::{
        atomic::{Atomic, Relaxed},
        LockClassKey,
    },
    time::Jiffies,
    types::Opaque,
};

use crate::{bindings, rcu::RcuArc};

/// A timer for a `T`, the `ID`th kind of timer of that type.
///
/// While it is pending it holds a reference to the `T`, which the expiry hands to
/// [`TimerExpired::expired`].
///
/// # Invariants
///
/// The timer is initialised. While it is pending, `owner` came from [`RcuArc::into_raw`] and its
/// count belongs to the timer. Once set, `owner` never changes.
#[pin_data(PinnedDrop)]
pub(crate) struct Timer<T: TimerExpired<ID>, const ID: u64> {
    #[pin]
    timer: Opaque<bindings::timer_list>,
    owner: Atomic<*mut T>,
    _owner: PhantomData<RcuArc<T>>,
}

// SAFETY: All operations on a `timer_list` are synchronised by the timer's base lock. The `T` is
// only reached through an `RcuArc<T>`.
unsafe impl<T: TimerExpired<ID>, const ID: u64> Send for Timer<T, ID> {}
// SAFETY: As above.
unsafe impl<T: TimerExpired<ID>, const ID: u64> Sync for Timer<T, ID> {}

/// What happens when the `ID`th timer of an object expires.
pub(crate) trait TimerExpired<const ID: u64>: Sized + Send + Sync {
    /// Called in softirq context.
    fn expired(this: RcuArc<Self>);
}

impl<T: TimerExpired<ID>, const ID: u64> Timer<T, ID> {
    /// Creates an initialiser of a timer that is not pending.
    pub(crate) fn new(name: &'static CStr, key: Pin<&'static LockClassKey>) -> impl PinInit<Self> {
        pin_init!(Self {
            // INVARIANT: Initialised and not pending.
            timer <- Opaque::ffi_init(|slot| {
                // SAFETY: `slot` is valid for writes; name and key are static.
                unsafe {
                    bindings::timer_init_key(
                        slot,
                        Some(Self::callback),
                        0,
                        name.as_char_ptr(),
                        key.as_ptr().cast(),
                    )
                }
            }),
            owner: Atomic::new(core::ptr::null_mut()),
            _owner: PhantomData,
        })
    }

    /// Makes the timer expire for `owner` at a time in jiffies, unless it expires earlier. Returns whether it was not
    /// pending before.
    ///
    /// That it is pending, and until when, may be seen without a lock: a caller that relies on what other CPUs do at the same time puts
    /// a fence in front. A timer is of one owner only; for another one this does nothing. Context: any but hard
    /// interrupts.
    pub(crate) fn reduce(&self, owner: &RcuArc<T>, expires: Jiffies) -> bool {
        if self.is_pending() {
            // SAFETY: The timer is initialised by the type invariant. The field may change meanwhile, but is written and
            // read as a whole.
            let current = unsafe { (&raw const (*self.timer.get()).expires).read_volatile() };
            if expires.wrapping_sub(current) <= Jiffies::MAX / 2 {
                return false;
            }
        }
        let count = owner.clone().into_raw();
        // INVARIANT: `owner` is only set once.
        let known = match self
            .owner
            .cmpxchg(core::ptr::null_mut(), count.cast_mut(), Relaxed)
        {
            Ok(_) => count,
            Err(known) => known.cast_const(),
        };
        let is_new = core::ptr::eq(known, count)
            // SAFETY: The timer is initialised by the type invariant. If it was not pending, the count is now the timer's
            // (invariant), else it has one already.
            && unsafe { bindings::timer_reduce(self.timer.get(), expires) == 0 };
        if !is_new {
            // SAFETY: Nobody took the count.
            drop(unsafe { RcuArc::from_raw(count) });
        }
        is_new
    }

    /// Returns whether the timer is pending.
    #[inline]
    pub(crate) fn is_pending(&self) -> bool {
        // SAFETY: The timer is initialised by the type invariant.
        unsafe { bindings::timer_pending(self.timer.get()) }
    }

    /// Makes a pending timer not expire and waits for an expiry under way.
    ///
    /// Context: process context; the caller holds no lock that the expiry takes.
    pub(crate) fn stop(&self) {
        // SAFETY: The timer is initialised by the type invariant.
        if unsafe { bindings::timer_delete_sync(self.timer.get()) } != 0 {
            // SAFETY: The count was the timer's while it was pending, and it is no longer.
            drop(unsafe { RcuArc::from_raw(self.owner.load(Relaxed)) });
        }
    }

    /// The C callback.
    ///
    /// # Safety
    ///
    /// Only to be called by the timer core for an expired [`Timer`].
    unsafe extern "C" fn callback(timer: *mut bindings::timer_list) {
        let timer = timer.cast::<Opaque<bindings::timer_list>>();
        // SAFETY: The core calls this for the `timer` of a `Timer`, which is alive: it waits for
        // this function before it goes.
        let owner = unsafe {
            let this = kernel::container_of!(timer, Self, timer);
            (*this).owner.load(Relaxed)
        };
        // SAFETY: The count was the timer's while it was pending, and it has just stopped being so.
        T::expired(unsafe { RcuArc::from_raw(owner) });
    }
}

#[pinned_drop]
impl<T: TimerExpired<ID>, const ID: u64> PinnedDrop for Timer<T, ID> {
    fn drop(self: Pin<&mut Self>) {
        // A timer that is part of its owner cannot be pending here.
        self.stop();
    }
}

/// Creates a [`Timer`] initialiser with a name and a newly-created lock class.
macro_rules! new_timer {
    ($name:literal) => {
        $crate::timer::Timer::new(kernel::c_str!($name), kernel::static_lock_class!())
    };
}
pub(crate) use new_timer;

/// Time since boot in nanoseconds, suspend included, at the resolution of the tick
/// (`ktime_get_coarse_boottime_ns`). Context: any.
#[inline]
pub(crate) fn coarse_boottime_ns() -> u64 {
    // SAFETY: May be called in any context.
    unsafe { bindings::ktime_get_coarse_boottime_ns() }
}

/// Time since boot in nanoseconds, without suspend (`ktime_get`). Context: any.
#[inline]
pub(crate) fn monotonic_ns() -> u64 {
    // SAFETY: May be called in any context.
    unsafe { bindings::ktime_get() as u64 }
}

/// The time in jiffies. Context: any.
#[inline]
pub(crate) fn jiffies() -> Jiffies {
    // SAFETY: Reading `jiffies` is always fine.
    unsafe { bindings::jiffies_now() }
}

/// A number that grows every `ms` milliseconds, or every tick if those are longer.
#[inline]
pub(crate) fn period(ms: u32) -> u32 {
    // Worked out when it is compiled, as `msecs_to_jiffies` would do.
    (jiffies() / (ms * bindings::WIREGUARD_HZ).div_ceil(1000) as Jiffies) as u32
}

/// Wall-clock time as seconds and nanoseconds since the epoch (`ktime_get_real_ts64`).
///
/// Context: any.
pub(crate) fn real_time() -> (i64, u32) {
    let mut now = bindings::timespec64::default();
    // SAFETY: `now` is valid for writes.
    unsafe { bindings::ktime_get_real_ts64(&mut now) };
    (now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Returns a random time below `limit` milliseconds, in jiffies.
pub(crate) fn random_below_ms(limit: u32) -> Jiffies {
    let limit = u32::try_from(kernel::time::msecs_to_jiffies(limit)).unwrap_or(u32::MAX);
    // SAFETY: Always safe to call.
    unsafe { bindings::get_random_u32_below(limit.max(1)) as Jiffies }
}

/// The length of a number of seconds in jiffies.
pub(crate) fn seconds(seconds: u32) -> Jiffies {
    kernel::time::msecs_to_jiffies(seconds.saturating_mul(1000))
}
