// SPDX-License-Identifier: GPL-2.0

//! Timers of jiffies resolution that belong to a reference-counted object.
//!
//! C header: [`include/linux/timer.h`](srctree/include/linux/timer.h)

use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CStr,
    sync::LockClassKey,
    time::Jiffies,
    types::Opaque,
};
use pin_init::PinInit;

use crate::{bindings, rcu::RcuArc};

/// A timer embedded in a `T`, the `ID`th of its kind there.
///
/// While it is pending it holds a reference to the `T`, which the expiry hands to
/// [`TimerExpired::expired`].
///
/// # Invariants
///
/// The timer is initialised, and pending only while one count of the `T`'s [`RcuArc`] is set aside
/// for it.
#[pin_data]
#[repr(transparent)]
pub(crate) struct Timer<T, const ID: u64> {
    #[pin]
    timer: Opaque<bindings::timer_list>,
    _owner: PhantomData<T>,
}

// SAFETY: All operations on a `timer_list` are synchronised by the timer's base lock. The `T` is
// only reached through an `RcuArc<T>`.
unsafe impl<T: Send + Sync, const ID: u64> Send for Timer<T, ID> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync, const ID: u64> Sync for Timer<T, ID> {}

/// What happens when the `ID`th timer of an object expires.
pub(crate) trait TimerExpired<const ID: u64>: Sized {
    /// Called in softirq context.
    fn expired(this: RcuArc<Self>);
}

/// Declares which field of a type is its `ID`th [`Timer`].
///
/// # Safety
///
/// `raw_timer` must return the address of the field that `container_of_timer` starts from.
/// Implemented by [`impl_has_timer!`].
pub(crate) unsafe trait HasTimer<const ID: u64>: Sized {
    /// Returns the address of the timer in the object.
    ///
    /// # Safety
    ///
    /// `this` must point at a valid object.
    unsafe fn raw_timer(this: *const Self) -> *const Timer<Self, ID>;

    /// Returns the address of the object around a timer.
    ///
    /// # Safety
    ///
    /// `timer` must point at the timer field of a valid object.
    unsafe fn container_of_timer(timer: *const Timer<Self, ID>) -> *const Self;
}

/// Implements [`HasTimer`] for fields of a type.
macro_rules! impl_has_timer {
    ($type:ty { $($id:expr => $field:ident),* $(,)? }) => {$(
        // SAFETY: Both functions go through the same field, whose type the compiler checks.
        unsafe impl $crate::timer::HasTimer<{ $id }> for $type {
            unsafe fn raw_timer(this: *const Self) -> *const $crate::timer::Timer<Self, { $id }> {
                // SAFETY: The caller promises that `this` is valid.
                unsafe { &raw const (*this).$field }
            }

            unsafe fn container_of_timer(
                timer: *const $crate::timer::Timer<Self, { $id }>,
            ) -> *const Self {
                // SAFETY: The caller promises that `timer` is that field of a valid object.
                unsafe { kernel::container_of!(timer.cast_mut(), Self, $field) }
            }
        }
    )*};
}
pub(crate) use impl_has_timer;

impl<T, const ID: u64> Timer<T, ID>
where
    T: HasTimer<ID> + TimerExpired<ID> + Send + Sync,
{
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
            _owner: PhantomData,
        })
    }

    fn of(owner: &RcuArc<T>) -> &Self {
        // SAFETY: The owner is valid, hence so is its field.
        unsafe { &*T::raw_timer(&raw const **owner) }
    }

    /// Makes the `ID`th timer of `owner` expire in `delay`, whether or not it was pending.
    ///
    /// Context: any but hard interrupts.
    pub(crate) fn arm(owner: &RcuArc<T>, delay: Jiffies) {
        let this = Self::of(owner);
        // SAFETY: Reading `jiffies` is always fine.
        let expires = unsafe { bindings::jiffies_now() }.wrapping_add(delay);
        // INVARIANT: This count is the one set aside for the pending timer.
        let count = owner.clone().into_raw();
        // SAFETY: The timer is initialised by the type invariant.
        if unsafe { bindings::mod_timer(this.timer.get(), expires) } != 0 {
            // SAFETY: It was pending with a count of its own, so the new one is not needed.
            drop(unsafe { RcuArc::from_raw(count) });
        }
    }

    /// Returns whether the timer is pending.
    pub(crate) fn is_pending(&self) -> bool {
        // SAFETY: The timer is initialised by the type invariant.
        unsafe { bindings::timer_pending(self.timer.get()) }
    }

    /// Makes a pending timer not expire; does not wait for an expiry under way.
    ///
    /// Context: any but hard interrupts.
    #[inline]
    pub(crate) fn disarm(&self) {
        if !self.is_pending() {
            return;
        }
        // SAFETY: The timer is initialised by the type invariant.
        let was_pending = unsafe { bindings::timer_delete(self.timer.get()) } != 0;
        self.release_if(was_pending);
    }

    /// Makes a pending timer not expire and waits for an expiry under way.
    ///
    /// Context: process context; the caller holds no lock that the expiry takes.
    pub(crate) fn disarm_sync(&self) {
        // SAFETY: The timer is initialised by the type invariant.
        let was_pending = unsafe { bindings::timer_delete_sync(self.timer.get()) } != 0;
        self.release_if(was_pending);
    }

    fn release_if(&self, was_pending: bool) {
        if was_pending {
            // SAFETY: `self` is the timer of a valid `T`, whose count was set aside while the
            // timer was pending, and it is no longer.
            drop(unsafe { RcuArc::from_raw(T::container_of_timer(self)) });
        }
    }

    /// The C callback.
    ///
    /// # Safety
    ///
    /// Only to be called by the timer core for an expired [`Timer`].
    unsafe extern "C" fn callback(timer: *mut bindings::timer_list) {
        // CAST: `Timer` is a transparent wrapper of `timer_list`.
        let this = timer.cast::<Self>();
        // SAFETY: The timer is the field of a valid `T`, whose count was set aside while the timer
        // was pending; it has just stopped being so.
        T::expired(unsafe { RcuArc::from_raw(T::container_of_timer(this)) });
    }
}

/// Creates a [`Timer`] initialiser with a name and a newly-created lock class.
macro_rules! new_timer {
    ($name:literal) => {
        $crate::timer::Timer::new(kernel::c_str!($name), kernel::static_lock_class!())
    };
}
pub(crate) use new_timer;

/// Time since boot in nanoseconds, suspend included, at the resolution of the tick.
///
/// C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)
/// (`ktime_get_coarse_boottime_ns`). Context: any.
#[inline]
pub(crate) fn coarse_boottime_ns() -> u64 {
    // SAFETY: May be called in any context.
    unsafe { bindings::ktime_get_coarse_boottime_ns() }
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

/// The length of a number of seconds in jiffies.
pub(crate) fn seconds(seconds: u32) -> Jiffies {
    kernel::time::msecs_to_jiffies(seconds.saturating_mul(1000))
}
