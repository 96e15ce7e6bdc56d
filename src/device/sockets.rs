// SPDX-License-Identifier: GPL-2.0

//! The device's UDP sockets, from being opened to being closed.

#![forbid(unsafe_code)]

use kernel::{
    prelude::*,
    sync::{aref::ARef, Arc},
};

use crate::{
    compat::EADDRINUSE,
    net::{
        device::NetDevice,
        namespace::Net,
        residents::Residents,
        udp::{ipv6_available, Family, UdpTunnel},
        udp_receive::DatagramReceiver,
    },
    rcu::RcuArc,
};

/// How often another port is tried when the one chosen for IPv4 is taken for IPv6.
const PORT_ATTEMPTS: u32 = 100;

/// The sockets of a `D`, bound to the same port.
pub(crate) struct Sockets<D: DatagramReceiver> {
    pub(crate) v4: UdpTunnel<D>,
    pub(crate) v6: Option<UdpTunnel<D>>,
}

/// Says in the kernel's log why a device cannot come up or have its port: the program that asked for that is
/// told no more than the error's number.
fn complain(netdev: &NetDevice, version: &str) {
    netdev.with_name(|name| {
        let name = name.to_str().unwrap_or_default();
        pr_err!("{name}: Could not create {version} socket\n");
    });
}

impl<D: DatagramReceiver> Sockets<D> {
    /// Opens the sockets of a device in a namespace. Port zero has one chosen.
    ///
    /// Context: process context. Errors: `EADDRINUSE`, `ENOMEM`, …
    pub(crate) fn open(
        device: &RcuArc<D>,
        netdev: &NetDevice,
        residents: &Arc<Residents>,
        net: &ARef<Net>,
        port: u16,
    ) -> Result<Self> {
        let mut attempt = 0;
        loop {
            let v4 = UdpTunnel::open(residents, net, Family::V4, port, device.clone())
                .inspect_err(|_| complain(netdev, "IPv4"))?;
            if !ipv6_available() {
                return Ok(Self { v4, v6: None });
            }
            match UdpTunnel::open(residents, net, Family::V6, v4.port(), device.clone()) {
                Ok(v6) => return Ok(Self { v4, v6: Some(v6) }),
                Err(e) => {
                    UdpTunnel::close([Some(&v4), None]);
                    attempt += 1;
                    if e != EADDRINUSE || port != 0 || attempt > PORT_ATTEMPTS {
                        complain(netdev, "IPv6");
                        return Err(e);
                    }
                }
            }
        }
    }

    /// The port that both are bound to.
    pub(crate) fn port(&self) -> u16 {
        self.v4.port()
    }

    /// Closes both. Context: process context.
    pub(crate) fn close(&self) {
        UdpTunnel::close([Some(&self.v4), self.v6.as_ref()]);
    }
}
