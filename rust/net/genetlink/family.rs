// SPDX-License-Identifier: GPL-2.0

//! Families: tables of commands and multicast groups, and registering them.
//!
//! Context: process context, but for [`Family::has_listeners`]: any. Locking: what it needs, it takes itself.
//!
//! C header: [`include/net/genetlink.h`](srctree/include/net/genetlink.h)

use core::ffi::CStr;
use kernel::{error::to_result, ffi, prelude::*, types::Opaque};

use super::{
    message::{Single, Writer},
    Operation,
};
use crate::{
    bindings,
    net::{device::NetDevice, namespace::Net},
    rcu,
};

/// A multicast group of a family (`struct genl_multicast_group`).
#[repr(transparent)]
pub(crate) struct Group(bindings::genl_multicast_group);

// SAFETY: A group is never written after its construction.
unsafe impl Sync for Group {}

impl Group {
    /// A group that may be joined with `CAP_NET_ADMIN` in the user namespace that owns the socket's network namespace
    /// (`GENL_MCAST_CAP_NET_ADMIN`). For constants: a name of more than 15 bytes fails the build.
    pub(crate) const fn admin(name: &'static CStr) -> Self {
        Self(bindings::genl_multicast_group {
            name: array_of(name),
            flags: bindings::WIREGUARD_MCAST_CAP_NET_ADMIN as u8,
        })
    }
}

/// A name as the C side keeps it.
const fn array_of<const N: usize>(name: &'static CStr) -> [ffi::c_char; N] {
    let name = name.to_bytes_with_nul();
    let mut array = [0; N];
    let mut i = 0;
    while i < name.len() {
        array[i] = name[i];
        i += 1;
    }
    array
}

/// A generic netlink family (`struct genl_family`), present in every network namespace, whose
/// commands run in parallel.
///
/// # Invariants
///
/// The operations and groups are `'static`, and the name is terminated.
#[repr(transparent)]
pub(crate) struct Family(Opaque<bindings::genl_family>);

// SAFETY: Only generic netlink touches the structure, under its own lock.
unsafe impl Sync for Family {}

impl Family {
    /// Describes a family.
    ///
    /// For constants: a name of more than 15 bytes, or operations that are too many or not in
    /// ascending order of their commands, fail the build.
    pub(crate) const fn new(
        module: &'static ThisModule,
        name: &'static CStr,
        version: u32,
        operations: &'static [Operation],
        groups: &'static [Group],
    ) -> Self {
        assert!(operations.len() <= u8::MAX as usize, "too many operations");
        assert!(groups.len() <= u8::MAX as usize, "too many groups");
        let mut i = 1;
        while i < operations.len() {
            assert!(
                operations[i - 1].0.cmd < operations[i].0.cmd,
                "operations not sorted"
            );
            i += 1;
        }

        // The first two bits are `netnsok` and `parallel_ops`. bindgen's own setters are not for
        // constants.
        let mut flags: u8 = 0b11;
        if cfg!(target_endian = "big") {
            flags = flags.reverse_bits();
        }
        let family = bindings::genl_family {
            name: array_of(name),
            version,
            _bitfield_1: bindings::__BindgenBitfieldUnit::new([flags]),
            n_split_ops: operations.len() as u8,
            // `Operation` is a transparent wrapper.
            split_ops: operations.as_ptr().cast(),
            n_mcgrps: groups.len() as u8,
            // So is `Group`.
            mcgrps: groups.as_ptr().cast(),
            module: module.as_ptr().cast(),
            // SAFETY: All other fields are numbers and optional pointers, for which zero is valid.
            ..unsafe { core::mem::zeroed() }
        };
        // INVARIANT: As just built.
        Self(Opaque::new(family))
    }

    /// Makes the family reachable.
    ///
    /// A module that registers a family does so before there is anything to dump: nothing waits for the dumps that
    /// are under way when a [`Registration`] goes, but they keep the module from being unloaded, once it has loaded.
    ///
    /// Context: process context. Errors: `EEXIST` if there is a family of that name, `ENOMEM`.
    pub(crate) fn register(&'static self) -> Result<Registration> {
        // SAFETY: The family is valid, as are its operations, and all of them are `'static`.
        to_result(unsafe { bindings::genl_register_family(self.0.get()) })?;
        // INVARIANT: Just registered.
        Ok(Registration(self))
    }

    /// Returns whether a socket in the namespace that a device is in has joined the group of this number. Context: any.
    #[inline]
    pub(crate) fn has_listeners(&'static self, group: u32, dev: &NetDevice) -> bool {
        let _guard = rcu::read_lock();
        // SAFETY: The device is valid, and its namespace for as long as the guard is held; it has its socket of generic
        // netlink until all its devices are gone. Before the family is registered it has no number that could be joined.
        unsafe {
            let net = bindings::dev_net(dev.as_raw());
            bindings::genl_has_listeners(self.0.get(), net, group)
        }
    }

    /// Sends a message to all sockets in a namespace that have joined the group of this number.
    ///
    /// To be called between [`Self::register`] and the end of the [`Registration`]. Context: process context, may
    /// sleep. Errors: `ENOMEM`, those of `write`, `ESRCH` if no socket listens, `ENOBUFS` if one has no room.
    pub(crate) fn multicast(
        &'static self,
        net: &Net,
        group: u32,
        command: u8,
        write: impl FnOnce(&mut Writer<'_>) -> Result,
    ) -> Result {
        // SAFETY: The family is valid, and only its registration writes to it.
        let family = unsafe { &*self.0.get() };
        let message = Single::new(family, command, (0, 0), write)?;
        // SAFETY: All are valid. The callee takes the buffer.
        to_result(unsafe {
            bindings::genlmsg_multicast_netns(family, net.as_raw(), message.into_raw(), group)
        })
    }
}

/// A registered [`Family`]; dropping it takes the family away, when no request is being handled.
///
/// # Invariants
///
/// The family is registered.
pub(crate) struct Registration(&'static Family);

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by the type invariant.
        unsafe { bindings::genl_unregister_family(self.0 .0.get()) };
    }
}
