// SPDX-License-Identifier: GPL-2.0

//! Kinds of virtual network links: what `ip link add … type KIND` creates.
//!
//! Context: process context, may sleep, but for [`TunnelDriver::transmit`]. Locking: the RTNL, for everything but
//! [`TunnelDriver::transmit`], which runs on the RCU read side. Lifetime: a driver is valid in its callbacks, and for as long as a
//! counted reference is kept; the network device behind it, as long as it is referred to.
//!
//! C headers: [`include/net/rtnetlink.h`](srctree/include/net/rtnetlink.h),
//! [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use core::{cell::UnsafeCell, marker::PhantomData, ptr::NonNull};
use kernel::{
    error::{from_result, to_result},
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        atomic::{Acquire, Atomic, Full, Release},
    },
    types::Opaque,
};

use super::{
    device::{CountedDevice, NetDevice},
    ethtool::Ethtool,
    namespace::Net,
    rtnl::RtnlGuard,
    skb::{Routed, SkBuff},
};
use crate::{
    bindings,
    rcu::{RcuArc, RcuArcBorrow},
};

/// The driver of a kind of layer-3 tunnel device.
///
/// A device has one `Self`, which [`Self::new_link`] creates and [`Self::uninit`] takes down.
pub(crate) trait TunnelDriver: Sized + Send + Sync + 'static {
    /// What all devices of the kind share.
    type Context: Send + Sync + 'static;

    /// The name of the kind.
    const KIND: &'static CStr;
    /// How many bytes the tunnel puts in front of and behind a packet, all headers included.
    const OVERHEAD: usize;
    /// What the length of a packet is padded to a multiple of.
    const PADDING: usize;

    /// How many bytes packets that are routed to a link had better have free in front of them, and behind.
    const ROOM: (usize, usize);
    /// How many numbers `ethtool -S` shows.
    const STATISTICS: usize;

    /// Creates the driver's side of a device that was just registered, and that nobody can have brought up yet.
    /// Errors: any, in which case the device is unregistered.
    ///
    /// `creating` is the namespace that the device is created from. Context: under the RTNL.
    fn new_link(
        context: &Self::Context,
        dev: ARef<CountedDevice>,
        creating: &Net,
    ) -> Result<RcuArc<Self>>;

    /// The device is brought up.
    fn open(this: RcuArcBorrow<'_, Self>, rtnl: &RtnlGuard) -> Result;

    /// The device is taken down. Context: under the RTNL.
    fn stop(this: RcuArcBorrow<'_, Self>);

    /// A packet was routed to the device. Context: softirqs disabled, RCU read side.
    fn transmit(this: RcuArcBorrow<'_, Self>, skb: SkBuff<Routed>) -> Result;

    /// Tells so many numbers, always in the same order, with their names of up to 31 bytes. Context: under the RTNL.
    fn statistics(this: RcuArcBorrow<'_, Self>, tell: &mut dyn FnMut(&'static CStr, u64));

    /// The device is being unregistered and not up. That waits until all references to the [`NetDevice`] are
    /// gone, so they had better be on their way out when this returns. Context: under the RTNL.
    fn uninit(this: RcuArc<Self>);
}

/// What a device of a registered kind has behind it.
///
/// # Invariants
///
/// - `driver` is null or came from [`RcuArc::into_raw`], in which case this object owns the count.
/// - While `driver` is not null, the device is in the list that starts at [`LINKS`] and goes on
///   through `next`. The RTNL protects the list.
#[repr(C)]
struct Private<T> {
    driver: Atomic<*mut T>,
    next: *mut bindings::net_device,
}

/// The head of the list of all devices of this module's kinds; the RTNL protects it.
struct Links(UnsafeCell<*mut bindings::net_device>);

// SAFETY: Only accessed under the RTNL.
unsafe impl Sync for Links {}

static LINKS: Links = Links(UnsafeCell::new(core::ptr::null_mut()));

/// A registered kind of link; dropping it deletes all links of the kind.
///
/// # Invariants
///
/// `ops` is registered with rtnetlink, and every device set up by it has a [`Private<T>`].
#[pin_data(PinnedDrop)]
pub(crate) struct LinkKind<T: TunnelDriver> {
    #[pin]
    ops: Opaque<bindings::rtnl_link_ops>,
    context: T::Context,
}

// SAFETY: The operations are only touched by rtnetlink under its own locks.
unsafe impl<T: TunnelDriver> Send for LinkKind<T> {}
// SAFETY: As above.
unsafe impl<T: TunnelDriver> Sync for LinkKind<T> {}

/// The device operations of kind `T`.
struct Operations<T>(PhantomData<T>);

impl<T: TunnelDriver> Operations<T> {
    const TABLE: bindings::net_device_ops = bindings::net_device_ops {
        ndo_uninit: Some(uninit::<T>),
        ndo_open: Some(open::<T>),
        ndo_stop: Some(stop::<T>),
        ndo_start_xmit: Some(start_xmit::<T>),
        // SAFETY: All other operations are optional pointers, for which zero means none.
        ..unsafe { core::mem::zeroed() }
    };
}

impl<T: TunnelDriver> LinkKind<T> {
    /// Registers the kind. Context: process context. Errors: `EEXIST`, `ENOMEM`.
    pub(crate) fn register(context: T::Context) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            context,
            ops <- Opaque::try_ffi_init(|slot: *mut bindings::rtnl_link_ops| {
                // SAFETY: `slot` is valid for writes, and pinned until the drop unregisters. Zero
                // means absent for all other fields.
                unsafe {
                    slot.write_bytes(0, 1);
                    (*slot).kind = T::KIND.as_char_ptr();
                    (*slot).priv_size = size_of::<Private<T>>();
                    (*slot).setup = Some(setup::<T>);
                    (*slot).newlink = Some(new_link::<T>);
                    to_result(bindings::rtnl_link_register(slot))
                }
            }),
        })
    }
}

#[pinned_drop]
impl<T: TunnelDriver> PinnedDrop for LinkKind<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered by the type invariant.
        unsafe { bindings::rtnl_link_unregister(self.ops.get()) };
    }
}

/// Finds the driver's side of a device, `None` if it is of another kind.
///
/// The answer may be used while the RTNL is held, which keeps the device from being unregistered.
pub(crate) fn driver_of<'a, T: TunnelDriver>(
    dev: &'a NetDevice,
    _rtnl: &'a RtnlGuard,
) -> Option<RcuArcBorrow<'a, T>> {
    // SAFETY: The device is valid, and the RTNL keeps its link operations.
    let kind = unsafe {
        let ops = (*dev.as_raw()).rtnl_link_ops;
        (!ops.is_null()).then(|| (*ops).newlink)??
    };
    let ours: unsafe extern "C" fn(_, _, _) -> _ = new_link::<T>;
    if !core::ptr::fn_addr_eq(kind, ours) {
        return None;
    }
    // SAFETY: The device is of our kind, and unregistering it needs the RTNL.
    unsafe { private::<T>(dev.as_raw()) }
}

/// Returns the driver's side of a device.
///
/// # Safety
///
/// `dev` must be a device of kind `T`, and for `'a` either the RTNL or the RCU read side is held.
#[inline]
pub(super) unsafe fn private<'a, T: TunnelDriver>(
    dev: *mut bindings::net_device,
) -> Option<RcuArcBorrow<'a, T>> {
    // SAFETY: Devices of this kind have a `Private<T>`, zeroed at first.
    let driver = unsafe {
        let private = bindings::netdev_priv(dev).cast::<Private<T>>();
        (*private).driver.load(Acquire)
    };
    // SAFETY: By the invariant of `Private` the pointer comes from `into_raw`. Its count is given
    // up in `uninit` under the RTNL, after a grace period in which the device was not up.
    (!driver.is_null()).then(|| unsafe { RcuArc::borrow_raw(driver) })
}

/// Sets up a new device.
///
/// # Safety
///
/// Only to be called by rtnetlink.
unsafe extern "C" fn setup<T: TunnelDriver>(dev: *mut bindings::net_device) {
    // SAFETY: The device is new and ours alone. The tables are static.
    unsafe {
        (*dev).netdev_ops = &Operations::<T>::TABLE;
        (*dev).ethtool_ops = &Ethtool::<T>::TABLE;
        (*dev).header_ops = &raw const bindings::ip_tunnel_header_ops;
        (*dev).hard_header_len = 0;
        (*dev).addr_len = 0;
        (*dev).type_ = bindings::ARPHRD_NONE as u16;
        (*dev).flags =
            bindings::net_device_flags_IFF_POINTOPOINT | bindings::net_device_flags_IFF_NOARP;
        bindings::set_no_queue(dev);
        bindings::set_lltx(dev);
        bindings::set_tstats(dev);
        bindings::set_needs_free_netdev(dev);
        bindings::add_features(dev, bindings::tunnel_features());
        let largest = (i32::MAX as usize / T::PADDING) * T::PADDING;
        bindings::set_mtu(dev, bindings::ETH_DATA_LEN - T::OVERHEAD as u32);
        (*dev).max_mtu = (largest - T::OVERHEAD) as u32;
        (*dev).needed_headroom = T::ROOM.0 as u16;
        (*dev).needed_tailroom = T::ROOM.1 as u16;
        // ICMP errors need the route that a packet was sent by.
        bindings::netif_keep_dst(dev);
        bindings::netif_set_tso_max_size(dev, bindings::GSO_MAX_SIZE);
        bindings::set_device_type(dev);
    }
}

/// Creates a link.
///
/// # Safety
///
/// Only to be called by rtnetlink.
unsafe extern "C" fn new_link<T: TunnelDriver>(
    dev: *mut bindings::net_device,
    params: *mut bindings::rtnl_newlink_params,
    _extack: *mut bindings::netlink_ext_ack,
) -> kernel::ffi::c_int {
    from_result(|| {
        // SAFETY: The parameters are valid for the duration of the call.
        let creating = unsafe { Net::from_raw(bindings::rtnl_newlink_link_net(params)) };
        // SAFETY: rtnetlink has noted in the device which operations it is created by, which are
        // the `ops` of a `LinkKind<T>`, registered and hence valid.
        let kind = unsafe {
            let ops = (*dev)
                .rtnl_link_ops
                .cast_mut()
                .cast::<Opaque<bindings::rtnl_link_ops>>();
            &*kernel::container_of!(ops, LinkKind<T>, ops)
        };
        // First, so that it is never freed while the driver has references to it: a device that was not
        // registered would be freed at once.
        // SAFETY: The device is set up and the RTNL is held.
        to_result(unsafe { bindings::register_netdevice(dev) })?;
        // SAFETY: The device is registered, and `setup` has chosen statistics of that kind.
        let device = unsafe { CountedDevice::from_raw(dev) };
        let driver = match T::new_link(&kind.context, device.into(), creating) {
            Ok(driver) => driver.into_raw().cast_mut(),
            Err(e) => {
                // SAFETY: The device is registered and the RTNL is held. rtnetlink frees it, which waits for what
                // refers to it.
                unsafe { bindings::unregister_netdevice_queue(dev, core::ptr::null_mut()) };
                return Err(e);
            }
        };
        // SAFETY: `setup` gave the device a `Private<T>`, which lives as long as the device; the RTNL protects
        // the list.
        // INVARIANT: The count that `into_raw` kept is the device's.
        unsafe {
            let private = bindings::netdev_priv(dev).cast::<Private<T>>();
            (*private).next = *LINKS.0.get();
            *LINKS.0.get() = dev;
            (*private).driver.store(driver, Release);
        }
        Ok(0)
    })
}

/// Takes the driver's side of a device down.
///
/// # Safety
///
/// `dev` must be a device of kind `T`; the RTNL must be held.
unsafe extern "C" fn uninit<T: TunnelDriver>(dev: *mut bindings::net_device) {
    // SAFETY: Devices of this kind have a `Private<T>`.
    let driver = unsafe {
        let private = bindings::netdev_priv(dev).cast::<Private<T>>();
        (*private).driver.xchg(core::ptr::null_mut(), Full)
    };
    if !driver.is_null() {
        // SAFETY: The RTNL is held, and by the invariant of `Private` the device is in the list.
        unsafe { unlink(dev) };
        // SAFETY: By the invariant of `Private` the count was the device's.
        T::uninit(unsafe { RcuArc::from_raw(driver) });
    }
}

/// Takes a device out of the list of all.
///
/// # Safety
///
/// `dev` must be in the list; the RTNL must be held.
unsafe fn unlink(dev: *mut bindings::net_device) {
    let mut place = LINKS.0.get();
    // SAFETY: All devices in the list have a `Private`, whose layout does not depend on its type.
    unsafe {
        while !(*place).is_null() {
            let private = bindings::netdev_priv(*place).cast::<Private<()>>();
            if core::ptr::eq(*place, dev) {
                *place = (*private).next;
                return;
            }
            place = &raw mut (*private).next;
        }
    }
}

/// Calls a function for each device of kind `T`, in whatever namespace it is.
pub(crate) fn for_each<T: TunnelDriver>(rtnl: &RtnlGuard, mut f: impl FnMut(RcuArcBorrow<'_, T>)) {
    // SAFETY: The RTNL is held.
    let mut next = unsafe { *LINKS.0.get() };
    while !next.is_null() {
        // SAFETY: The device is in the list, so it is valid while the RTNL is held.
        if let Some(driver) = driver_of::<T>(unsafe { NetDevice::from_raw(next) }, rtnl) {
            f(driver);
        }
        // SAFETY: As above.
        next = unsafe { (*bindings::netdev_priv(next).cast::<Private<()>>()).next };
    }
}

/// Brings a device up.
///
/// # Safety
///
/// `dev` must be a device of kind `T`; the RTNL must be held.
unsafe extern "C" fn open<T: TunnelDriver>(dev: *mut bindings::net_device) -> kernel::ffi::c_int {
    from_result(|| {
        // SAFETY: The RTNL is held.
        let rtnl = unsafe { RtnlGuard::assume_held() };
        // SAFETY: As above.
        T::open(unsafe { private::<T>(dev) }.ok_or(ENODEV)?, &rtnl)?;
        Ok(0)
    })
}

/// Takes a device down.
///
/// # Safety
///
/// `dev` must be a device of kind `T`; the RTNL must be held.
unsafe extern "C" fn stop<T: TunnelDriver>(dev: *mut bindings::net_device) -> kernel::ffi::c_int {
    // SAFETY: The RTNL is held.
    if let Some(driver) = unsafe { private::<T>(dev) } {
        T::stop(driver);
    }
    0
}

/// Transmits a packet.
///
/// # Safety
///
/// `dev` must be a device of kind `T`; only to be called by the networking core.
unsafe extern "C" fn start_xmit<T: TunnelDriver>(
    skb: *mut bindings::sk_buff,
    dev: *mut bindings::net_device,
) -> bindings::netdev_tx_t {
    // SAFETY: The core hands us a valid buffer that is on no list.
    let skb = unsafe { SkBuff::<Routed>::from_raw(NonNull::new_unchecked(skb)) };
    // SAFETY: The core calls this with the RCU read side held.
    match unsafe { private::<T>(dev) } {
        Some(driver) => match T::transmit(driver, skb) {
            Ok(()) => bindings::netdev_tx_NETDEV_TX_OK,
            // A negative errno tells the sender; the buffer is gone in any case.
            Err(e) => e.to_errno(),
        },
        None => bindings::netdev_tx_NETDEV_TX_OK,
    }
}
