// SPDX-License-Identifier: GPL-2.0

//! Network devices.
//!
//! Context: any, but where an item says something else. Locking: lookups want the RTNL, and what they find is valid as long
//! as it is held; an [`ARef`] is valid as long as it is kept, and keeps the device from being freed. Only looking up can
//! fail.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use core::{ffi::CStr, ops::Deref, ptr::NonNull};
use kernel::{
    str::CStrExt as _,
    sync::aref::{ARef, AlwaysRefCounted},
    types::Opaque,
};

use super::{
    namespace::{Net, NetId},
    rtnl::RtnlGuard,
};
use crate::bindings;

/// Returns how many transmissions this one is within: of devices without a queue, and of tunnels, which
/// hand packets on while they are being handed one. Context: softirqs disabled.
#[inline]
pub(crate) fn transmit_depth() -> u32 {
    // SAFETY: May always be called.
    unsafe { bindings::dev_recursion_level() as u32 }
}

/// A network device (`struct net_device`).
///
/// While an [`ARef`] to one exists, unregistering the device does not
/// finish.
#[repr(transparent)]
pub(crate) struct NetDevice(Opaque<bindings::net_device>);

// SAFETY: What this type offers may be used from any thread.
unsafe impl Send for NetDevice {}
// SAFETY: As above.
unsafe impl Sync for NetDevice {}

// SAFETY: `dev_hold` and `dev_put` count references, without which a device is not freed.
unsafe impl AlwaysRefCounted for NetDevice {
    fn inc_ref(&self) {
        // SAFETY: The device is valid.
        unsafe { bindings::dev_hold(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up one reference.
        unsafe { bindings::dev_put(obj.cast().as_ptr()) };
    }
}

/// A counter of the device that counts packets which were not handled normally.
#[derive(Clone, Copy)]
pub(crate) enum LinkStatistic {
    /// `rx_errors` and `rx_frame_errors`: a packet whose contents were not acceptable.
    RxFrameErrors,
    /// `rx_errors` and `rx_length_errors`: a packet whose length was not what it said.
    RxLengthErrors,
    /// `rx_dropped`: an authentic packet that is not wanted a second time, or came too late.
    RxDropped,
    /// `tx_errors`: a packet that could not be sent.
    TxErrors,
    /// `tx_dropped`: a packet that was given up while it waited.
    TxDropped,
}

impl NetDevice {
    /// Lends a device.
    ///
    /// # Safety
    ///
    /// `ptr` must point at a device that stays valid for `'a`.
    #[inline]
    pub(crate) unsafe fn from_raw<'a>(ptr: *mut bindings::net_device) -> &'a Self {
        // SAFETY: By the safety requirement; `NetDevice` is a transparent wrapper.
        unsafe { &*ptr.cast() }
    }

    /// Returns the C object.
    #[inline]
    pub(crate) fn as_raw(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// Returns whether the device is up.
    #[inline]
    pub(crate) fn is_running(&self) -> bool {
        // SAFETY: The device is valid.
        unsafe { bindings::netif_running(self.as_raw()) }
    }

    /// Returns the interface index, unique in the device's namespace.
    #[inline]
    pub(crate) fn index(&self) -> i32 {
        // SAFETY: The device is valid; a torn read is impossible.
        unsafe { (&raw const (*self.as_raw()).ifindex).read_volatile() }
    }

    /// Returns which namespace the device is in now. Context: any.
    pub(crate) fn namespace(&self) -> NetId {
        let _guard = crate::rcu::read_lock();
        // SAFETY: The device is valid, and so is its namespace for as long as the guard is held,
        // even if the device is being moved.
        unsafe { NetId::of(bindings::dev_net(self.as_raw())) }
    }

    /// Returns the namespace that the device is in now, unless that is dying. Context: any.
    pub(crate) fn living_namespace(&self) -> Option<ARef<Net>> {
        let _guard = crate::rcu::read_lock();
        // SAFETY: As in `namespace`. The callee takes a use only while there are others.
        let net = unsafe { bindings::maybe_get_net(bindings::dev_net(self.as_raw())) };
        // SAFETY: The use that was taken is ours.
        NonNull::new(net).map(|net| unsafe { ARef::from_raw(net.cast()) })
    }

    /// Returns the device's MTU in bytes.
    #[inline]
    pub(crate) fn mtu(&self) -> usize {
        // SAFETY: The device is valid.
        unsafe { bindings::dev_mtu(self.as_raw()) as usize }
    }

    /// Returns whether received packets of one flow may be merged (`ethtool -K … gro`). Context: any.
    #[inline]
    pub(crate) fn merges_received(&self) -> bool {
        // SAFETY: The device is valid.
        !unsafe { bindings::netif_elide_gro(self.as_raw()) }
    }

    /// Finds a device of a namespace by its index. Valid while the RTNL is held.
    pub(crate) fn by_index<'a>(net: &'a Net, index: i32, _rtnl: &'a RtnlGuard) -> Option<&'a Self> {
        // SAFETY: The namespace is valid and the RTNL held.
        let dev = unsafe { bindings::__dev_get_by_index(net.as_raw(), index) };
        // SAFETY: The RTNL keeps the device from going away.
        (!dev.is_null()).then(|| unsafe { Self::from_raw(dev) })
    }

    /// Finds a device of a namespace by its name. Valid while the RTNL is held.
    pub(crate) fn by_name<'a>(net: &'a Net, name: &CStr, _rtnl: &'a RtnlGuard) -> Option<&'a Self> {
        // SAFETY: The namespace and the name are valid and the RTNL held.
        let dev = unsafe { bindings::__dev_get_by_name(net.as_raw(), name.as_char_ptr()) };
        // SAFETY: The RTNL keeps the device from going away.
        (!dev.is_null()).then(|| unsafe { Self::from_raw(dev) })
    }

    /// Calls a function with the device's name, which renaming may change at any time.
    pub(crate) fn with_name<R>(&self, f: impl FnOnce(&CStr) -> R) -> R {
        // SAFETY: The device is valid; its name is an array of bytes with a NUL at the end at any
        // time, and a copy of it is taken.
        let name = unsafe { (&raw const (*self.as_raw()).name).read_volatile() };
        let mut bytes = [0u8; 16];
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = from;
        }
        if let Some(last) = bytes.last_mut() {
            *last = 0;
        }
        f(CStr::from_bytes_until_nul(&bytes).unwrap_or_default())
    }

    /// Says that the link has no carrier. Context: under the RTNL.
    pub(crate) fn carrier_off(&self) {
        // SAFETY: The device is valid.
        unsafe { bindings::netif_carrier_off(self.as_raw()) };
    }

    /// Counts packets that were not handled normally. Context: any.
    pub(crate) fn count_statistic(&self, statistic: LinkStatistic, packets: usize) {
        // SAFETY: The device is valid.
        unsafe {
            match statistic {
                LinkStatistic::RxFrameErrors => {
                    bindings::dev_stats_add_rx_errors(self.as_raw(), packets);
                    bindings::dev_stats_add_rx_frame_errors(self.as_raw(), packets);
                }
                LinkStatistic::RxLengthErrors => {
                    bindings::dev_stats_add_rx_errors(self.as_raw(), packets);
                    bindings::dev_stats_add_rx_length_errors(self.as_raw(), packets);
                }
                LinkStatistic::RxDropped => {
                    bindings::dev_stats_add_rx_dropped(self.as_raw(), packets)
                }
                LinkStatistic::TxErrors => {
                    bindings::dev_stats_add_tx_errors(self.as_raw(), packets)
                }
                LinkStatistic::TxDropped => {
                    bindings::dev_stats_add_tx_dropped(self.as_raw(), packets)
                }
            }
        }
    }

    /// Prepares a device without link-layer addresses for coming up: no ICMP redirects, which make
    /// no sense through a tunnel, and no automatic IPv6 link-local address.
    pub(crate) fn quiet_addressing(&self, _rtnl: &RtnlGuard) {
        // SAFETY: The device is valid, and the RTNL protects its address configuration.
        unsafe {
            let in_dev = bindings::__in_dev_get_rtnl(self.as_raw());
            if !in_dev.is_null() {
                bindings::disable_send_redirects(in_dev);
                bindings::disable_all_send_redirects(self.as_raw());
            }
            let in6_dev = bindings::__in6_dev_get_rtnl(self.as_raw());
            if !in6_dev.is_null() {
                bindings::set_addr_gen_mode_none(in6_dev);
            }
        }
    }
}

/// A registered network device with a statistic of packets for each CPU (`NETDEV_PCPU_STAT_TSTATS`).
///
/// # Invariants
///
/// The statistics are allocated, which they are from registration until the device is freed.
#[repr(transparent)]
pub(crate) struct CountedDevice(NetDevice);

// SAFETY: As for `NetDevice`, the references of which are counted.
unsafe impl AlwaysRefCounted for CountedDevice {
    fn inc_ref(&self) {
        self.0.inc_ref();
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up one reference.
        unsafe { NetDevice::dec_ref(obj.cast()) };
    }
}

impl Deref for CountedDevice {
    type Target = NetDevice;

    #[inline]
    fn deref(&self) -> &NetDevice {
        &self.0
    }
}

impl CountedDevice {
    /// Lends a device.
    ///
    /// # Safety
    ///
    /// `ptr` must point at a registered device with `NETDEV_PCPU_STAT_TSTATS` that stays valid for `'a`.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::net_device) -> &'a Self {
        // SAFETY: By the safety requirement; both types are transparent wrappers.
        // INVARIANT: Registration has allocated them.
        unsafe { &*ptr.cast() }
    }

    /// Counts received packets of `len` bytes in all. Context: softirq, or with softirqs disabled.
    #[inline]
    pub(crate) fn count_received(&self, packets: usize, len: usize) {
        let mut len = len;
        for _ in 0..packets {
            // SAFETY: The device is valid and has such statistics.
            unsafe { bindings::dev_sw_netstats_rx_add(self.as_raw(), len as u32) };
            len = 0;
        }
    }

    /// Returns how many packets have been counted as sent on this CPU. Context: as above.
    #[inline]
    pub(crate) fn sent_here(&self) -> u64 {
        // SAFETY: The device is valid and has such statistics.
        unsafe { bindings::dev_sw_netstats_tx_packets_here(self.as_raw()) }
    }

    /// Counts sent packets beyond those that the IP layer counted. Context: as above.
    #[inline]
    pub(crate) fn count_sent(&self, packets: usize, len: usize) {
        // SAFETY: The device is valid and has such statistics.
        unsafe { bindings::dev_sw_netstats_tx_add(self.as_raw(), packets as u32, len as u32) };
    }
}
