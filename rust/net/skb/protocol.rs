// SPDX-License-Identifier: GPL-2.0

//! Which version of IP a packet is of, and its addresses.
//!
//! Context: any. Nothing can fail but by [`None`].

use core::net::IpAddr;

/// The protocol of a packet's outermost header, as in the EtherType field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `ETH_P_IP`
    Ipv4,
    /// `ETH_P_IPV6`
    Ipv6,
}

impl Protocol {
    /// Returns the source in an IP header, if that is long enough.
    #[inline]
    pub(crate) fn source(self, header: &[u8]) -> Option<IpAddr> {
        match self {
            Self::Ipv4 => address_at::<4>(header, 12),
            Self::Ipv6 => address_at::<16>(header, 8),
        }
    }

    /// Returns the destination in an IP header, if that is long enough.
    #[inline]
    pub(crate) fn destination(self, header: &[u8]) -> Option<IpAddr> {
        match self {
            Self::Ipv4 => address_at::<4>(header, 16),
            Self::Ipv6 => address_at::<16>(header, 24),
        }
    }
}

#[inline]
fn address_at<const N: usize>(header: &[u8], at: usize) -> Option<IpAddr>
where
    IpAddr: From<[u8; N]>,
{
    Some(IpAddr::from(*header.get(at..)?.first_chunk::<N>()?))
}
