#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: which peer a packet goes to and may come from: longest prefix, prefixes that move while traffic runs; tunnels in tunnels, a peer behind itself
# cost: slow
"""Cryptokey routing on the wire, with five peers that are all ours; then a tunnel through the tunnel, and a peer whose endpoint is
behind itself."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

scene = Scene(routes=("10.0.0.0/8", "fd60::/16"))
scene.remove_peer()
PREFIXES = (("10.0.0.0/8", "fd60::/16"), ("10.1.0.0/16", "fd60:1::/32"), ("10.1.1.0/24", "fd60:1:1::/48"), ("10.1.1.128/25", "fd60:1:1:1::/64"), ("10.1.1.129/32", "fd60:1:1:1::1/128"))
peers = []
for number, (four, six) in enumerate(PREFIXES):
    key = Key()
    peers.append(Peer(key, scene.device_key.public))
    scene.udp(OUR_PORT + number)
    scene.add_peer(key=key, ips="%s,%s" % (four, six))
sessions = [scene.shake(OUR_PORT + number, peer=peer) for number, peer in enumerate(peers)]
sock4, sock6 = scene.app(4), scene.app(6)


def goes_to(to, seconds=3):
    """The number of the peer that a packet to an address is for; what it says about it."""
    scene.heard()
    try:
        (sock6 if ":" in to else sock4).sendto(b"q" * 20, (to, 99))
    except OSError as error:
        return lib.errno_name(error.errno)
    packet = scene.hear_packet(seconds)
    if packet is None:
        return "nothing came"
    number = packet.dport - OUR_PORT
    return "peer %d%s" % (number, "" if scene.open(sessions[number], packet) else ", with another's key")


def may_come(number, source):
    """Whether a packet with this source is accepted from a peer."""
    before = scene.counters()
    to = scene.IN6 if ":" in source else scene.IN4
    scene.say(sessions[number].data(udp_packet(source, to, 7, 9998, b"r")), port=OUR_PORT + number)
    scene.wait_moved(before)
    # Keepalives that are due go out meanwhile.
    words = [word for word in scene.moved(before).split() if word.startswith("rx_")]
    return "accepted" if words and words[0].startswith("rx_packets") else " ".join(words) or "nothing counted"


TARGETS = ("10.255.0.1", "10.0.0.0", "10.1.2.3", "10.1.1.1", "10.1.1.127", "10.1.1.128", "10.1.1.129", "10.1.1.130", "fd60:2::1", "fd60:1::1", "fd60:1:1::1", "fd60:1:1:1::2", "fd60:1:1:1::1")
listener = scene.app(bind=(scene.IN4, 9998))
listener6 = scene.app(6, bind=(scene.IN6, 9998))
for to in TARGETS:
    observe("%s goes to" % to, goes_to(to))
for number in range(len(peers)):
    observe("from peer %d" % number, ", ".join("%s %s" % (source, may_come(number, source)) for source in ("10.1.1.129", "10.1.1.130", "10.1.2.3", "10.9.9.9", "fd60:1:1:1::1", "fd60:1:1:1::2", "fd60:2::1", "192.168.50.7")))
# A prefix moves, while packets flow to it.
for words, change, back in (("the /32 goes to the first", ("peer", 0, "+10.1.1.129/32"), ("peer", 4, "+10.1.1.129/32")), ("the /25 is taken away", ("peer", 3, "-10.1.1.128/25"), ("peer", 3, "+10.1.1.128/25")),
                            ("the /8 goes to the last", ("peer", 4, "+10.0.0.0/8"), ("peer", 0, "+10.0.0.0/8")), ("the /64 goes to the second", ("peer", 1, "+fd60:1:1:1::/64"), ("peer", 3, "+fd60:1:1:1::/64"))):
    for step, what in (("", change), (", and back", back)):
        scene.wg("set", "wg0", "peer", b64(peers[what[1]].key.public), "allowed-ips", what[2])
        observe("%s%s" % (words, step), ", ".join("%s %s" % (to, goes_to(to)) for to in ("10.255.0.1", "10.1.1.129", "10.1.1.130", "fd60:1:1:1::1", "fd60:1:1:1::2")))
# Many packets on their way while it moves: none goes to nobody, and none to the one before after the change.
scene.heard()
for number in range(100):
    if number == 50:
        scene.wg("set", "wg0", "peer", b64(peers[2].key.public), "allowed-ips", "+10.1.1.129/32")
    sock4.sendto(struct.pack("!H", number), ("10.1.1.129", 99))
got = {}
for _ in range(100):
    packet = scene.hear_packet(3)
    if packet is None:
        break
    plain = scene.open(sessions[packet.dport - OUR_PORT], packet)
    got.setdefault(packet.dport - OUR_PORT, []).append(struct.unpack_from("!H", plain, 28)[0])
observe("a hundred packets, after fifty of which it moves", "; ".join("peer %d: %s" % (number, runs([(n, "") for n in got[number]]).replace(":", "")) for number in sorted(got)))
# The peer that has a prefix is removed: the next longer one serves.
scene.remove_peer(peers[2].key)
observe("that peer is removed", ", ".join("%s %s" % (to, goes_to(to)) for to in ("10.1.1.129", "10.1.1.1", "fd60:1:1::1")))

# ---------------------------------------------------------------- a tunnel in the tunnel
inner_key, inner_peer_key = Key(), Key()
scene.ip("link", "add", "wg1", "type", "wireguard")
scene.ip("address", "add", "192.168.60.1/24", "dev", "wg1")
scene.wg("set", "wg1", "listen-port", "60000", "private-key", "/proc/self/fd/0", stdin=b64(inner_key.private))
scene.wg("set", "wg1", "peer", b64(inner_peer_key.public), "allowed-ips", "192.168.60.2/32", "endpoint", "10.255.0.1:6000")
scene.ip("link", "set", "wg1", "up")
inner_peer = Peer(inner_peer_key, inner_key.public)
scene.heard()
sock4.sendto(b"deep", ("192.168.60.2", 99))


def deep(seconds=5):
    """The next message of the inner tunnel: the packet outside, that of the inner tunnel, its payload."""
    packet = scene.hear_packet(seconds)
    plain = scene.open(sessions[packet.dport - OUR_PORT], packet) if packet else None
    return (packet, plain, plain[28:struct.unpack_from("!H", plain, 2)[0]]) if plain else (None, None, None)


packet, plain, message = deep()
observe("in a tunnel: its initiation", "%d bytes, DS field inside %#x, outside %#x, TTL %d" % (len(message), plain[1], packet.tos, plain[8]) if packet else "nothing")
if packet:
    inner_peer.consume_initiation(message)
    answer, inner = inner_peer.response()
    scene.say(sessions[0].data(udp_packet("10.255.0.1", scene.IN4, 6000, 60000, answer)))
    for size in (4, 100, 1352, 1392):
        if size > 4:
            sock4.sendto(b"D" * size, ("192.168.60.2", 99))
        packets = []
        while True:
            packet = scene.hear_packet(3 if not packets else 0.3)
            if packet is None:
                break
            packets.append(packet)
        observe("in a tunnel: %d bytes" % size, ", ".join("%d outside" % len(p.payload) for p in packets) or "nothing")
scene.ip("link", "del", "wg1")

# ---------------------------------------------------------------- a peer behind itself, without a session and with one
key = Key()
scene.add_peer(key=key, ips="192.168.50.2/32", endpoint="192.168.50.2:5")
before = scene.counters()
scene.heard()
said = lib.attempt(sock4.sendto, b"loop", (scene.PEER4, 99))
scene.wait_moved(before, 2)
observe("to a peer behind itself, without a session", "errno %s; %s; on the wire %d" % (said, scene.moved(before), len(scene.heard())))
scene.remove_peer(key)
observe("the others go on", goes_to("10.255.0.1"))
scene.end()
finish()
