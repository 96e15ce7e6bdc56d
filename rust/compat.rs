// SPDX-License-Identifier: GPL-2.0

//! What an older kernel's `kernel` crate lacks.
//!
//! This is the only file that knows of versions: everything else takes these names from here, and
//! Kbuild chooses by the kernel's version where they come from.

#[cfg(not(wireguard_linux_7_2))]
pub(crate) use kernel::{
    error::code::{
        EADDRINUSE, EAFNOSUPPORT, EBADMSG, EBADR, EDESTADDRREQ, EHOSTUNREACH, EKEYREJECTED, ELOOP,
        ENOKEY, ENONET, EOPNOTSUPP, EPFNOSUPPORT, EPROTONOSUPPORT,
    },
    module::this_module,
    sync::rcu::rcu_barrier,
};

#[cfg(wireguard_linux_7_2)]
pub(crate) use linux_7_2::*;

#[cfg(wireguard_linux_7_2)]
mod linux_7_2 {
    use core::mem::transmute;
    use kernel::{bindings, prelude::*, ModuleMetadata};

    // The layout that `errno` counts on, by an error that this crate does have.
    const _: () = {
        // SAFETY: Both types have the same size, and every bit pattern is an `i32`.
        let number = unsafe { transmute::<Error, i32>(EINVAL) };
        assert!(number == -(bindings::EINVAL as i32));
    };

    const fn errno(number: u32) -> Error {
        assert!(number != 0 && number <= bindings::MAX_ERRNO);
        // SAFETY: An `Error` is a `NonZeroI32` alone (asserted above), and in the range of errors.
        unsafe { transmute::<i32, Error>(-(number as i32)) }
    }

    macro_rules! errors {
        ($($name:ident)*) => { $(pub(crate) const $name: Error = errno(bindings::$name);)* };
    }

    errors! {
        EADDRINUSE EAFNOSUPPORT EBADMSG EBADR EDESTADDRREQ EHOSTUNREACH EKEYREJECTED ELOOP
        ENOKEY ENONET EOPNOTSUPP EPFNOSUPPORT EPROTONOSUPPORT
    }

    /// Returns the `THIS_MODULE` of this module, of which newer kernels need to know the type.
    #[expect(clippy::extra_unused_type_parameters)]
    pub(crate) const fn this_module<M: ModuleMetadata>() -> &'static ThisModule {
        &crate::THIS_MODULE
    }

    /// Waits until all callbacks of RCU that were queued before have run.
    ///
    /// Context: process context, may sleep.
    pub(crate) fn rcu_barrier() {
        // SAFETY: It may always be called from where one may sleep.
        unsafe { bindings::rcu_barrier() };
    }
}
