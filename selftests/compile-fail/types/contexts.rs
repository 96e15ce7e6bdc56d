// SPDX-License-Identifier: GPL-2.0

//! What needs softirqs disabled gets to see that they are, and what is dying is not brought back.

use kernel::sync::aref::ARef;

use crate::{
    cpu::SoftirqsDisabled,
    net::{
        namespace::{Net, NetId},
        route::RouteCache,
    },
};

fn needs_send<T: Send>(_: T) {}

fn a_route_is_looked_up_with_softirqs_disabled(cache: &RouteCache) {
    let _ = cache.get_v4(); //~ E0061
    let softirqs = SoftirqsDisabled::new();
    let _ = cache.get_v4(&softirqs);
}

fn softirqs_are_disabled_on_this_cpu_only() {
    needs_send(SoftirqsDisabled::new()); //~ E0277
}

fn a_dying_namespace_is_only_a_number(net: NetId) {
    let _ = ARef::<Net>::from(&net); //~ E0277
    let _ = net.find();
}

fn a_secret_is_not_printed(secret: &crate::crypto::Secret<32>) {
    kernel::pr_info!("{:?}\n", secret); //~ E0277
}
