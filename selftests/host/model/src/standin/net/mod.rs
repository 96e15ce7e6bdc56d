// SPDX-License-Identifier: GPL-2.0

//! Networking.

pub(crate) mod napi;
pub(crate) mod skb;
pub(crate) mod skb_list;

/// Network devices, for which trouble is the end of the model.
pub(crate) mod device {
    pub(crate) fn transmit_depth() -> u32 {
        0
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Trouble {
        ReceivedDropped,
        ReceivedFrame,
        ReceivedLength,
        Sending,
        SendingDropped,
    }

    pub(crate) struct NetDevice;

    impl NetDevice {
        pub(crate) fn mtu(&self) -> usize {
            1420
        }

        pub(crate) fn count_received(&self, _: usize) {}

        pub(crate) fn count_trouble(&self, trouble: Trouble, _: usize) {
            panic!("{trouble:?}");
        }
    }
}

pub(crate) mod drop_reason {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum DropReason {
        DupFrag,
        FullRing,
        InvalidProto,
        IpInhdr,
        IpRpfilter,
        NoMem,
        NoTxTarget,
        PktTooSmall,
        QueuePurge,
        RecursionLimit,
        SkbCsum,
        SocketFilter,
        TunnelTxinfo,
    }
}

/// Routes, of which there is one that allows everything.
pub(crate) mod route {
    pub(crate) struct GsoLimits {
        pub(crate) bytes: u32,
        pub(crate) segments: u32,
        pub(crate) is_queued: bool,
    }

    impl GsoLimits {
        pub(crate) const NONE: Self = Self {
            bytes: u32::MAX,
            segments: u32::MAX >> 1,
            is_queued: false,
        };
    }
}

pub(crate) mod icmp {
    use super::skb::{Protocol, Routed, SkBuff};

    pub(crate) fn host_unreachable(_: &mut SkBuff<Routed>, _: Protocol) {
        panic!("unreachable");
    }
}

/// What devices have in namespaces: nothing.
pub(crate) mod residents {
    use kernel::{prelude::*, sync::Arc};

    pub(crate) struct Residents;

    impl Residents {
        pub(crate) fn register() -> Result<Arc<Self>> {
            Arc::pin_init(Self, GFP_KERNEL)
        }
    }
}
