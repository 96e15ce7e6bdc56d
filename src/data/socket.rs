// SPDX-License-Identifier: GPL-2.0

//! Sending to an endpoint through the device's sockets.

#![forbid(unsafe_code)]

use core::net::{Ipv4Addr, Ipv6Addr};
use kernel::{prelude::*, sync::atomic::Relaxed};

use crate::{
    compat::{EAFNOSUPPORT, EDESTADDRREQ, ENONET},
    cpu::SoftirqsDisabled,
    data::datagrams,
    device::{
        drops::{count_of_device, count_of_peer, drop_of_device, drop_of_peer, Cause},
        endpoint::Endpoint,
        sockets::Sockets,
        Device, Peer,
    },
    events,
    net::{
        device::{CountedDevice, LinkStatistic},
        route::{Route, RouteCache},
        skb::{DatagramOut, SkBuff},
        skb_list::SkbList,
        udp::{Flow4, Flow6, UdpSender},
    },
    queueing::stages::Encapsulated,
    rcu::{read_lock, Guard},
};

/// What a message that stands in a queue and has no socket to hold its sender back counts for, in bytes of memory.
///
/// A queue of several flows (fq_codel) lets a packet of one overtake all that another has in it. If these are more
/// messages than the receiver's replay window has room for, they arrive for nothing. By its own default such a queue holds
/// 32 MiB, and 10,240 packets however small; with this it is less than that window, and some room for what is on its way.
const QUEUED_WEIGHT: usize = (32 << 20) / 7_000;

impl Sockets<Device> {
    /// Sends datagrams to an endpoint. Those that cannot be sent stay in the list. Returns what the IP layer was given.
    fn send(
        &self,
        context: &Sending<'_>,
        endpoint: &Endpoint,
        packets: &mut SkbList<DatagramOut>,
        guard: &Guard,
    ) -> Result<Sent> {
        match endpoint {
            Endpoint::V4 { .. } => self.send_v4(context, endpoint, packets, guard),
            Endpoint::V6 { .. } => self.send_v6(context, endpoint, packets, guard),
        }
    }

    /// Not inline, as what follows: the stack that other cases want is not there while the IP layer sends, which may lead into
    /// another tunnel.
    #[inline(never)]
    fn send_v4(
        &self,
        context: &Sending<'_>,
        endpoint: &Endpoint,
        packets: &mut SkbList<DatagramOut>,
        guard: &Guard,
    ) -> Result<Sent> {
        let Endpoint::V4 { remote, source, .. } = endpoint else {
            return Err(EAFNOSUPPORT);
        };
        let v4 = self.v4.sender(guard)?;
        let mut flow = Flow4 {
            source: source.octets(),
            destination: remote.ip().octets(),
            port: remote.port(),
            scope: 0,
            mark: context.mark,
        };
        let cached = context
            .cache
            .and_then(|cache| cache.get_v4(context.softirqs));
        let route = match cached {
            Some((route, source)) => {
                flow.source = source;
                route
            }
            None => find_v4(&v4, context, endpoint, &mut flow, guard)?,
        };
        send_all(context, packets, route, guard, |skb, route, ds| {
            v4.send_v4(context.netdev, skb, route, &flow, ds)
        })
    }

    #[inline(never)]
    fn send_v6(
        &self,
        context: &Sending<'_>,
        endpoint: &Endpoint,
        packets: &mut SkbList<DatagramOut>,
        guard: &Guard,
    ) -> Result<Sent> {
        let Endpoint::V6 { remote, source, .. } = endpoint else {
            return Err(EAFNOSUPPORT);
        };
        let v6 = self.v6.as_ref().ok_or(EAFNOSUPPORT)?.sender(guard)?;
        let mut flow = Flow6 {
            source: source.octets(),
            destination: remote.ip().octets(),
            port: remote.port(),
            scope: remote.scope_id(),
            mark: context.mark,
        };
        let cached = context
            .cache
            .and_then(|cache| cache.get_v6(context.softirqs));
        let route = match cached {
            Some((route, source)) => {
                flow.source = source;
                route
            }
            None => find_v6(&v6, context, endpoint, &mut flow, guard)?,
        };
        send_all(context, packets, route, guard, |skb, route, ds| {
            v6.send_v6(context.netdev, skb, route, &flow, ds)
        })
    }
}

/// Finds the route to an endpoint, and the source address, and remembers them.
#[inline(never)]
fn find_v4<'g>(
    v4: &UdpSender<'g>,
    context: &Sending<'_>,
    endpoint: &Endpoint,
    flow: &mut Flow4,
    guard: &'g Guard,
) -> Result<Route<'g>> {
    let mut endpoint = *endpoint;
    let Endpoint::V4 {
        source, interface, ..
    } = endpoint
    else {
        return Err(EAFNOSUPPORT);
    };
    let mut anew = false;
    let mut forget = |flow: &mut Flow4| {
        flow.source = Ipv4Addr::UNSPECIFIED.octets();
        context.forget_source(&mut endpoint);
        anew = true;
    };
    flow.scope = v4.vrf_of(interface);
    let mut sticks = !source.is_unspecified();
    if sticks && !v4.is_local_v4(flow.source) {
        forget(flow);
        sticks = false;
    }
    let mut found = v4.route_v4(flow);
    let unusable = match &found {
        Ok(route) => sticks && route.interface(guard) != interface,
        Err(e) => sticks && *e == EINVAL,
    };
    if unusable {
        forget(flow);
        found = v4.route_v4(flow);
    }
    let route = found?;
    context.remember(&endpoint, anew, |cache| {
        cache.set_v4(&route, flow.source, context.softirqs)
    });
    Ok(route)
}

/// As [`find_v4`].
#[inline(never)]
fn find_v6<'g>(
    v6: &UdpSender<'g>,
    context: &Sending<'_>,
    endpoint: &Endpoint,
    flow: &mut Flow6,
    guard: &'g Guard,
) -> Result<Route<'g>> {
    let mut endpoint = *endpoint;
    let Endpoint::V6 {
        source, interface, ..
    } = endpoint
    else {
        return Err(EAFNOSUPPORT);
    };
    let mut anew = false;
    let mut forget = |flow: &mut Flow6| {
        flow.source = Ipv6Addr::UNSPECIFIED.octets();
        context.forget_source(&mut endpoint);
        anew = true;
    };
    if flow.scope == 0 {
        flow.scope = v6.vrf_of(interface);
    }
    let mut sticks = !source.is_unspecified();
    if sticks && !v6.is_local_v6(flow.source, interface) {
        forget(flow);
        sticks = false;
    }
    let mut found = v6.route_v6(flow);
    // An address of no cable, such as one of `lo`, is as good on any.
    let unusable = found.as_ref().is_ok_and(|route| {
        sticks && route.interface(guard) != interface && v6.is_address_of(flow.source, interface)
    });
    if unusable {
        forget(flow);
        found = v6.route_v6(flow);
    }
    let route = found?;
    context.remember(&endpoint, anew, |cache| {
        cache.set_v6(&route, flow.source, context.softirqs)
    });
    Ok(route)
}

/// What is the same for all datagrams that are sent together.
struct Sending<'a> {
    device: &'a Device,
    netdev: &'a CountedDevice,
    mark: u32,
    /// As outer routing and the IP layer expect.
    softirqs: &'a SoftirqsDisabled,
    /// Whose datagrams these are, and the routes to it, as far as there are such.
    peer: Option<&'a Peer>,
    cache: Option<&'a RouteCache>,
}

/// What the IP layer was given.
#[derive(Default)]
struct Sent {
    bytes: usize,
    messages: usize,
}

impl<'a> Sending<'a> {
    /// Counts messages that there was no memory for.
    #[cold]
    fn count_lost(&self, messages: usize) {
        match self.peer {
            Some(peer) => count_of_peer(peer, Cause::NoMemorySending, messages),
            None => count_of_device(self.device, Cause::NoMemorySending, messages),
        }
    }

    /// Drops what could not be sent.
    #[cold]
    fn give_up(&self, endpoint: &Endpoint, e: Error, packets: SkbList<DatagramOut>) {
        events::no_route(self.device, endpoint.remote(), e);
        let cause = match e == ENONET {
            true => Cause::SocketClosed,
            false => Cause::NoRoute,
        };
        match self.peer {
            Some(peer) => drop_of_peer(peer, cause, packets),
            None => drop_of_device(self.device, cause, packets),
        }
    }

    /// Forgets which of this host's addresses the peer sent to, as that can no longer be used; in the peer, too, unless it is
    /// somewhere else by now.
    fn forget_source(&self, endpoint: &mut Endpoint) {
        let was = *endpoint;
        endpoint.forget_source();
        if let Some(peer) = self.peer {
            peer.replace_endpoint_if(&was, *endpoint);
        }
    }

    /// Caches a route, unless the peer's endpoint, or the device's mark, is another by now: the cache was reset when it
    /// changed, and must not get a route to where the peer was.
    fn remember(&self, endpoint: &Endpoint, anew: bool, set: impl FnOnce(&RouteCache)) {
        if let (Some(peer), Some(cache)) = (self.peer, self.cache) {
            peer.while_endpoint_is(endpoint, || {
                if self.mark != self.device.fwmark() {
                    return;
                }
                if anew {
                    cache.reset();
                }
                set(cache);
            });
        }
    }
}

/// Sends the packets of a list by one route; the DS field of each is in its control.
fn send_all(
    context: &Sending<'_>,
    packets: &mut SkbList<DatagramOut>,
    route: Route<'_>,
    guard: &Guard,
    mut send: impl FnMut(SkBuff<DatagramOut>, Route<'_>, u8) -> Result,
) -> Result<Sent> {
    let netdev = context.netdev;
    let limits = route.gso_limits(guard);
    if let Some(peer) = context.peer {
        peer.pace.note_below(&limits);
    }
    let mut given = Sent::default();
    let mut last = Some(route);
    while let Some(mut skb) = packets.pop_front() {
        let parts = skb.parts();
        if parts > 1 && (parts > limits.segments as usize || skb.len() > limits.bytes as usize) {
            // The way has changed since it was made.
            let mut singles = datagrams::single_datagrams(skb);
            context.count_lost(parts.saturating_sub(singles.len()));
            singles.append(packets);
            *packets = singles;
            continue;
        }
        let route = if packets.is_empty() {
            last.take()
        } else {
            last.as_ref().map(Route::share)
        };
        let Some(route) = route else { break };
        if limits.is_queued {
            skb.weigh_at_least(parts.saturating_mul(QUEUED_WEIGHT));
        }
        let len = skb.len();
        let Encapsulated { ds } = skb.control();
        let before = (parts > 1).then(|| netdev.sent_here());
        send(skb, route, ds)?;
        // The IP layer has counted the buffer as one packet, sent or dropped.
        if let Some(before) = before {
            if netdev.sent_here() != before {
                netdev.count_sent(parts - 1, 0);
            } else {
                netdev.count_statistic(LinkStatistic::TxDropped, parts - 1);
            }
        }
        given.bytes = given.bytes.saturating_add(len);
        given.messages = given.messages.saturating_add(parts);
    }
    Ok(given)
}

/// Sends datagrams to a peer's endpoint and counts their bytes.
///
/// Context: any but hard interrupts. Errors: `EDESTADDRREQ` when no endpoint is known, `ENONET`
/// when the device is down or its namespace gone, those of routing.
pub(crate) fn send_to_peer(
    peer: &Peer,
    mut packets: SkbList<DatagramOut>,
    guard: &Guard,
) -> Result {
    let softirqs = SoftirqsDisabled::new();
    let device = &peer.device;
    let endpoint = peer.endpoint();
    let Some(endpoint) = &endpoint else {
        drop_of_peer(peer, Cause::Unaddressed, packets);
        return Err(EDESTADDRREQ);
    };
    let Some(sockets) = device.sockets.get(guard) else {
        drop_of_peer(peer, Cause::SocketClosed, packets);
        return Err(ENONET);
    };
    let cache = peer.routes.get(guard);
    let context = Sending {
        device,
        netdev: &device.netdev,
        mark: device.fwmark(),
        softirqs: &softirqs,
        peer: Some(peer),
        cache: cache.as_deref(),
    };
    let sent = sockets.send(&context, endpoint, &mut packets, guard);
    let sent = sent.inspect_err(|e| context.give_up(endpoint, *e, packets))?;
    let _ = peer.tx_bytes.fetch_add(sent.bytes as u64, Relaxed);
    peer.counters.tx_packets.add(sent.messages);
    Ok(())
}

/// Sends one message to the sender of a datagram, by the way that it came.
///
/// Context: any but hard interrupts. Errors: as [`send_to_peer`].
pub(crate) fn send_reply(device: &Device, to: Endpoint, skb: SkBuff<DatagramOut>) -> Result {
    let softirqs = SoftirqsDisabled::new();
    let guard = read_lock();
    let Some(sockets) = device.sockets.get(&guard) else {
        drop_of_device(device, Cause::SocketClosed, skb);
        return Err(ENONET);
    };
    let context = Sending {
        device,
        netdev: &device.netdev,
        mark: device.fwmark(),
        softirqs: &softirqs,
        peer: None,
        cache: None,
    };
    let mut packets = SkbList::new();
    packets.push_back(skb);
    let sent = sockets.send(&context, &to, &mut packets, &guard);
    sent.map(|_| ())
        .inspect_err(|e| context.give_up(&to, *e, packets))
}
