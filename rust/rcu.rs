// SPDX-License-Identifier: GPL-2.0

//! Reference-counted values whose memory outlives their last reference by a grace period.
//!
//! [`RcuArc`] is a reference-counted pointer like [`kernel::sync::Arc`], except that the value is
//! dropped and its memory freed only one RCU grace period after the count reached zero.
//! [`RcuSlot`] is a place that holds an `Option<RcuArc<T>>` which can be replaced at any time and
//! read without a lock and without touching the count.
//!
//! Together they make RCU safe by construction: a reader that finds a value in a slot while a
//! [`Guard`] is alive may use it until the guard is dropped, because the slot held a reference
//! after the guard was taken, so the grace period that precedes the value's end cannot have
//! elapsed before the guard is gone.
//!
//! Context: any, but where an item says something else. Locking: none; readers hold a [`Guard`], which must not be kept
//! over anything that sleeps. Lifetime: see above. Only allocating can fail.
//!
//! C headers: [`include/linux/rcupdate.h`](srctree/include/linux/rcupdate.h),
//! [`include/linux/refcount.h`](srctree/include/linux/refcount.h)
//!
//! # Examples
//!
//! ```
//! use crate::rcu::{read_lock, RcuArc, RcuSlot};
//! let slot = RcuSlot::empty();
//! slot.swap(Some(RcuArc::new(1)?));
//! let guard = read_lock();
//! if let Some(one) = slot.get(&guard) {
//!     // Another value takes its place; this one stays as long as the guard.
//!     slot.swap(Some(RcuArc::new(2)?));
//!     assert_eq!(*one, 1);
//! }
//! ```

use core::{alloc::Layout, marker::PhantomData, mem::MaybeUninit, ops::Deref, ptr::NonNull};
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::atomic::{Atomic, Full, Relaxed},
    sync::Refcount,
    types::Opaque,
};
use pin_init::PinInit;

use crate::{bindings, compat::rcu_barrier, slab::Cache};

pub(crate) use kernel::{
    alloc::AllocError,
    sync::rcu::{read_lock, Guard},
};

/// How many [`RcuArc`] allocations exist, counting those that wait for their grace period.
static ALIVE: Atomic<i64> = Atomic::new(0);

/// What an [`RcuArc`] points to.
///
/// # Invariants
///
/// - The memory was a [`KBox`]'s and `value` is initialised until the RCU callback runs.
/// - `refcount` is the number of [`RcuArc`]s plus the number of full [`RcuSlot`]s. Once it is zero
///   it stays zero, and `head` is queued exactly once.
#[repr(C)]
#[pin_data]
struct Inner<T> {
    refcount: Refcount,
    head: Opaque<bindings::callback_head>,
    #[pin]
    value: T,
}

/// A reference-counted pointer to a value that RCU readers may still look at for a grace period
/// after the last reference is gone.
///
/// The value's destructor runs in the RCU callback (softirq context), hence must not sleep.
///
/// # Invariants
///
/// `ptr` points to a valid [`Inner`], and this object owns one count of its `refcount`.
pub(crate) struct RcuArc<T> {
    ptr: NonNull<Inner<T>>,
    _own: PhantomData<Inner<T>>,
}

// SAFETY: An `RcuArc<T>` gives shared access to a `T` from any thread and may drop the `T` on
// another one.
unsafe impl<T: Send + Sync> Send for RcuArc<T> {}
// SAFETY: As above; `&RcuArc<T>` allows cloning the reference.
unsafe impl<T: Send + Sync> Sync for RcuArc<T> {}

// The pointer may be moved whatever it points to.
impl<T> Unpin for RcuArc<T> {}

impl<T: Send + Sync + 'static> RcuArc<T> {
    /// Allocates and initialises a value in place.
    ///
    /// Context: that of `flags`. Errors: `ENOMEM`, and those of `init`.
    pub(crate) fn pin_init(init: impl PinInit<T, Error>, flags: Flags) -> Result<Self> {
        Self::pin_init_at(KBox::new_uninit(flags)?, init)
    }

    /// The layout of the memory that a value takes here.
    pub(crate) const LAYOUT: Layout = Layout::new::<Inner<T>>();

    /// Initialises a value in memory from a cache for [`Self::LAYOUT`].
    ///
    /// Context: that of `flags`. Errors: `ENOMEM`, and those of `init`.
    pub(crate) fn pin_init_in(
        cache: &Cache,
        init: impl PinInit<T, Error>,
        flags: Flags,
    ) -> Result<Self> {
        Self::pin_init_at(cache.allocate(flags)?, init)
    }

    fn pin_init_at(
        memory: KBox<MaybeUninit<Inner<T>>>,
        init: impl PinInit<T, Error>,
    ) -> Result<Self> {
        let inner = memory.write_pin_init(try_pin_init!(Inner {
            refcount: Refcount::new(1),
            head: Opaque::uninit(),
            value <- init,
        }? Error))?;
        ALIVE.fetch_add(1, Relaxed);
        // SAFETY: The value stays where it is until it is dropped: `RcuArc` never moves it.
        let raw = KBox::into_raw(unsafe { Pin::into_inner_unchecked(inner) });
        // INVARIANT: The count starts at one, and that one is ours. `KBox::into_raw` never
        // returns null.
        Ok(Self {
            // SAFETY: `KBox::into_raw` never returns null.
            ptr: unsafe { NonNull::new_unchecked(raw) },
            _own: PhantomData,
        })
    }

    /// Allocates a value with `GFP_KERNEL`.
    ///
    /// Context: process context, may sleep.
    pub(crate) fn new(value: T) -> Result<Self, AllocError> {
        Self::try_new(move || Ok(value)).map_err(|_| AllocError)
    }

    /// Allocates memory, and has a value made then: for what cannot just be dropped if there is no
    /// memory for it.
    ///
    /// Context: process context, may sleep. Errors: `ENOMEM`, and those of `make`.
    pub(crate) fn try_new(make: impl FnOnce() -> Result<T>) -> Result<Self> {
        // SAFETY: Writing the value initialises the slot, and no pinning guarantee is needed of a
        // value that could be moved until now.
        let init = unsafe {
            pin_init::pin_init_from_closure::<T, Error>(move |slot: *mut T| {
                slot.write(make()?);
                Ok(())
            })
        };
        Self::pin_init(init, GFP_KERNEL)
    }
}

impl<T> RcuArc<T> {
    /// Returns whether both point to the same value.
    #[inline]
    pub(crate) fn ptr_eq(&self, other: &Self) -> bool {
        self.ptr == other.ptr
    }

    /// Returns a raw pointer to the value, which has no count of its own.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *const T {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { &raw const (*self.ptr.as_ptr()).value }
    }

    /// Turns the reference into a raw pointer to the value, which keeps its count.
    #[inline]
    pub(crate) fn into_raw(self) -> *const T {
        core::mem::ManuallyDrop::new(self).as_ptr()
    }

    /// Takes back what [`Self::into_raw`] gave away.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`Self::into_raw`], and each such pointer may be taken back only once.
    #[inline]
    pub(crate) unsafe fn from_raw(ptr: *const T) -> Self {
        // SAFETY: By the safety requirement `ptr` points at the `value` of an `Inner<T>`.
        let inner = unsafe { kernel::container_of!(ptr.cast_mut(), Inner<T>, value) };
        // INVARIANT: The count that `into_raw` kept is ours now.
        Self {
            // SAFETY: A pointer into an allocation is not null.
            ptr: unsafe { NonNull::new_unchecked(inner) },
            _own: PhantomData,
        }
    }

    /// Lends the value that a raw pointer stands for.
    ///
    /// # Safety
    ///
    /// `ptr` must come from [`Self::into_raw`] or [`Self::as_ptr`], and for `'a` either a count is
    /// kept or an RCU read-side critical section that began before it was given up goes on.
    #[inline]
    pub(crate) unsafe fn borrow_raw<'a>(ptr: *const T) -> RcuArcBorrow<'a, T> {
        // SAFETY: See `from_raw`.
        let inner = unsafe { kernel::container_of!(ptr.cast_mut(), Inner<T>, value) };
        // INVARIANT: By the safety requirement the allocation is alive for `'a`.
        RcuArcBorrow {
            // SAFETY: A pointer into an allocation is not null.
            inner: unsafe { NonNull::new_unchecked(inner) },
            _lent: PhantomData,
        }
    }

    /// Lends the value as a lookup under RCU does (as `Arc::as_arc_borrow`).
    #[inline]
    pub(crate) fn as_arc_borrow(&self) -> RcuArcBorrow<'_, T> {
        // INVARIANT: By the type invariant the allocation is alive while `self` is.
        RcuArcBorrow {
            inner: self.ptr,
            _lent: PhantomData,
        }
    }
}

/// Frees an [`Inner`] whose count has been zero for a grace period.
///
/// # Safety
///
/// Only to be called by RCU for the `head` of an [`Inner<T>`].
unsafe extern "C" fn free_after_grace_period<T>(head: *mut bindings::callback_head) {
    let head = head.cast::<Opaque<bindings::callback_head>>();
    // SAFETY: `RcuArc::drop` queued the `head` of an `Inner<T>` with this function.
    let inner = unsafe { kernel::container_of!(head, Inner<T>, head) };
    // SAFETY: By the type invariants of `Inner` the memory came from a `KBox`, nobody holds a
    // reference any more, and all readers that saw it without one have left their critical section.
    drop(unsafe { KBox::from_raw(inner) });
    ALIVE.fetch_sub(1, Relaxed);
}

impl<T> Drop for RcuArc<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant the pointer is valid.
        if unsafe { self.ptr.as_ref() }.refcount.dec_and_test() {
            // Not by way of a reference, which may stand for no more than what it refers to: the
            // callback frees all that is around it.
            // SAFETY: The memory stays valid until the callback.
            let head = Opaque::cast_into(unsafe { &raw const (*self.ptr.as_ptr()).head });
            // SAFETY: The count is zero for good, so this is the only time that `head` is queued;
            // the memory stays valid until the callback. `T` outlives it because the module waits
            // for all callbacks before it goes (`wait_for_all`).
            // Not the lazy kind, which may take 10 s: there may be keys in it.
            unsafe { bindings::call_rcu_at_once(head, Some(free_after_grace_period::<T>)) };
        }
    }
}

impl<T> Clone for RcuArc<T> {
    #[inline]
    fn clone(&self) -> Self {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { self.ptr.as_ref() }.refcount.inc();
        // INVARIANT: The count just taken belongs to the clone.
        Self {
            ptr: self.ptr,
            _own: PhantomData,
        }
    }
}

impl<T> Deref for RcuArc<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: By the type invariant the pointer is valid.
        unsafe { &self.ptr.as_ref().value }
    }
}

/// A value found in an [`RcuSlot`], usable for as long as the RCU guard lives.
///
/// # Invariants
///
/// `inner` points to an [`Inner`] that is valid for `'g`. It is no reference, because an [`RcuArc`] made
/// of it may be the one through which the value ends.
pub(crate) struct RcuArcBorrow<'g, T> {
    inner: NonNull<Inner<T>>,
    _lent: PhantomData<&'g Inner<T>>,
}

impl<T> Clone for RcuArcBorrow<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for RcuArcBorrow<'_, T> {}

impl<'g, T> RcuArcBorrow<'g, T> {
    /// Takes a reference that outlives the guard, unless the last one is already gone.
    #[inline]
    pub(crate) fn upgrade(self) -> Option<RcuArc<T>> {
        // SAFETY: By the type invariant the pointer is valid.
        let refcount = unsafe { &raw mut (*self.inner.as_ptr()).refcount };
        // SAFETY: The counter is valid for the duration of the call.
        let taken =
            unsafe { bindings::refcount_inc_not_zero(refcount.cast::<bindings::refcount_t>()) };
        // INVARIANT: The count just taken belongs to the new `RcuArc`.
        taken.then(|| RcuArc {
            ptr: self.inner,
            _own: PhantomData,
        })
    }

    /// Returns whether this is the value that `other` points to.
    #[inline]
    pub(crate) fn is(self, other: &RcuArc<T>) -> bool {
        self.inner == other.ptr
    }

    /// Returns the value for as long as the guard lives.
    #[inline]
    pub(crate) fn get(self) -> &'g T {
        // SAFETY: By the type invariant the pointer is valid for `'g`.
        unsafe { &(*self.inner.as_ptr()).value }
    }
}

impl<T> Deref for RcuArcBorrow<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.get()
    }
}

/// A place for an `Option<RcuArc<T>>` that readers look at under RCU and writers replace.
///
/// # Invariants
///
/// `ptr` is null or came from [`RcuArc::into_raw`], in which case the slot owns that count.
pub(crate) struct RcuSlot<T> {
    ptr: Atomic<*mut T>,
    _own: PhantomData<RcuArc<T>>,
}

// SAFETY: A slot is a shared place for an `RcuArc<T>`.
unsafe impl<T: Send + Sync> Send for RcuSlot<T> {}
// SAFETY: As above; all access is atomic.
unsafe impl<T: Send + Sync> Sync for RcuSlot<T> {}

// As for `RcuArc`.
impl<T> Unpin for RcuSlot<T> {}

impl<T> RcuSlot<T> {
    /// Creates a slot that holds nothing.
    pub(crate) const fn empty() -> Self {
        // INVARIANT: Null owns nothing.
        Self {
            ptr: Atomic::new(core::ptr::null_mut()),
            _own: PhantomData,
        }
    }

    /// Creates a slot with a first value.
    pub(crate) fn new(value: Option<RcuArc<T>>) -> Self {
        // INVARIANT: The slot takes over the count of `value`.
        Self {
            ptr: Atomic::new(Self::raw(value)),
            _own: PhantomData,
        }
    }

    fn raw(value: Option<RcuArc<T>>) -> *mut T {
        value.map_or(core::ptr::null_mut(), |v| v.into_raw().cast_mut())
    }

    /// Looks at the value without taking a reference.
    #[inline]
    pub(crate) fn get<'g>(&'g self, _guard: &'g Guard) -> Option<RcuArcBorrow<'g, T>> {
        // SAFETY: The atomic is valid, and a volatile read of its pointer is `READ_ONCE`, which
        // together with the address dependency of every use is `rcu_dereference`. (The `kernel`
        // crate's acquire load is a call into C.)
        let ptr = unsafe { self.ptr.as_ptr().read_volatile() };
        if ptr.is_null() {
            return None;
        }
        // SAFETY: The slot held a count when the pointer was read, after the guard was taken. If
        // it has been given up since, the grace period that follows waits for the guard.
        Some(unsafe { RcuArc::borrow_raw(ptr) })
    }

    /// Returns whether the slot is empty. The answer may be stale at once.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        // SAFETY: As in `get`.
        unsafe { self.ptr.as_ptr().read_volatile() }.is_null()
    }

    /// Takes a reference to the value.
    pub(crate) fn load(&self) -> Option<RcuArc<T>> {
        let guard = read_lock();
        loop {
            // A value without a count left has been replaced since it was read: look again.
            let found = self.get(&guard)?;
            if let Some(arc) = found.upgrade() {
                return Some(arc);
            }
        }
    }

    /// Replaces the value and returns the former one.
    pub(crate) fn swap(&self, value: Option<RcuArc<T>>) -> Option<RcuArc<T>> {
        // INVARIANT: The slot takes over the count of `value` and gives up the former one.
        let former = self.ptr.xchg(Self::raw(value), Full);
        if former.is_null() {
            return None;
        }
        // SAFETY: By the type invariant the pointer came from `into_raw`, and its count was the
        // slot's until the exchange.
        Some(unsafe { RcuArc::from_raw(former) })
    }
}

impl<T> Drop for RcuSlot<T> {
    fn drop(&mut self) {
        self.swap(None);
    }
}

/// Waits until all values whose last reference is gone have been dropped and freed.
///
/// A destructor may give up the last reference to another value, which then needs a grace period
/// of its own, so this waits until none is left. To be called when the module unloads, after
/// everything that holds references has been torn down. Context: process context, may sleep. If something was not, it waits
/// for good: what is left may still call the module.
pub(crate) fn wait_for_all() {
    /// More rounds than any chain of values that own each other is long.
    const MANY_ROUNDS: u32 = 1000;

    loop {
        for _ in 0..MANY_ROUNDS {
            rcu_barrier();
            if ALIVE.load(Relaxed) == 0 {
                return;
            }
        }
        pr_err!(
            "{} objects are still referenced; please report this\n",
            ALIVE.load(Relaxed)
        );
    }
}

/// Waits until all RCU readers, packet processing included, that run now have finished.
///
/// C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)
/// (`synchronize_net`). Context: process context, may sleep.
pub(crate) fn synchronize_net() {
    // SAFETY: May always be called from process context.
    unsafe { bindings::synchronize_net() };
}
