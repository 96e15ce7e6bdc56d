// SPDX-License-Identifier: GPL-2.0

//! UDP sockets of the kernel's own, for tunnels.
//!
//! Context: any but hard interrupts, where an item says nothing else. Locking: none is wanted; sending and looking up run on the RCU
//! read side, whose guard they ask for. Lifetime: a socket is closed by [`UdpTunnel::close`] or by the end of its
//! namespace, and then says `ENONET`.
//!
//! C headers: [`include/net/udp_tunnel.h`](srctree/include/net/udp_tunnel.h),
//! [`include/net/ip_tunnels.h`](srctree/include/net/ip_tunnels.h)

use core::ptr::NonNull;
use kernel::{
    error::{from_err_ptr, to_result},
    ffi,
    prelude::*,
    sync::{
        atomic::{Acquire, Atomic, Relaxed, Release},
        Arc,
    },
    types::ScopeGuard,
};

use super::{
    device::NetDevice,
    namespace::{Net, NetId},
    residents::Residents,
    route::Route,
    skb::{DatagramOut, SkBuff},
    udp_receive::{self, DatagramReceiver},
};
use crate::{
    bindings,
    compat::{EAFNOSUPPORT, EHOSTUNREACH, ENONET},
    gfp,
    rcu::{self, Guard, RcuArc},
};

/// The protocol that a socket is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4
    V4,
    /// IPv6 only
    V6,
}

/// A socket, as the end of its namespace must find it ([`Residents`]).
///
/// # Invariants
///
/// - `sk` is the `struct sock` of a socket in the namespace `net`; this object owns a reference to it.
/// - While `is_open` is set, the socket is open, and for a grace period after; the namespace is not freed before.
/// - While `is_there` is set, the socket may be open.
pub(super) struct OpenSocket {
    pub(super) net: NetId,
    is_open: Atomic<bool>,
    is_there: Atomic<bool>,
    sk: NonNull<bindings::sock>,
}

// SAFETY: Sockets may be used from any thread.
unsafe impl Send for OpenSocket {}
// SAFETY: As above.
unsafe impl Sync for OpenSocket {}

impl OpenSocket {
    /// From a grace period after this on no thread sends through the socket. Returns whether it was not shut before.
    pub(super) fn shut(&self) -> bool {
        let was_open = self.is_open.load(Relaxed);
        self.is_open.store(false, Release);
        was_open
    }

    /// Closes the socket. Context: process context, may sleep.
    ///
    /// # Safety
    ///
    /// A grace period has passed since it was shut; the caller is the only one to do this, and does it once.
    pub(super) unsafe fn release(&self) {
        let sk = self.sk.as_ptr();
        // SAFETY: By the safety requirement the socket is open, and no thread sends through it any more.
        unsafe {
            // Not by `sk_clear_memalloc()`, which changes what the queue counts, without the queue's lock.
            bindings::sock_reset_memalloc(sk);
            bindings::memalloc_socks_dec();
            bindings::udp_tunnel_sock_release(sk);
        }
        // INVARIANT: It has just been closed.
        self.is_there.store(false, Release);
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        // One that is still open would go on working: better to lose it.
        if !self.is_there.load(Acquire) {
            // SAFETY: The reference is ours and given up here.
            unsafe { bindings::sock_put(self.sk.as_ptr()) };
        }
    }
}

/// A bound UDP socket that hands all datagrams to a receiver.
///
/// # Invariants
///
/// While `socket` is there, its user data is `receiver`, whose count this object owns.
pub(crate) struct UdpTunnel<T: DatagramReceiver> {
    socket: Arc<OpenSocket>,
    residents: Arc<Residents>,
    receiver: RcuArc<T>,
    family: Family,
}

/// Where an IPv4 datagram goes from and to. Addresses are in network order, ports in host order.
#[derive(Clone, Copy)]
pub(crate) struct Flow4 {
    /// Source address, zeros to have one chosen.
    pub(crate) source: [u8; 4],
    /// Destination address.
    pub(crate) destination: [u8; 4],
    /// Destination port.
    pub(crate) port: u16,
    /// Interface to leave by, or VRF to be routed in, zero for any.
    pub(crate) scope: u32,
    /// Firewall mark.
    pub(crate) mark: u32,
}

/// Where an IPv6 datagram goes from and to.
#[derive(Clone, Copy)]
pub(crate) struct Flow6 {
    /// Source address, zeros to have one chosen.
    pub(crate) source: [u8; 16],
    /// Destination address.
    pub(crate) destination: [u8; 16],
    /// Destination port.
    pub(crate) port: u16,
    /// As above.
    pub(crate) scope: u32,
    /// Firewall mark.
    pub(crate) mark: u32,
}

/// Makes the C form of an IPv6 address.
pub(super) fn in6_addr(address: [u8; 16]) -> bindings::in6_addr {
    bindings::in6_addr {
        in6_u: bindings::in6_addr__bindgen_ty_1 { u6_addr8: address },
    }
}

/// Returns whether IPv6 is there at all (`ipv6.disable=1` turns it off).
pub(crate) fn ipv6_available() -> bool {
    // SAFETY: Always safe to call.
    unsafe { bindings::ipv6_mod_enabled() }
}

/// Returns the identifier of the zone that a link-local address belongs to, else zero.
pub(crate) fn scope_of(address: [u8; 16], interface: i32) -> u32 {
    // SAFETY: The address is valid for reads.
    unsafe { bindings::ipv6_iface_scope_id(&in6_addr(address), interface) }
}

/// Binds a socket to a port on all addresses; an IPv6 one to none of IPv4.
///
/// # Safety
///
/// `socket` is a valid UDP socket of this family, and nobody else knows it.
unsafe fn bind(socket: *mut bindings::socket, family: Family, port: u16) -> Result {
    let port = port.to_be();
    // SAFETY: By the safety requirement; the addresses are as long as is said.
    to_result(unsafe {
        match family {
            Family::V4 => {
                let mut address = bindings::sockaddr_in {
                    sin_family: bindings::AF_INET as u16,
                    sin_port: port,
                    ..Default::default()
                };
                let len = size_of_val(&address) as ffi::c_int;
                bindings::kernel_bind(socket, (&raw mut address).cast(), len)
            }
            Family::V6 => {
                to_result(bindings::ip6_sock_set_v6only((*socket).sk))?;
                let mut address = bindings::sockaddr_in6 {
                    sin6_family: bindings::AF_INET6 as u16,
                    sin6_port: port,
                    ..Default::default()
                };
                let len = size_of_val(&address) as ffi::c_int;
                bindings::kernel_bind(socket, (&raw mut address).cast(), len)
            }
        }
    })
}

impl<T: DatagramReceiver> UdpTunnel<T> {
    /// Opens a socket on all addresses and the given port, zero to have one chosen.
    ///
    /// It is closed when its namespace dies, if not before. Context: process context, may sleep. Errors:
    /// `EADDRINUSE`, `ENOMEM`, …
    pub(crate) fn open(
        residents: &Arc<Residents>,
        net: &Net,
        family: Family,
        port: u16,
        receiver: RcuArc<T>,
    ) -> Result<Self> {
        let mut open = residents.sockets.lock();
        open.reserve(1, GFP_KERNEL)?;
        let domain = match family {
            Family::V4 => bindings::AF_INET,
            Family::V6 => bindings::AF_INET6,
        };
        let mut socket = core::ptr::null_mut();
        // SAFETY: The namespace is alive, `socket` valid for writes.
        to_result(unsafe {
            bindings::sock_create_kern(
                net.as_raw(),
                domain as ffi::c_int,
                bindings::sock_type_SOCK_DGRAM as ffi::c_int,
                0,
                &mut socket,
            )
        })?;
        // SAFETY: The socket was just created.
        let sk = unsafe { NonNull::new_unchecked((*socket).sk) };
        let unlisted = ScopeGuard::new(|| {
            // SAFETY: Until it is in the list, no other context knows the socket.
            unsafe { bindings::udp_tunnel_sock_release(sk.as_ptr()) }
        });
        // SAFETY: As above. It has no port, so no datagram comes yet.
        unsafe {
            udp_receive::prepare::<T>(sk.as_ptr());
            bind(socket, family, port)?;
        }
        // SAFETY: It is valid.
        unsafe { bindings::sock_hold(sk.as_ptr()) };
        // INVARIANT: The reference just taken is this object's, which gives it up even if there is no memory for it.
        let socket = OpenSocket {
            net: net.id(),
            is_open: Atomic::new(false),
            is_there: Atomic::new(false),
            sk,
        };
        let socket = Arc::new(socket, GFP_KERNEL)?;
        open.push(socket.clone(), GFP_KERNEL)?;
        unlisted.dismiss();
        // INVARIANT: It was opened above, and is in the list, so that it is shut when the namespace dies.
        socket.is_there.store(true, Release);
        socket.is_open.store(true, Release);
        // SAFETY: The socket is valid. Its user data is the receiver, which outlives all RCU readers of the socket
        // because it is an `RcuArc` whose count is given up after the user data was cleared.
        unsafe {
            let sk = sk.as_ptr();
            // Packets are sent in contexts that cannot wait, and their number is bounded by other
            // means than this socket's buffer.
            (*sk).sk_allocation = gfp::raw(GFP_ATOMIC);
            (*sk).sk_sndbuf = i32::MAX;
            bindings::sk_set_memalloc(sk);
            let mut tunnel = bindings::udp_tunnel_sock_cfg {
                sk_user_data: receiver.as_ptr().cast_mut().cast(),
                encap_type: 1,
                encap_rcv: Some(udp_receive::encap_rcv::<T>),
                ..Default::default()
            };
            bindings::setup_udp_tunnel_sock(net.as_raw(), sk, &mut tunnel);
            // That has UDP sum every datagram for checksums that might be inside: there are none.
            bindings::inet_dec_convert_csum(sk);
        }
        drop(open);
        // INVARIANT: All of this was just set up.
        Ok(Self {
            socket,
            residents: residents.clone(),
            receiver,
            family,
        })
    }

    #[inline]
    fn sk(&self) -> *mut bindings::sock {
        self.socket.sk.as_ptr()
    }

    /// Returns the port that the socket is bound to.
    pub(crate) fn port(&self) -> u16 {
        // SAFETY: The socket is valid by the type invariant.
        u16::from_be(unsafe { bindings::inet_sport(self.sk()) })
    }

    /// Closes sockets. Sending through them fails from now on.
    ///
    /// Context: process context, may sleep. Waits for senders under way, for one grace period for all of
    /// them; a receiver may go on until the end of another. The end of the namespace waits for this.
    pub(crate) fn close(tunnels: [Option<&Self>; 2]) {
        let Some(first) = tunnels.iter().flatten().next() else {
            return;
        };
        let mut open = first.residents.sockets.lock();
        let sockets = tunnels.map(|tunnel| {
            let tunnel = tunnel?;
            let is_its = |open: &Arc<OpenSocket>| Arc::ptr_eq(open, &tunnel.socket);
            let at = open.iter().position(is_its)?;
            let socket = open.remove(at).ok()?;
            socket.shut();
            Some(socket)
        });
        if sockets.iter().flatten().next().is_some() {
            rcu::synchronize_net();
        }
        for socket in sockets.iter().flatten() {
            // SAFETY: It was shut before the grace period, by the function that took it out of the list.
            unsafe { socket.release() };
        }
    }

    /// Returns what sends through the socket. Errors: `ENONET` when it is closed.
    #[inline]
    pub(crate) fn sender<'g>(&'g self, _guard: &'g Guard) -> Result<UdpSender<'g>> {
        if !self.socket.is_open.load(Acquire) {
            return Err(ENONET);
        }
        // INVARIANT: It is open. That one of `'g` the guard is held for.
        Ok(UdpSender {
            socket: &self.socket,
            family: self.family,
        })
    }
}

/// What sends through a socket, and finds the ways there are.
///
/// # Invariants
///
/// The RCU read side is held during `'g`, and `socket`, which is of `family`, was open during it: it is not closed, nor its
/// namespace freed, before `'g` ends.
pub(crate) struct UdpSender<'g> {
    socket: &'g OpenSocket,
    family: Family,
}

impl<'g> UdpSender<'g> {
    fn sk(&self) -> *mut bindings::sock {
        self.socket.sk.as_ptr()
    }

    fn net(&self) -> *mut bindings::net {
        // SAFETY: The socket is open by the type invariant.
        unsafe { bindings::sock_net(self.sk()) }
    }

    /// The port that the socket is bound to, in network order.
    fn port(&self) -> u16 {
        // SAFETY: As above.
        unsafe { bindings::inet_sport(self.sk()) }
    }

    /// Returns whether an IPv4 address is one of this host in the socket's namespace.
    pub(crate) fn is_local_v4(&self, address: [u8; 4]) -> bool {
        // SAFETY: The namespace is alive by the type invariant.
        unsafe { bindings::ip_is_local_address(self.net(), u32::from_ne_bytes(address)) }
    }

    /// Returns whether an IPv6 address is one of this host in the socket's namespace, or in the VRF of
    /// an interface there.
    pub(crate) fn is_local_v6(&self, address: [u8; 16], interface: i32) -> bool {
        let address = in6_addr(address);
        // SAFETY: As above; interfaces are found on the RCU read side.
        unsafe { bindings::ipv6_is_local_address(self.net(), &address, interface) }
    }

    /// Returns whether an IPv6 address is one of an interface in the socket's namespace.
    pub(crate) fn is_address_of(&self, address: [u8; 16], interface: i32) -> bool {
        let address = in6_addr(address);
        // SAFETY: As above.
        unsafe { bindings::ipv6_is_address_of(self.net(), &address, interface) }
    }

    /// Returns the index of the VRF of an interface in the socket's namespace, zero if it is in none.
    pub(crate) fn vrf_of(&self, interface: i32) -> u32 {
        // SAFETY: As above.
        unsafe { bindings::l3mdev_master_ifindex_by_index(self.net(), interface) as u32 }
    }

    /// Finds the route of an IPv4 flow and fills in its source address.
    ///
    /// Context: any but hard interrupts. Errors: `EAFNOSUPPORT`, `EINVAL` when the source address is no longer this
    /// host's, those of routing.
    pub(crate) fn route_v4(&self, flow: &mut Flow4) -> Result<Route<'g>> {
        if self.family != Family::V4 {
            return Err(EAFNOSUPPORT);
        }
        let mut fl = bindings::flowi4 {
            saddr: u32::from_ne_bytes(flow.source),
            daddr: u32::from_ne_bytes(flow.destination),
            ..Default::default()
        };
        fl.__fl_common.flowic_mark = flow.mark;
        fl.__fl_common.flowic_oif = flow.scope as i32;
        fl.__fl_common.flowic_proto = bindings::IPPROTO_UDP as u8;
        fl.uli.ports.dport = flow.port.to_be();
        fl.uli.ports.sport = self.port();
        // SAFETY: The socket, its namespace and the flow are valid; the callee returns a reference
        // that is ours.
        let rt = from_err_ptr(unsafe {
            bindings::classify_flow4(self.sk(), &mut fl);
            bindings::ip_route_output_flow(self.net(), &mut fl, self.sk())
        })?;
        flow.source = fl.saddr.to_ne_bytes();
        let dst = NonNull::new(rt.cast()).ok_or(EHOSTUNREACH)?;
        // SAFETY: As above. A `rtable` starts with its `dst`.
        Ok(unsafe { Route::from_raw(dst, self.socket.net) })
    }

    /// Finds the route of an IPv6 flow and fills in its source address.
    ///
    /// Context and errors: as [`Self::route_v4`].
    pub(crate) fn route_v6(&self, flow: &mut Flow6) -> Result<Route<'g>> {
        if self.family != Family::V6 {
            return Err(EAFNOSUPPORT);
        }
        let mut fl = bindings::flowi6 {
            saddr: in6_addr(flow.source),
            daddr: in6_addr(flow.destination),
            ..Default::default()
        };
        fl.__fl_common.flowic_mark = flow.mark;
        fl.__fl_common.flowic_oif = flow.scope as i32;
        fl.__fl_common.flowic_proto = bindings::IPPROTO_UDP as u8;
        fl.uli.ports.dport = flow.port.to_be();
        fl.uli.ports.sport = self.port();
        // SAFETY: The socket, its namespace and the flow are valid; the callee returns a reference
        // that is ours.
        let dst = from_err_ptr(unsafe {
            bindings::classify_flow6(self.sk(), &mut fl);
            bindings::ip6_dst_lookup_flow(self.net(), self.sk(), &mut fl, core::ptr::null())
        })?;
        // SAFETY: All views of the union are plain bytes.
        flow.source = unsafe { fl.saddr.in6_u.u6_addr8 };
        let dst = NonNull::new(dst).ok_or(EHOSTUNREACH)?;
        // SAFETY: As above.
        Ok(unsafe { Route::from_raw(dst, self.socket.net) })
    }

    /// Sends a datagram over IPv4. The buffer holds its payload and has room for the headers.
    ///
    /// The IP layer counts it as sent by `dev`. Context: softirqs disabled. Errors: `EAFNOSUPPORT`, `EINVAL` without that
    /// room; the buffer is dropped then.
    pub(crate) fn send_v4(
        &self,
        dev: &NetDevice,
        mut skb: SkBuff<DatagramOut>,
        route: Route<'_>,
        flow: &Flow4,
        tos: u8,
    ) -> Result {
        if self.family != Family::V4 || route.family() != bindings::AF_INET {
            return Err(EAFNOSUPPORT);
        }
        skb.prepare_sending(dev, flow.mark)?;
        let ttl = route.hop_limit_v4();
        // SAFETY: The route is one of IPv4 and its reference given up; the socket is open by the
        // type invariant; the buffer is ours to give.
        unsafe {
            bindings::udp_tunnel_xmit_skb(
                route.into_raw().cast(),
                self.sk(),
                skb.into_raw().as_ptr(),
                u32::from_ne_bytes(flow.source),
                u32::from_ne_bytes(flow.destination),
                tos,
                ttl,
                0,
                self.port(),
                flow.port.to_be(),
                false,
                false,
                0,
            )
        };
        Ok(())
    }

    /// Sends a datagram over IPv6; otherwise like [`Self::send_v4`].
    pub(crate) fn send_v6(
        &self,
        dev: &NetDevice,
        mut skb: SkBuff<DatagramOut>,
        route: Route<'_>,
        flow: &Flow6,
        traffic_class: u8,
    ) -> Result {
        if self.family != Family::V6 || route.family() != bindings::AF_INET6 {
            return Err(EAFNOSUPPORT);
        }
        skb.prepare_sending(dev, flow.mark)?;
        let hop_limit = route.hop_limit_v6();
        // SAFETY: As in `send_v4`, for IPv6.
        unsafe {
            bindings::udp_tunnel6_xmit_skb(
                route.into_raw(),
                self.sk(),
                skb.into_raw().as_ptr(),
                dev.as_raw(),
                &in6_addr(flow.source),
                &in6_addr(flow.destination),
                traffic_class,
                hop_limit,
                0,
                self.port(),
                flow.port.to_be(),
                false,
                0,
            )
        };
        Ok(())
    }
}

impl<T: DatagramReceiver> Drop for UdpTunnel<T> {
    fn drop(&mut self) {
        if self.socket.is_there.load(Acquire) {
            // The socket would go on calling the receiver: better to lose that.
            pr_err!("a UDP tunnel was not closed; leaking its receiver\n");
            core::mem::forget(self.receiver.clone());
        }
    }
}
