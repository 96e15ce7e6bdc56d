#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: links that move between namespaces: where their sockets are, what netlink says, what happens when either namespace dies
# cost: slow
# limit: 900
"""A link made in one namespace and moved to another: its socket stays, its link-netnsid tells, either namespace dies first; what of
carrier, sending, ports, marks, moving on; links made with netns and link-netns."""

import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from device_scene import command, enter, ip, leave, plain, run, shell  # noqa: E402
from lib import finish, kernel_mark, observe, observe_kernel  # noqa: E402

enter()
kernel_mark()
PRIVATE = {name: run("wg", "genkey").strip() for name in "ab"}
PUBLIC = {name: run("wg", "pubkey", input=key.encode()).strip() for name, key in PRIVATE.items()}


def on(netns, line, stdin=""):
    return re.sub(r"^exit 0: ?", "", command("ip", "netns", "exec", netns, "sh", "-c", line, stdin=stdin))


def spaces(*names):
    for name in names:
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")


def gone(netns):
    """Deletes a namespace and waits until what was in it has been torn down."""
    run("ip", "netns", "del", netns)


def wait(words, holds, seconds=20):
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.05)
    observe(words, bool(holds()))


def look(words, netns, name="wg0"):
    text = plain(ip("-d", "link", "show", name, netns=netns))
    observe("%s: link" % words, re.sub(r"link-netns \S+", "link-netns NAME", text))
    text = on(netns, "wg show %s | grep -v 'private key\\|public key\\|peer:'" % name)
    observe("%s: wg" % words, re.sub(r"listening port: \d{5}", "listening port: CHOSEN", re.sub(r"handshake: .*", "handshake: was", text)))


def sockets(netns):
    return on(netns, "ss -H -u -a -n | sed 's/[[:space:]]\\+/ /g'")


def pair(home, hall):
    """Two hosts with a cable and a tunnel between them: home's listens on 1, hall's on 2."""
    run("sh", "-ec", """
ip link add eth0 netns %(a)s type veth peer name eth0 netns %(b)s
ip -n %(a)s address add 10.1.0.1/24 dev eth0; ip -n %(a)s link set eth0 up; ip -n %(b)s address add 10.1.0.2/24 dev eth0; ip -n %(b)s link set eth0 up
ip -n %(a)s link add wg0 type wireguard; ip -n %(b)s link add wg0 type wireguard""" % {"a": home, "b": hall})
    on(home, "wg set wg0 private-key /dev/stdin listen-port 1 peer %s allowed-ips 10.2.0.2/32 endpoint 10.1.0.2:2" % PUBLIC["b"], PRIVATE["a"])
    on(hall, "wg set wg0 private-key /dev/stdin listen-port 2 peer %s allowed-ips 10.2.0.1/32" % PUBLIC["a"], PRIVATE["b"])
    run("sh", "-ec", "ip -n %s address add 10.2.0.2/24 dev wg0; ip -n %s link set wg0 up" % (hall, hall))


def ping(netns, seconds=10):
    said = on(netns, "ping -c 1 -W %d 10.2.0.2" % seconds)
    if " 1 received" in said:
        return "answered"
    return "not answered: " + re.sub(r"(?s)PING.*?\n|\n--- .*", "", said).strip().replace("\n", " / ")


# ---------------------------------------------------------------- the creating namespace dies, the link is up elsewhere
spaces("home", "hall", "inner")
pair("home", "hall")
look("before moving", "home")
observe("move", ip("link set wg0 netns inner", netns="home"))
look("moved", "inner")
observe("moved: its netns id", re.sub(r"\d+", "N", on("inner", "ip netns list-id")))
observe("moved: link-netnsid in JSON", "link_netnsid" in on("inner", "ip -j -d link show wg0"))
run("sh", "-ec", "ip -n inner address add 10.2.0.1/24 dev wg0; ip -n inner link set wg0 up")
look("up there", "inner")
observe("sockets at home", sockets("home"))
observe("sockets where it is", sockets("inner"))
observe("ping", ping("inner"))
observe("a new port", on("inner", "wg set wg0 listen-port 11") + "; " + sockets("home"))
observe("ping from the new port", ping("inner"))
observe("a mark", on("inner", "wg set wg0 fwmark 9; wg show wg0 fwmark"))
observe("the same name at home again", ip("link add wg0 type wireguard", netns="home"))
observe("and one by one", ip("link add wg7 type wireguard", netns="home") + ip("link set wg7 netns inner name wg8", netns="home"))
gone("home")
wait("home is gone: it has no carrier", lambda: "NO-CARRIER" in ip("link show wg0", netns="inner"))
look("home is gone", "inner")
observe("home is gone: ping", ping("inner", 1))
observe("home is gone: counters", on("inner", "cat /sys/class/net/wg0/statistics/tx_dropped /sys/class/net/wg0/statistics/rx_errors /sys/class/net/wg0/carrier /sys/class/net/wg0/operstate | tr '\\n' ' '"))
for words in ("listen-port 12", "listen-port 11", "listen-port 0", "fwmark 3", "fwmark 0", "private-key /dev/null", "peer %s endpoint 10.1.0.2:5" % PUBLIC["b"], "peer %s persistent-keepalive 5" % PUBLIC["b"],
              "peer %s allowed-ips 10.9.0.0/24" % PUBLIC["b"], "peer %s remove" % PUBLIC["b"]):
    observe("home is gone: wg set %s" % re.sub(r"\S{44}", "B", words), on("inner", "wg set wg0 " + words))
look("home is gone, after that", "inner")
observe("home is gone: down", ip("link set wg0 down", netns="inner"))
look("home is gone, down", "inner")
observe("home is gone: a port while down", on("inner", "wg set wg0 listen-port 13; wg show wg0 listen-port"))
observe("home is gone: up", ip("link set wg0 up", netns="inner"))
look("home is gone, up in vain", "inner")
observe("home is gone: up, the other one that was down", ip("link set wg8 up", netns="inner"))
look("home is gone, the other one", "inner", "wg8")
observe("home is gone: carrier by hand", ip("link set wg0 carrier on", netns="inner"))
spaces("further")
observe("home is gone: move on", ip("link set wg0 netns further", netns="inner"))
look("home is gone, moved on", "further")
observe("home is gone: up there", ip("link set wg0 up", netns="further"))
observe("home is gone: delete", ip("link del wg0", netns="further"))
for name in ("hall", "inner", "further"):
    gone(name)
observe_kernel("kernel messages of that")

# ---------------------------------------------------------------- the other way round, and both at once
kernel_mark()
spaces("home", "hall", "inner")
pair("home", "hall")
ip("link set wg0 netns inner", netns="home")
run("sh", "-ec", "ip -n inner address add 10.2.0.1/24 dev wg0; ip -n inner link set wg0 up")
observe("again: ping", ping("inner"))
gone("inner")
wait("its namespace dies: home has no socket left", lambda: ":" not in sockets("home").replace("exit 0", ""))
observe("its namespace dies: links at home", plain(on("home", "ip -br link show type wireguard")))
observe("its namespace dies: the port is free", on("home", "ip link add wg1 type wireguard && wg set wg1 listen-port 1 && ip link set wg1 up && wg show wg1 listen-port"))
ip("link set wg1 netns hall", netns="home")
shell("ip netns del home & ip netns del hall & wait")
time.sleep(1)
spaces("one", "two")
for name, there in (("one", "two"), ("two", "one")):
    ip("link add moved-%s type wireguard" % name, netns=name)
    ip("link set moved-%s netns %s" % (name, there), netns=name)
    ip("link set moved-%s up" % name, netns=there)
shell("ip netns del one & ip netns del two & wait")
# A link made in a namespace that dies while the link lives in the first one.
spaces("child")
observe("made by a child namespace", ip("link add wg5 type wireguard", netns="child"))
observe("given to its parent", ip("link set wg5 netns here", netns="child"))
observe("up", ip("link set wg5 up"))
gone("child")
wait("the child is gone: no carrier", lambda: "NO-CARRIER" in ip("link show wg5"))
look("the child is gone", "here", "wg5")
observe("delete", ip("link del wg5"))

# ---------------------------------------------------------------- made with netns, link-netns and link-netnsid
spaces("east", "west")
for words, made, where in (("netns east", "link add wg0 netns east type wireguard", "east"), ("link-netns east", "link add wg1 link-netns east type wireguard", "here"),
                           ("netns west, link-netns east", "link add wg2 netns west link-netns east type wireguard", "west"), ("link-netnsid 77", "link add wg3 link-netnsid 77 type wireguard", "here")):
    observe("made with %s" % words, ip(made))
    name = made.split()[2]
    observe("made with %s: up" % words, ip("link", "set", name, "up", netns=where))
    look("made with %s" % words, where, name)
    observe("made with %s: sockets" % words, "here %s, east %s, west %s" % tuple("yes" if re.search(r":%s\b" % on(where, "wg show %s listen-port" % name).strip(), sockets(n)) else "no" for n in ("here", "east", "west")))
    ip("link", "del", name, netns=where)
# Its port belongs to the other namespace: what is a taken one there.
observe("moved, then a port", ip("link add wg0 type wireguard", netns="east") + ip("link set wg0 netns west", netns="east") + on("west", "wg set wg0 listen-port 99 && ip link set wg0 up && ip link add wg1 type wireguard && wg set wg1 listen-port 99 && ip link set wg1 up && echo both"))
observe("a third takes it at home", on("east", "ip link add wg1 type wireguard && wg set wg1 listen-port 99 && ip link set wg1 up"))
# A user namespace's link cannot be used to reach what is not its own.
observe("moved back home", ip("link set wg0 netns east", netns="west"))
look("moved back home", "east")
for name in ("east", "west"):
    gone(name)
# A link whose creator another user namespace owns: who may change its port.
observe("a port from a user namespace that only has the link", shell("""unshare -Urn sh -c 'echo $$ >/tmp/child.pid; while [ ! -e /tmp/child.go ]; do sleep 0.1; done; wg show wg9 listen-port; wg set wg9 listen-port 77; wg set wg9 fwmark 7; wg set wg9 peer %s allowed-ips 10.0.0.0/24; ip link set wg9 up && wg show wg9 allowed-ips | cut -f 2; ip link set wg9 down' &
while [ ! -s /tmp/child.pid ]; do sleep 0.1; done
ip link add wg9 type wireguard && wg set wg9 listen-port 76 && ip link set wg9 netns $(cat /tmp/child.pid)
touch /tmp/child.go; wait; rm -f /tmp/child.go /tmp/child.pid""" % PUBLIC["b"]))
observe_kernel("kernel messages of the rest")
leave()
finish()
