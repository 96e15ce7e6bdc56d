// SPDX-License-Identifier: GPL-2.0

//! What RCU, the RTNL or disabled softirqs keep valid is not used after them.

use core::ffi::CStr;

use crate::{
    cpu::SoftirqsDisabled,
    device::Device,
    net::{
        device::NetDevice,
        namespace::Net,
        route::RouteCache,
        rtnl,
        udp::{Flow4, UdpTunnel},
    },
    rcu,
};

fn a_route_is_not_kept(tunnel: &UdpTunnel<Device>, flow: &mut Flow4) -> i32 {
    let route = {
        let guard = rcu::read_lock();
        let sender = tunnel.sender(&guard); //~ E0597
        sender.and_then(|sender| sender.route_v4(flow))
    };
    let guard = rcu::read_lock();
    route.map_or(0, |route| route.interface(&guard))
}

fn nor_what_sends_through_a_socket(tunnel: &UdpTunnel<Device>) -> bool {
    let sender = {
        let guard = rcu::read_lock();
        tunnel.sender(&guard) //~ E0597
    };
    sender.is_ok_and(|sender| sender.is_local_v4([127, 0, 0, 1]))
}

fn nor_one_from_a_cache(cache: &RouteCache) -> i32 {
    let route = {
        let softirqs = SoftirqsDisabled::new();
        cache.get_v4(&softirqs) //~ E0597
    };
    let guard = rcu::read_lock();
    route.map_or(0, |(route, _)| route.interface(&guard))
}

fn a_device_is_not_used_after_the_rtnl(net: &Net, name: &CStr) -> i32 {
    let rtnl = rtnl::lock();
    let dev = NetDevice::by_name(net, name, &rtnl);
    drop(rtnl); //~ E0505
    dev.map_or(0, NetDevice::index)
}

fn nor_a_session_after_its_read_side(device: &Device) -> bool {
    let keypair = {
        let guard = rcu::read_lock();
        device.session(0, &guard) //~ E0597
    };
    keypair.is_some_and(|keypair| keypair.may_send())
}
