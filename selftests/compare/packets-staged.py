#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: packets that wait for a session: how many, which are given up, in which order they leave, what is counted
# cost: slow
# limit: 900
"""Packets sent before there is a session wait for one. Observed: which of them leave when it comes, in which order and with
which counters, and what is counted of those that do not."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

UDP_SEGMENT = 103
scene = Scene()
scene.udp()
FAR = "%s:%d" % (scene.OUT4, OUR_PORT)


def again():
    scene.remove_peer()
    scene.add_peer(endpoint=FAR)
    scene.heard()


def initiated():
    packet = scene.hear_kind("initiation", 10)
    if packet is None:
        lib.die("the device does not begin a handshake")
    scene.peer.consume_initiation(packet.payload)


def leave(words, before):
    """Lets the session begin, and observes what leaves."""
    message, session = scene.peer.response()
    scene.say(message)
    first = scene.hear(5, lambda packet: scene.open(session, packet) is not None)
    packets = [first] + scene.fence(session) if first else []
    # On a busy machine the fence, an answer of another processor, overtakes what one has still to hand to the cable.
    while packets and (late := scene.hear(0.5)):
        packets.append(late)
    numbers, lengths, counters = [], [], []
    for packet in packets:
        plain = scene.open(session, packet)
        if plain is None:
            continue
        counters.append(struct.unpack_from("<Q", packet.payload, 8)[0])
        lengths.append(len(packet.payload))
        numbers.append("a keepalive" if not plain else struct.unpack_from("!H", plain, 28 if plain[0] >> 4 == 4 else 48)[0])
    order = runs([(n, "") for n in numbers]) if all(isinstance(n, int) for n in numbers) else str(numbers)
    observe("%s: what leaves" % words, order.replace(":", "") or "nothing")
    observe("%s: lengths" % words, " ".join("%dx%d" % (lengths.count(n), n) for n in sorted(set(lengths))))
    observe("%s: counters" % words, "one after the other from %d" % counters[0] if counters and all(b - a == 1 for a, b in zip(counters, counters[1:])) else counters)
    observe("%s: counted, with an echo and its answer" % words, scene.moved(before))
    return session


sock, sock6 = scene.app(), scene.app(6)
for count in (1, 128, 129, 130, 300):
    again()
    before = scene.counters()
    for number in range(count):
        sock.sendto(struct.pack("!H", number), (scene.PEER4, 99))
    initiated()
    observe("%d packets: counted before" % count, " ".join(w for w in scene.moved(before).split() if not w.startswith(("tx_packets", "tx_bytes", "peer_tx"))))
    leave("%d packets" % count, before)
# Of different lengths, both families.
again()
before = scene.counters()
for number in range(60):
    (sock6 if number % 2 else sock).sendto(struct.pack("!H", number) + bytes(number * 21), (scene.PEER6 if number % 2 else scene.PEER4, 99))
initiated()
leave("60 packets of many lengths", before)

# Segments of one call.
for count, size, calls in ((10, 100, 1), (60, 1000, 1), (60, 1000, 2), (60, 1000, 3), (60, 1000, 6), (3, 1372, 50), (1, 50, 3)):
    again()
    before = scene.counters()
    for call in range(calls):
        data = b"".join(struct.pack("!H", call * count + n) + bytes(size - 2) for n in range(count))
        sock.sendmsg([data], [(17, UDP_SEGMENT, struct.pack("=H", size))], 0, (scene.PEER4, 99))
    words = "%d calls of %d segments of %d bytes" % (calls, count, size)
    initiated()
    observe("%s: counted before" % words, " ".join(w for w in scene.moved(before).split() if not w.startswith(("tx_packets", "tx_bytes", "peer_tx"))))
    leave(words, before)

# Fragments wait as well.
again()
before = scene.counters()
sock.setsockopt(socket.IPPROTO_IP, 10, 0)
sock.sendto(struct.pack("!H", 7) + bytes(3000), (scene.PEER4, 99))
initiated()
leave("a packet in three fragments", before)

# Given up: by the link, by the peer's removal, by a new key, by the peer having no endpoint.
for words, how in (("the link goes down", lambda: scene.ip("link", "set", "wg0", "down")), ("the peer is removed", lambda: scene.remove_peer())):
    again()
    before = scene.counters()
    for number in range(50):
        sock.sendto(struct.pack("!H", number), (scene.PEER4, 99))
    initiated()
    how()
    observe("50 packets, then %s: counted" % words, " ".join(w for w in scene.moved(before).split() if not w.startswith(("peer_"))))
    if words == "the link goes down":
        scene.heard()
        scene.ip("link", "set", "wg0", "up")
        scene.ip("route", "replace", "192.168.50.0/24", "dev", "wg0")
        scene.ip("address", "replace", "fd50::1/64", "dev", "wg0")
        packet = scene.hear(1)
        observe("50 packets, then %s and up: what is sent" % words, packet.kind if packet else "nothing")
scene.add_peer()
for words, endpoint in (("no endpoint", None), ("an IPv4 endpoint without a route", "203.0.113.9:9"), ("an IPv6 endpoint without a route", "[2001:db8::9]:9"),
                        ("an endpoint that is this host", "127.0.0.1:9"), ("an endpoint with port 0", "10.9.0.2:0"), ("a broadcast endpoint", "10.9.0.255:9"), ("an endpoint of 0.0.0.0", "0.0.0.0:9"),
                        ("a multicast endpoint", "224.0.0.9:9"), ("an IPv6 multicast endpoint", "[ff02::9]:9"), ("an endpoint that is the device itself", "10.9.0.1:%d" % PORT)):
    scene.remove_peer()
    scene.add_peer(endpoint=endpoint)
    before = scene.counters()
    said = set()
    for number in range(5):
        said.add(lib.attempt(sock.sendto, struct.pack("!H", number), (scene.PEER4, 99)))
    if endpoint:
        scene.wait_moved(before, 1)
    observe("5 packets to a peer with %s" % words, "errno %s; %s" % (" ".join(sorted(said)), scene.moved(before)))
# The first key of a device sends what waits.
scene.remove_peer()
scene.wg("set", "wg0", "private-key", "/dev/null")
scene.add_peer(endpoint=FAR)
before = scene.counters()
scene.heard()
for number in range(5):
    sock.sendto(struct.pack("!H", number), (scene.PEER4, 99))
packet = scene.hear(1)
observe("5 packets on a device without a key: what is sent", packet.kind if packet else "nothing")
observe("5 packets on a device without a key: counted", scene.moved(before))
scene.wg("set", "wg0", "private-key", "/proc/self/fd/0", stdin=b64(scene.device_key.private))
initiated()
leave("5 packets on a device that gets its key then", before)
# A new key ends the session.
before = scene.counters()
other = Key()
scene.wg("set", "wg0", "private-key", "/proc/self/fd/0", stdin=b64(other.private))
scene.heard()
sock.sendto(struct.pack("!H", 9), (scene.PEER4, 99))
packet = scene.hear(5)
observe("a packet after the device's key has changed", packet.kind if packet else "nothing")
scene.wg("set", "wg0", "private-key", "/proc/self/fd/0", stdin=b64(scene.device_key.private))
# Keepalives wait like packets, once.
scene.remove_peer()
scene.ip("link", "set", "wg0", "down")
scene.add_peer(endpoint=FAR, persistent_keepalive="1000")
before = scene.counters()
scene.heard()
scene.ip("link", "set", "wg0", "up")
scene.ip("route", "replace", "192.168.50.0/24", "dev", "wg0")
initiated()
leave("the link comes up with a persistent keepalive", before)
scene.end()
finish()
