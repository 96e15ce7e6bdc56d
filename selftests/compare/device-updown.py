#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: a link that goes down and up: what of its peers, sessions, port; ports that are taken, changed, chosen; its sockets; its mark
# cost: slow
# limit: 900
"""What going down and up does to peers, sessions, counters and the port; ports that are changed while up, taken by others, chosen;
how the sockets look; what is possible while IPv6 is disabled by sysctl."""

import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from device_scene import command, enter, in_netns, ip, leave, plain, run, shell  # noqa: E402
from lib import attempt, finish, kernel_mark, observe, observe_kernel  # noqa: E402

enter()
keys = {}
for name in "ab":
    keys[name] = (run("wg", "genkey").strip(), "")
    keys[name] = (keys[name][0], run("wg", "pubkey", input=keys[name][0].encode()).strip())
run("sh", "-ec", """
ip link add eth0 type veth peer name eth1 netns there
for n in '' '-n there'; do ip $n link set lo up; done
ip address add 10.1.0.1/24 dev eth0; ip link set eth0 up; ip -n there address add 10.1.0.2/24 dev eth1; ip -n there link set eth1 up
ip link add wg0 type wireguard; ip -n there link add wg0 type wireguard
""")


def wg(*words, netns=None, stdin=""):
    words = words[0].split() if len(words) == 1 else words
    return command(*(["ip", "netns", "exec", netns] if netns else []), "wg", *words, stdin=stdin)


wg("set", "wg0", "private-key", "/dev/stdin", "peer", keys["b"][1], "allowed-ips", "10.2.0.2/32", stdin=keys["a"][0])
wg("set", "wg0", "private-key", "/dev/stdin", "listen-port", "2000", "peer", keys["a"][1], "allowed-ips", "10.2.0.1/32", netns="there", stdin=keys["b"][0])
run("sh", "-ec", "ip -n there address add 10.2.0.2/24 dev wg0; ip -n there link set wg0 up; ip address add 10.2.0.1/24 dev wg0")


def dump():
    """The peer, without what changes from run to run."""
    fields = shell("wg show wg0 dump").splitlines()[1].split("\t")
    return "endpoint %s, allowed %s, handshake %s, received %s, sent %s, keepalive %s" % (fields[2], fields[3], "never" if fields[4] == "0" else "was", fields[5], fields[6], fields[7])


def port():
    return int(shell("wg show wg0 listen-port"))


def sockets(netns=None):
    """UDP sockets: as ss shows them, without numbers that differ."""
    out = command(*(["ip", "netns", "exec", netns] if netns else []), "ss", "-H", "-u", "-a", "-n", "-e", "-m", "-p")
    out = re.sub(r"ino:\d+|sk:\w+|uid:\d+|cgroup:\S+", "", out)
    out = re.sub(r"r\d+,rb", "r0,rb", out)
    if known:
        out = out.replace(":%d " % known, ":PORT ")
    return re.sub(r"[ \t]+", " ", out.replace("Failed to get cgroup2 ID: No such file or directory\n", ""))


known = 0
kernel_mark()
observe("port of a new link", port())
observe("sockets of a new link", sockets())
observe("endpoint that can be set while down", wg("set", "wg0", "peer", keys["b"][1], "endpoint", "10.1.0.2:2000"))
observe("up", ip("link set wg0 up"))
known = port()
observe("a port was chosen", known > 1023)
observe("it is one of the host's range", int(open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii").read().split()[0]) <= known <= int(open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii").read().split()[1]))
observe("sockets", sockets())
observe("sockets by protocol", shell("cut -d: -f1,3- /proc/net/udp | awk 'NR > 1 { print $3, $4, $7 }'; awk 'NR > 1 { print $4, $7 }' /proc/net/udp6"))
observe("dump when up", dump())
observe("ping", "answered" if " 2 received" in command("ping", "-c", "2", "-i", "0.2", "-W", "10", "10.2.0.2") else "not answered")
observe("dump after a ping", dump())
ip("route add 10.3.0.0/24 dev wg0")
ip("-6 address add fd02::1/64 dev wg0")
observe("routes before", shell("ip route show dev wg0; ip -6 route show dev wg0"))
for count in (1, 2):
    observe("down %d" % count, ip("link set wg0 down"))
    observe("dump when down %d" % count, dump())
    observe("sockets when down %d" % count, sockets())
    observe("port when down %d" % count, "the same" if port() == known else port())
    observe("routes when down %d" % count, shell("ip route show dev wg0; ip -6 route show dev wg0"))
    observe("addresses when down %d" % count, plain(ip("-br address show wg0")))
    observe("sending when down %d" % count, re.sub(r"(?s)PING.*", "", command("ping", "-c", "1", "-W", "1", "10.2.0.2", "-I", "wg0")))
    observe("up %d" % count, ip("link set wg0 up"))
    observe("port when up again %d" % count, "the same" if port() == known else port())
    observe("routes when up again %d" % count, shell("ip route show dev wg0; ip -6 route show dev wg0"))
    observe("dump when up again %d" % count, dump())
    observe("ping when up again %d" % count, "answered" if " 1 received" in command("ping", "-c", "1", "-W", "10", "10.2.0.2") else "not answered")
    observe("dump after that ping %d" % count, dump())
observe_kernel("kernel messages so far")

# ---------------------------------------------------------------- ports
kernel_mark()
observe("port 1234", wg("set wg0 listen-port 1234") + "; %d" % port())
known = 1234
observe("sockets at 1234", sockets())
observe("ping after a new port", "answered" if " 1 received" in command("ping", "-c", "1", "-W", "10", "10.2.0.2") else "not answered")
observe("dump after a new port", dump())
observe("the other end's view", shell("ip netns exec there wg show wg0 endpoints | cut -f 2"))
observe("the same port again", wg("set wg0 listen-port 1234"))


def taken(words, family, option, address, number=4444, more=()):
    """Another socket has the port: while the link is up, and when it comes up."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, option)
    for level, name, value in more:
        sock.setsockopt(level, name, value)
    sock.bind((address, number))
    kernel_mark()
    observe("%s, while up" % words, "%s; the port is %d" % (wg("set wg0 listen-port %d" % number), port()))
    observe("%s, while up: sockets" % words, shell("ss -H -u -a -n 'sport = 1234' | wc -l; ss -H -u -a -n 'sport = %d' | wc -l" % number))
    observe("%s, while up: the tunnel" % words, "works" if " 1 received" in command("ping", "-c", "1", "-W", "10", "10.2.0.2") else "does not work")
    ip("link set wg0 down")
    observe("%s, while down" % words, "%s; the port is %d" % (wg("set wg0 listen-port %d" % number), port()))
    observe("%s, up then" % words, ip("link set wg0 up"))
    observe("%s, the link then" % words, plain(ip("-br link show wg0")))
    observe("%s, the port then" % words, port())
    observe_kernel("%s: kernel messages" % words)
    sock.close()
    observe("%s, up when it is free" % words, ip("link set wg0 up"))
    wg("set wg0 listen-port 1234")
    observe("%s, at last" % words, "%d, %s sockets" % (port(), shell("ss -H -u -a -n 'sport = 1234' | wc -l").strip()))


taken("a port taken over IPv4", socket.AF_INET, 0, "0.0.0.0")
taken("a port taken at one IPv4 address", socket.AF_INET, 0, "10.1.0.1")
taken("a port taken over IPv6", socket.AF_INET6, 1, "::")
taken("a port taken at one IPv6 address", socket.AF_INET6, 1, "::1")
taken("a port taken over both", socket.AF_INET6, 0, "::")
taken("a port shared with SO_REUSEPORT", socket.AF_INET, 0, "0.0.0.0", more=((socket.SOL_SOCKET, socket.SO_REUSEPORT, 1),))
taken("a port shared with SO_REUSEADDR", socket.AF_INET, 0, "0.0.0.0", more=((socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),))
with in_netns("there"):
    elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    elsewhere.bind(("0.0.0.0", 5555))
observe("a port taken in another namespace", wg("set wg0 listen-port 5555") + "; %d" % port())
bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
observe("binding to the device's port", attempt(bound.bind, ("0.0.0.0", 5555)))
ip("link add wg1 type wireguard")
observe("a second link with the first one's port, while down", wg("set wg1 listen-port 5555"))
observe("a second link with the first one's port, up", ip("link set wg1 up"))
ip("link del wg1")
observe("port 0 while up", wg("set wg0 listen-port 0"))
chosen = port()
observe("a port was chosen instead of 0", chosen not in (0, 5555))
ip("link set wg0 down")
observe("after down it is kept", port() == chosen)
observe("port 0 while down", wg("set wg0 listen-port 0") + "; %d" % port())
ip("link set wg0 up")
observe("and chosen when up", port() > 0)
for words in ("listen-port 65535", "listen-port 65536", "listen-port 1", "listen-port -1", "listen-port x"):
    observe("wg set %s" % words, "%s; %s" % (wg("set wg0 " + words), "the same" if port() == chosen else "chosen" if port() not in (1, 65535) else port()))
observe("an unprivileged range", shell("sysctl -qw net.ipv4.ip_local_port_range='30000 30001' && wg set wg0 listen-port 0 && echo $(wg show wg0 listen-port) | grep -c '^3000[01]$'"))
holders = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
held = 0
for number, holder in enumerate(holders):
    holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        holder.bind(("::", 30000 + number))
        held += 1
    except OSError:
        pass
ip("link set wg0 down")
for number, holder in enumerate(holders):
    try:
        holder.bind(("::", 30000 + number))
    except OSError:
        pass
kernel_mark()
wg("set wg0 listen-port 0")
observe("no port of the range is free over IPv6: up", ip("link set wg0 up"))
observe_kernel("no port of the range is free over IPv6: kernel messages")
for holder in holders:
    holder.close()
observe("then they are", ip("link set wg0 up"))
shell("sysctl -qw net.ipv4.ip_local_port_range='32768 60999'")

# ---------------------------------------------------------------- the mark
for mark in ("1", "0x12345678", "0xffffffff", "off", "0", "0x100000000", "-1", "x"):
    observe("fwmark %s" % mark, "%s; %s" % (wg("set", "wg0", "fwmark", mark), shell("wg show wg0 fwmark").strip()))
wg("set wg0 fwmark 0")

# ---------------------------------------------------------------- IPv6 disabled by sysctl
shell("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
known = 0
ip("link set wg0 down")
wg("set wg0 listen-port 1234")
known = 1234
observe("IPv6 disabled: up", ip("link set wg0 up"))
observe("IPv6 disabled: sockets", sockets())
observe("IPv6 disabled: ping", "answered" if " 1 received" in command("ping", "-c", "1", "-W", "10", "10.2.0.2") else "not answered")
observe("IPv6 disabled: an IPv6 endpoint", wg("set", "wg0", "peer", keys["b"][1], "endpoint", "[fd01::2]:2000"))
observe("IPv6 disabled: sending there", re.sub(r"time.*|PING.*", "", command("ping", "-c", "1", "-W", "1", "10.2.0.2")).strip())
observe("IPv6 disabled: an IPv6 address on it", ip("-6 address add fd02::1/64 dev wg0"))
wg("set", "wg0", "peer", keys["b"][1], "endpoint", "10.1.0.2:2000")

# ---------------------------------------------------------------- deleted while up, with a session
observe("ping before the end", "answered" if " 1 received" in command("ping", "-c", "1", "-W", "10", "10.2.0.2") else "not answered")
observe("delete while up", ip("link del wg0"))
observe("sockets after that", sockets())
observe("the port is free", shell("python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind((\"0.0.0.0\", 1234))' && echo yes").strip())
deadline = time.monotonic() + 10
while time.monotonic() < deadline and "wg0" in shell("ip link show type wireguard"):
    time.sleep(0.05)
observe("links left", shell("ip link show type wireguard"))
observe_kernel("kernel messages at the end")
leave()
finish()
