// SPDX-License-Identifier: GPL-2.0

//! Why a packet is dropped.
//!
//! Context: any. These are numbers.
//!
//! C header: [`include/net/dropreason-core.h`](srctree/include/net/dropreason-core.h)

use crate::bindings::*;

/// What the tracepoint `skb:kfree_skb` and `drop_monitor` say of a dropped packet.
///
/// A module cannot add reasons of its own, so these are the kernel's, in their widest meaning.
/// Documentation/debugging.md tells which of them stands for what.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum DropReason {
    /// Nothing in particular.
    NotSpecified = skb_drop_reason_SKB_DROP_REASON_NOT_SPECIFIED,
    /// A queue has as many packets as it may.
    FullRing = skb_drop_reason_SKB_DROP_REASON_FULL_RING,
    /// A queue is emptied because what it was for is over.
    QueuePurge = skb_drop_reason_SKB_DROP_REASON_QUEUE_PURGE,
    /// There is no memory.
    NoMem = skb_drop_reason_SKB_DROP_REASON_NOMEM,
    /// A GSO packet cannot be cut.
    SkbGsoSeg = skb_drop_reason_SKB_DROP_REASON_SKB_GSO_SEG,
    /// It is not of a protocol that is handled.
    InvalidProto = skb_drop_reason_SKB_DROP_REASON_INVALID_PROTO,
    /// There is no peer to send it to.
    NoTxTarget = skb_drop_reason_SKB_DROP_REASON_NO_TX_TARGET,
    /// The tunnel does not know where to send it.
    TunnelTxinfo = skb_drop_reason_SKB_DROP_REASON_TUNNEL_TXINFO,
    /// Sending it leads to sending it.
    RecursionLimit = skb_drop_reason_SKB_DROP_REASON_RECURSION_LIMIT,
    /// There is no route.
    IpOutNoRoutes = skb_drop_reason_SKB_DROP_REASON_IP_OUTNOROUTES,
    /// The socket is closed.
    SocketClose = skb_drop_reason_SKB_DROP_REASON_SOCKET_CLOSE,
    /// The socket does not take it.
    SocketFilter = skb_drop_reason_SKB_DROP_REASON_SOCKET_FILTER,
    /// UDP's checksum is wrong.
    UdpCsum = skb_drop_reason_SKB_DROP_REASON_UDP_CSUM,
    /// It has been changed on its way, or forged.
    SkbCsum = skb_drop_reason_SKB_DROP_REASON_SKB_CSUM,
    /// It has been received before.
    DupFrag = skb_drop_reason_SKB_DROP_REASON_DUP_FRAG,
    /// What is sent to its source would go elsewhere.
    IpRpfilter = skb_drop_reason_SKB_DROP_REASON_IP_RPFILTER,
    /// Its IP header is wrong.
    IpInhdr = skb_drop_reason_SKB_DROP_REASON_IP_INHDR,
    /// It is too short for a header.
    PktTooSmall = skb_drop_reason_SKB_DROP_REASON_PKT_TOO_SMALL,
}
