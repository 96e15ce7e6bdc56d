// SPDX-License-Identifier: GPL-2.0

//! What the module has in network namespaces that does not keep them from dying: sockets, and routes that are
//! remembered. When a namespace dies, all of that is let go of, also if its owner does nothing.
//!
//! Context: process context, where it may sleep, but for what says otherwise. Locking: a mutex and spinlocks of its own.
//! Lifetime: what is registered here is let go of by its owner or its namespace, by the first of them.
//!
//! C header: [`include/net/net_namespace.h`](srctree/include/net/net_namespace.h)

use kernel::{
    alloc::Flags,
    error::to_result,
    list::{List, ListArc},
    new_mutex,
    prelude::*,
    rbtree::{Entry, RBTree, RBTreeNodeReservation},
    sync::{
        atomic::{Acquire, Atomic, Full, Release},
        Arc, Mutex,
    },
    types::Opaque,
};

use super::{namespace::NetId, route::Remembered, udp::OpenSocket};
use crate::{
    bindings, rcu,
    sync::{new_spinlock_bh, SpinLockBh},
};

/// Where the C callback finds the only [`Residents`], null if there is none.
static REGISTERED: Atomic<*mut Residents> = Atomic::new(core::ptr::null_mut());

/// The sockets and routes of the module in all namespaces.
///
/// # Invariants
///
/// - `ops` is registered with the networking core, and [`REGISTERED`] points at this object meanwhile.
/// - A socket is in `sockets` exactly while it is open. A [`Remembered`] is in
///   the list of its namespace in `routes` from [`Self::enter`] to [`Self::remove`].
#[pin_data(PinnedDrop)]
pub(crate) struct Residents {
    #[pin]
    ops: Opaque<bindings::pernet_operations>,
    #[pin]
    pub(super) sockets: Mutex<KVec<Arc<OpenSocket>>>,
    #[pin]
    routes: SpinLockBh<RBTree<NetId, List<Remembered>>>,
}

// SAFETY: The operations are only touched by the networking core under its own lock.
unsafe impl Send for Residents {}
// SAFETY: As above.
unsafe impl Sync for Residents {}

impl Residents {
    /// Registers. Context: process context. Errors: `ENOMEM`, `EEXIST` if that was done already.
    pub(crate) fn register() -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(&this in Self {
                sockets <- new_mutex!(KVec::new(), "Residents::sockets"),
                routes <- new_spinlock_bh!(RBTree::new(), "Residents::routes"),
                ops <- Opaque::try_ffi_init(move |slot: *mut bindings::pernet_operations| {
                    let nobody = core::ptr::null_mut();
                    if REGISTERED.cmpxchg(nobody, this.as_ptr(), Full).is_err() {
                        return Err(EEXIST);
                    }
                    let ops = bindings::pernet_operations {
                        exit_rtnl: Some(exit_rtnl),
                        ..Default::default()
                    };
                    // SAFETY: `slot` is valid for writes, and pinned until the drop unregisters. What the
                    // callback uses is initialised already.
                    to_result(unsafe {
                        slot.write(ops);
                        bindings::register_pernet_device(slot)
                    })
                    .inspect_err(|_| REGISTERED.store(nobody, Release))
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// Takes in a cache of routes. Context: that of `flags`. Errors: `ENOMEM`.
    pub(super) fn enter(&self, remembered: ListArc<Remembered>, flags: Flags) -> Result {
        let net = remembered.net;
        let node = RBTreeNodeReservation::new(flags)?;
        let mut routes = self.routes.lock();
        let here = match routes.entry(net) {
            Entry::Vacant(vacant) => vacant.insert(List::new(), node),
            Entry::Occupied(here) => here.into_mut(),
        };
        here.push_back(remembered);
        Ok(())
    }

    /// Lets go of a cache of routes. Context: any but hard interrupts.
    ///
    /// # Safety
    ///
    /// It was taken in, and is in no other list.
    pub(super) unsafe fn remove(&self, remembered: &Remembered) {
        let mut routes = self.routes.lock();
        let Some(here) = routes.get_mut(&remembered.net) else {
            return;
        };
        // SAFETY: By the safety requirement.
        let removed = unsafe { here.remove(remembered) };
        let last = here.is_empty().then(|| routes.remove_node(&remembered.net));
        drop(routes);
        drop((removed, last));
    }

    /// Lets go of all that is in a namespace. Context: process context, may sleep.
    fn leave(&self, net: NetId) {
        let mut sockets = self.sockets.lock();
        // Until there are none that are open, as some may be taken in meanwhile.
        loop {
            let mut found = false;
            for socket in sockets.iter().filter(|socket| socket.net == net) {
                found |= socket.shut();
            }
            for remembered in self.routes.lock().get(&net).into_iter().flatten() {
                found |= remembered.shut();
            }
            if !found {
                break;
            }
            // Who has seen them open has finished after that.
            rcu::synchronize_net();
        }
        while let Some(at) = sockets.iter().position(|socket| socket.net == net) {
            if let Ok(socket) = sockets.remove(at) {
                // SAFETY: It was shut before a grace period.
                unsafe { socket.release() };
            }
        }
        for remembered in self.routes.lock().get(&net).into_iter().flatten() {
            // One that was taken in just now is empty, and stays so: who has found a route by one of the sockets has finished.
            if remembered.is_shut() {
                // SAFETY: As above.
                unsafe { remembered.forget() };
            }
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Residents {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant.
        unsafe { bindings::unregister_pernet_device(self.ops.get()) };
        REGISTERED.store(core::ptr::null_mut(), Release);
    }
}

/// The C callback.
///
/// # Safety
///
/// Only to be called by the networking core for the `ops` of a [`Residents`].
unsafe extern "C" fn exit_rtnl(net: *mut bindings::net, _kill: *mut bindings::list_head) {
    // SAFETY: By the invariants of `Residents`: unregistering waits for this.
    let residents = unsafe { REGISTERED.load(Acquire).as_ref() };
    if let Some(residents) = residents {
        // SAFETY: The core hands in a namespace that is valid for the duration of the call.
        residents.leave(unsafe { NetId::of(net) });
    }
}
