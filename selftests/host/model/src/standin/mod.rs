// SPDX-License-Identifier: GPL-2.0

//! What the driver's files need of the rest of the driver and of the kernel, as little as will do.

pub(crate) mod bindings;
pub(crate) mod cpu;
pub(crate) mod crypto;
pub(crate) mod device;
pub(crate) mod net;
pub(crate) mod peer;
pub(crate) mod socket;
pub(crate) mod sync;
pub(crate) mod workqueue;
pub(crate) mod workspace;

/// Where a peer is: a number, which packets carry as that of their parts.
pub(crate) mod endpoint {
    use super::net::skb::{DatagramIn, SkBuff};

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(crate) struct Endpoint(usize);

    impl Endpoint {
        pub(crate) fn of_sender(skb: &SkBuff<DatagramIn>) -> Option<Self> {
            Some(Self(skb.parts()))
        }
    }
}

/// Messages for who debugs.
pub(crate) mod events {
    macro_rules! events {
        ($($name:ident($($type:ident)*);)*) => {
            $(pub(crate) fn $name<$($type),*>($(_: $type),*) {})*
        };
    }

    events! {
        endpoint_is_behind_itself(A);
        inner_length_wrong(A);
        inner_not_ip(A);
        keepalive_received(A);
        keepalive_sent(A);
        keypair_destroyed(A);
        no_endpoint(A);
        no_peer(A B);
        not_ip(A);
        replayed(A B);
        source_not_allowed(A B);
    }
}

/// Handshakes: there are none.
pub(crate) mod handshake {
    use super::{
        device::Device,
        net::skb::{DatagramIn, SkBuff},
    };
    use crate::rcu::Borrowed;

    pub(crate) fn queue(_: Borrowed<'_, Device>, _: SkBuff<DatagramIn>) {
        panic!("a handshake message");
    }
}

pub(crate) mod noise {
    use super::crypto::Secret;

    pub(crate) struct SessionKeys {
        pub(crate) sending: Secret<32>,
        pub(crate) receiving: Secret<32>,
        pub(crate) remote_index: u32,
        pub(crate) we_initiated: bool,
    }
}

/// Clocks, which stand still.
pub(crate) mod timer {
    pub(crate) fn coarse_boottime_ns() -> u64 {
        1
    }

    pub(crate) fn moment(_: u32) -> u32 {
        1
    }
}

/// Timers: there are none.
pub(crate) mod timers {
    use super::peer::Peer;

    pub(crate) fn authenticated_received(_: &Peer) {}
    pub(crate) fn authenticated_sent(_: &Peer) {}
    pub(crate) fn authenticated_traversed(_: &Peer) {}
    pub(crate) fn data_received(_: &Peer) {}
    pub(crate) fn data_sent(_: &Peer) {}
    pub(crate) fn handshake_completed(_: &Peer) {}
}
