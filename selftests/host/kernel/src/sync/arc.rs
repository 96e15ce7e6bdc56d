// SPDX-License-Identifier: GPL-2.0

//! Counted references: loom's, which also complains about those that are left over.

use crate::alloc::{allocate, Flags};
use crate::error::Error;
use core::ops::Deref;
use pin_init::PinInit;

pub struct Arc<T>(loom::sync::Arc<T>);

impl<T> Arc<T> {
    pub fn pin_init<E>(init: impl PinInit<T, E>, _flags: Flags) -> Result<Self, Error>
    where
        Error: From<E>,
    {
        allocate()?;
        let mut value = core::mem::MaybeUninit::uninit();
        // SAFETY: It is initialised on success; none of the stand-ins minds being moved.
        let value = unsafe {
            init.__pinned_init(value.as_mut_ptr())?;
            value.assume_init()
        };
        Ok(Self(loom::sync::Arc::new(value)))
    }

    pub fn as_ptr(&self) -> *const T {
        &**self
    }
}

impl<T> Clone for Arc<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Arc<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
