#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: authentic messages whose contents are odd: what comes out of the device, byte for byte, and what is counted
# cost: slow
# limit: 900
"""What a peer with valid keys can put into its messages: every IP version, headers cut short, lengths that lie, addresses that
are not its own, odd padding. Observed: which bytes come out of the device, and how the counters move."""

import hashlib
import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

scene = Scene()
scene.udp()
inner = Capture("dut", "wg0")
session = scene.shake()
scene.fence(session)
before, begun = scene.counters(), time.monotonic()


def case(words, plain, pad=True):
    global before, begun, session
    if time.monotonic() - begun > 60:
        # A session does not last for ever.
        session, begun = scene.shake(), time.monotonic()
        scene.fence(session)
        before = scene.counters()
    inner.drain()
    number = scene.fence_number
    scene.say(session.data(plain, pad=pad))
    scene.fence(session)
    fences = [struct.pack("!HH", 0xFE9C, n & 0xFFFF) for n in range(number + 1, scene.fence_number + 1)]
    out = [frame for frame in inner.drain() if frame[24:28] not in fences]
    after = scene.counters()
    moved = {name: after[name] - before[name] for name in after}
    # Without the fence: an echo of 28 bytes in, one out.
    for name, much in (("rx_packets", 1), ("tx_packets", 1), ("rx_bytes", 64), ("tx_bytes", 64), ("peer_rx", 64), ("peer_tx", 64)):
        moved[name] -= much * len(fences)
    before = after
    observe(words, "%s; %s" % ("; ".join("%d bytes %s" % (len(f), hashlib.sha256(f).hexdigest()[:12]) for f in out) or "nothing came out",
                               " ".join("%s+%d" % (n, m) for n, m in moved.items() if m) or "nothing counted"))


good4 = udp_packet(scene.PEER4, scene.IN4, 7, 99, b"data" * 10)
good6 = udp_packet(scene.PEER6, scene.IN6, 7, 99, b"data" * 10)


def patched(packet, at, data):
    return packet[:at] + data + packet[at + len(data):]


case("a keepalive", b"")
case("IPv4, right", good4)
case("IPv6, right", good6)
for version in range(16):
    case("version %d in an IPv4 packet" % version, bytes([version << 4 | 5]) + good4[1:])
    case("version %d in an IPv6 packet" % version, bytes([version << 4]) + good6[1:])
for length in (1, 2, 4, 8, 15, 16, 17, 19, 20, 21, 27, 28, 31, 32, 33, 39, 40, 41, 47, 48):
    case("IPv4 cut to %d bytes, not padded" % length, good4[:length], pad=False)
    case("IPv6 cut to %d bytes, not padded" % length, good6[:length], pad=False)
    case("%d zeros" % length, bytes(length), pad=False)
for length in (0, 1, 19, 20, 21, 27, 28, 29, 59, 67, 68, 69, 79, 80, 81, 128, 1420, 32768, 65535):
    case("IPv4 of 68 bytes that says it has %d" % length, patched(good4, 2, struct.pack("!H", length)))
for length in (0, 1, 7, 8, 9, 40, 47, 48, 49, 55, 56, 57, 64, 1380, 32768, 65535):
    case("IPv6 with 48 bytes behind its header that says it has %d" % length, patched(good6, 4, struct.pack("!H", length)))
for words in range(16):
    case("IPv4 whose header has %d words" % words, bytes([0x40 | words]) + good4[1:])
for extra in (1, 15, 16, 17, 100, 1000, 1300):
    case("IPv4 with %d zeros behind it" % extra, good4 + bytes(extra), pad=False)
    case("IPv4 with %d other bytes behind it" % extra, good4 + b"\xa5" * extra, pad=False)
    case("IPv6 with %d other bytes behind it" % extra, good6 + b"\xa5" * extra, pad=False)
case("IPv4 with a wrong header checksum", patched(good4, 10, b"\0\0"))
case("IPv4 with a wrong UDP checksum", patched(good4, 26, b"\1\1"))
case("IPv6 with a wrong UDP checksum", patched(good6, 46, b"\1\1"))
case("IPv6 without a UDP checksum", patched(good6, 46, b"\0\0"))
for words, source in (("its address", scene.PEER4), ("the next address", "192.168.50.3"), ("our own address", scene.IN4), ("0.0.0.0", "0.0.0.0"), ("loopback", "127.0.0.1"),
                      ("multicast", "224.0.0.1"), ("broadcast", "255.255.255.255")):
    case("from IPv4 %s" % words, udp_packet(source, scene.IN4, 7, 99, b"data"))
for words, source in (("its address", scene.PEER6), ("the next address", "fd50::3"), ("our own address", scene.IN6), ("::", "::"), ("loopback", "::1"), ("multicast", "ff02::1"),
                      ("link-local", "fe80::2"), ("mapped IPv4", "::ffff:192.168.50.2")):
    case("from IPv6 %s" % words, udp_packet(source, scene.IN6, 7, 99, b"data"))
for words, to in (("an address that is not ours", "192.168.50.77"), ("multicast", "224.0.0.251"), ("broadcast", "255.255.255.255"), ("the subnet's broadcast", "192.168.50.255"),
                  ("loopback", "127.0.0.1"), ("0.0.0.0", "0.0.0.0"), ("the outer address", scene.DUT4)):
    case("to IPv4 %s" % words, udp_packet(scene.PEER4, to, 7, 99, b"data"))
for words, to in (("an address that is not ours", "fd50::77"), ("all nodes", "ff02::1"), ("loopback", "::1"), ("::", "::"), ("the outer address", scene.DUT6)):
    case("to IPv6 %s" % words, udp_packet(scene.PEER6, to, 7, 99, b"data"))
for protocol in (0, 1, 2, 6, 17, 41, 44, 47, 50, 58, 59, 132, 255):
    case("IPv4 with protocol %d and no sense" % protocol, ip_packet(scene.PEER4, scene.IN4, protocol, b"\xff" * 40))
    case("IPv6 with protocol %d and no sense" % protocol, ip_packet(scene.PEER6, scene.IN6, protocol, b"\xff" * 40))
for flags in range(8):
    case("IPv4 with flags %d" % flags, ip_packet(scene.PEER4, scene.IN4, 17, good4[20:], flags=flags))
case("IPv4 fragment at the end of what is possible", patched(ip_packet(scene.PEER4, scene.IN4, 17, b"x" * 40), 6, b"\x1f\xff"))
for ttl in (0, 1, 255):
    case("IPv4 with TTL %d" % ttl, ip_packet(scene.PEER4, scene.IN4, 17, good4[20:], ttl=ttl))
    case("IPv6 with hop limit %d" % ttl, ip_packet(scene.PEER6, scene.IN6, 17, good6[40:], ttl=ttl))
for size in (1372, 1392, 1400, 1420, 3000, 20000, 60000):
    case("IPv4 of %d bytes in one message" % (size + 28), udp_packet(scene.PEER4, scene.IN4, 7, 99, b"b" * size))
case("IPv4 in IPv4", ip_packet(scene.PEER4, scene.IN4, 4, good4))
case("IPv6 with a hop-by-hop header", ip_packet(scene.PEER6, scene.IN6, 0, struct.pack("!BBHI", 17, 0, 0x0104, 0) + good6[40:]))
case("an IPv6 jumbogram", ip_packet(scene.PEER6, scene.IN6, 0, struct.pack("!BBBBI", 17, 0, 0xC2, 4, 100000) + good6[40:]))
case("the right one again", good4)
# Two allowed IPs for two peers, the longer one inside the shorter.
other = Key()
scene.add_peer(ips="192.168.50.0/24,fd50::/64")
scene.add_peer(key=other, ips="192.168.50.128/25,fd50::8000/113")
for source in ("192.168.50.2", "192.168.50.127", "192.168.50.128", "192.168.50.255", "fd50::2", "fd50::7fff", "fd50::8000", "fd51::2"):
    to = scene.IN6 if ":" in source else scene.IN4
    case("from %s, where another peer has a longer prefix" % source, udp_packet(source, to, 7, 99, b"data"))
scene.wg("set", "wg0", "peer", b64(other.public), "remove")
for source in ("192.168.50.128", "fd50::8000"):
    case("from %s, when that peer is gone" % source, udp_packet(source, scene.IN6 if ":" in source else scene.IN4, 7, 99, b"data"))
scene.add_peer(key=other, ips="192.168.50.0/24")
scene.add_peer(ips="0.0.0.0/0,::/0")
for source in ("192.168.50.2", "192.168.51.2", "fd50::2"):
    if source != "192.168.50.2":
        before = scene.counters()
        scene.say(session.data(udp_packet(source, scene.IN6 if ":" in source else scene.IN4, 7, 99, b"data")))
        scene.wait_moved(before)
        observe("from %s, when this peer has all and another the subnet" % source, scene.moved(before))
scene.end()
finish()
