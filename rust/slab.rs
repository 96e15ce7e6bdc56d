// SPDX-License-Identifier: GPL-2.0

//! Caches of memory for values of one type, which get as much as they need, and no power of two.
//!
//! Locking: none that a caller could see. What is allocated is freed by its [`KBox`], in any context, and before the cache.
//!
//! C header: [`include/linux/slab.h`](srctree/include/linux/slab.h)

use core::{alloc::Layout, mem::MaybeUninit, ptr::NonNull};
use kernel::{alloc::Flags, prelude::*, str::CStr};

use crate::{bindings, gfp};

/// A cache of memory for values of one layout.
///
/// It is to outlive them. If it does not, the kernel complains, and keeps all of it for good.
///
/// # Invariants
///
/// `cache` is a cache of objects of `layout`, which is not empty, valid until the drop.
pub(crate) struct Cache {
    cache: NonNull<bindings::kmem_cache>,
    layout: Layout,
}

// SAFETY: A cache may be used from any thread; it has no values, only memory.
unsafe impl Send for Cache {}
// SAFETY: As above.
unsafe impl Sync for Cache {}

impl Cache {
    /// Creates a cache without memory.
    ///
    /// Context: process context, may sleep. Errors: `ENOMEM`; `EINVAL` if the layout is empty, or none of the kernel's.
    pub(crate) fn new(name: &'static CStr, layout: Layout) -> Result<Self> {
        if layout.size() == 0 {
            return Err(EINVAL);
        }
        let size = u32::try_from(layout.size()).map_err(|_| EINVAL)?;
        let mut args = bindings::kmem_cache_args {
            align: u32::try_from(layout.align()).map_err(|_| EINVAL)?,
            ..Default::default()
        };
        // SAFETY: The name is a C string, and the arguments are valid during the call; the callee copies both. There is no
        // constructor among them.
        let cache =
            unsafe { bindings::__kmem_cache_create_args(name.as_char_ptr(), size, &mut args, 0) };
        // INVARIANT: It was just created, with that layout.
        Ok(Self {
            cache: NonNull::new(cache).ok_or(ENOMEM)?,
            layout,
        })
    }

    /// Allocates memory for a value. Context: that of `flags`. Errors: `ENOMEM`; `EINVAL` if it has another layout.
    pub(crate) fn allocate<T>(&self, flags: Flags) -> Result<KBox<MaybeUninit<T>>> {
        if Layout::new::<T>() != self.layout {
            return Err(EINVAL);
        }
        // SAFETY: The cache is valid by the type invariant.
        let memory =
            unsafe { bindings::kmem_cache_alloc_noprof(self.cache.as_ptr(), gfp::raw(flags)) };
        let memory = NonNull::new(memory).ok_or(ENOMEM)?;
        // SAFETY: By the type invariant the memory is large enough for a `T` and aligned, and nobody else has it. A `KBox`
        // frees it with `kfree`, which takes memory of any cache; it does nothing else with it that is for `kmalloc` only,
        // as it never changes its size.
        Ok(unsafe { KBox::from_raw(memory.as_ptr().cast()) })
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // SAFETY: The cache is valid by the type invariant and not used after this. Were there values left in it, the callee
        // would only take it off its lists: their memory, and what `kfree` needs of the cache, would stay.
        unsafe { bindings::kmem_cache_destroy(self.cache.as_ptr()) };
    }
}
