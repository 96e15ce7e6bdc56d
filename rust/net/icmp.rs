// SPDX-License-Identifier: GPL-2.0

//! ICMP errors that a network device sends about packets handed to it.
//!
//! Locking: none. The buffer stays the caller's. That nothing could be sent is not told.
//!
//! C headers: [`include/net/icmp.h`](srctree/include/net/icmp.h),
//! [`include/linux/icmpv6.h`](srctree/include/linux/icmpv6.h)

use super::{
    skb::{Protocol, Routed, SkBuff},
    udp::ipv6_available,
};
use crate::bindings;

/// Tells the sender of a packet that its destination host cannot be reached, also if its source
/// address was translated on the way here (`icmp_ndo_send`).
///
/// Nothing is said about IPv6 in a machine without it (`ipv6.disable=1`): a program that sends such packets
/// there made them himself, and ICMPv6 would follow null pointers. Context: that of
/// `ndo_start_xmit`.
pub(crate) fn host_unreachable(skb: &mut SkBuff<Routed>, protocol: Protocol) {
    if protocol == Protocol::Ipv6 && !ipv6_available() {
        return;
    }
    skb.with_raw(|raw| {
        // SAFETY: The buffer is valid, was handed to a device's transmit function, and its protocol
        // is the given one.
        unsafe {
            match protocol {
                Protocol::Ipv4 => bindings::icmp_ndo_send(
                    raw,
                    bindings::ICMP_DEST_UNREACH as i32,
                    bindings::ICMP_HOST_UNREACH as i32,
                    0,
                ),
                Protocol::Ipv6 => bindings::icmpv6_ndo_send(
                    raw,
                    bindings::ICMPV6_DEST_UNREACH as u8,
                    bindings::ICMPV6_ADDR_UNREACH as u8,
                    0,
                ),
            }
        }
    });
}
