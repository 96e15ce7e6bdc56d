#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: what cannot be sent: errno, ICMP errors to applications and to hosts behind this one, through NAT, how many of them
# cost: slow
# limit: 900
"""Packets that the device cannot send. Observed: what the application is told, at once and in its error queue; what a host is told
whose packets are forwarded, also when their source is translated on the way; how many of many are answered; what is counted."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

os.sched_setaffinity(0, {0})  # what we send one after the other is dealt with in that order
scene = Scene(routes=("10.30.0.0/24", "10.40.0.0/24", "10.50.0.0/24", "fd30::/64", "fd40::/64", "fd50:5::/64", "224.0.0.0/4", "ff08::/16"))
silent, lost = Key(), Key()
scene.add_peer(key=silent, ips="10.30.0.0/24,fd30::/64")  # it has no endpoint
scene.add_peer(key=lost, ips="10.50.0.0/24,fd50:5::/64", endpoint="203.0.113.1:9")  # one without a route
TARGETS = (("no peer", "10.40.0.1", "fd40::1"), ("no endpoint", "10.30.0.1", "fd30::1"), ("an endpoint without a route", "10.50.0.1", "fd50:5::1"))
IP_RECVERR, IPV6_RECVERR, MSG_ERRQUEUE = 11, 25, 0x2000


def errors(sock):
    """What is in the error queue of a socket."""
    out = []
    for _ in range(20):
        try:
            data, ancillary, _, to = sock.recvmsg(2000, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except OSError:
            time.sleep(0.01)
            continue
        for _, kind, value in ancillary:
            if kind in (IP_RECVERR, IPV6_RECVERR):
                number, origin, icmp, code, info = struct.unpack_from("=IBBBxI", value)
                offender = value[16:]
                family = struct.unpack_from("=H", offender)[0]
                by = socket.inet_ntop(socket.AF_INET, offender[4:8]) if family == socket.AF_INET else socket.inet_ntop(socket.AF_INET6, offender[8:24]) if family == socket.AF_INET6 else "nobody"
                out.append("%s from origin %d type %d code %d info %d by %s about %s, %d bytes" % (lib.errno_name(number), origin, icmp, code, info, by, to[0], len(data)))
    return "; ".join(out) or "nothing"


def refused(before):
    """What the counters of trouble moved by. Handshakes that are due go out meanwhile."""
    return " ".join(word for word in scene.moved(before).split() if word.startswith(("tx_errors", "tx_dropped", "rx_errors"))) or "nothing"


# ---------------------------------------------------------------- applications of the host itself
for words, to4, to6 in TARGETS:
    for family, to in ((4, to4), (6, to6)):
        for kind, name in ((socket.SOCK_DGRAM, "UDP"), (socket.SOCK_STREAM, "TCP")):
            before = scene.counters()
            sock = scene.app(family, kind)
            sock.setsockopt(*((socket.IPPROTO_IP, IP_RECVERR) if family == 4 else (socket.IPPROTO_IPV6, IPV6_RECVERR)), 1)
            sock.settimeout(1)
            said = []
            if kind == socket.SOCK_DGRAM:
                said.append("connect " + lib.attempt(sock.connect, (to, 99)))
                said += ["send " + lib.attempt(sock.send, b"x" * 50) for _ in range(3)]
                said.append("receive " + lib.attempt(sock.recv, 100))
            else:
                said.append("connect " + lib.attempt(sock.connect, (to, 99)))
            if words == "an endpoint without a route":
                scene.wait_moved(before, 1)
            observe("%s, IPv%d %s" % (words, family, name), "%s; error queue: %s" % (", ".join(said), errors(sock) if kind == socket.SOCK_DGRAM else "not looked at"))
            moved = scene.moved(before)
            observe("%s, IPv%d %s: counted" % (words, family, name), moved if kind == socket.SOCK_DGRAM else " ".join(sorted(w.split("+")[0] for w in moved.split())))
            sock.close()

# ---------------------------------------------------------------- what is no IP
with in_netns("dut"):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    rawest = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    rawest.bind(("wg0", 0))
good4, good6 = udp_packet(scene.IN4, scene.PEER4, 7, 9, b"x" * 40), udp_packet(scene.IN6, scene.PEER6, 7, 9, b"x" * 40)
for words, kind, data in (("ARP", 0x0806, bytes(28)), ("LLDP", 0x88CC, bytes(50)), ("IPv4 that says it is IPv6", 0x86DD, good4), ("IPv6 that says it is IPv4", 0x0800, good6),
                          ("IPv4 of version 5", 0x0800, b"\x55" + good4[1:]), ("IPv4 of 19 bytes", 0x0800, good4[:19]), ("IPv4 of 20 bytes", 0x0800, good4[:20]), ("IPv6 of 39 bytes", 0x86DD, good6[:39]),
                          ("IPv6 of 40 bytes", 0x86DD, good6[:40]), ("IPv4 of 1 byte", 0x0800, b"\x45"), ("nothing, as IPv4", 0x0800, b""), ("nothing, as 0", 0, b""), ("IPv4 as 802.3", 1, good4),
                          ("IPv4 to no peer", 0x0800, udp_packet(scene.IN4, "10.40.0.1", 7, 9, b"x")), ("IPv6 to no peer", 0x86DD, udp_packet(scene.IN6, "fd40::1", 7, 9, b"x")),
                          ("IPv4 to no endpoint", 0x0800, udp_packet(scene.IN4, "10.30.0.1", 7, 9, b"x")), ("IPv6 to no endpoint", 0x86DD, udp_packet(scene.IN6, "fd30::1", 7, 9, b"x")),
                          ("IPv4 with a length that lies", 0x0800, good4[:2] + b"\xff\xff" + good4[4:]), ("IPv4 with a header of one word", 0x0800, b"\x41" + good4[1:]),
                          ("IPv4 of MTU", 0x0800, ip_packet(scene.IN4, "10.40.0.1", 253, bytes(1400))), ("IPv4 of MTU and one byte", 0x0800, ip_packet(scene.IN4, "10.40.0.1", 253, bytes(1401))),
                          ("MPLS", 0x8847, b"\x00\x01\x01\x40" + good4), ("VLAN", 0x8100, b"\x00\x05\x08\x00" + good4)):
    before = scene.counters()
    said = lib.attempt(raw.sendto, data, ("wg0", kind))
    observe("AF_PACKET: %s" % words, "errno %s; %s" % (said, scene.moved(before)))
for words, data in (("IPv4", good4), ("IPv6", good6), ("neither", b"\0" * 40), ("nothing", b"")):
    before = scene.counters()
    said = lib.attempt(rawest.send, data)
    observe("AF_PACKET, raw: %s" % words, "errno %s; %s" % (said, scene.moved(before)))

# ---------------------------------------------------------------- multicast, broadcast
scene.wg("set", "wg0", "peer", b64(scene.key.public), "allowed-ips", "192.168.50.2/32,fd50::2/128")
for words, to in (("multicast without a peer", "224.0.0.99"), ("IPv6 multicast without a peer", "ff08::99"), ("the subnet's broadcast without a peer", "192.168.50.255"), ("broadcast without a peer", "255.255.255.255")):
    before = scene.counters()
    sock = scene.app(6 if ":" in to else 4)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wg0\0")
    observe(words, "errno %s; %s" % (lib.attempt(sock.sendto, b"m", (to, 99)), scene.moved(before)))
scene.udp()
scene.wg("set", "wg0", "peer", b64(scene.key.public), "allowed-ips", "192.168.50.2/32,fd50::2/128,224.0.0.0/4,ff08::/16,192.168.50.255/32,255.255.255.255/32")
session = scene.shake()
for words, to in (("multicast", "224.0.0.99"), ("IPv6 multicast", "ff08::99"), ("the subnet's broadcast", "192.168.50.255"), ("broadcast", "255.255.255.255")):
    scene.heard()
    sock = scene.app(6 if ":" in to else 4)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wg0\0")
    said = lib.attempt(sock.sendto, b"m", (to, 99))
    packet = scene.hear_packet(5)
    plain = scene.open(session, packet) if packet else None
    observe("%s to a peer" % words, "errno %s; %s" % (said, ("TTL %d, %s" % (plain[8], plain[12:20].hex()) if plain[0] >> 4 == 4 else "hop limit %d, %s" % (plain[7], plain[8:40].hex())) if plain else "nothing"))

# ---------------------------------------------------------------- hosts behind it
run("sh", "-ec", """
ip netns add lan
ip link add name tolan netns dut address 02:00:00:00:02:01 type veth peer name eth netns lan address 02:00:00:00:02:02
ip netns exec lan sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
for x in dut:tolan lan:eth; do ip netns exec ${x%%:*} ethtool -K ${x##*:} tx off rx off sg off tso off gso off gro off >/dev/null 2>&1 || true; ip -n ${x%%:*} link set ${x##*:} up; done
ip -n dut address add 10.5.0.1/24 dev tolan; ip -n dut address add fd05::1/64 dev tolan
ip -n lan address add 10.5.0.2/24 dev eth; ip -n lan address add fd05::2/64 dev eth
ip -n lan neigh add 10.5.0.1 lladdr 02:00:00:00:02:01 dev eth; ip -n lan neigh add fd05::1 lladdr 02:00:00:00:02:01 dev eth
ip -n dut neigh add 10.5.0.2 lladdr 02:00:00:00:02:02 dev tolan; ip -n dut neigh add fd05::2 lladdr 02:00:00:00:02:02 dev tolan
ip netns exec dut sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
""")
lan = Capture("lan", "eth")
with in_netns("lan"):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.bind(("eth", 0))


def forward(packet):
    wire.send(bytes.fromhex("020000000201020000000202") + struct.pack("!H", 0x0800 if packet[0] >> 4 == 4 else 0x86DD) + packet)


def is_error(packet):
    return packet.family == 4 and packet.protocol == 1 or packet.family == 6 and packet.protocol == 58 and packet.inside[0] < 128


def answers():
    """The ICMP errors that came back. A packet whose time runs out marks the end: the host deals with ours one after the other."""
    mark = udp_packet("10.5.0.2", "10.40.0.77", 77, 77, b"mark", ttl=1)
    forward(mark)
    out, until = [], time.monotonic() + 10
    while time.monotonic() < until:
        frame = lan.next(until - time.monotonic())
        packet = Outer(frame) if frame else None
        if not packet or not packet.family or not is_error(packet):
            continue
        if packet.family == 4 and packet.inside[0] == 11 and packet.inside[28:32] == mark[20:24]:
            return out
        out.append(packet)
    lib.die("the marking packet was not answered")


def late_answers(seconds):
    """The ICMP errors that come, until none has come for so long."""
    out = []
    while True:
        frame = lan.next(seconds)
        if frame is None:
            return out
        packet = Outer(frame)
        if packet.family and is_error(packet):
            out.append(packet)


def describe(packet, about):
    if packet is None:
        return "nothing came back"
    kind, code, _, rest = struct.unpack_from("!BBHI", packet.inside)
    quoted = packet.inside[8:]
    same = len(quoted)
    # The time to live has gone down by one on the way, and the header's checksum up.
    mine, its = bytearray(about[:len(quoted)]), bytearray(quoted)
    for data in (mine, its):
        if data[0] >> 4 == 4:
            data[8], data[10:12] = 0, b"\0\0"
        else:
            data[7] = 0
    right = checksum((pseudo(packet.source, packet.destination, 58, len(packet.inside)) if packet.family == 6 else b"") + packet.inside) == 0
    return "type %d code %d info %d from %s to %s, TTL %d, DS field %#x%s, quotes %d bytes%s%s" % (
        kind, code, rest, packet.source, packet.destination, packet.ttl, packet.tos, ", DF" if packet.df else "", same, "" if mine == its else " which are not those sent", "" if right else ", checksum WRONG")


def lan_packet(to, size=60, sport=1000, **more):
    return udp_packet("fd05::2" if ":" in to else "10.5.0.2", to, sport, 99, (bytes(range(256)) * (size // 256 + 1))[:size], **more)


def series(prefix):
    for words, to4, to6 in TARGETS:
        for to in (to4, to6):
            for size in ((10, 600, 1392 if ":" not in to else 1372) if prefix == "forwarded: " else (10, 600)):
                about = lan_packet(to, size, ttl=20, tos=0xB8)
                before = scene.counters()
                lan.drain()
                forward(about)
                got = answers()
                observe("%s%s, IPv%d, %d bytes" % (prefix, words, 6 if ":" in to else 4, len(about)), "; ".join(describe(p, about) for p in got) or "nothing came back")
                observe("%s%s, IPv%d, %d bytes: counted" % (prefix, words, 6 if ":" in to else 4, len(about)), refused(before))


series("forwarded: ")
# About some packets there are no errors.
for words, about in (("from multicast", udp_packet("224.0.0.5", "10.40.0.1", 7, 9, b"x")), ("from 0.0.0.0", udp_packet("0.0.0.0", "10.40.0.1", 7, 9, b"x")),
                     ("a later fragment", ip_packet("10.5.0.2", "10.40.0.1", 17, b"x" * 40)[:6] + b"\0\x10" + ip_packet("10.5.0.2", "10.40.0.1", 17, b"x" * 40)[8:]),
                     ("an ICMP error", ip_packet("10.5.0.2", "10.40.0.1", 1, bytes([3, 1, 0, 0]) + bytes(32))), ("an ICMP echo", echo_packet("10.5.0.2", "10.40.0.1", 1)),
                     ("an ICMPv6 error", ip_packet("fd05::2", "fd40::1", 58, bytes([1, 1, 0, 0]) + bytes(44))), ("an ICMPv6 echo", echo_packet("fd05::2", "fd40::1", 1)),
                     ("an ICMPv6 redirect", ip_packet("fd05::2", "fd40::1", 58, bytes([137, 0, 0, 0]) + bytes(44))), ("TCP", ip_packet("10.5.0.2", "10.40.0.1", 6, struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 2, 5, 0, 0))),
                     ("with options", b"\x47" + lan_packet("10.40.0.1")[1:20] + b"\x94\x04\0\0\x01\x01\x01\0" + lan_packet("10.40.0.1")[20:])):
    if words in ("a later fragment", "with options"):
        about = bytearray(about)
        if words == "with options":
            about[2:4] = struct.pack("!H", len(about))
        about[10:12] = b"\0\0"
        about[10:12] = struct.pack("!H", checksum(bytes(about[:(about[0] & 15) * 4])))
        about = bytes(about)
    before = scene.counters()
    lan.drain()
    forward(about)
    got = answers()
    observe("forwarded, no peer: %s" % words, "%s; %s" % ("; ".join(describe(p, about) for p in got) or "nothing came back", refused(before)))
# Too big for the tunnel.
scene.wg("set", "wg0", "peer", b64(scene.key.public), "allowed-ips", "0.0.0.0/0,::/0")
session = scene.shake()
scene.ip("route", "add", "10.60.0.0/24", "dev", "wg0")
scene.ip("route", "add", "fd60::/64", "dev", "wg0")
scene.ip("route", "add", "10.61.0.0/24", "dev", "wg0", "mtu", "1000")
scene.ip("route", "add", "fd61::/64", "dev", "wg0", "mtu", "1300")
for to in ("10.60.0.1", "fd60::1", "10.61.0.1", "fd61::1"):
    for size, flags in ((900, 2), (980, 2), (1300, 2), (1372, 2), (1392, 2), (1393, 2), (1400, 2), (1400, 0), (1460, 0)):
        if ":" in to and not flags:
            continue
        about = lan_packet(to, size, **({"flags": flags} if ":" not in to else {}))
        lan.drain()
        scene.heard()
        before = scene.counters()
        forward(about)
        got = answers()
        out = [p for p in scene.fence(session) if p.kind == "data" and len(p.payload) > 32]
        plains = [scene.open(session, p) for p in out]
        observe("forwarded to %s, %d bytes%s" % (to, len(about), ", DF" if flags else ""),
                "%s; sent on: %s" % ("; ".join(describe(p, about) for p in got) or "no error", " ".join("%d as %d" % (struct.unpack_from("!H", i, 2)[0] if i[0] >> 4 == 4 else 40 + struct.unpack_from("!H", i, 4)[0], len(p.payload)) for p, i in zip(out, plains) if i) or "nothing"))
# Translated on the way.
scene.wg("set", "wg0", "peer", b64(scene.key.public), "allowed-ips", "192.168.50.2/32,fd50::2/128")
run("ip", "netns", "exec", "dut", "nft", "-f", "-", input=b"""
table ip n { chain out { type nat hook postrouting priority srcnat; oifname "wg0" masquerade; }; }
table ip6 n { chain out { type nat hook postrouting priority srcnat; oifname "wg0" masquerade; }; }
""")
series("masqueraded: ")
scene.sh("nft delete table ip n; nft delete table ip6 n")
run("ip", "netns", "exec", "dut", "nft", "-f", "-", input=b"""
table ip n { chain out { type nat hook postrouting priority srcnat; oifname "wg0" snat to 10.77.0.77; }; }
table ip6 n { chain out { type nat hook postrouting priority srcnat; oifname "wg0" snat to fd77::77; }; }
""")
series("translated to an address of nobody: ")
scene.sh("nft delete table ip n; nft delete table ip6 n")
# How many of many.
scene.sh("sysctl -qw net.ipv4.icmp_ratelimit=60000 net.ipv6.icmp.ratelimit=60000 net.ipv4.icmp_ratemask=6168")
time.sleep(0.1)
for to in ("10.40.0.9", "fd40::9", "10.30.0.9", "fd30::9"):
    about = lan_packet(to, 30)
    before = scene.counters()
    lan.drain()
    for number in range(60):
        forward(about)
    got = late_answers(2)
    observe("60 at once to %s" % to, "%d answered; %s" % (len(got), refused(before)))
run("ip", "netns", "del", "lan")
scene.end()
finish()
