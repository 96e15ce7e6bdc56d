// SPDX-License-Identifier: GPL-2.0

//! Caches of memory for values of one type, which are given as much as they need, and no power of two.
//!
//! C header: [`include/linux/slab.h`](srctree/include/linux/slab.h)

use core::{alloc::Layout, marker::PhantomData, mem::MaybeUninit, ptr::NonNull};
use kernel::{alloc::AllocError, prelude::*, str::CStr};

use crate::{bindings, gfp::Gfp};

/// A cache of memory for values of a type.
///
/// It is to outlive them. If it does not, the kernel complains, and keeps all of it for good.
///
/// # Invariants
///
/// `cache` is a cache of objects with the layout of a `T`, valid until the drop.
pub(crate) struct Cache<T> {
    cache: NonNull<bindings::kmem_cache>,
    _holds: PhantomData<fn() -> T>,
}

// SAFETY: A cache may be used from any thread; it has no values, only memory.
unsafe impl<T> Send for Cache<T> {}
// SAFETY: As above.
unsafe impl<T> Sync for Cache<T> {}

impl<T> Cache<T> {
    /// Creates a cache without memory.
    ///
    /// Context: process context, may sleep. Errors: `ENOMEM`.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        let layout = Layout::new::<T>();
        let mut args = bindings::kmem_cache_args {
            align: layout.align() as u32,
            ..Default::default()
        };
        // SAFETY: The name is a C string, and the arguments are valid during the call; the callee copies both. There is no
        // constructor among them.
        let cache = unsafe {
            bindings::__kmem_cache_create_args(
                name.as_char_ptr(),
                layout.size() as u32,
                &mut args,
                0,
            )
        };
        // INVARIANT: It was just created, with that layout.
        Ok(Self {
            cache: NonNull::new(cache).ok_or(ENOMEM)?,
            _holds: PhantomData,
        })
    }

    /// Allocates memory for a value. Context: that of `gfp`.
    pub(crate) fn allocate(&self, gfp: Gfp) -> Result<KBox<MaybeUninit<T>>, AllocError> {
        const { assert!(size_of::<T>() != 0) };
        // SAFETY: The cache is valid by the type invariant.
        let memory = unsafe { bindings::kmem_cache_alloc_noprof(self.cache.as_ptr(), gfp.raw()) };
        let memory = NonNull::new(memory).ok_or(AllocError)?;
        // SAFETY: By the type invariant the memory is large enough for a `T` and aligned, and nobody else has it. A `KBox`
        // frees it with `kfree`, which takes memory of any cache; it does nothing else with it that is for `kmalloc` only,
        // as it never changes its size.
        Ok(unsafe { KBox::from_raw(memory.as_ptr().cast()) })
    }
}

impl<T> Drop for Cache<T> {
    fn drop(&mut self) {
        // SAFETY: The cache is valid by the type invariant and not used after this. Were there values left in it, the callee
        // would only take it off its lists: their memory, and what `kfree` needs of the cache, would stay.
        unsafe { bindings::kmem_cache_destroy(self.cache.as_ptr()) };
    }
}
