// SPDX-License-Identifier: GPL-2.0

//! How the sockets of a [`UdpTunnel`](super::udp::UdpTunnel) receive.
//!
//! UDP has two ways. A datagram can be handed to a callback (`encap_rcv`), which is the shortest way for one; but a
//! buffer that stands for several (GSO, GRO) is cut first, at the price of a buffer for each
//! (`udp_unexpected_gso()`). Or it is put into the socket's queue, whole, from where it is taken at once. A socket
//! takes the second way for as long as the receiver says that datagrams come in numbers, and has GRO merge them.
//!
//! Any CPU takes what is first in the queue, which another may have put there: so each datagram has a [`Turn`].
//!
//! Context: softirq. Locking: the receiver's lock for turns, and in it the lock of the socket's queue, for a moment. The
//! receiver is lent for the callback.
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
    sync::{Locked, SpinLockBh},
};

/// The turn of a datagram. Until it ends no other CPU takes a datagram out of a queue, so that none overtakes another before
/// the receiver has put them into an order of its own.
///
/// The receiver ends it then, before it does what takes long, and before it delivers anything, which may lead to a socket
/// of its own again. What is handed to the callback comes in order, and needs none.
pub(crate) struct Turn<'a>(Option<Locked<'a, ()>>);

impl Turn<'_> {
    /// Ends the turn, if it has not ended.
    #[inline]
    pub(crate) fn end(&mut self) {
        self.0 = None;
    }
}

/// Who receives the datagrams of a socket.
pub(crate) trait DatagramReceiver: Send + Sync + 'static {
    /// A datagram came in; its data starts behind the UDP header. It may stand for several: see
    /// [`SkBuff::gso_size`]. Returns whether datagrams come in numbers.
    ///
    /// Context: softirq, RCU read side.
    fn receive(this: RcuArcBorrow<'_, Self>, skb: SkBuff<DatagramIn>, turn: &mut Turn<'_>) -> bool
    where
        Self: Sized;

    /// Returns the lock that a [`Turn`] holds, which is for nothing else.
    fn turns(&self) -> &SpinLockBh<()>;
}

/// Prepares a socket that has no port and no user data yet. What comes before it has the latter is dropped.
///
/// # Safety
///
/// `sk` is a valid UDP socket that nobody else knows. When it has user data, that is a `T` whose count the caller owns,
/// for as long as RCU readers may see it.
pub(super) unsafe fn prepare<T: DatagramReceiver>(sk: *mut bindings::sock) {
    // SAFETY: By the safety requirement.
    unsafe {
        // Nothing stays in the queue, so nothing is bounded by it, nor by what all sockets of UDP hold (`udp_mem`); and no
        // reader is to poll for more meanwhile.
        (*sk).sk_rcvbuf = i32::MAX;
        (*sk).__sk_common.set_skc_bypass_prot_mem(1);
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
        unsafe {
            if let Some(receiver) = receiver::<T>(sk) {
                deliver(sk, receiver, skb, Turn(None));
            }
        }
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

    // SAFETY: By the safety requirement.
    let receiver = unsafe { receiver::<T>(sk) };
    loop {
        let turn = Turn(receiver.as_ref().map(|receiver| receiver.turns().lock()));
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
        if let Some(receiver) = receiver {
            // SAFETY: As above; what UDP leaves to the reader is to check the sum, and to count.
            unsafe { dequeued(sk, receiver, skb, turn) };
        }
    }
}

/// Checks a datagram that was in the queue, and delivers it.
///
/// # Safety
///
/// As above.
unsafe fn dequeued<T: DatagramReceiver>(
    sk: *mut bindings::sock,
    receiver: RcuArcBorrow<'_, T>,
    mut skb: SkBuff<DatagramIn>,
    turn: Turn<'_>,
) {
    // SAFETY: The socket and the buffer are valid.
    unsafe {
        if skb.with_raw(|skb| bindings::udp_lib_checksum_complete(skb)) != 0 {
            bindings::udp_count_csum_error(sk);
            bindings::udp_count_in_error(sk);
            return skb.drop_for(DropReason::UdpCsum);
        }
        bindings::udp_count_received(sk, skb.datagrams() as kernel::ffi::c_int);
        deliver(sk, receiver, skb, turn);
    }
}

/// Returns the receiver of a socket, until that is closed.
///
/// # Safety
///
/// As above; the RCU read side is held during `'a`, as it is when UDP calls.
unsafe fn receiver<'a, T: DatagramReceiver>(
    sk: *mut bindings::sock,
) -> Option<RcuArcBorrow<'a, T>> {
    // SAFETY: The socket is valid. The user data is a receiver, whose count is given up only after the user data was
    // cleared and all RCU readers have gone.
    unsafe {
        let receiver = bindings::sk_user_data(sk).cast::<T>();
        (!receiver.is_null()).then(|| RcuArc::borrow_raw(receiver))
    }
}

/// Delivers a datagram to the receiver, and chooses the way of the next ones.
///
/// # Safety
///
/// As above.
unsafe fn deliver<T: DatagramReceiver>(
    sk: *mut bindings::sock,
    receiver: RcuArcBorrow<'_, T>,
    skb: SkBuff<DatagramIn>,
    mut turn: Turn<'_>,
) {
    let many = T::receive(receiver, skb, &mut turn);
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
