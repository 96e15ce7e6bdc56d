// SPDX-License-Identifier: GPL-2.0

//! Datagrams that a socket of the kernel's own has received.

use super::{DatagramIn, Protocol, SkBuff};
use crate::bindings;

/// Buffers with the payload of a datagram, whose network and transport headers are those of the datagram.
impl SkBuff<DatagramIn> {
    /// Returns `skb->protocol` if it is one of IP, whatever the packet holds.
    #[inline]
    pub(crate) fn declared_protocol(&self) -> Option<Protocol> {
        match u32::from(u16::from_be(self.headers().protocol)) {
            bindings::ETH_P_IP => Some(Protocol::Ipv4),
            bindings::ETH_P_IPV6 => Some(Protocol::Ipv6),
            _ => None,
        }
    }

    /// Returns the linear part from the transport header on.
    #[inline]
    pub(crate) fn transport_header(&self) -> &[u8] {
        self.linear_from(self.headers().transport_header)
    }

    /// Returns the index of the interface that a datagram of a socket came in by; if that is one of a
    /// VRF, the interface and not the VRF.
    #[inline]
    pub(crate) fn incoming_interface(&self) -> i32 {
        // SAFETY: The buffer is valid. Whatever its control buffer holds, a number is read from it.
        unsafe { bindings::skb_ingress_ifindex(self.raw()) }
    }

    /// Returns the DS field (type of service, traffic class) of the packet's IP header.
    #[inline]
    pub(crate) fn ds_field(&self) -> u8 {
        // SAFETY: The buffer is valid; its network header was set by the IP layer.
        unsafe { bindings::ip_tunnel_get_dsfield(self.raw()) }
    }
}
