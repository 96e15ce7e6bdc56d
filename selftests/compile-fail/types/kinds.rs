// SPDX-License-Identifier: GPL-2.0

//! A buffer goes the way that is its own.

use crate::{
    data::socket,
    net::{
        icmp,
        napi::Receiver,
        skb::{DatagramIn, PacketOut, Protocol, Routed, SkBuff},
        skb_list::SkbList,
    },
    queueing::stages::Outgoing,
    rcu::Guard,
};

fn needs_send<T: Send>(_: T) {}

fn a_received_datagram_is_no_packet(receiver: &mut Receiver<'_>, datagram: SkBuff<DatagramIn>) {
    receiver.receive(datagram, Protocol::Ipv4); //~ E0308
}

fn a_packet_is_no_datagram(peer: &crate::device::Peer, packets: SkbList<PacketOut>, guard: &Guard) {
    let _ = socket::send_to_peer(peer, packets, guard); //~ E0308
}

fn an_icmp_error_needs_the_route(mut packet: SkBuff<PacketOut>) {
    icmp::host_unreachable(&mut packet, Protocol::Ipv4); //~ E0308
}

fn a_packet_with_its_route_is_not_handed_on(packet: SkBuff<Routed>) {
    needs_send(packet); //~ E0277
}

fn nor_kept(mut list: SkbList<Routed>, //~ E0277
) {
    let _ = list.pop_front(); //~ E0599
}

fn nor_written_to(mut packet: SkBuff<Routed>) {
    let stage = Outgoing {
        staged_at: 0,
        mtu: 0,
    };
    packet.set_control(stage); //~ E0599
}

fn of_a_stage_of_its_own_way(packet: SkBuff<DatagramIn>) {
    let _: Outgoing = packet.control(); //~ E0277
}

fn without_it_it_may_be(packet: SkBuff<PacketOut>, datagram: SkBuff<DatagramIn>) {
    needs_send((packet, datagram));
}
