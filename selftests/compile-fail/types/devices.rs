// SPDX-License-Identifier: GPL-2.0

//! Only a device that has a statistic for each CPU can be counted on.

use core::ffi::CStr;

use crate::net::{
    device::{CountedDevice, LinkStatistic, NetDevice},
    namespace::Net,
    rtnl,
};

fn a_foreign_device_is_not_counted_on(net: &Net, name: &CStr) {
    let rtnl = rtnl::lock();
    if let Some(dev) = NetDevice::by_name(net, name, &rtnl) {
        dev.count_received(1, 1); //~ E0599
        dev.count_sent(1, 1); //~ E0599
        dev.count_statistic(LinkStatistic::TxErrors, 1);
    }
}

fn one_of_ours_is(dev: &CountedDevice) {
    dev.count_received(1, 1);
}
