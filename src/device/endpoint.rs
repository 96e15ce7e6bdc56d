// SPDX-License-Identifier: GPL-2.0

//! Endpoints: where a peer was last heard from, and where on this host it sent to.

#![forbid(unsafe_code)]

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use crate::net::{
    skb::{DatagramIn, Protocol, SkBuff},
    udp,
};

/// Where a peer's packets go, and which of this host's addresses they come from.
///
/// The latter sticks, so that answers come from where the questions went, until routing no longer
/// allows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Reached over IPv4.
    V4 {
        /// The peer's address and port.
        remote: SocketAddrV4,
        /// This host's address, unspecified to have one chosen.
        source: Ipv4Addr,
        /// The interface that the peer's packets came in by, zero if none did. If it belongs to a VRF,
        /// the peer is to be found there.
        interface: i32,
    },
    /// Reached over IPv6.
    V6 {
        /// The peer's address and port, with the zone of a link-local address.
        remote: SocketAddrV6,
        /// This host's address, unspecified to have one chosen.
        source: Ipv6Addr,
        /// As above.
        interface: i32,
    },
}

impl Endpoint {
    /// An endpoint that was configured: this host's address is chosen by routing.
    pub(crate) fn configured(remote: SocketAddr) -> Self {
        match remote {
            SocketAddr::V4(remote) => Endpoint::V4 {
                remote,
                source: Ipv4Addr::UNSPECIFIED,
                interface: 0,
            },
            SocketAddr::V6(remote) => Endpoint::V6 {
                remote,
                source: Ipv6Addr::UNSPECIFIED,
                interface: 0,
            },
        }
    }

    /// Where a received datagram came from; `None` if it has no proper headers.
    ///
    /// The buffer's network and transport headers are those of the datagram.
    #[inline]
    pub(crate) fn of_sender(skb: &SkBuff<DatagramIn>) -> Option<Self> {
        let port = u16::from_be_bytes(*skb.transport_header().first_chunk()?);
        let ip = skb.network_header();
        let interface = skb.incoming_interface();
        match skb.declared_protocol()? {
            Protocol::Ipv4 => {
                let addresses: &[u8; 8] = ip.get(12..20)?.first_chunk()?;
                let [a, b, c, d, e, f, g, h] = *addresses;
                Some(Endpoint::V4 {
                    remote: SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port),
                    source: Ipv4Addr::new(e, f, g, h),
                    interface,
                })
            }
            Protocol::Ipv6 => {
                let remote: [u8; 16] = *ip.get(8..24)?.first_chunk()?;
                let source: [u8; 16] = *ip.get(24..40)?.first_chunk()?;
                let scope = udp::scope_of(remote, interface);
                Some(Endpoint::V6 {
                    remote: SocketAddrV6::new(remote.into(), port, 0, scope),
                    source: source.into(),
                    interface,
                })
            }
        }
    }

    /// The peer's address and port.
    pub(crate) fn remote(&self) -> SocketAddr {
        match self {
            Endpoint::V4 { remote, .. } => SocketAddr::V4(*remote),
            Endpoint::V6 { remote, .. } => SocketAddr::V6(*remote),
        }
    }

    /// The peer's address.
    pub(crate) fn ip(&self) -> IpAddr {
        self.remote().ip()
    }

    /// Forgets which of this host's addresses the peer sent to.
    pub(crate) fn forget_source(&mut self) {
        match self {
            Endpoint::V4 { source, .. } => *source = Ipv4Addr::UNSPECIFIED,
            Endpoint::V6 { source, .. } => *source = Ipv6Addr::UNSPECIFIED,
        }
    }
}
