# SPDX-License-Identifier: GPL-2.0
"""The tunnel through which traffic runs, between the first two hosts, and the requests that make and change devices."""

import os
import random
import struct

from netlink import Links as Statistics
from netlink import attribute, in_netns, nest
from wgnetlink import (A_CIDR, A_FAMILY, A_IP, D_FLAGS, D_FWMARK, D_PEERS, D_PORT, D_PRIVATE, P_ENDPOINT, P_FLAGS, P_IPS,
                       P_KEEPALIVE, P_PSK, P_PUBLIC, name, sockaddr4, sockaddr6, u8, u16, u32)
import wgpeer

REPLACE_PEERS = 1
REMOVE, REPLACE_IPS, UPDATE_ONLY = 1, 2, 4
NAME = "wgt"


def allowed(address, cidr):
    return nest(0, u16(A_FAMILY, 2 if len(address) == 4 else 10), attribute(A_IP, address), u8(A_CIDR, cidr))


def peer(public, *attrs):
    return nest(0, attribute(P_PUBLIC, public), *attrs)


def peers(*each):
    return nest(D_PEERS, *each)


def random_allowed():
    size = random.choice((4, 4, 16))
    # Few beginnings, so that they take each other's and lie within each other; never those of the tunnel.
    address = bytes([random.choice((172, 192))]) + bytes(random.choice((0, 0, 1, 255)) for _ in range(size - 1))
    return allowed(address, random.randint(3, 8 * size))


def random_peer(public):
    """A request about one peer: to add, to change or to remove it."""
    flags = random.choice((0, 0, 0, REPLACE_IPS, REPLACE_IPS, UPDATE_ONLY, REMOVE))
    attrs = [u32(P_FLAGS, flags)]
    if random.random() < 0.5:
        port = random.choice((1, 51820, 51900))
        attrs.append(attribute(P_ENDPOINT, random.choice((sockaddr4("10.9.0.%d" % random.randint(1, 9), port), sockaddr6("fd09::%d" % random.randint(1, 9), port)))))
    if random.random() < 0.3:
        attrs.append(attribute(P_PSK, os.urandom(32)))
    if random.random() < 0.3:
        attrs.append(u16(P_KEEPALIVE, random.choice((0, 1, 25))))
    attrs.append(nest(P_IPS, *(random_allowed() for _ in range(random.randint(0, 12)))))
    return peer(public, *attrs)


def random_settings():
    """Some of a device's settings."""
    return [attr for attr in (
        u16(D_PORT, random.choice((0, 0, 51900, 51901))), u32(D_FWMARK, random.choice((0, 1, 7))),
        attribute(D_PRIVATE, random.choice((bytes(32), os.urandom(32)))), u32(D_FLAGS, 0)) if random.random() < 0.5]


class Tunnel:
    """What both of its ends are. Built anew after each load of the module, and changed under its traffic."""

    def __init__(self, hosts):
        self.hosts = hosts[:2]
        self.keys = [wgpeer.Key(), wgpeer.Key()]
        self.ports = [51820, 51820]
        self.psk = bytes(32)

    def about_other(self, end):
        """What one end is told about the other one."""
        other = 1 - end
        return peer(self.keys[other].public, u32(P_FLAGS, REPLACE_IPS), attribute(P_PSK, self.psk), u16(P_KEEPALIVE, 1),
                    attribute(P_ENDPOINT, sockaddr4("10.9.0.%d" % (other + 1), self.ports[other])),
                    nest(P_IPS, allowed(bytes([10, 8, 0, other + 1]), 32), allowed(bytes.fromhex("fd08" + "00" * 13 + "%02x" % (other + 1)), 128)))

    def configure(self, end):
        attrs = [name(NAME), u32(D_FLAGS, REPLACE_PEERS), attribute(D_PRIVATE, self.keys[end].private), u16(D_PORT, self.ports[end]), peers(self.about_other(end))]
        return self.hosts[end].wireguard("set", *attrs)[0]

    def build(self):
        """[error numbers]"""
        errors = []
        for end, host in enumerate(self.hosts):
            errors += [host.links.add(NAME), self.configure(end)]
            with in_netns(host.name):
                errors += [host.links.address(NAME, "10.8.0.%d/24" % (end + 1)), host.links.address(NAME, "fd08::%d/64" % (end + 1))]
            errors.append(host.links.up(NAME))
        return errors

    def change(self, kind):
        """One change after which both ends agree again. The error numbers of its steps."""
        end = random.randrange(2)
        host, other = self.hosts[end], 1 - end
        if kind == "port":
            self.ports[end] = random.choice((51820, 51821, 51822))
            return [self.configure(end), self.configure(other)]
        if kind == "key":
            self.keys[end] = wgpeer.Key()
            return [self.configure(end), self.configure(other)]
        if kind == "psk":
            self.psk = os.urandom(32)
            return [self.configure(end), self.configure(other)]
        if kind == "peer":
            gone = peer(self.keys[other].public, u32(P_FLAGS, REMOVE))
            return [host.wireguard("set", name(NAME), peers(gone))[0], self.configure(end)]
        if kind == "allowed":
            thief = wgpeer.Key().public
            stolen = peer(thief, nest(P_IPS, allowed(bytes([10, 8, 0, other + 1]), 32)))
            return [host.wireguard("set", name(NAME), peers(stolen))[0], self.configure(end)]
        if kind == "mtu":
            return [host.links.mtu(NAME, random.choice((1280, 1420, 2000, 9000)))]
        return [host.links.up(NAME, False), host.links.up(NAME)]

    CHANGES = ("port", "key", "psk", "peer", "allowed", "mtu", "down and up")

    def received(self):
        """Bytes that came out of both ends."""
        total = 0
        for host in self.hosts:
            with in_netns(host.name):
                rtnl = Statistics()
            try:
                total += rtnl.statistics(NAME)["rx_bytes"]
            finally:
                rtnl.close()
        return total


def spoofed(public):
    """Messages that cost their receiver something: initiations with a valid mac1 from nobody, and what looks like data."""
    stranger = wgpeer.Peer(wgpeer.Key(), public)
    for _ in range(20):
        yield stranger.initiation()
    for _ in range(100):
        yield struct.pack("<IIQ", wgpeer.DATA, random.getrandbits(32), random.getrandbits(20)) + os.urandom(random.choice((16, 64, 1200)))
