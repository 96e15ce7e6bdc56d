// SPDX-License-Identifier: GPL-2.0

//! Allocations, which can be made to fail.

use crate::error::Error;
use core::{mem::MaybeUninit, pin::Pin};
use pin_init::PinInit;
use std::cell::Cell;

/// An allocation has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllocError;

/// How hard to try.
#[derive(Clone, Copy)]
pub struct Flags(());

pub mod flags {
    use super::Flags;

    pub const GFP_KERNEL: Flags = Flags(());
    pub const GFP_ATOMIC: Flags = Flags(());
}

thread_local! {
    /// How many allocations of this thread still succeed; `None` for all.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Lets only so many further allocations of this thread succeed.
pub fn limit_allocations(left: Option<usize>) {
    LEFT.set(left);
}

pub(crate) fn allocate() -> Result<(), AllocError> {
    match LEFT.get() {
        Some(0) => return Err(AllocError),
        Some(left) => LEFT.set(Some(left - 1)),
        None => (),
    }
    Ok(())
}

/// A box.
pub struct KBox<T>(*mut T);

impl<T> KBox<T> {
    pub fn new_uninit(_flags: Flags) -> Result<KBox<MaybeUninit<T>>, AllocError> {
        allocate()?;
        Ok(KBox(Box::into_raw(Box::new_uninit())))
    }

    pub fn pin_init<E>(init: impl PinInit<T, E>, flags: Flags) -> Result<Pin<Self>, Error>
    where
        Error: From<E>,
    {
        Ok(Self::new_uninit(flags)?.write_pin_init(init)?)
    }

    pub fn into_raw(this: Self) -> *mut T {
        let raw = this.0;
        core::mem::forget(this);
        raw
    }

    /// # Safety
    ///
    /// The pointer must come from [`Self::into_raw`], and is given up.
    pub unsafe fn from_raw(raw: *mut T) -> Self {
        Self(raw)
    }
}

impl<T> core::ops::Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: The box owns it.
        unsafe { &*self.0 }
    }
}

impl<T> Drop for KBox<T> {
    fn drop(&mut self) {
        #[cfg(not(feature = "loom"))]
        // SAFETY: The box owns it.
        drop(unsafe { Box::from_raw(self.0) });
        // What the value's destructor leaves behind stays readable until the model's next run, so that
        // values can tell who looks at them too late.
        #[cfg(feature = "loom")]
        {
            // SAFETY: The box owns it, and its memory is not used for anything else until it is freed.
            unsafe { core::ptr::drop_in_place(self.0) };
            crate::model::free_later(self.0);
        }
    }
}

impl<T> KBox<MaybeUninit<T>> {
    /// Of the trait `InPlaceWrite`, there.
    pub fn write_pin_init<E>(self, init: impl PinInit<T, E>) -> Result<Pin<KBox<T>>, E> {
        let memory: *mut T = self.0.cast();
        // SAFETY: The memory is large enough; on success it is initialised, and stays where it is.
        unsafe {
            init.__pinned_init(memory)?;
            core::mem::forget(self);
            Ok(Pin::new_unchecked(KBox(memory)))
        }
    }
}

/// A vector, wherever its memory comes from.
pub struct KVec<T>(Vec<T>);

impl<T> KVec<T> {
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub fn with_capacity(capacity: usize, _flags: Flags) -> Result<Self, AllocError> {
        allocate()?;
        Ok(Self(Vec::with_capacity(capacity)))
    }

    pub fn push(&mut self, value: T, _flags: Flags) -> Result<(), AllocError> {
        if self.0.len() == self.0.capacity() {
            allocate()?;
        }
        self.0.push(value);
        Ok(())
    }

    pub fn from_elem(value: T, n: usize, _flags: Flags) -> Result<Self, AllocError>
    where
        T: Clone,
    {
        allocate()?;
        Ok(Self(vec![value; n]))
    }
}

impl<T> core::ops::Deref for KVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> core::ops::DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T> AsMut<[T]> for KVec<T> {
    fn as_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

pub type KVVec<T> = KVec<T>;
