// SPDX-License-Identifier: GPL-2.0

//! Caches of memory: the allocator's memory here.

use crate::gfp::Gfp;
use core::mem::MaybeUninit;
use kernel::prelude::*;

pub(crate) struct Cache;

impl Cache {
    pub(crate) fn allocate<T>(&self, gfp: Gfp) -> Result<KBox<MaybeUninit<T>>> {
        Ok(KBox::new_uninit(gfp.flags())?)
    }
}
