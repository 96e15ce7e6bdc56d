// SPDX-License-Identifier: GPL-2.0

//! A table that hands out 32-bit numbers for values and finds the value of a number under RCU.
//!
//! Locking: changes take the spinlock of the XArray, with softirqs disabled; lookups take no lock. What a lookup finds is
//! valid for as long as the RCU guard. A table must not be dropped while a reader can look into it.
//!
//! C header: [`include/linux/xarray.h`](srctree/include/linux/xarray.h)
//!
//! # Examples
//!
//! ```
//! use crate::{gfp, id_table::IdTable, rcu};
//! let table = KBox::pin_init(IdTable::<u32>::new(), GFP_KERNEL)?;
//! let id = table.insert(rcu::RcuArc::new(7)?, GFP_KERNEL)?;
//! let found = table.get(id, &rcu::read_lock()).map(|value| *value);
//! assert_eq!(found, Some(7));
//! table.remove(id);
//! ```

use core::marker::PhantomData;
use kernel::{
    alloc::Flags, error::to_result, prelude::*, sync::atomic::Atomic, sync::atomic::Relaxed,
    types::Opaque,
};
use pin_init::PinInit;

use crate::{
    bindings, gfp,
    rcu::{Guard, RcuArc, RcuArcBorrow},
};

/// A map from numbers that it chooses to [`RcuArc`]s: dense, growing and shrinking by itself, read
/// without a lock.
///
/// # Invariants
///
/// Every entry of the XArray came from [`RcuArc::into_raw`], and its count belongs to the table.
#[pin_data(PinnedDrop)]
pub(crate) struct IdTable<T> {
    #[pin]
    xa: Opaque<bindings::xarray>,
    /// Where the search for a free number starts. Going round keeps numbers from being reused soon.
    next: Atomic<u32>,
    _own: PhantomData<RcuArc<T>>,
}

// SAFETY: The XArray has a lock of its own, and gives shared access to `T`s.
unsafe impl<T: Send + Sync> Send for IdTable<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync> Sync for IdTable<T> {}

impl<T> IdTable<T> {
    /// Creates an initialiser of an empty table.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            // SAFETY: `slot` is valid for writes.
            xa <- Opaque::ffi_init(|slot| unsafe { bindings::xa_init_alloc_bh(slot) }),
            next: Atomic::new(0),
            _own: PhantomData,
        })
    }

    /// Finds the value of a number.
    ///
    /// Context: any.
    #[inline]
    pub(crate) fn get<'g>(&'g self, id: u32, _guard: &'g Guard) -> Option<RcuArcBorrow<'g, T>> {
        // SAFETY: The array is initialised.
        let entry = unsafe { bindings::xa_load(self.xa.get(), id as usize) }.cast::<T>();
        if entry.is_null() {
            return None;
        }
        // SAFETY: The table held a count when the entry was read, after the guard was taken.
        Some(unsafe { RcuArc::borrow_raw(entry) })
    }

    /// Puts a value into the table and returns its number.
    ///
    /// Context: that of `flags`, process context or softirq. Errors: `ENOMEM`, `EBUSY` when all
    /// numbers are taken.
    pub(crate) fn insert(&self, value: RcuArc<T>, flags: Flags) -> Result<u32> {
        let raw = value.into_raw();
        let mut id = 0u32;
        let mut next = self.next.load(Relaxed);
        // SAFETY: The array is initialised; `id` and `next` are valid for writes. On success the
        // table owns the count (invariant).
        let ret = unsafe {
            bindings::xa_alloc_cyclic_bh(
                self.xa.get(),
                &mut id,
                raw.cast_mut().cast(),
                &mut next,
                gfp::raw(flags),
            )
        };
        // One means success after wrapping around.
        if let Err(e) = to_result(ret) {
            // SAFETY: The table did not take the value.
            drop(unsafe { RcuArc::from_raw(raw) });
            return Err(e);
        }
        self.next.store(next, Relaxed);
        Ok(id)
    }

    /// Replaces the value of a number if it has one; otherwise does nothing and returns `false`.
    ///
    /// Context: process context or softirq. Allocates nothing.
    pub(crate) fn replace(&self, id: u32, value: RcuArc<T>) -> bool {
        let raw = value.into_raw();
        let entry = raw.cast_mut().cast();
        loop {
            // SAFETY: The array is initialised.
            let former = unsafe { bindings::xa_load(self.xa.get(), id as usize) };
            if former.is_null() {
                // SAFETY: The table did not take the value.
                drop(unsafe { RcuArc::from_raw(raw) });
                return false;
            }
            // SAFETY: As above. What is not null has its place, so none is allocated.
            let seen = unsafe {
                bindings::xa_cmpxchg_bh(
                    self.xa.get(),
                    id as usize,
                    former,
                    entry,
                    gfp::raw(GFP_ATOMIC),
                )
            };
            if seen == former {
                // SAFETY: By the type invariant the count of what was replaced was the table's, which
                // gave it up.
                drop(unsafe { RcuArc::from_raw(former.cast::<T>()) });
                return true;
            }
        }
    }

    /// Takes a number out of the table.
    ///
    /// Context: process context or softirq.
    pub(crate) fn remove(&self, id: u32) -> Option<RcuArc<T>> {
        // SAFETY: The array is initialised.
        let entry = unsafe { bindings::xa_erase_bh(self.xa.get(), id as usize) }.cast::<T>();
        if entry.is_null() {
            return None;
        }
        // SAFETY: By the type invariant the entry's count was the table's, which gave it up.
        Some(unsafe { RcuArc::from_raw(entry) })
    }
}

#[pinned_drop]
impl<T> PinnedDrop for IdTable<T> {
    fn drop(self: Pin<&mut Self>) {
        let mut index = 0usize;
        loop {
            // SAFETY: The array is initialised, and nobody else uses it any more.
            let entry = unsafe { bindings::xa_find_present(self.xa.get(), &mut index) }.cast::<T>();
            if entry.is_null() {
                break;
            }
            self.remove(index as u32);
        }
        // SAFETY: As above.
        unsafe { bindings::xa_destroy(self.xa.get()) };
    }
}
