#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: congestion marks in and out of the tunnel (RFC 6040), the DS field of every kind of outer packet
# cost: quick
"""Every combination of congestion marks, both families inside and outside, both ways; which DS field each message has."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

scene = Scene()
inner = Capture("dut", "wg0")
ECN = ("not ECN-capable", "ECT(1)", "ECT(0)", "CE")


def tos_of(packet):
    return packet[1] if packet[0] >> 4 == 4 else struct.unpack_from("!H", packet)[0] >> 4 & 255


for outer, source in ((4, scene.OUT4), (6, scene.OUT6)):
    scene.udp(source=source)
    session = scene.shake(source=source)
    observe("IPv%d outside: DS field of a response" % outer, "%#x" % scene.response.tos)
    for family, from_, to in ((4, scene.PEER4, scene.IN4), (6, scene.PEER6, scene.IN6)):
        sock = scene.app(family)
        for dscp in (0, 0x88, 0xB8, 0xFC):
            for mark in range(4):
                if family == 4:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp | mark)
                else:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp | mark)
                scene.heard()
                sock.sendto(b"out", (from_, 99))
                packet = scene.hear(5, lambda p: p.kind == "data" and len(p.payload) > 32)
                plain = scene.open(session, packet) if packet else None
                observe("out: IPv%d in IPv%d, DSCP %d, %s" % (family, outer, dscp >> 2, ECN[mark]),
                        "outer DS field %#x, inner %#x" % (packet.tos, tos_of(plain)) if plain else "nothing came")
        before = scene.counters()
        for mark in range(4):
            for below in range(4):
                for outer_dscp in (0, 0xB8):
                    tag = b"%d%d%d" % (mark, below, outer_dscp)
                    inner.drain()
                    scene.say(session.data(udp_packet(from_, to, 7, 99, tag, tos=0x28 | mark)), source=source, tos=outer_dscp | below)
                    scene.fence(session, source=source)
                    got = [frame for frame in inner.drain() if frame.endswith(tag)]
                    moved = scene.counters()
                    words = " ".join("%s+%d" % (n, moved[n] - before[n]) for n in moved if n in ("rx_errors", "rx_dropped", "rx_frame_errors") and moved[n] != before[n])
                    before = moved
                    observe("in: IPv%d in IPv%d, %s in %s, outer DSCP %d" % (family, outer, ECN[mark], ECN[below], outer_dscp >> 2),
                            "%s %s" % (" ".join("DS field %#x%s" % (tos_of(p), "" if family == 6 or checksum(p[:20]) == 0 else ", header checksum wrong") for p in got) or "nothing came out", words))
    # The other kinds of messages.
    scene.udp(source=source).setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0) if outer == 6 else (socket.IPPROTO_IP, socket.IP_TOS, 0)))
    scene.remove_peer()
    scene.add_peer(endpoint="[%s]:%d" % (source, OUR_PORT) if outer == 6 else "%s:%d" % (source, OUR_PORT))
    sock = scene.app()
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xB9)
    session = scene.answer(lambda: sock.sendto(b"wait", (scene.PEER4, 99)), source=source)
    observe("IPv%d outside: DS field of an initiation" % outer, "%#x" % scene.initiation.tos)
    packet = scene.hear_kind("data")
    observe("IPv%d outside: DS field of a packet that waited for it" % outer, "%#x, %d bytes" % (packet.tos, len(packet.payload)))
    scene.remove_peer()
    scene.add_peer(endpoint="[%s]:%d" % (source, OUR_PORT) if outer == 6 else "%s:%d" % (source, OUR_PORT))
    session = scene.answer(lambda: scene.wg("set", "wg0", "peer", b64(scene.key.public), "persistent-keepalive", "30"), source=source)
    packet = scene.hear_kind("data")
    observe("IPv%d outside: DS field of a keepalive" % outer, "%#x, %d bytes" % (packet.tos, len(packet.payload)))
    scene.wg("set", "wg0", "peer", b64(scene.key.public), "persistent-keepalive", "0")
    # A peer that marks its handshake: the response does not answer in kind.
    session = scene.shake(source=source, tos=0xFF)
    observe("IPv%d outside: DS field of a response to an initiation marked 0xff" % outer, "%#x" % scene.response.tos)
    scene.udp(source=source).setsockopt(*((socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0) if outer == 6 else (socket.IPPROTO_IP, socket.IP_TOS, 0)))
    scene.remove_peer()
    scene.add_peer()
scene.end()
finish()
