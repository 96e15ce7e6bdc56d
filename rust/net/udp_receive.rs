// SPDX-License-Identifier: GPL-2.0

//! How the sockets of a [`UdpTunnel`](super::udp::UdpTunnel) receive.
//!
//! UDP has two ways. A datagram can be handed to a callback (`encap_rcv`), which is the shortest way for one; but a
//! buffer that stands for several (GSO, GRO) is cut first, at the price of a buffer for each
//! (`udp_unexpected_gso()`). Or it is put into the socket's queue, whole, from where it is taken at once. A socket
//! takes the second way for as long as the receiver says that datagrams come in numbers, and has GRO merge them.
//!
//! Context: softirq. Locking: the lock of the socket's queue, for a moment. The receiver is lent for the callback.
//!
//! C header: [`include/linux/udp.h`](srctree/include/linux/udp.h)

use core::ptr::NonNull;

use super::{
    drop_reason::DropReason,
    skb::{DatagramIn, SkBuff},
};
use crate::{
    bindings,
    rcu::{RcuArc, RcuArcBorrow},
};

/// Who receives the datagrams of a socket.
pub(crate) trait DatagramReceiver: Send + Sync + 'static {
    /// A datagram came in; its data starts behind the UDP header. It may stand for several: see
    /// [`SkBuff::gso_size`]. Returns whether datagrams come in numbers.
    ///
    /// Context: softirq, RCU read side.
    fn receive(this: RcuArcBorrow<'_, Self>, skb: SkBuff<DatagramIn>) -> bool
    where
        Self: Sized;
}

/// Prepares a socket, the user data of which is not set yet.
///
/// # Safety
///
/// `sk` is a valid UDP socket that nobody else changes. When it has user data, that is a `T` whose count the caller owns,
/// for as long as RCU readers may see it.
pub(super) unsafe fn prepare<T: DatagramReceiver>(sk: *mut bindings::sock) {
    // SAFETY: By the safety requirement.
    unsafe {
        // Nothing stays in the queue, so nothing is bounded by it; and no reader is to poll for more meanwhile.
        (*sk).sk_rcvbuf = i32::MAX;
        (*sk).sk_ll_usec = 0;
        (*sk).sk_data_ready = Some(data_ready::<T>);
        bindings::udp_set_accept_gso(sk, true);
        // Otherwise the queue forgets which interface of a VRF a datagram came in by.
        bindings::ip_sock_set_pktinfo(sk);
    }
}

/// The callback for one datagram.
///
/// # Safety
///
/// Only to be called by UDP, for a socket that was prepared.
pub(super) unsafe extern "C" fn encap_rcv<T: DatagramReceiver>(
    sk: *mut bindings::sock,
    skb: *mut bindings::sk_buff,
) -> kernel::ffi::c_int {
    const UDP_HEADER: usize = 8;

    // SAFETY: UDP hands us the buffer, which is on no list. Its route is only borrowed from the RCU read side.
    let mut skb = unsafe {
        bindings::skb_dst_drop(skb);
        SkBuff::<DatagramIn>::from_raw(NonNull::new_unchecked(skb))
    };
    if skb.pull_linear(UDP_HEADER).is_some() && skb.pull(UDP_HEADER) {
        // SAFETY: By the safety requirement.
        unsafe { deliver::<T>(sk, skb) };
    }
    0
}

/// The callback for datagrams that are in the queue.
///
/// # Safety
///
/// As above.
unsafe extern "C" fn data_ready<T: DatagramReceiver>(sk: *mut bindings::sock) {
    const NOTHING: kernel::ffi::c_int = -(bindings::EAGAIN as kernel::ffi::c_int);

    loop {
        let (mut offset, mut error) = (0, 0);
        let flags = bindings::MSG_DONTWAIT;
        // SAFETY: The socket is valid for the duration of the call.
        let skb = unsafe { bindings::__skb_recv_udp(sk, flags, &mut offset, &mut error) };
        let Some(skb) = NonNull::new(skb) else {
            // Anything else is an error that the socket was told of and has now forgotten.
            if error == NOTHING {
                return;
            }
            continue;
        };
        // SAFETY: The buffer is ours, and UDP has taken its route away. Where the device was, there is a number of
        // UDP's.
        let skb = unsafe {
            (*skb.as_ptr())
                .__bindgen_anon_1
                .__bindgen_anon_1
                .__bindgen_anon_1
                .dev = core::ptr::null_mut();
            SkBuff::<DatagramIn>::from_raw(skb)
        };
        // SAFETY: As above; what UDP leaves to the reader is to check the sum, and to count.
        unsafe { dequeued::<T>(sk, skb) };
    }
}

/// Checks a datagram that was in the queue, and delivers it.
///
/// # Safety
///
/// As above.
unsafe fn dequeued<T: DatagramReceiver>(sk: *mut bindings::sock, mut skb: SkBuff<DatagramIn>) {
    // SAFETY: The socket and the buffer are valid.
    unsafe {
        if skb.with_raw(|skb| bindings::udp_lib_checksum_complete(skb)) != 0 {
            bindings::udp_count_csum_error(sk);
            bindings::udp_count_in_error(sk);
            return skb.drop_for(DropReason::UdpCsum);
        }
        bindings::udp_count_received(sk, skb.datagrams() as kernel::ffi::c_int);
        deliver::<T>(sk, skb);
    }
}

/// Delivers a datagram to the receiver, and chooses the way of the next ones.
///
/// # Safety
///
/// As above.
unsafe fn deliver<T: DatagramReceiver>(sk: *mut bindings::sock, skb: SkBuff<DatagramIn>) {
    // SAFETY: The socket is valid.
    let receiver = unsafe { bindings::sk_user_data(sk) }.cast::<T>();
    if receiver.is_null() {
        return;
    }
    // SAFETY: The user data is a receiver, whose count is given up only after the user data was
    // cleared; UDP calls this with the RCU read side held.
    let many = T::receive(unsafe { RcuArc::borrow_raw(receiver) }, skb);
    let way: Option<unsafe extern "C" fn(_, _) -> _> =
        if many { None } else { Some(encap_rcv::<T>) };
    // SAFETY: The socket is one of UDP. C reads the field at any time, as a whole (`READ_ONCE()`).
    unsafe {
        let field = &raw mut (*sk.cast::<bindings::udp_sock>()).encap_rcv;
        if field.read_volatile().is_none() != many {
            field.write_volatile(way);
            bindings::udp_set_gro(sk, many);
        }
    }
}
