// SPDX-License-Identifier: GPL-2.0

//! Work queues that the module owns, and work items in [`RcuArc`]s.
//!
//! The items themselves are the `kernel` crate's ([`kernel::workqueue`]).
//!
//! Locking: queueing takes the lock of the queue's pool for a moment. Dropping an [`OwnedQueue`] waits for all items, and
//! so must not happen in one of them, nor with a lock held that one takes. An item that is queued holds a reference to
//! its object.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)
//!
//! # Examples
//!
//! ```
//! use crate::{
//!     rcu::RcuArc,
//!     workqueue::{OwnedQueue, Placement},
//! };
//! use kernel::{
//!     impl_has_work, new_work,
//!     workqueue::{Work, WorkItem},
//! };
//! #[pin_data]
//! struct Letter {
//!     #[pin]
//!     work: Work<Letter>,
//! }
//! impl_has_work! {
//!     impl HasWork<Self> for Letter { self.work }
//! }
//! impl WorkItem for Letter {
//!     type Pointer = RcuArc<Letter>;
//!     fn run(_this: RcuArc<Letter>) {}
//! }
//! let queue = OwnedQueue::new(c"letters", Placement::Anywhere)?;
//! let letter = RcuArc::pin_init(
//!     try_pin_init!(Letter {
//!         work <- new_work!("Letter::work"),
//!     }? Error),
//!     GFP_KERNEL,
//! )?;
//! let _ = queue.enqueue(letter);
//! ```

use core::ptr::NonNull;
use kernel::{
    prelude::*,
    str::CStr,
    workqueue::{HasWork, Queue, RawWorkItem, Work, WorkItem, WorkItemPointer},
};

use crate::{bindings, rcu::RcuArc};

/// A work queue that is drained and destroyed when dropped.
///
/// # Invariants
///
/// `queue` is valid until the drop.
pub(crate) struct OwnedQueue {
    queue: NonNull<bindings::workqueue_struct>,
}

// SAFETY: Work queues may be used from any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: As above.
unsafe impl Sync for OwnedQueue {}

/// Where the items of a queue run.
#[derive(Clone, Copy)]
pub(crate) enum Placement {
    /// On the CPU they were queued on or for, apart from the concurrency management, and also when
    /// memory is short (`WQ_PERCPU | WQ_CPU_INTENSIVE | WQ_MEM_RECLAIM`).
    PerCpu,
    /// Wherever the scheduler likes, also when memory is short (`WQ_UNBOUND | WQ_MEM_RECLAIM`).
    Anywhere,
    /// Wherever the scheduler likes; frozen during suspend (`WQ_UNBOUND | WQ_FREEZABLE`).
    AnywhereFrozen,
}

impl OwnedQueue {
    /// Creates a work queue.
    ///
    /// Context: process context. Errors: `ENOMEM`.
    pub(crate) fn new(name: &'static CStr, placement: Placement) -> Result<Self> {
        let flags = match placement {
            Placement::PerCpu => {
                bindings::wq_flags_WQ_PERCPU
                    | bindings::wq_flags_WQ_CPU_INTENSIVE
                    | bindings::wq_flags_WQ_MEM_RECLAIM
            }
            Placement::Anywhere => {
                bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_MEM_RECLAIM
            }
            Placement::AnywhereFrozen => {
                bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_FREEZABLE
            }
        };
        // SAFETY: The name is a C string that the callee copies.
        let queue = unsafe { bindings::alloc_workqueue(name.as_char_ptr().cast_mut(), flags) };
        // INVARIANT: The queue was just created.
        Ok(Self {
            queue: NonNull::new(queue).ok_or(ENOMEM)?,
        })
    }

    /// Queues an item.
    ///
    /// There is nothing to queue an item after some time: the drop would not wait for it. Context: any.
    pub(crate) fn enqueue<W, const ID: u64>(&self, work: W) -> W::EnqueueOutput
    where
        W: RawWorkItem<ID> + Send + 'static,
    {
        // SAFETY: The queue is valid by the type invariant.
        let queue: &Queue = unsafe { Queue::from_raw(self.queue.as_ptr().cast()) };
        queue.enqueue(work)
    }

    /// Queues an item to run on one CPU, or anywhere if there is no such CPU.
    ///
    /// Context: any.
    pub(crate) fn enqueue_on<W, const ID: u64>(&self, cpu: u32, work: W) -> W::EnqueueOutput
    where
        W: RawWorkItem<ID> + Send + 'static,
    {
        let queue = self.queue.as_ptr();
        // SAFETY: May be asked for any number.
        let cpu = if unsafe { bindings::is_possible_cpu(cpu) } {
            cpu
        } else {
            kernel::bindings::wq_misc_consts_WORK_CPU_UNBOUND
        };
        // SAFETY: The closure returns `false` only if the item was already queued. The item is
        // `'static` and `Send`.
        unsafe { work.__enqueue(|item| bindings::queue_work_on(cpu as i32, queue, item.cast())) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: The queue is valid by the type invariant and not used after this.
        unsafe { bindings::destroy_workqueue(self.queue.as_ptr()) };
    }
}

// SAFETY: `__enqueue` below uses the `work_struct` of a `Work<T, ID>`, and `Work::new` makes sure
// that it calls `run` of `T::Pointer`, which is this type.
unsafe impl<T, const ID: u64> WorkItemPointer<ID> for RcuArc<T>
where
    T: WorkItem<ID, Pointer = Self> + HasWork<T, ID>,
{
    unsafe extern "C" fn run(ptr: *mut kernel::bindings::work_struct) {
        // CAST: `__enqueue` always uses a `work_struct` stored in a `Work<T, ID>`.
        let ptr = ptr.cast::<Work<T, ID>>();
        // SAFETY: This computes the pointer that `__enqueue` got from `RcuArc::into_raw`.
        let ptr = unsafe { T::work_container_of(ptr) };
        // SAFETY: The queue hands back the count that `__enqueue` gave it.
        T::run(unsafe { RcuArc::from_raw(ptr) })
    }
}

// SAFETY: The `work_struct` is valid during the closure because the `RcuArc` is, and afterwards,
// if it was queued, because its count is kept until `WorkItemPointer::run` takes it back.
unsafe impl<T, const ID: u64> RawWorkItem<ID> for RcuArc<T>
where
    T: WorkItem<ID, Pointer = Self> + HasWork<T, ID>,
{
    type EnqueueOutput = Result<(), Self>;

    unsafe fn __enqueue<F>(self, queue_work_on: F) -> Self::EnqueueOutput
    where
        F: FnOnce(*mut kernel::bindings::work_struct) -> bool,
    {
        let ptr = self.into_raw().cast_mut();
        // SAFETY: The pointer points at a valid value.
        let work = unsafe { T::raw_get_work(ptr) };
        // SAFETY: `raw_get_work` returns a pointer to a valid value.
        let work = unsafe { Work::raw_get(work) };
        if queue_work_on(work) {
            Ok(())
        } else {
            // SAFETY: The queue has not taken the count.
            Err(unsafe { RcuArc::from_raw(ptr) })
        }
    }
}
