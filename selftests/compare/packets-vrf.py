#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: a cable in a VRF: where answers come from and go to
# cost: quick
"""The host's cables are in a VRF, the device and its sockets in none. Observed: which of the host's addresses answers have, and
by which cable they leave, with nothing but the VRF, with a firewall mark whose rule leads there, over link-local addresses; when
the peer's route changes within the VRF, and when a cable leaves it."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import command, finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

scene = Scene()
run("sh", "-ec", """
ip -n dut link add wan type vrf table 100
ip -n dut link set wan up
ip link add name under2 netns dut address 02:00:00:00:01:01 type veth peer name outer2 netns out address 02:00:00:00:01:02
for x in dut:under2 out:outer2; do
	ip netns exec ${x%%:*} ethtool -K ${x##*:} tx off rx off sg off tso off gso off gro off tx-udp-segmentation off >/dev/null 2>&1 || true
	ip -n ${x%%:*} link set ${x##*:} up
done
for x in under under2; do ip -n dut link set $x master wan; done
for a in 1 11; do
	ip -n dut address replace 10.9.0.$a/24 dev under; ip -n dut address replace fd09::$a/64 dev under
	ip -n dut address replace 10.8.0.$a/24 dev under2; ip -n dut address replace fd08::$a/64 dev under2
done
ip -n out address add 10.8.0.2/24 dev outer2; ip -n out address add fd08::2/64 dev outer2
for n in dut out; do ip netns exec $n sh -c 'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done'; done
# We have these whichever cable is used, and so has the host.
ip -n out address add 10.7.0.2/32 dev lo; ip -n out address add fd07::2/128 dev lo
ip -n dut link add anycast type dummy; ip -n dut link set anycast master wan up
ip -n dut address add 10.7.0.1/32 dev anycast; ip -n dut address add fd07::1/128 dev anycast
ip -n out route add 10.7.0.1 via 10.9.0.1; ip -n out route add fd07::1 via fd09::1
ip -n dut route add 10.7.0.2 via 10.9.0.2 table 100; ip -n dut -6 route add fd07::2 via fd09::2 table 100
""")
second = Capture("out", "outer2")
sock = scene.app()


def clear():
    scene.capture.drain()
    second.drain()


def heard_on(kind, seconds=3.0):
    """The next message of a kind with the cable that it took, in words and whole."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, capture in (("first cable", scene.capture), ("second cable", second)):
            for frame in capture.drain():
                packet = Outer(frame)
                if packet.family and packet.protocol == 17 and packet.kind == kind and (kind != "data" or len(packet.payload) > 32):
                    return "%s: from %s to %s" % (name, packet.source, packet.destination), packet
        time.sleep(0.01)
    return "nothing came", None


def shake(words, source, to):
    """Our initiation to an address of the host: how it is answered. The session, if it is."""
    time.sleep(0.03)
    clear()
    scene.say(scene.peer.initiation(), source=source, to=to)
    said, packet = heard_on("response")
    observe("%s: the response" % words, said)
    if not packet:
        return None
    session = scene.peer.consume_response(packet.payload)
    scene.say(session.data(), source=source, to=to)
    time.sleep(0.2)
    return session


def send(words):
    """An application's packet: the way that it takes."""
    clear()
    try:
        sock.sendto(b"z", (scene.PEER4, 99))
        observe("%s: data" % words, heard_on("data")[0])
    except OSError as error:
        observe("%s: data" % words, lib.errno_name(error.errno))


def hear_from(session, words, source, to):
    """A keepalive of ours: what is sent then."""
    scene.say(session.data(), source=source, to=to)
    time.sleep(0.2)
    send(words)


for family, near, far, roam, anycast in ((4, ("10.9.0.1", "10.9.0.11", "10.8.0.11"), ("10.9.0.2", "10.8.0.2"), "10.7.0.2", "10.7.0.1"),
                                         (6, ("fd09::1", "fd09::11", "fd08::11"), ("fd09::2", "fd08::2"), "fd07::2", "fd07::1")):
    where = "IPv%d" % family
    ip = ["-6"] if family == 6 else []
    scene.sh("sysctl -qw net.ipv4.udp_l3mdev_accept=0")
    scene.remove_peer()
    scene.add_peer()
    shake("%s, sockets not open to VRFs" % where, far[0], near[1])
    scene.sh("sysctl -qw net.ipv4.udp_l3mdev_accept=1")

    # As nothing but the VRF has a route to us, and with a mark as well that leads there.
    for mark in ("0", "7"):
        words = where + (", by mark" if mark != "0" else "")
        scene.wg("set", "wg0", "fwmark", mark)
        if mark != "0":
            scene.ip(*ip, "rule", "add", "fwmark", mark, "table", "100")
        scene.remove_peer()
        scene.add_peer()
        session = shake("%s, to one of two addresses" % words, far[0], near[1])
        if session:
            send("%s, then" % words)
            hear_from(session, "%s, after a keepalive to the other" % words, far[0], near[0])
            hear_from(session, "%s, after one by the other cable" % words, far[1], near[2])
            hear_from(session, "%s, after one to an address of neither cable" % words, roam, anycast)
            # The route to us changes within the VRF.
            hear_from(session, "%s, after one by the way of the route" % words, roam, near[1])
            scene.ip(*ip, "route", "replace", roam, "via", far[1], "table", "100")
            send("%s, the route changes to the other cable" % words)
            scene.ip(*ip, "route", "replace", roam, "via", far[0], "table", "100")
            send("%s, and back" % words)
            # The device begins: the peer may be heard of in the VRF only.
            scene.ip("link", "set", "wg0", "down")
            scene.ip("link", "set", "wg0", "up")
            clear()
            sock.sendto(b"a", (scene.PEER4, 99))
            observe("%s, the device's own initiation" % words, heard_on("initiation")[0])
        if mark != "0":
            scene.ip(*ip, "rule", "del", "fwmark", mark)
            scene.wg("set", "wg0", "fwmark", "0")

# Over link-local addresses, of which each cable has others.
at = [scene.ip("-6", "-o", "address", "show", "scope", "link", "dev", name, netns=netns).split("inet6 ")[1].split("/")[0]
      for netns, name in (("out", "outer2"), ("dut", "under2"))]
observe("link-local addresses", " ".join(at))
scene.remove_peer()
scene.add_peer()
with in_netns("out"):
    local = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    local.bind((at[0], OUR_PORT, 0, socket.if_nametoindex("outer2")))
    to = (at[1], PORT, 0, socket.if_nametoindex("outer2"))
time.sleep(0.03)
clear()
local.sendto(scene.peer.initiation(), to)
said, packet = heard_on("response")
observe("link-local: the response", said)
if packet:
    session = scene.peer.consume_response(packet.payload)
    local.sendto(session.data(), to)
    time.sleep(0.2)
    observe("link-local: endpoint", scene.wg("show", "wg0", "endpoints").split("\t")[1].strip())
    send("link-local")

# The first cable leaves the VRF: the peer is where the cable is.
scene.remove_peer()
scene.add_peer()
session = shake("IPv4, once more", "10.9.0.2", "10.9.0.11")
if session:
    observe("the cable leaves the VRF", command("ip", "-n", "dut", "link", "set", "under", "nomaster"))
    send("IPv4, the cable left the VRF")
scene.end()
finish()
