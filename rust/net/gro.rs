// SPDX-License-Identifier: GPL-2.0

//! Which packets GRO might merge (`dev_gro_receive`): to find out there that it does not takes a tenth of what a small
//! packet costs altogether.
//!
//! Context: softirq, RCU read side. Locking: none; a [`Merging`] is of one poll. Nothing can fail.
//!
//! C headers: [`include/net/gro.h`](srctree/include/net/gro.h), [`include/net/udp.h`](srctree/include/net/udp.h)

use super::{
    skb::{PacketIn, Protocol, SkBuff},
    udp::in6_addr,
};
use crate::bindings;

/// A flow of UDP: the addresses and ports of its packets, as they stand there.
type Flow = ([u8; 32], [u8; 4]);

/// Decides for the packets of one poll.
#[derive(Default)]
pub(super) struct Merging {
    /// The last flow of UDP, and whether its packets might be merged.
    last: Option<(Flow, bool)>,
}

impl Merging {
    /// Returns whether a packet might be merged with others. Packets of one flow get the same answer, so that they stay in
    /// order.
    ///
    /// Context: softirq, RCU read side.
    pub(super) fn is_possible(&mut self, skb: &SkBuff<PacketIn>, protocol: Protocol) -> bool {
        const IPV4: usize = 20;
        const IPV6: usize = 40;

        let header = skb.linear();
        let (next, len) = match protocol {
            // With options, it is not looked at here.
            Protocol::Ipv4 if header.first() != Some(&0x45) => return true,
            Protocol::Ipv4 => (header.get(9), IPV4),
            Protocol::Ipv6 => (header.get(6), IPV6),
        };
        match next.copied().map(u32::from) {
            Some(bindings::IPPROTO_ICMP | bindings::IPPROTO_ICMPV6) => false,
            Some(bindings::IPPROTO_UDP) => {
                let mut flow = ([0; 32], [0; 4]);
                let addresses = match protocol {
                    Protocol::Ipv4 => header.get(12..20),
                    Protocol::Ipv6 => header.get(8..40),
                };
                let ports = header.get(len..).and_then(|rest| rest.first_chunk());
                let (Some(addresses), Some(ports)) = (addresses, ports) else {
                    return false;
                };
                for (to, from) in flow.0.iter_mut().zip(addresses) {
                    *to = *from;
                }
                flow.1 = *ports;
                match self.last {
                    Some((last, is_possible)) if last == flow => is_possible,
                    _ => {
                        let is_possible = merges_udp(skb, protocol, &flow);
                        self.last = Some((flow, is_possible));
                        is_possible
                    }
                }
            }
            _ => true,
        }
    }
}

/// Returns whether UDP might merge the packets of a flow (`udp_gro_receive`): for a socket that wants it, as one with
/// `UDP_GRO` or that of another tunnel, or because the device is set to do so.
fn merges_udp(skb: &SkBuff<PacketIn>, protocol: Protocol, (addresses, ports): &Flow) -> bool {
    let [s0, s1, d0, d1] = *ports;
    let (from, to) = (u16::from_ne_bytes([s0, s1]), u16::from_ne_bytes([d0, d1]));
    let (mut iif, mut sdif) = (0, 0);
    // SAFETY: The buffer is valid and has a device, whose namespace lives at least as long; the sockets that are found live
    // as long as the RCU read side. What is read of one is written as a whole.
    unsafe {
        let skb = skb.as_raw();
        if bindings::skb_dev_merges_udp(skb) {
            return true;
        }
        let net = bindings::skb_dev_net(skb);
        let none = core::ptr::null_mut();
        let sk = match protocol {
            Protocol::Ipv4 => {
                let word = |at: usize| addresses.get(at..).and_then(|rest| rest.first_chunk());
                let (Some(source), Some(destination)) = (word(0), word(4)) else {
                    return true;
                };
                let (source, destination) = (
                    u32::from_ne_bytes(*source),
                    u32::from_ne_bytes(*destination),
                );
                bindings::inet_get_iif_sdif(skb, &raw mut iif, &raw mut sdif);
                bindings::__udp4_lib_lookup(net, source, from, destination, to, iif, sdif, none)
            }
            Protocol::Ipv6 => {
                let address = |at: usize| addresses.get(at..).and_then(|rest| rest.first_chunk());
                let (Some(source), Some(destination)) = (address(0), address(16)) else {
                    return true;
                };
                let (source, destination) = (in6_addr(*source), in6_addr(*destination));
                bindings::inet6_get_iif_sdif(skb, &raw mut iif, &raw mut sdif);
                bindings::__udp6_lib_lookup(net, &source, from, &destination, to, iif, sdif, none)
            }
        };
        !sk.is_null() && bindings::udp_sk_merges(sk)
    }
}
