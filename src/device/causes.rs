// SPDX-License-Identifier: GPL-2.0

//! Why packets and messages are dropped: the one list of causes, and what each counts as.

#![forbid(unsafe_code)]

use core::ffi::CStr;

use crate::{
    net::{device::LinkStatistic, drop_reason::DropReason},
    uapi::*,
};

/// How many causes a peer's drops are told apart by.
pub(crate) const PEER_CAUSES: usize = WG_MONITOR_A_DROPS_MAX as usize;

macro_rules! causes {
    ($(
        #[doc = $doc:literal]
        $cause:ident = $name:literal: $reason:ident $(, link $statistic:ident)? $(, peer $of_peer:ident)?;
    )*) => {
        /// Why something is dropped.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Cause {
            $(#[doc = $doc] $cause,)*
        }

        impl Cause {
            /// All of them.
            pub(crate) const ALL: &'static [Cause] = &[$(Cause::$cause),*];

            /// What `ethtool -S` and tracepoints call it.
            pub(crate) const fn name(self) -> &'static CStr {
                match self { $(Cause::$cause => $name,)* }
            }

            /// The kernel's reason that comes nearest.
            pub(crate) const fn reason(self) -> DropReason {
                match self { $(Cause::$cause => DropReason::$reason,)* }
            }

            /// Which statistic of the link counts it.
            pub(super) const fn statistic(self) -> Option<LinkStatistic> {
                match self { $(Cause::$cause => causes!(@statistic $($statistic)?),)* }
            }

            /// Which of a peer's causes it is (an attribute of `wg-monitor`).
            pub(super) const fn of_peer(self) -> Option<u32> {
                match self { $(Cause::$cause => causes!(@peer $($of_peer)?),)* }
            }
        }
    };
    (@statistic) => { None };
    (@statistic $statistic:ident) => { Some(LinkStatistic::$statistic) };
    (@peer) => { None };
    (@peer $of_peer:ident) => { Some($of_peer) };
}

causes! {
    // Packets to be sent.
    /// Something else than IP was sent to the device.
    NotIp = c"tx_drop_not_ip": InvalidProto, link TxErrors;
    /// No peer has its destination among its allowed IPs.
    NoPeer = c"tx_drop_no_peer": NoTxTarget, link TxErrors;
    /// The peer's endpoint is not known.
    NoEndpoint = c"tx_drop_no_endpoint": TunnelTxinfo, link TxErrors, peer WG_MONITOR_A_DROPS_NO_ROUTE;
    /// The peer's endpoint is routed to the peer itself.
    Loop = c"tx_drop_loop": RecursionLimit, link TxErrors, peer WG_MONITOR_A_DROPS_LOOP;
    /// Younger packets wait for a session, too many.
    StagedOverflow = c"tx_drop_staged_overflow": FullRing, link TxDropped, peer WG_MONITOR_A_DROPS_STAGED_OVERFLOW;
    /// There is no session, and will be none soon.
    NoSession = c"tx_drop_no_session": QueuePurge, link TxDropped, peer WG_MONITOR_A_DROPS_NO_SESSION;
    /// Too many packets are being encrypted.
    EncryptionQueueFull = c"tx_drop_queue_full": FullRing, link TxDropped, peer WG_MONITOR_A_DROPS_ENCRYPTION_QUEUE_FULL;
    /// No memory to encrypt it, or to cut it; or for a handshake message or a keepalive.
    NoMemorySending = c"tx_drop_no_memory": NoMem, link TxDropped, peer WG_MONITOR_A_DROPS_NO_MEMORY;
    // Messages to be sent.
    /// The endpoint of a message is not known.
    Unaddressed = c"tx_drop_unaddressed": TunnelTxinfo, peer WG_MONITOR_A_DROPS_NO_ROUTE;
    /// There is no route to the endpoint.
    NoRoute = c"tx_drop_no_route": IpOutNoRoutes, peer WG_MONITOR_A_DROPS_NO_ROUTE;
    /// The device went down.
    SocketClosed = c"tx_drop_closed": SocketClose, peer WG_MONITOR_A_DROPS_NO_ROUTE;

    // Messages that came in.
    /// Too short for a message.
    TooShort = c"rx_drop_too_short": PktTooSmall;
    /// No message of this protocol.
    NotMessage = c"rx_drop_not_message": SocketFilter;
    /// A data message for an index that we have not given out.
    UnknownIndex = c"rx_drop_unknown_index": SocketFilter;
    /// The peer was removed, or the device went down.
    Purged = c"rx_drop_purged": QueuePurge;
    /// Too many messages wait to be decrypted.
    DecryptionQueueFull = c"rx_drop_queue_full": FullRing, peer WG_MONITOR_A_DROPS_DECRYPTION_QUEUE_FULL;
    /// Changed on its way, or forged.
    NotAuthentic = c"rx_drop_not_authentic": SkbCsum, peer WG_MONITOR_A_DROPS_NOT_AUTHENTIC;
    /// No memory to decrypt it; or for the session that a response completes.
    NoMemoryReceiving = c"rx_drop_no_memory": NoMem, peer WG_MONITOR_A_DROPS_NO_MEMORY;
    /// Its counter was received before.
    Replayed = c"rx_drop_replayed": DupFrag, link RxDropped, peer WG_MONITOR_A_DROPS_REPLAYED;
    /// Its counter is too far behind the greatest one.
    TooOld = c"rx_drop_too_old": DupFrag, link RxDropped, peer WG_MONITOR_A_DROPS_TOO_OLD;
    // The packets in them.
    /// Its source is not among the peer's allowed IPs.
    SourceNotAllowed = c"rx_drop_source": IpRpfilter, link RxFrameErrors, peer WG_MONITOR_A_DROPS_SOURCE_NOT_ALLOWED;
    /// It is longer, by its header, than it is.
    InnerTruncated = c"rx_drop_inner_truncated": PktTooSmall, link RxLengthErrors, peer WG_MONITOR_A_DROPS_MALFORMED;
    /// It is shorter, by its header, than that.
    InnerHeader = c"rx_drop_inner_header": IpInhdr, link RxLengthErrors, peer WG_MONITOR_A_DROPS_MALFORMED;
    /// It is no IP packet.
    InnerNotIp = c"rx_drop_inner_not_ip": InvalidProto, link RxFrameErrors, peer WG_MONITOR_A_DROPS_MALFORMED;

    // Handshake messages that came in.
    /// There are no random numbers yet, or the device has no key.
    HandshakeNotReady = c"rx_handshake_not_ready": SocketFilter;
    /// Too many wait.
    HandshakeQueueFull = c"rx_handshake_queue_full": FullRing;
    /// The sender does not know our public key.
    BadMac1 = c"rx_handshake_bad_mac1": SkbCsum;
    /// Under load, a sender that has not shown its address is sent a cookie.
    CookieWanted = c"rx_handshake_cookie_wanted": FullRing;
    /// A sender that has shown its address sends more than its share.
    RateLimited = c"rx_handshake_rate_limited": FullRing;
    /// A response, or a cookie reply, for an index that we have not given out.
    HandshakeUnknownIndex = c"rx_handshake_unknown_index": SkbCsum;
    /// Forged, or of an unknown public key.
    HandshakeNotAuthentic = c"rx_handshake_not_authentic": SkbCsum;
    /// An initiation that came before, or too soon after another.
    InitiationRefused = c"rx_handshake_refused": SkbCsum;
    /// The peer, or the session that was to begin, is gone by now.
    HandshakeTooLate = c"rx_handshake_too_late": SkbCsum;
}
