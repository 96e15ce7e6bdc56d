// SPDX-License-Identifier: GPL-2.0

//! Being told when the machine sleeps and when it was cloned.
//!
//! Context: registering and dropping a [`Notifier`] in process context, where they may sleep; they must not happen in a
//! [`Notified::notified`] of the same chain, which holds its lock. None is under way after the drop.
//!
//! C headers: [`include/linux/suspend.h`](srctree/include/linux/suspend.h),
//! [`include/linux/random.h`](srctree/include/linux/random.h)

use core::marker::PhantomData;
use kernel::{error::to_result, prelude::*, types::Opaque};

use crate::bindings;

/// Don't care (`include/linux/notifier.h`).
const NOTIFY_DONE: kernel::ffi::c_int = 0;

/// What to do at such an event.
pub(crate) trait Notified: 'static {
    /// Called in process context; may sleep.
    fn notified();
}

/// A kind of event.
pub(crate) trait Event: 'static {
    /// Registers a notifier.
    ///
    /// # Safety
    ///
    /// `block` must be valid and stay where it is until it is unregistered.
    unsafe fn register(block: *mut bindings::notifier_block) -> kernel::ffi::c_int;

    /// Unregisters a notifier.
    ///
    /// # Safety
    ///
    /// `block` must be registered.
    unsafe fn unregister(block: *mut bindings::notifier_block);

    /// Returns whether an action of the chain is the event.
    fn matches(action: usize) -> bool;
}

/// The machine is about to suspend or hibernate.
///
/// Never on kernels that do so all the time as part of normal operation (autosleep).
pub(crate) struct Sleep;

impl Event for Sleep {
    unsafe fn register(block: *mut bindings::notifier_block) -> kernel::ffi::c_int {
        // SAFETY: By the safety requirement.
        unsafe { bindings::register_pm_notifier(block) }
    }

    unsafe fn unregister(block: *mut bindings::notifier_block) {
        // SAFETY: By the safety requirement.
        unsafe { bindings::unregister_pm_notifier(block) };
    }

    fn matches(action: usize) -> bool {
        !cfg!(CONFIG_PM_AUTOSLEEP)
            && !cfg!(CONFIG_PM_USERSPACE_AUTOSLEEP)
            && (action == bindings::PM_HIBERNATION_PREPARE as usize
                || action == bindings::PM_SUSPEND_PREPARE as usize)
    }
}

/// The virtual machine was cloned or restored from a snapshot.
pub(crate) struct Fork;

impl Event for Fork {
    unsafe fn register(block: *mut bindings::notifier_block) -> kernel::ffi::c_int {
        // SAFETY: By the safety requirement.
        unsafe { bindings::register_random_vmfork_notifier(block) }
    }

    unsafe fn unregister(block: *mut bindings::notifier_block) {
        // SAFETY: By the safety requirement.
        unsafe { bindings::unregister_random_vmfork_notifier(block) };
    }

    fn matches(_action: usize) -> bool {
        true
    }
}

/// A registered notifier; dropping it unregisters.
///
/// # Invariants
///
/// `block` is registered for events of kind `E`.
#[pin_data(PinnedDrop)]
pub(crate) struct Notifier<E: Event, T: Notified> {
    #[pin]
    block: Opaque<bindings::notifier_block>,
    _kind: PhantomData<(E, T)>,
}

// SAFETY: The block is only touched by the notifier chain under its own lock.
unsafe impl<E: Event, T: Notified> Send for Notifier<E, T> {}
// SAFETY: As above.
unsafe impl<E: Event, T: Notified> Sync for Notifier<E, T> {}

impl<E: Event, T: Notified> Notifier<E, T> {
    /// Registers. Context: process context. Errors: those of the chain.
    pub(crate) fn register() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            block <- Opaque::try_ffi_init(|slot: *mut bindings::notifier_block| {
                let block = bindings::notifier_block {
                    notifier_call: Some(Self::call),
                    ..Default::default()
                };
                // SAFETY: `slot` is valid for writes, and pinned until the drop unregisters.
                unsafe {
                    slot.write(block);
                    to_result(E::register(slot))
                }
            }),
            _kind: PhantomData,
        })
    }

    /// The C callback.
    ///
    /// # Safety
    ///
    /// Only to be called by the notifier chain.
    unsafe extern "C" fn call(
        _block: *mut bindings::notifier_block,
        action: kernel::ffi::c_ulong,
        _data: *mut kernel::ffi::c_void,
    ) -> kernel::ffi::c_int {
        if E::matches(action) {
            T::notified();
        }
        NOTIFY_DONE
    }
}

#[pinned_drop]
impl<E: Event, T: Notified> PinnedDrop for Notifier<E, T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant.
        unsafe { E::unregister(self.block.get()) };
    }
}
