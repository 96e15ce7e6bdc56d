#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: packets, bytes, errors and drops of the device, bytes and handshakes of the peer, to the byte, for everything that moves them
# cost: slow
"""What each thing that can happen moves in the statistics of the device and of the peer, to the byte. Ours is the other end, so
that nothing happens but what is meant to."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

scene = Scene(routes=("10.40.0.0/24",))
scene.udp()
FAR = "%s:%d" % (scene.OUT4, OUR_PORT)
now = scene.counters()


def moved(words):
    """What has moved since the last time."""
    global now
    before, now = now, scene.counters()
    handshake = scene.handshake()
    observe(words, "%s; last handshake %s" % (" ".join("%s+%d" % (n, now[n] - before[n]) for n in now if now[n] != before[n]) or "nothing",
                                             "never" if handshake == (0, 0) else "within a minute" if abs(time.time() - handshake[0]) < 60 else "at another time"))


sock = scene.app()
moved("nothing has happened")
scene.say(scene.peer.initiation())
response = scene.hear_kind("response")
moved("our initiation and its response")
session = scene.peer.consume_response(response.payload)
scene.say(session.data())
scene.wait_moved(now)
moved("our keepalive, which confirms the session")
for size in (0, 1, 15, 16, 17, 100, 1000, 1392):
    scene.heard()
    sock.sendto(b"s" * size, (scene.PEER4, 99))
    scene.hear_kind("data")
    moved("sent: a datagram of %d bytes" % size)
for size in (0, 1, 3, 4, 5, 100, 1000, 1372):
    scene.say(session.data(udp_packet(scene.PEER4, scene.IN4, 7, 9999, b"r" * size)))
    # Nobody listens there: an ICMP error goes back.
    scene.hear_kind("data")
    moved("received: a datagram of %d bytes, answered by an ICMP error" % size)
listener = scene.app(bind=(scene.IN4, 9998))
for size in (0, 1, 3, 4, 5, 100, 1372):
    scene.say(session.data(udp_packet(scene.PEER4, scene.IN4, 7, 9998, b"r" * size)))
    listener.recv(2000)
    moved("received: a datagram of %d bytes" % size)
for size in (0, 56, 500, 1392):
    scene.say(session.data(echo_packet(scene.PEER4, scene.IN4, size, b"e" * size)))
    scene.hear_kind("data")
    moved("an echo of %d bytes and its answer" % size)
for size in (0, 56, 500, 1372):
    scene.say(session.data(echo_packet(scene.PEER6, scene.IN6, size, b"e" * size)))
    scene.hear_kind("data")
    moved("an IPv6 echo of %d bytes and its answer" % size)
for count in (2, 10, 50):
    for number in range(count):
        scene.say(session.data(echo_packet(scene.PEER4, scene.IN4, number, b"e" * 100)))
    for number in range(count):
        scene.hear_kind("data")
    moved("%d echoes at once and their answers" % count)
for count in (2, 10, 50):
    for number in range(count):
        scene.say(session.data())
    scene.wait_moved(now)
    moved("%d keepalives at once" % count)
for size, count in ((100, 10), (1000, 40), (1392, 47), (1, 60)):
    scene.heard()
    sock.sendmsg([b"g" * (size * count)], [(17, 103, struct.pack("=H", size))], 0, (scene.PEER4, 99))
    for number in range(count):
        scene.hear_kind("data")
    moved("sent: %d segments of %d bytes in one call" % (count, size))
sock.setsockopt(socket.IPPROTO_IP, 10, 0)
scene.heard()
sock.sendto(b"f" * 5000, (scene.PEER4, 99))
for number in range(4):
    scene.hear_kind("data")
moved("sent: 5,000 bytes in fragments")

# What is not accepted.
replay = session.data()
scene.say(replay)
scene.wait_moved(now)
moved("a keepalive")


def refused(words, message, **how):
    scene.say(message, **how)
    scene.fence(session)
    moved("%s (and an echo and its answer)" % words)


refused("the same again", replay)
data = session.data(echo_packet(scene.PEER4, scene.IN4, 1))
good4 = udp_packet(scene.PEER4, scene.IN4, 7, 9998, b"x" * 40)
for words, message in (("forged at its end", data[:-1] + bytes([data[-1] ^ 1])), ("forged in its text", data[:20] + bytes([data[20] ^ 1]) + data[21:]), ("another counter", data[:8] + struct.pack("<Q", 77) + data[16:]),
                       ("cut by a byte", data[:-1]), ("cut to 32", data[:32]), ("cut to 31", data[:31]), ("cut to 16", data[:16]), ("cut to 4", data[:4]), ("cut to 1", data[:1]), ("of no bytes", b""),
                       ("a byte too long", data + b"\0"), ("for another index", data[:4] + struct.pack("<I", struct.unpack_from("<I", data, 4)[0] ^ 1) + data[8:]), ("of type 5", b"\5" + data[1:]),
                       ("with a reserved byte", data[:1] + b"\1" + data[2:]), ("too far ahead: none is", session.data(b"", counter=session.counter + 100)), ("older than the window", session.data(b"", counter=0)),
                       ("a source that is not the peer's", session.data(udp_packet("192.168.50.3", scene.IN4, 7, 9998, b"x"))), ("no IP", session.data(b"\x11" * 48)),
                       ("an IPv4 header cut short", session.data(good4[:16], pad=False)),
                       ("longer than it is", session.data(good4[:2] + b"\x40\x00" + good4[4:])), ("shorter than a header", session.data(good4[:2] + b"\0\x05" + good4[4:])),
                       ("an IPv6 header cut short", session.data(b"\x60" + bytes(31), pad=False)), ("IPv6 longer than it is", session.data(b"\x60" + bytes(3) + b"\xff\xff" + bytes(58)))):
    refused("received: %s" % words, message)
refused("received: an initiation with a wrong mac1", b"\1\0\0\0" + bytes(144))
refused("received: a response to nothing", b"\2\0\0\0" + bytes(88))
refused("received: a cookie reply to nothing", b"\3\0\0\0" + bytes(60))
time.sleep(0.05)
refused("received: an initiation of somebody unknown", Peer(Key(), scene.device_key.public).initiation())
initiation = scene.peer.initiation()
time.sleep(0.05)
scene.say(initiation)
scene.hear_kind("response")
moved("our second initiation and its response")
refused("received: that initiation again", initiation)

# What cannot be sent.
for words, to in (("no peer", "10.40.0.1"), ("no peer, broadcast", "192.168.50.255")):
    other = scene.app()
    other.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    for number in range(3):
        try:
            other.sendto(b"x", (to, 99))
        except OSError:
            pass
    moved("3 packets to %s" % words)
with in_netns("dut"):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
for number in range(3):
    try:
        raw.sendto(bytes(28), ("wg0", 0x0806))
    except OSError:
        pass
moved("3 packets that are no IP")
# The cable is unplugged: what cannot leave below is of no interest here.
scene.ip("link", "set", "under", "down")
for number in range(3):
    try:
        sock.sendto(b"x", (scene.PEER4, 99))
    except OSError:
        pass
scene.wait_moved(now, 1)
moved("3 packets when the cable below is down")
scene.ip("link", "set", "under", "up")
scene.ip("neigh", "replace", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "under")
# Its firewall drops what leaves.
scene.sh("nft 'add table ip f; add chain ip f o { type filter hook output priority 0; }; add rule ip f o udp dport %d drop'" % OUR_PORT)
for number in range(3):
    sock.sendto(b"x", (scene.PEER4, 99))
scene.wait_moved(now, 1)
moved("3 packets that the firewall drops outside")
sock.sendmsg([b"g" * 5000], [(17, 103, struct.pack("=H", 1000))], 0, (scene.PEER4, 99))
scene.wait_moved(now, 1)
moved("5 segments that the firewall drops outside")
scene.sh("nft delete table ip f")

# Waiting, and what becomes of that.
scene.remove_peer()
now = scene.counters()
scene.add_peer(endpoint=FAR)
moved("a new peer")
scene.heard()
sock.sendto(b"w", (scene.PEER4, 99))
scene.hear_kind("initiation")
moved("a packet waits: an initiation")
for number in range(140):
    sock.sendto(b"w", (scene.PEER4, 99))
moved("140 more wait")
scene.ip("link", "set", "wg0", "down")
moved("the link goes down")
scene.ip("link", "set", "wg0", "up")
scene.ip("route", "replace", "192.168.50.0/24", "dev", "wg0")
moved("and up")
session = scene.answer(lambda: sock.sendto(b"w", (scene.PEER4, 99)))
scene.hear_kind("data")
moved("a packet, an initiation, our response, the packet")
scene.wg("set", "wg0", "peer", b64(scene.key.public), "persistent-keepalive", "1000")
scene.hear_kind("data")
moved("a persistent keepalive is set: it sends one")
scene.wg("set", "wg0", "peer", b64(scene.key.public), "persistent-keepalive", "0")
moved("and is unset")
scene.wg("set", "wg0", "peer", b64(scene.key.public), "preshared-key", "/dev/null", "endpoint", FAR, "allowed-ips", "192.168.50.2/32")
moved("the peer is configured again")
scene.ip("link", "set", "wg0", "name", "wg1")
scene.ip("link", "set", "wg1", "name", "wg0")
moved("it is renamed twice")
scene.remove_peer()
moved("the peer is removed")
stats = scene.links.statistics("wg0")
observe("the device's counters at the end", " ".join("%s %d" % (name, value) for name, value in stats.items()))
observe("in sysfs", scene.sh("cd /sys/class/net/wg0/statistics && for f in *; do printf '%s %s ' $f $(cat $f); done"))
observe("in /proc/net/dev", " ".join(scene.sh("grep wg0 /proc/net/dev").split()))
observe("ip -s -s link", " ".join(scene.ip("-s", "-s", "link", "show", "wg0").split()[2:]))
scene.end()
finish()
