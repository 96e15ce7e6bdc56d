# SPDX-License-Identifier: GPL-2.0
"""Links, addresses and WireGuard devices by netlink: quick, and with the error number of each thing that was tried."""

import errno
import ipaddress
import os
import socket
import struct

from netlink import NLM_F_ACK, Netlink, attribute, in_netns, nest
from wgnetlink import WireGuard

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR = 16, 17, 20
NLM_F_CREATE_EXCL = 0x600
IFLA_IFNAME, IFLA_MTU, IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_NET_NS_FD = 3, 4, 18, 1, 28
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFF_UP = 1
PATIENCE = 120  # seconds for an answer: this may be a very slow machine


class Links(Netlink):
    """Links of one namespace. Each method returns an error number, 0 for none."""

    def __init__(self):
        super().__init__(socket.NETLINK_ROUTE)
        self.socket.settimeout(PATIENCE)

    def _change(self, kind, name, *attrs, flags=0, change=0, more=0):
        head = struct.pack("=BxHiII", 0, 0, 0, flags, change)
        return self.request(kind, NLM_F_ACK | more, head + attribute(IFLA_IFNAME, name.encode() + b"\0") + b"".join(attrs))[0]

    def add(self, name):
        return self._change(RTM_NEWLINK, name, nest(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"wireguard\0")), more=NLM_F_CREATE_EXCL)

    def delete(self, name):
        return self._change(RTM_DELLINK, name)

    def up(self, name, up=True):
        return self._change(RTM_NEWLINK, name, flags=IFF_UP if up else 0, change=IFF_UP)

    def mtu(self, name, mtu):
        return self._change(RTM_NEWLINK, name, attribute(IFLA_MTU, struct.pack("=I", mtu)))

    def move(self, name, namespace):
        there = os.open("/run/netns/" + namespace, os.O_RDONLY)
        try:
            return self._change(RTM_NEWLINK, name, attribute(IFLA_NET_NS_FD, struct.pack("=I", there)))
        finally:
            os.close(there)

    def address(self, name, address):
        try:
            index = socket.if_nametoindex(name)
        except OSError:
            return errno.ENODEV
        interface = ipaddress.ip_interface(address)
        packed = interface.ip.packed
        family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
        head = struct.pack("=BBBBI", family, interface.network.prefixlen, 2, 0, index)  # 2: no duplicate address detection
        return self.request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE_EXCL, head + attribute(IFA_LOCAL, packed) + attribute(IFA_ADDRESS, packed))[0]


class Host:
    """A namespace, and sockets in it that stay."""

    def __init__(self, name):
        self.name = name
        with in_netns(name):
            self.links = Links()
        self._wireguard = None

    def wireguard(self, command, *attrs):
        """One request to the family `wireguard`, which may be another one after the module was loaded again."""
        if self._wireguard is None:
            try:
                with in_netns(self.name):
                    self._wireguard = WireGuard()
            except OSError as error:
                return error.errno, []
            self._wireguard.socket.settimeout(PATIENCE)
        if command == "get":
            return self._wireguard.get(*attrs)
        error, answers, _ = self._wireguard.call(1, *attrs)
        if error in (errno.ENOENT, errno.EOPNOTSUPP):
            self.forget()
        return error, answers

    def forget(self):
        if self._wireguard is not None:
            self._wireguard.close()
            self._wireguard = None
