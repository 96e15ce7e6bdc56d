# SPDX-License-Identifier: GPL-2.0
"""The scene of the packet scenarios: a host `dut` with the device under test `wg0`, and a host `out` at the other end of its
cable, where we are: a WireGuard peer of our own (lib/wgpeer.py) that sees every byte on the cable.

The cable does no offloads, so that what passes it is what would be on a wire."""

import fcntl
import os
import select
import socket
import struct
import subprocess
import time

import lib  # noqa: F401 # makes ../lib importable
from cryptography.exceptions import InvalidTag
from inet import b64, checksum
from netlink import Links, in_netns, run
from wgnetlink import WireGuard, name as wg_name
from wgpeer import COOKIE, DATA, INITIATION, RESPONSE, Key, Peer

PORT, OUR_PORT = 51820, 5000
KINDS = {INITIATION: "initiation", RESPONSE: "response", COOKIE: "cookie reply", DATA: "data"}


def address(text):
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def ip_packet(source, destination, protocol, payload, tos=0, ttl=64, flags=0, ident=0, label=0):
    """An IPv4 or IPv6 packet, with everything in it right."""
    if ":" in source:
        return struct.pack("!IHBB16s16s", 6 << 28 | tos << 20 | label, len(payload), protocol, ttl, address(source), address(destination)) + payload
    head = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), ident, flags << 13, ttl, protocol, 0, address(source), address(destination)))
    head[10:12] = struct.pack("!H", checksum(bytes(head)))
    return bytes(head) + payload


def pseudo(source, destination, protocol, length):
    if ":" in source:
        return address(source) + address(destination) + struct.pack("!II", length, protocol)
    return address(source) + address(destination) + struct.pack("!HH", protocol, length)


def udp_packet(source, destination, sport, dport, data, **more):
    length = 8 + len(data)
    head = struct.pack("!HHHH", sport, dport, length, 0)
    total = checksum(pseudo(source, destination, 17, length) + head + data) or 0xFFFF
    return ip_packet(source, destination, 17, head[:6] + struct.pack("!H", total) + data, **more)


def echo_packet(source, destination, number, data=b"", ident=0x5747, **more):
    six = ":" in source
    body = struct.pack("!HH", ident, number) + data
    head = bytes([128 if six else 8, 0])
    total = checksum((pseudo(source, destination, 58, 4 + len(body)) if six else b"") + head + b"\0\0" + body)
    return ip_packet(source, destination, 58 if six else 1, head + struct.pack("!H", total) + body, **more)


class Outer:
    """A packet on the cable, taken apart. What is no IP has family 0."""

    def __init__(self, frame):
        self.family, self.protocol, self.payload, self.fragment = 0, 0, b"", False
        ethertype = struct.unpack_from("!H", frame, 12)[0]
        data = frame[14:]
        self.bytes = data
        if ethertype == 0x0800:
            self.family = 4
            (_, self.tos, length, self.ident, offset, self.ttl, self.protocol, self.sum) = struct.unpack_from("!BBHHHBBH", data)
            self.df, self.mf, self.offset = bool(offset & 0x4000), bool(offset & 0x2000), (offset & 0x1FFF) * 8
            self.header_right = checksum(data[:20]) == 0
            self.label = 0
            self.source, self.destination = (socket.inet_ntop(socket.AF_INET, data[n:n + 4]) for n in (12, 16))
            inside = data[(data[0] & 15) * 4:length]
            self.fragment = self.mf or self.offset > 0
        elif ethertype == 0x86DD:
            self.family = 6
            first, length, self.protocol, self.ttl = struct.unpack_from("!IHBB", data)
            self.tos, self.label, self.df, self.mf, self.offset, self.ident, self.header_right = first >> 20 & 255, first & 0xFFFFF, False, False, 0, 0, True
            self.source, self.destination = (socket.inet_ntop(socket.AF_INET6, data[n:n + 16]) for n in (8, 24))
            inside = data[40:40 + length]
            if self.protocol == 44:
                self.protocol, _, offset, self.ident = struct.unpack_from("!BBHI", inside)
                self.fragment, self.mf, self.offset = True, bool(offset & 1), offset & 0xFFF8
                inside = inside[8:]
        else:
            return
        self.length = length
        self.inside = inside
        self.sport = self.dport = 0
        if self.protocol == 17 and not self.offset and len(inside) >= 8:
            self.sport, self.dport, self.udp_length, self.udp_sum = struct.unpack_from("!HHHH", inside)
            self.payload = inside[8:]
            total = checksum(pseudo(self.source, self.destination, 17, len(inside)) + inside)
            self.sum_right = None if self.fragment else "absent" if self.udp_sum == 0 else total == 0

    @property
    def kind(self):
        if len(self.payload) < 4:
            return "not WireGuard"
        return KINDS.get(struct.unpack_from("<I", self.payload)[0], "not WireGuard")


class Capture:
    """All that arrives at an interface of a namespace; with sent=True also what leaves by it."""

    def __init__(self, netns, interface, sent=False):
        with in_netns(netns):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            self.socket.bind((interface, 3))
        self.sent = sent

    def next(self, seconds):
        until = time.monotonic() + seconds
        while select.select([self.socket], [], [], max(0, until - time.monotonic()))[0]:
            data, where = self.socket.recvfrom(1 << 17)
            if self.sent or where[2] != 4:  # PACKET_OUTGOING
                return data
        return None

    def drain(self):
        out = []
        while True:
            data = self.next(0)
            if data is None:
                return out
            out.append(data)

    def close(self):
        self.socket.close()


class Scene:
    DUT4, DUT6, OUT4, OUT6 = "10.9.0.1", "fd09::1", "10.9.0.2", "fd09::2"
    IN4, IN6, PEER4, PEER6 = "192.168.50.1", "fd50::1", "192.168.50.2", "fd50::2"

    def __init__(self, outer_mtu=1500, routes=()):
        # All the links' hardware addresses are the same in every run: some hashes depend on them.
        run("sh", "-ec", """
for n in dut out; do
	ip netns add $n
	ip -n $n link set lo up
	ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.all.keep_addr_on_down=1 net.ipv4.ping_group_range='0 2147483647' \
		net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv4.icmp_msgs_per_sec=1000000 net.ipv4.icmp_msgs_burst=1000000
done
ip link add name under netns dut address 02:00:00:00:00:01 type veth peer name outer netns out address 02:00:00:00:00:02
for x in dut:under out:outer; do
	ip netns exec ${x%%:*} ethtool -K ${x##*:} tx off rx off sg off tso off gso off gro off tx-udp-segmentation off >/dev/null 2>&1 || true
	ip -n ${x%%:*} link set ${x##*:} mtu $0 up
done
ip -n dut address add 10.9.0.1/24 dev under; ip -n dut address add fd09::1/64 dev under
for a in 2 3; do ip -n out address add 10.9.0.$a/24 dev outer; ip -n out address add fd09::$a/64 dev outer; done
ip -n dut neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev under; ip -n dut neigh add fd09::2 lladdr 02:00:00:00:00:02 dev under
ip -n out neigh add 10.9.0.1 lladdr 02:00:00:00:00:01 dev outer; ip -n out neigh add fd09::1 lladdr 02:00:00:00:00:01 dev outer
ip -n dut link add wg0 type wireguard
ip -n dut address add 192.168.50.1/24 dev wg0; ip -n dut address add fd50::1/64 dev wg0
""", str(outer_mtu))
        self.device_key, self.key = Key(), Key()
        self.wg("set", "wg0", "listen-port", str(PORT), "private-key", "/proc/self/fd/0", stdin=b64(self.device_key.private))
        self.ip("link", "set", "wg0", "up")
        for route in routes:
            self.ip("route", "add", *route.split(), "dev", "wg0")
        with in_netns("dut"):
            self.links, self.wireguard = Links(), WireGuard()
        with in_netns("out"):
            self.outside = Links()
        self.sockets = {}
        self.capture = Capture("out", "outer")
        self.peer = Peer(self.key, self.device_key.public)
        self.add_peer()

    # ------------------------------------------------------------ commands

    @staticmethod
    def ip(*words, netns="dut", check=True):
        return run("ip", "-n", netns, *words, check=check)

    @staticmethod
    def sh(line, netns="dut", check=True):
        return run("ip", "netns", "exec", netns, "sh", "-c", line, check=check)

    @staticmethod
    def wg(*words, stdin=""):
        return run("ip", "netns", "exec", "dut", "wg", *words, input=stdin.encode())

    def add_peer(self, key=None, ips="192.168.50.2/32,fd50::2/128", endpoint=None, **more):
        words = ["set", "wg0", "peer", b64((key or self.key).public), "allowed-ips", ips]
        if endpoint:
            words += ["endpoint", endpoint]
        for name, value in more.items():
            words += [name.replace("_", "-"), value]
        self.wg(*words)

    def remove_peer(self, key=None):
        self.wg("set", "wg0", "peer", b64((key or self.key).public), "remove")

    def end(self):
        for name in ("dut", "out"):
            run("ip", "netns", "del", name, check=False)

    # ------------------------------------------------------------ our end of the cable

    def udp(self, port=OUR_PORT, source=None):
        """Our socket at an address of ours (by default 10.9.0.2) and a port."""
        source = source or self.OUT4
        if (source, port) not in self.sockets:
            with in_netns("out"):
                sock = socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM)
                sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
                sock.bind((source, port))
            self.sockets[source, port] = sock
        return self.sockets[source, port]

    def say(self, message, port=OUR_PORT, source=None, to=None, tos=None):
        """Sends a datagram to the device."""
        sock = self.udp(port, source)
        six = sock.family == socket.AF_INET6
        if tos is not None:
            sock.setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if six else (socket.IPPROTO_IP, socket.IP_TOS)), tos)
        try:
            sock.sendto(message, (to or (self.DUT6 if six else self.DUT4), PORT))
        except ConnectionRefusedError:
            sock.sendto(message, (to or (self.DUT6 if six else self.DUT4), PORT))

    def hear(self, seconds=5.0, wanted=lambda packet: True):
        """The next datagram of the device on the cable that is wanted, None if there is none for so long."""
        until = time.monotonic() + seconds
        while True:
            frame = self.capture.next(max(0, until - time.monotonic()))
            if frame is None:
                return None
            packet = Outer(frame)
            if packet.family and packet.protocol == 17 and (packet.fragment or packet.sport == PORT or packet.kind != "not WireGuard") and wanted(packet):
                return packet

    def hear_kind(self, kind, seconds=5.0):
        return self.hear(seconds, lambda packet: packet.kind == kind)

    def hear_packet(self, seconds=5.0):
        """The next message with a packet in it: keepalives come when they are due."""
        return self.hear(seconds, lambda packet: packet.kind == "data" and len(packet.payload) > 32)

    def heard(self):
        """All datagrams that have come."""
        out = []
        while True:
            packet = self.hear(0)
            if packet is None:
                return out
            out.append(packet)

    # ------------------------------------------------------------ sessions

    def shake(self, port=OUR_PORT, source=None, peer=None, tos=None):
        """A handshake that we begin. The session is confirmed by its first message, a keepalive."""
        peer = peer or self.peer
        for _ in range(3):
            time.sleep(0.03)
            self.heard()
            self.say(peer.initiation(), port, source, tos=tos)
            self.response = self.hear_kind("response")
            if self.response:
                session = peer.consume_response(self.response.payload)
                self.say(session.data(), port, source)
                return session
        lib.die("the device does not answer our initiation")

    def answer(self, trigger, port=OUR_PORT, source=None, peer=None):
        """A handshake that the device begins because of what `trigger` does."""
        peer = peer or self.peer
        self.heard()
        trigger()
        self.initiation = self.hear_kind("initiation", 10)
        if not self.initiation:
            lib.die("the device does not begin a handshake")
        peer.consume_initiation(self.initiation.payload)
        message, session = peer.response()
        self.say(message, port, source)
        return session

    @staticmethod
    def open(session, packet):
        """What is in a data message; None if it is none of this session."""
        try:
            return session.open(packet.payload)
        except (ValueError, struct.error, InvalidTag):
            return None

    fence_number = 0

    def fence(self, session, port=OUR_PORT, source=None):
        """All that was sent in this session before has been dealt with when this echo is answered. What came before it."""
        self.fence_number = (self.fence_number + 1) % 65536
        before = []
        for _ in range(4):
            self.say(session.data(echo_packet(self.PEER4, self.IN4, self.fence_number, ident=0xFE9C)), port, source)
            until = time.monotonic() + 15
            while time.monotonic() < until:
                packet = self.hear(until - time.monotonic())
                plain = self.open(session, packet) if packet else None
                if plain and plain[:1] == b"\x45" and plain[9] == 1 and plain[20] == 0 and plain[24:28] == struct.pack("!HH", 0xFE9C, self.fence_number):
                    return before
                if packet:
                    before.append(packet)
        lib.die("the tunnel does not answer any more")

    # ------------------------------------------------------------ the device's counters

    def counters(self):
        """Those of the device and of all peers together, when they stand still."""
        last = None
        for _ in range(200):
            stats = self.links.statistics("wg0")
            device = self.wireguard.get(wg_name("wg0"))[1]
            stats["peer_rx"] = sum(struct.unpack("=Q", peer[7])[0] for peer in device["peers"].values())
            stats["peer_tx"] = sum(struct.unpack("=Q", peer[8])[0] for peer in device["peers"].values())
            if stats == last:
                return stats
            last = stats
            time.sleep(0.04)
        return last

    def moved(self, before):
        """By how much the counters moved, in words."""
        after = self.counters()
        return " ".join("%s+%d" % (name, after[name] - before[name]) for name in after if after[name] != before[name]) or "nothing"

    def wait_moved(self, before, seconds=5.0):
        """Waits until any counter has moved."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.counters() == before:
            time.sleep(0.02)

    def handshake(self):
        """When our last handshake was, (0, 0) if never or if the device does not know us."""
        peer = self.wireguard.get(wg_name("wg0"))[1]["peers"].get(self.key.public)
        return struct.unpack("=qq", peer[6]) if peer else (0, 0)

    def endpoint(self, key=None):
        return self.wireguard.peer("wg0", (key or self.key).public)["endpoint"]

    def app(self, family=4, kind=socket.SOCK_DGRAM, bind=None):
        """A socket of an application in dut."""
        with in_netns("dut"):
            sock = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, kind)
            if bind:
                sock.bind(bind)
            sock.settimeout(5)
            return sock


def runs(pairs):
    """Runs of a mapping from consecutive numbers, in short: 20-32:64 33-48:80."""
    out, begin, last, value = [], None, None, None
    for number, this in pairs:
        if begin is not None and this == value and number == last + 1:
            last = number
            continue
        if begin is not None:
            out.append("%d-%d:%s" % (begin, last, value))
        begin, last, value = number, number, this
    if begin is not None:
        out.append("%d-%d:%s" % (begin, last, value))
    return " ".join(out)


__all__ = ["Scene", "Capture", "Outer", "PORT", "OUR_PORT", "b64", "checksum", "address", "ip_packet", "udp_packet", "echo_packet", "pseudo", "runs", "in_netns", "run",
           "os", "socket", "struct", "subprocess", "time", "fcntl", "Key", "Peer", "lib"]
