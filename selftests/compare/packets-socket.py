#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: what of a sending socket reaches the outer packet and comes back: mark, priority, owner, timestamps, buffer; what a received packet carries
# cost: slow
# limit: 900
"""A packet's surroundings: which properties of the socket that sent it the firewall sees at the outer packet, whether the socket gets
its transmit timestamps, when its buffer is free again; and what the firewall sees at packets that come out of the tunnel."""

import json
import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

MSG_ERRQUEUE = 0x2000
SO_TIMESTAMPING, SCM_TIMESTAMPING = 37, 37
TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, OPT_ID, TX_SCHED, TX_ACK, OPT_TSONLY = 1 << 1, 1 << 3, 1 << 4, 1 << 7, 1 << 8, 1 << 9, 1 << 11
SO_TXTIME = 61
scene = Scene()
scene.udp()
session = scene.shake()
scene.fence(session)
RULES = ("meta mark 0", "meta mark 5", "meta mark 9", "meta priority 0", "meta priority 6", "meta skuid 0", "meta skuid 1234", "meta skgid 4321", "ct state new", "ct state established", "ct state untracked",
         "ct mark 0", "meta pkttype unicast", "meta oifname under", "meta oifname wg0", "meta length 120", "ip ecn ect0")


def firewall(hook, match, rules):
    scene.sh("nft delete table inet f 2>/dev/null", check=False)
    lines = ["table inet f {"]
    for number, rule in enumerate(rules):
        lines.append("counter c%d { }" % number)
    lines.append("chain c { type filter hook %s priority 10;" % hook)
    for number, rule in enumerate(rules):
        lines.append("%s %s counter name c%d" % (match, rule, number))
    lines.append("}; }")
    run("ip", "netns", "exec", "dut", "nft", "-f", "-", input="\n".join(lines).encode())
    return rules


def counted(rules):
    text = scene.sh("nft -j list counters table inet f")
    counts = {c["counter"]["name"]: c["counter"]["packets"] for c in json.loads(text)["nftables"] if "counter" in c}
    return ", ".join("%s: %d" % (rule, counts["c%d" % number]) for number, rule in enumerate(rules))


def as_user(uid, gid):
    """A socket in dut that belongs to another user."""
    with in_netns("dut"):
        os.setegid(gid)
        os.seteuid(uid)
        try:
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        finally:
            os.seteuid(0)
            os.setegid(0)


# By their lengths: what is due by time may come in between.
MATCH = "udp dport %d udp length 136" % OUR_PORT
session = scene.shake()
for words, make in (("plain", lambda s: None), ("SO_MARK 5", lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 5)), ("SO_PRIORITY 6", lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, 6)),
                    ("a TOS that is a priority", lambda s: s.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0x10)), ("of user 1234", None)):
    sock = scene.app() if make else as_user(1234, 4321)
    if make:
        make(sock)
    scene.fence(session)
    rules = firewall("output", MATCH, RULES)
    for number in range(3):
        sock.sendto(b"x" * 60, (scene.PEER4, 99))
        scene.hear_packet(20)
    observe("the outer packets of a socket: %s" % words, counted(rules))
scene.wg("set", "wg0", "fwmark", "9")
sock = scene.app()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 5)
rules = firewall("output", MATCH, RULES)
sock.sendto(b"x" * 60, (scene.PEER4, 99))
scene.hear_kind("data")
observe("the outer packets with a mark of the device and another of the socket", counted(rules))
scene.wg("set", "wg0", "fwmark", "0")
scene.fence(session)
rules = firewall("output", "udp dport %d udp length 40" % OUR_PORT, RULES)
scene.wg("set", "wg0", "peer", b64(scene.key.public), "persistent-keepalive", "1000")
scene.hear_kind("data")
scene.wg("set", "wg0", "peer", b64(scene.key.public), "persistent-keepalive", "0")
observe("a keepalive", counted(rules))
rules = firewall("output", "udp dport %d udp length { 100, 72 }" % OUR_PORT, RULES)
time.sleep(0.05)
session = scene.shake()
scene.fence(session)
observe("a response, and an echo's answer", counted(rules))
session = scene.shake()
INNER = ("meta mark 0", "meta mark 5", "meta priority 0", "ct state new", "ct state established", "ct state invalid", "meta pkttype unicast", "meta pkttype broadcast", "meta iifname wg0", "meta iifname under",
         "meta protocol ip", "meta l4proto udp", "meta length 48", "iif wg0")
rules = firewall("prerouting", "udp dport 9997", INNER)
listener = scene.app(bind=(scene.IN4, 9997))
listener.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
listener.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, RX_SOFTWARE | SOFTWARE)
listener.setsockopt(socket.IPPROTO_IP, 13, 1)  # IP_RECVTOS
listener.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
for number in range(3):
    scene.say(session.data(udp_packet(scene.PEER4, scene.IN4, 7, 9997, b"r" * 20)))
    data, ancillary, _, _ = listener.recvmsg(2000, 512)
observe("packets that come out of the tunnel", counted(rules))
observe("what comes with them", ", ".join("%d/%d %s" % (level, kind, "a time" if kind == SCM_TIMESTAMPING and level == socket.SOL_SOCKET and any(value[:16]) else
                                                       "by wg0" if kind == 8 and struct.unpack_from("=i", value)[0] == scene.links.index("wg0") else value.hex()) for level, kind, value in sorted(ancillary)))
scene.sh("nft delete table inet f")
scene.sh("nft -f - <<'E'\ntable inet f { chain c { type filter hook prerouting priority 10; udp dport %d meta mark set 5 meta priority set 6; }; chain d { type filter hook input priority 10; udp dport 9997 meta mark 5 counter; udp dport 9997 meta mark 0 counter; }; }\nE" % PORT)
scene.say(session.data(udp_packet(scene.PEER4, scene.IN4, 7, 9997, b"r" * 20)))
listener.recv(100)
observe("the mark of the outer packet does not reach the inner one", " ".join(w for w in scene.sh("nft list chain inet f d").split() if w.isdigit() or w.startswith("0x")))
scene.sh("nft delete table inet f")

# ---------------------------------------------------------------- timestamps of what is sent
session = scene.shake()
for family, to in ((4, scene.PEER4), (6, scene.PEER6)):
    for words, flags in (("software", TX_SOFTWARE), ("schedule", TX_SCHED), ("both", TX_SOFTWARE | TX_SCHED)):
        sock = scene.app(family)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, flags | SOFTWARE | OPT_ID | OPT_TSONLY)
        for number in range(3):
            sock.sendto(b"t" * 30, (to, 99))
        for number in range(3):
            scene.hear_packet()
        stamps, until = [], time.monotonic() + 1
        while time.monotonic() < until:
            try:
                _, ancillary, _, _ = sock.recvmsg(2000, 512, MSG_ERRQUEUE | socket.MSG_DONTWAIT)
            except OSError:
                time.sleep(0.02)
                continue
            for level, kind, value in ancillary:
                if level in (socket.IPPROTO_IP, socket.IPPROTO_IPV6):
                    number, origin, _, _, info, which = struct.unpack_from("=IBBBxII", value)
                    stamps.append("%s of %d (origin %d)" % ({0: "sent", 1: "scheduled", 2: "acknowledged"}.get(info, info), which, origin))
        observe("transmit timestamps, IPv%d, %s" % (family, words), "; ".join(sorted(stamps)) or "none")
# ---------------------------------------------------------------- its buffer
session = scene.shake()
sock = scene.app()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 50000)
sock.setblocking(False)
for number in range(20):
    try:
        sock.sendto(b"b" * 1000, (scene.PEER4, 99))
    except BlockingIOError:
        pass
for number in range(20):
    scene.hear_packet(1)
until = time.monotonic() + 5
SIOCOUTQ = 0x5411


def queued():
    return struct.unpack("=i", fcntl.ioctl(sock.fileno(), SIOCOUTQ, b"\0\0\0\0"))[0]


while queued() and time.monotonic() < until:
    time.sleep(0.02)
observe("bytes left in the socket's buffer when all has been sent", queued())
scene.remove_peer()
scene.add_peer(endpoint="10.9.0.77:9")
for number in range(20):
    sock.sendto(b"b" * 1000, (scene.PEER4, 99))
until = time.monotonic() + 5
while queued() and time.monotonic() < until:
    time.sleep(0.02)
observe("bytes in the socket's buffer when its packets wait for a session", queued())
scene.end()
finish()
