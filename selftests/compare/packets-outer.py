#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: the outer headers of every kind of message, fragments outside, what the path's MTU does to them
# cost: quick
"""The outer headers: time to live, may it be fragmented, identification, flow label, checksum, length; whole and in
fragments, with the settings of the host and of the route that move them."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

scene = Scene()


def describe(packet):
    if packet is None:
        return "nothing came"
    words = "%s %d bytes; TTL %d%s" % (packet.kind, len(packet.payload), packet.ttl, ", DF" if packet.df else "")
    words += ", id %s" % ("0" if packet.ident == 0 else "not 0") if packet.family == 4 else ", flow label %s" % ("0" if packet.label == 0 else "not 0")
    if packet.fragment:
        words += ", fragment at %d of %d bytes%s" % (packet.offset, len(packet.inside), ", more follow" if packet.mf else "")
    else:
        words += ", checksum %s, UDP length %d of %d" % ({True: "right", False: "WRONG"}.get(packet.sum_right, packet.sum_right), packet.udp_length, len(packet.inside))
    return words + ("" if packet.header_right else ", header checksum WRONG") + ", port %d" % packet.sport


def fragments():
    """All of the next packet outside."""
    packets, until = [], time.monotonic() + 5
    while time.monotonic() < until:
        packet = scene.hear(until - time.monotonic())
        if packet:
            packets.append(packet)
            if not packet.mf:
                break
    return "; ".join(describe(p) for p in packets) or "nothing came"


for family, source in ((4, scene.OUT4), (6, scene.OUT6)):
    where = "IPv%d outside" % family
    far = ("[%s]:%d" if family == 6 else "%s:%d") % (source, OUR_PORT)
    scene.udp(source=source)
    session = scene.shake(source=source)
    observe("%s: a response" % where, describe(scene.response))
    sock, sock6 = scene.app(), scene.app(6)
    for mode, value in (("want", 1), ("do", 2), ("dont", 0)):
        sock.setsockopt(socket.IPPROTO_IP, 10, value)  # IP_MTU_DISCOVER
        scene.heard()
        sock.sendto(b"x" * 100, (scene.PEER4, 99))
        observe("%s: IPv4 inside, IP_MTU_DISCOVER %s" % (where, mode), describe(scene.hear_packet()))
    sock6.sendto(b"x" * 100, (scene.PEER6, 99))
    observe("%s: IPv6 inside" % where, describe(scene.hear_packet()))
    for ttl in (1, 2, 255):
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.sendto(b"x" * 100, (scene.PEER4, 99))
        observe("%s: inner TTL %d" % (where, ttl), describe(scene.hear_packet()))
    idents = []
    for number in range(5):
        sock.sendto(b"x" * 100, (scene.PEER4, 99))
        idents.append(scene.hear_packet().ident)
    observe("%s: identifications of five packets" % where, "all zero" if not any(idents) else "given")
    counters = []
    for number in range(5):
        sock.sendto(b"x" * 100, (scene.PEER4, 99))
        counters.append(struct.unpack_from("<Q", scene.hear_packet().payload, 8)[0])
    observe("%s: counters of five messages" % where, "one after the other" if all(b - a == 1 for a, b in zip(counters, counters[1:])) else "of another kind")

    # The host's and the route's hop limit.
    prefix, device = ("10.9.0.0/24" if family == 4 else "fd09::/64"), "under"
    scene.sh("sysctl -qw net.ipv4.ip_default_ttl=33 net.ipv6.conf.under.hop_limit=34 net.ipv6.conf.all.hop_limit=34")
    scene.wg("set", "wg0", "fwmark", "7")  # forgets the routes that it remembers
    sock.sendto(b"x" * 100, (scene.PEER4, 99))
    observe("%s: another default hop limit" % where, describe(scene.hear_packet()))
    scene.ip("-%d" % family, "route", "add", source + ("/32" if family == 4 else "/128"), "dev", "under", "hoplimit", "77")
    sock.sendto(b"x" * 100, (scene.PEER4, 99))
    observe("%s: hop limit of the route" % where, describe(scene.hear_packet()))
    scene.ip("-%d" % family, "route", "del", source + ("/32" if family == 4 else "/128"), "dev", "under")
    scene.sh("sysctl -qw net.ipv4.ip_default_ttl=64 net.ipv6.conf.under.hop_limit=64 net.ipv6.conf.all.hop_limit=64")
    scene.wg("set", "wg0", "fwmark", "0")

    # Outer packets that do not fit.
    scene.ip("link", "set", "wg0", "mtu", "3000")
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 64)
    sock.setsockopt(socket.IPPROTO_IP, 10, 2)
    for size in (1400, 1420, 1440, 1441, 1472, 1500, 2000, 2972):
        scene.heard()
        sock.sendto(b"y" * size, (scene.PEER4, 99))
        observe("%s: %d bytes in a tunnel of MTU 3000 on a cable of MTU 1500" % (where, size + 28), fragments())
    for how, words in (("mtu 1000", "a route with MTU 1000"), ("mtu lock 1300", "a route with a locked MTU of 1300")):
        if family == 6 and "1000" in how:
            how, words = "mtu 1280", "a route with MTU 1280"
        scene.ip("-%d" % family, "route", "replace", source + ("/32" if family == 4 else "/128"), "dev", "under", *how.split())
        scene.heard()
        sock.sendto(b"z" * 1380, (scene.PEER4, 99))
        observe("%s: %s" % (where, words), fragments())
        scene.ip("-%d" % family, "route", "del", source + ("/32" if family == 4 else "/128"), "dev", "under")

    # The path says that a packet was too big.
    scene.heard()
    sock.sendto(b"z" * 1380, (scene.PEER4, 99))
    big = scene.hear_packet()
    if family == 4:
        error = struct.pack("!BBHHH", 3, 4, 0, 0, 1200) + big.bytes[:28]
        error = error[:2] + struct.pack("!H", checksum(error)) + error[4:]
    else:
        error = struct.pack("!BBHI", 2, 0, 0, 1300) + big.bytes[:200]
        error = error[:2] + struct.pack("!H", checksum(pseudo(source, scene.DUT6, 58, len(error)) + error)) + error[4:]
    with in_netns("out"):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        raw.bind(("outer", 0))
    frame = bytes.fromhex("020000000001020000000002") + struct.pack("!H", 0x0800 if family == 4 else 0x86DD)
    raw.send(frame + ip_packet(source, scene.DUT4 if family == 4 else scene.DUT6, 1 if family == 4 else 58, error))
    time.sleep(0.3)
    scene.heard()
    sock.sendto(b"z" * 1380, (scene.PEER4, 99))
    observe("%s: after the path has said that a packet was too big" % where, fragments())
    scene.sh("ip route flush cache; ip -6 route flush cache")
    # It does not reach the inner path MTU.
    observe("%s: the route inside after that" % where, " ".join(scene.ip("route", "get", scene.PEER4).split("uid")[0].split()))
    # Other ICMP errors about our packets: silence.
    before = scene.counters()
    for kind, code in (((3, 0), (3, 1), (3, 3), (3, 13), (11, 0)) if family == 4 else ((1, 0), (1, 1), (1, 3), (1, 4), (3, 0), (4, 1))):
        error = struct.pack("!BBHI", kind, code, 0, 0) + big.bytes[:28 if family == 4 else 200]
        error = error[:2] + struct.pack("!H", checksum((pseudo(source, scene.DUT6, 58, len(error)) if family == 6 else b"") + error)) + error[4:]
        raw.send(frame + ip_packet(source, scene.DUT4 if family == 4 else scene.DUT6, 1 if family == 4 else 58, error))
    time.sleep(0.3)
    observe("%s: counters after other ICMP errors" % where, scene.moved(before))
    try:
        sock.sendto(b"z", (scene.PEER4, 99))
        observe("%s: sending after them" % where, describe(scene.hear_packet()))
    except OSError as error:
        observe("%s: sending after them" % where, error)
    scene.ip("link", "set", "wg0", "mtu", "1420")
    scene.ip("address", "replace", "fd50::1/64", "dev", "wg0")

    # An initiation and a keepalive.
    scene.remove_peer()
    scene.add_peer(endpoint=far)
    session = scene.answer(lambda: sock.sendto(b"wait", (scene.PEER4, 99)), source=source)
    observe("%s: an initiation" % where, describe(scene.initiation))
    observe("%s: what waited for it" % where, describe(scene.hear_packet()))
    scene.wg("set", "wg0", "peer", b64(scene.key.public), "persistent-keepalive", "1000")
    observe("%s: a keepalive" % where, describe(scene.hear_kind("data")))
    scene.remove_peer()
    scene.add_peer()
scene.end()
finish()
