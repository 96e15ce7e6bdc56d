// SPDX-License-Identifier: GPL-2.0

//! Caches of memory: the allocator's memory here.

use core::mem::MaybeUninit;
use kernel::{alloc::Flags, prelude::*};

pub(crate) struct Cache;

impl Cache {
    pub(crate) fn allocate<T>(&self, flags: Flags) -> Result<KBox<MaybeUninit<T>>> {
        Ok(KBox::new_uninit(flags)?)
    }
}
