# SPDX-License-Identifier: GPL-2.0
"""The netlink family `wireguard`, from include/uapi/linux/wireguard.h."""

import ipaddress
import socket
import struct

from netlink import NLM_F_ACK, NLM_F_DUMP, Generic, attribute, attributes

GET, SET = 0, 1
D_IFINDEX, D_IFNAME, D_PRIVATE, D_PUBLIC, D_FLAGS, D_PORT, D_FWMARK, D_PEERS = range(1, 9)
P_PUBLIC, P_PSK, P_FLAGS, P_ENDPOINT, P_KEEPALIVE, P_HANDSHAKE, P_RX, P_TX, P_IPS, P_VERSION = range(1, 11)
A_FAMILY, A_IP, A_CIDR, A_FLAGS = range(1, 5)


def u8(kind, value):
    return attribute(kind, struct.pack("=B", value))


def u16(kind, value):
    return attribute(kind, struct.pack("=H", value))


def u32(kind, value):
    return attribute(kind, struct.pack("=I", value))


def name(text):
    return attribute(D_IFNAME, text.encode() + b"\0")


def sockaddr4(address, port):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, ipaddress.IPv4Address(address).packed)


def sockaddr6(address, port, scope=0):
    return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI16s", port, 0, ipaddress.IPv6Address(address).packed) + struct.pack("=I", scope)


def endpoint(data):
    if struct.unpack_from("=H", data)[0] == socket.AF_INET:
        return "%s:%d" % (ipaddress.IPv4Address(data[4:8]), struct.unpack_from("!H", data, 2)[0])
    return "[%s]:%d" % (ipaddress.IPv6Address(data[8:24]), struct.unpack_from("!H", data, 2)[0])


class WireGuard(Generic):
    def __init__(self):
        super().__init__("wireguard")

    def get(self, *attrs):
        """(errno, device as a dict with its peers, of all messages together)"""
        error, answers, self.interrupted = self.call(GET, *attrs, flags=NLM_F_DUMP | NLM_F_ACK)
        device = {"peers": {}, "order": []}
        for answer in answers:
            for kind, value in attributes(answer[4:]):
                if kind == D_PEERS:
                    for _, peer in attributes(value):
                        self._peer(device, peer)
                else:
                    device[kind] = value
        return error, device

    @staticmethod
    def _peer(device, data):
        parts = attributes(data)
        key = dict(parts)[P_PUBLIC]
        peer = device["peers"].setdefault(key, {"ips": []})
        if key not in device["order"]:
            device["order"].append(key)
        for kind, value in parts:
            if kind == P_IPS:
                for _, ip in attributes(value):
                    ip = dict(attributes(ip))
                    peer["ips"].append("%s/%d" % (ipaddress.ip_address(ip[A_IP]), ip[A_CIDR][0]))
            else:
                peer[kind] = value

    def peer(self, device, key):
        """One peer's dump, decoded: the numbers that tests ask for."""
        peer = self.get(name(device))[1]["peers"][key]
        return {
            "rx": struct.unpack("=Q", peer[P_RX])[0],
            "tx": struct.unpack("=Q", peer[P_TX])[0],
            "handshake": struct.unpack("=qq", peer[P_HANDSHAKE]),
            "endpoint": endpoint(peer[P_ENDPOINT]) if P_ENDPOINT in peer else None,
            "ips": peer["ips"],
        }
