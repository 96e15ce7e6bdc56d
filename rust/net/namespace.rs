// SPDX-License-Identifier: GPL-2.0

//! Network namespaces.
//!
//! Context: any, but where an item says something else. Locking: none is wanted; [`NamespaceExit::exit`] runs under the
//! RTNL. Lifetime: a `&Net` is valid where it was lent, an [`ARef<Net>`] as long as it is kept.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use core::{marker::PhantomData, pin::Pin, ptr::NonNull};
use kernel::{
    error::to_result,
    prelude::*,
    sync::aref::{ARef, AlwaysRefCounted},
    types::Opaque,
};

use super::rtnl::RtnlGuard;
use crate::bindings;

/// A network namespace (`struct net`).
///
/// It is in use for as long as there is a reference to it; [`ARef<Net>`] keeps it from dying. For one that may
/// be dying already there is [`NetId`].
#[repr(transparent)]
pub(crate) struct Net(Opaque<bindings::net>);

// SAFETY: A namespace may be used from any thread.
unsafe impl Send for Net {}
// SAFETY: As above.
unsafe impl Sync for Net {}

// SAFETY: `get_net` and `put_net` count the users of a namespace, which lives while it has any.
unsafe impl AlwaysRefCounted for Net {
    fn inc_ref(&self) {
        // SAFETY: `self` is a live namespace.
        unsafe { bindings::get_net(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up one use.
        unsafe { bindings::put_net(obj.cast().as_ptr()) };
    }
}

impl Net {
    /// Lends a namespace.
    ///
    /// # Safety
    ///
    /// `ptr` must point at a namespace whose count of users stays above zero for `'a`.
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::net) -> &'a Self {
        // SAFETY: By the safety requirement; `Net` is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the C object.
    pub(crate) fn as_raw(&self) -> *mut bindings::net {
        self.0.get()
    }

    /// Returns a number that identifies the namespace until the next boot, and is never reused.
    pub(crate) fn id(&self) -> NetId {
        // SAFETY: The namespace is valid.
        unsafe { NetId::of(self.as_raw()) }
    }

    /// Returns whether the current task may configure networking in the namespace
    /// (`CAP_NET_ADMIN`). Context: process context.
    pub(crate) fn may_administer(&self) -> bool {
        // SAFETY: The namespace is valid, and so is the user namespace that owns it.
        unsafe { bindings::net_ns_capable(self.as_raw()) }
    }
}

/// Identifies a namespace without keeping it alive (`net_cookie`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NetId(u64);

impl NetId {
    /// Returns the number of a namespace.
    ///
    /// # Safety
    ///
    /// `net` must be valid; it may be dying.
    pub(super) unsafe fn of(net: *mut bindings::net) -> Self {
        // SAFETY: By the safety requirement.
        Self(unsafe { bindings::net_cookie(net) })
    }

    /// Returns a number that tells namespaces apart well enough for statistics.
    pub(crate) fn as_u32(self) -> u32 {
        self.0 as u32
    }

    /// Finds the namespace if it is still alive.
    ///
    /// Walks the list of all namespaces, so this is nothing for a packet's path. Context: any but
    /// hard interrupts.
    pub(crate) fn find(self) -> Option<ARef<Net>> {
        let guard = crate::rcu::read_lock();
        let head = &raw mut bindings::net_namespace_list;
        // SAFETY: The list is one of RCU, whose entries stay valid while the guard is held; its
        // links are read once each, and the head is static.
        let mut next = unsafe { (&raw const (*head).next).read_volatile() };
        while !core::ptr::eq(next, head) {
            // SAFETY: All entries but the head are the `list` of a `struct net`.
            let net = unsafe { kernel::container_of!(next, bindings::net, list) };
            // SAFETY: The memory is valid while the guard is held. The callee takes a use only
            // while there are others.
            next = unsafe {
                if bindings::net_cookie(net) == self.0 {
                    return NonNull::new(bindings::maybe_get_net(net))
                        .map(|net| ARef::from_raw(net.cast()));
                }
                (&raw const (*next).next).read_volatile()
            };
        }
        drop(guard);
        None
    }
}

/// What to do when a namespace dies.
pub(crate) trait NamespaceExit: 'static {
    /// Called under the RTNL before the devices of the namespace are unregistered.
    fn exit(net: NetId, rtnl: &RtnlGuard);
}

/// A registered [`NamespaceExit`]; dropping it unregisters.
///
/// # Invariants
///
/// `ops` is registered with the networking core.
#[pin_data(PinnedDrop)]
pub(crate) struct NamespaceWatch<T: NamespaceExit> {
    #[pin]
    ops: Opaque<bindings::pernet_operations>,
    _watcher: PhantomData<T>,
}

// SAFETY: The operations are only touched by the networking core under its own lock.
unsafe impl<T: NamespaceExit> Send for NamespaceWatch<T> {}
// SAFETY: As above.
unsafe impl<T: NamespaceExit> Sync for NamespaceWatch<T> {}

impl<T: NamespaceExit> NamespaceWatch<T> {
    /// Registers. Context: process context. Errors: `ENOMEM`.
    pub(crate) fn register() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ops <- Opaque::try_ffi_init(|slot: *mut bindings::pernet_operations| {
                let ops = bindings::pernet_operations {
                    exit_rtnl: Some(Self::exit_rtnl),
                    ..Default::default()
                };
                // SAFETY: `slot` is valid for writes, and pinned until the drop unregisters.
                unsafe {
                    slot.write(ops);
                    to_result(bindings::register_pernet_device(slot))
                }
            }),
            _watcher: PhantomData,
        })
    }

    /// The C callback.
    ///
    /// # Safety
    ///
    /// Only to be called by the networking core, with the RTNL held.
    unsafe extern "C" fn exit_rtnl(net: *mut bindings::net, _kill: *mut bindings::list_head) {
        // SAFETY: The core hands in a namespace that is valid for the duration of the call.
        let net = unsafe { NetId::of(net) };
        // SAFETY: The core calls this with the RTNL held.
        let rtnl = unsafe { RtnlGuard::assume_held() };
        T::exit(net, &rtnl);
    }
}

#[pinned_drop]
impl<T: NamespaceExit> PinnedDrop for NamespaceWatch<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant.
        unsafe { bindings::unregister_pernet_device(self.ops.get()) };
    }
}
