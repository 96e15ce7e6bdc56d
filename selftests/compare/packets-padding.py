#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: the length on the wire of every inner length, at several MTUs of the device and of the route
# cost: slow
# limit: 900
"""The length on the wire of a packet of every length, with and without a route, whose MTU may be smaller than the device's; and
that what pads it is zeros. In a row of lengths, 20-32:64 means that packets of 20 to 32 bytes travel as 64 bytes."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

scene = Scene()
scene.udp()
with in_netns("dut"):
    direct = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)  # no route
    routed = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    routed6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)


def send(how, size):
    """Sends a packet of so many bytes; the name of the error if that fails."""
    try:
        if how == "IPv4 without a route":
            direct.sendto(ip_packet(scene.IN4, scene.PEER4, 253, b"\xa5" * (size - 20)), ("wg0", 0x0800))
        elif how == "IPv6 without a route":
            direct.sendto(ip_packet(scene.IN6, scene.PEER6, 253, b"\xa5" * (size - 40)), ("wg0", 0x86DD))
        elif how == "IPv4":
            routed.sendto(ip_packet(scene.IN4, scene.PEER4, 253, b"\xa5" * (size - 20)), (scene.PEER4, 0))
        else:
            routed6.sendto(ip_packet(scene.IN6, scene.PEER6, 253, b"\xa5" * (size - 40)), (scene.PEER6, 0))
    except OSError as error:
        return lib.errno_name(error.errno)
    return None


def row(words, how, sizes):
    session = scene.shake()  # a fresh one: nothing that its age does comes in between
    scene.fence(session)  # and it is the one in use
    pairs, wrong = [], 0
    sizes = list(sizes)
    scene.heard()
    for start in range(0, len(sizes), 32):
        sent = []
        for size in sizes[start:start + 32]:
            error = send(how, size)
            if error:
                pairs.append((size, error))
            else:
                sent.append(size)
        for size in sent:
            packet = scene.hear_packet(10)
            if packet is None:
                pairs.append((size, "nothing"))
                continue
            plain = scene.open(session, packet)
            wrong += plain is None or len(plain) < size or any(plain[size:]) or plain[40:size].strip(b"\xa5") != b""
            pairs.append((size, len(packet.payload)))
    observe("%s, %s" % (how, words), "%s; %d of them wrong" % (runs(sorted(pairs)), wrong))


# Every length from the least to the most.
for mtu in (1420, 1407):
    scene.ip("link", "set", "wg0", "mtu", str(mtu))
    for how in ("IPv4", "IPv6", "IPv4 without a route", "IPv6 without a route"):
        if how == "IPv6":
            scene.ip("address", "replace", "fd50::1/64", "dev", "wg0")
        row("MTU %d" % mtu, how, range(40 if "6" in how.split()[0] else 20, mtu + 2))
for mtu in (68, 100, 576, 1280, 1281, 1295, 1296, 1297, 1411, 1412, 1413, 1419, 1421, 1500, 9000):
    scene.ip("link", "set", "wg0", "mtu", str(mtu))
    for how in ("IPv4", "IPv4 without a route") + (("IPv6", "IPv6 without a route") if mtu >= 1280 else ()):
        if how == "IPv6":
            scene.ip("address", "replace", "fd50::1/64", "dev", "wg0")
        elif how == "IPv4":
            scene.ip("address", "replace", "192.168.50.1/24", "dev", "wg0")
        row("MTU %d, near it" % mtu, how, range(max(40 if "6" in how.split()[0] else 20, mtu - 33), mtu + 2))
scene.ip("link", "set", "wg0", "mtu", "1420")
scene.ip("address", "replace", "192.168.50.1/24", "dev", "wg0")
scene.ip("address", "replace", "fd50::1/64", "dev", "wg0")
# A route with less: packets that do not care are longer than it.
for mtu in (100, 513, 600, 1000, 1279, 1350, 1400):
    scene.ip("route", "replace", scene.PEER4 + "/32", "dev", "wg0", "mtu", str(mtu))
    row("MTU %d of the route" % mtu, "IPv4", sorted({*range(20, 60), *range(mtu - 20, mtu + 40), *range(2 * mtu - 20, min(2 * mtu + 20, 1421)), *range(1390, 1421)}))
    row("MTU %d of the route" % mtu, "IPv4 without a route", sorted({*range(mtu - 20, mtu + 20)}))
scene.ip("route", "del", scene.PEER4 + "/32", "dev", "wg0")
for mtu in (1280, 1290, 1350, 1400):
    scene.ip("-6", "route", "replace", scene.PEER6 + "/128", "dev", "wg0", "mtu", str(mtu))
    row("MTU %d of the route" % mtu, "IPv6", sorted({*range(40, 60), *range(mtu - 20, min(mtu + 40, 1421)), *range(1390, 1421)}))
scene.ip("-6", "route", "del", scene.PEER6 + "/128", "dev", "wg0")
scene.end()
finish()
