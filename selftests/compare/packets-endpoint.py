#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: where packets come from and go to: the address and interface that stick, scopes, roaming, marks, routes that change
# cost: slow
# limit: 900
"""A host with two cables to us and several addresses on each. Observed: which address and cable an answer takes, what makes
it choose again, and what moves the peer's endpoint."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

scene = Scene()
run("sh", "-ec", """
for n in dut out; do ip netns exec $n sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0; done
ip link add name under2 netns dut address 02:00:00:00:01:01 type veth peer name outer2 netns out address 02:00:00:00:01:02
for x in dut:under dut:under2 out:outer out:outer2; do ip netns exec ${x%%:*} sysctl -qw net.ipv4.conf.${x##*:}.rp_filter=0; done
for x in dut:under2 out:outer2; do
	ip netns exec ${x%%:*} ethtool -K ${x##*:} tx off rx off sg off tso off gso off gro off tx-udp-segmentation off >/dev/null 2>&1 || true
	ip -n ${x%%:*} link set ${x##*:} up
done
ip -n dut address add 10.8.0.1/24 dev under2; ip -n dut address add fd08::1/64 dev under2
ip -n dut address add 10.9.0.11/24 dev under; ip -n dut address add 10.9.0.12/24 dev under
ip -n dut address add fd09::11/64 dev under; ip -n dut address add fd09::12/64 dev under
ip -n out address add 10.8.0.2/24 dev outer2; ip -n out address add fd08::2/64 dev outer2
# We have these whichever cable is used.
ip -n out address add 10.7.0.2/32 dev lo; ip -n out address add fd07::2/128 dev lo
ip -n dut route add 10.7.0.2 via 10.9.0.2; ip -n dut route add fd07::2 via fd09::2
""")
second = Capture("out", "outer2")
sock = scene.app()
inner_far = (scene.PEER4, 99)


def settle():
    """Messages of ours have been dealt with: nothing more can be known of those that get no answer."""
    before = scene.counters()
    time.sleep(0.2)
    return scene.counters() == before


def heard_on(seconds=5.0, kind="data"):
    """The next message of a kind, with the cable that it took."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for name, capture in (("first cable", scene.capture), ("second cable", second)):
            for frame in capture.drain():
                packet = Outer(frame)
                if packet.family and packet.protocol == 17 and packet.sport == scene_port and packet.kind == kind and (kind != "data" or len(packet.payload) > 32):
                    return name, packet
        time.sleep(0.01)
    return None, None


def clear():
    scene.capture.drain()
    second.drain()


def send(words, kind="data", error=True):
    """An application's packet: the way that it takes."""
    clear()
    try:
        sock.sendto(b"z", inner_far)
        name, packet = heard_on(kind=kind)
        observe(words, "%s: from %s to %s port %d" % (name, packet.source, packet.destination, packet.dport) if packet else "nothing came")
    except OSError as error:
        observe(words, lib.errno_name(error.errno))


scene_port = PORT

# ---------------------------------------------------------------- sticking to an address and an interface
for family, near, others, far, far2, near2, roam in ((4, scene.DUT4, ("10.9.0.11", "10.9.0.12"), scene.OUT4, "10.8.0.2", "10.8.0.1", "10.7.0.2"),
                                                     (6, scene.DUT6, ("fd09::11", "fd09::12"), scene.OUT6, "fd08::2", "fd08::1", "fd07::2")):
    where = "IPv%d" % family
    bits = "32" if family == 4 else "128"
    prefix = "24" if family == 4 else "64"
    scene.remove_peer()
    scene.add_peer(endpoint=("[%s]:%d" if family == 6 else "%s:%d") % (far, OUR_PORT))
    scene.udp(source=far)
    session = scene.answer(lambda: sock.sendto(b"a", inner_far), source=far)
    observe("%s: an initiation to a configured endpoint" % where, "from %s" % scene.initiation.source)
    send("%s: data after a response to it" % where)
    scene.say(session.data(), source=far, to=others[0])
    settle()
    send("%s: after a keepalive to another address of the host" % where)
    scene.say(session.data(), source=far, to=others[1])
    settle()
    send("%s: after one to a third" % where)
    scene.ip("address", "del", others[1] + "/" + prefix, "dev", "under")
    send("%s: that address is removed" % where)
    scene.ip("address", "add", others[1] + "/" + prefix, "dev", "under")
    send("%s: it comes back" % where)
    scene.say(session.data(), source=far, to=others[0])
    settle()
    scene.wg("set", "wg0", "fwmark", "5")
    send("%s: a mark is set: the host chooses again" % where)
    scene.wg("set", "wg0", "fwmark", "0")
    scene.say(session.data(), source=far, to=others[0])
    settle()
    scene.wg("set", "wg0", "peer", b64(scene.key.public), "endpoint", ("[%s]:%d" if family == 6 else "%s:%d") % (far, OUR_PORT))
    send("%s: the same endpoint is configured again" % where)
    scene.say(session.data(), source=far, to=others[0])
    settle()
    scene.wg("set", "wg0", "listen-port", str(PORT + 1))
    scene_port = PORT + 1
    send("%s: the port is changed" % where)
    scene.wg("set", "wg0", "listen-port", str(PORT))
    scene_port = PORT
    # From the other cable, where the host's route back does not lead.
    scene.ip(*(["-6"] if family == 6 else []), "route", "replace", "%s/%s" % (near2, bits), "dev", "outer2", netns="out")
    scene.say(session.data(), source=roam, to=near2)
    settle()
    observe("%s: endpoint after a message by the other cable" % where, scene.endpoint())
    send("%s: after a message by the other cable, to an address there" % where)
    via = ("10.8.0.2" if family == 4 else "fd08::2")
    scene.ip(*(["-6"] if family == 6 else []), "route", "replace", roam, "via", via)
    send("%s: the route to the peer changes to the other cable" % where)
    scene.say(session.data(), source=roam, to=near2)
    settle()
    send("%s: a message by that cable" % where)
    scene.ip(*(["-6"] if family == 6 else []), "route", "replace", roam, "via", far)
    send("%s: the route changes back" % where)
    scene.say(session.data(), source=roam, to=near2)
    settle()
    scene.ip("link", "set", "under2", "down")
    send("%s: a message by the other cable, which then goes down" % where)
    scene.ip("link", "set", "under2", "up")
    scene.ip("address", "replace", "fd08::1/64", "dev", "under2")
    # No route at all, and one that refuses.
    for refusal in ("unreachable", "prohibit", "blackhole"):
        scene.ip(*(["-6"] if family == 6 else []), "route", "replace", refusal, roam)
        before = scene.counters()
        clear()
        said = lib.attempt(sock.sendto, b"z", inner_far)
        time.sleep(0.3)
        observe("%s: the route to the peer is %s" % (where, refusal), "errno %s; %s" % (said, scene.moved(before)))
        scene.ip(*(["-6"] if family == 6 else []), "route", "del", refusal, roam)
    scene.ip(*(["-6"] if family == 6 else []), "route", "replace", roam, "via", far)
    send("%s: and then right again" % where)
    scene.ip(*(["-6"] if family == 6 else []), "route", "del", near2 + "/" + bits, "dev", "outer2", netns="out")

    # By the mark of the device.
    table = "77"
    scene.ip(*(["-6"] if family == 6 else []), "rule", "add", "fwmark", "9", "table", table)
    scene.ip(*(["-6"] if family == 6 else []), "route", "add", roam, "via", via, "table", table)
    scene.wg("set", "wg0", "fwmark", "9")
    send("%s: a mark whose rule leads to the other cable" % where)
    scene.wg("set", "wg0", "fwmark", "0")
    send("%s: without it" % where)
    scene.ip(*(["-6"] if family == 6 else []), "rule", "del", "fwmark", "9")
    # By its port.
    scene.ip(*(["-6"] if family == 6 else []), "rule", "add", "ipproto", "udp", "sport", str(PORT), "dport", str(OUR_PORT), "table", table)
    scene.wg("set", "wg0", "fwmark", "0x10")
    send("%s: a rule for its ports that leads to the other cable" % where)
    scene.ip(*(["-6"] if family == 6 else []), "rule", "del", "sport", str(PORT))
    scene.wg("set", "wg0", "fwmark", "0")
    send("%s: without it, too" % where)

# ---------------------------------------------------------------- what moves the endpoint
scene.remove_peer()
scene.add_peer(endpoint="%s:%d" % (scene.OUT4, OUR_PORT))
session = scene.answer(lambda: sock.sendto(b"a", inner_far))


def moves(words):
    settle()
    observe("endpoint after %s" % words, scene.endpoint())


moves("our response")
scene.say(session.data(), port=5001)
moves("a keepalive from another port")
scene.say(session.data(echo_packet(scene.PEER4, scene.IN4, 1)), port=5002)
moves("data from another port")
scene.say(session.data(), source=scene.OUT6, port=5003)
moves("a keepalive over IPv6")
replay = session.data()
scene.say(replay, port=5004)
moves("a message")
scene.say(replay, port=5005)
moves("the same message again from elsewhere")
forged = bytearray(session.data())
forged[-1] ^= 1
scene.say(bytes(forged), port=5006)
moves("a forged message")
scene.say(session.data(udp_packet("192.168.50.99", scene.IN4, 7, 99, b"not mine")), port=5007)
moves("a message with a source that is not the peer's")
scene.say(session.data(b"\x99" * 32), port=5008)
moves("a message with no IP in it")
scene.say(session.data(), port=5009, source="10.9.0.3")
moves("a keepalive from another address")
time.sleep(0.05)
initiation = scene.peer.initiation()
scene.say(initiation, port=5010)
response = scene.hear_kind("response")
observe("the response goes to", "%s port %d from %s" % (response.destination, response.dport, response.source))
moves("an initiation from another port")
scene.say(session.data(), port=5011)
moves("a message of the session before, from elsewhere")
scene.say(initiation, port=5012)
moves("that initiation again")
time.sleep(0.05)
scene.say(Peer(Key(), scene.device_key.public).initiation(), port=5013)
moves("an initiation of somebody unknown")
new = scene.peer.consume_response(response.payload)
scene.say(new.data(), port=5014)
moves("the first message of the new session, from another port")
scene.say(session.data(), port=5015)
moves("one more message of the session before")
# A cookie reply: ours, in answer to an initiation, from elsewhere.
scene.ip("link", "set", "wg0", "down")
scene.ip("link", "set", "wg0", "up")
scene.ip("route", "replace", "192.168.50.0/24", "dev", "wg0")
observe("endpoint after down and up", scene.endpoint())
clear()
sock.sendto(b"b", inner_far)
_, initiation = heard_on(kind="initiation")
scene.peer.consume_initiation(initiation.payload)
scene.say(scene.peer.cookie_reply(scene.peer.received_mac1, bytes(16)), port=5016)
moves("a cookie reply from another port")
answer, session = scene.peer.response()
scene.say(answer, port=5017)
moves("our response from another port")
send("data goes there")

# ---------------------------------------------------------------- link-local endpoints and their scopes
lines = scene.ip("-6", "-o", "address", "show", "scope", "link", "dev", "outer", netns="out") + scene.ip("-6", "-o", "address", "show", "scope", "link", "dev", "outer2", netns="out")
local = [line.split("inet6 ")[1].split("/")[0] for line in lines.splitlines()]
near = [line.split("inet6 ")[1].split("/")[0] for line in (scene.ip("-6", "-o", "address", "show", "scope", "link", "dev", "under") + scene.ip("-6", "-o", "address", "show", "scope", "link", "dev", "under2")).splitlines()]
observe("link-local addresses", " ".join(local + near))
with in_netns("out"):
    linklocal = []
    for name, at in (("outer", local[0]), ("outer2", local[1])):
        s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        s.bind((at, OUR_PORT, 0, socket.if_nametoindex(name)))
        linklocal.append(s)
for number, cable in enumerate(("under", "under2")):
    scene.remove_peer()
    scene.add_peer(endpoint="[%s%%%s]:%d" % (local[number], cable, OUR_PORT))
    shown = scene.wg("show", "wg0", "endpoints").split("\t")[1].strip()
    observe("a link-local endpoint by %s" % cable, shown)
    clear()
    sock.sendto(b"c", inner_far)
    name, initiation = heard_on(kind="initiation")
    observe("its initiation", "%s: from %s to %s" % (name, initiation.source, initiation.destination) if initiation else "nothing came") if number == 0 else observe(
        "its initiation, too", "%s: from %s to %s" % (name, initiation.source, initiation.destination) if initiation else "nothing came")
    scene.peer.consume_initiation(initiation.payload)
    answer, session = scene.peer.response()
    # The response comes by the other cable.
    with in_netns("out"):
        there = socket.if_nametoindex(("outer2", "outer")[number])
    linklocal[1 - number].sendto(answer, (near[1 - number], PORT, 0, there))
    settle()
    observe("endpoint after a response by the other cable than %s" % cable, scene.wg("show", "wg0", "endpoints").split("\t")[1].strip())
    send("data after a response by the other cable than %s" % cable)
scene.remove_peer()
scene.add_peer(endpoint="[%s]:%d" % (local[0], OUR_PORT))
observe("a link-local endpoint without a scope", scene.wg("show", "wg0", "endpoints").split("\t")[1].strip())
before = scene.counters()
clear()
said = lib.attempt(sock.sendto, b"d", inner_far)
name, packet = heard_on(1, "initiation")
observe("sending there", "errno %s; %s; %s" % (said, name, scene.moved(before)))
scene.end()
finish()
