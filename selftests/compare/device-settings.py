#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: everything that can be set on a link or given when it is made, links and qdiscs on top of it: what is refused, how, what results
# cost: slow
# limit: 900
"""What ip(8), ethtool(8), sysfs and netlink can set on a link, what it may be made with, what becomes of it as the lower link or
the port of another, which qdiscs it takes; of many links at once."""

import os
import re
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from device_scene import command, enter, ip, leave, plain, read, shell, write  # noqa: E402
from lib import errno_name, finish, kernel_mark, observe, observe_kernel  # noqa: E402
from netlink import NLM_F_ACK, Links, attribute, nest  # noqa: E402

RTM_NEWLINK = 16
NLM_F_CREATE_EXCL = 0x600
FEATURE = r"(?m)^\s*([a-z0-9-]+): (on|off)( \[fixed\])?"

enter()
links = Links()
ip("link add wg0 type wireguard")
features = re.findall(FEATURE, shell("ethtool -k wg0"))
for name, state, fixed in features:
    if not fixed:
        other = "off" if state == "on" else "on"
        said = command("ethtool", "-K", "wg0", name, other)
        now = dict((n, s) for n, s, _ in re.findall(FEATURE, shell("ethtool -k wg0")))
        observe("ethtool -K %s %s" % (name, other), "%s; changed: %s" % (said, " ".join("%s=%s" % (n, now[n]) for n, s, _ in features if now[n] != s)))
        command("ethtool", "-K", "wg0", name, state)
observe("ethtool -k again", command("ethtool", "-k", "wg0"))
for line in ("-s wg0 speed 1000", "-G wg0 rx 64", "-L wg0 combined 2", "-C wg0 rx-usecs 5", "-A wg0 rx on", "--reset wg0 all", "-p wg0 1", "-r wg0"):
    observe("ethtool %s" % line, command("ethtool", *line.split()))

# ---------------------------------------------------------------- what can be set
for words in ("txqueuelen 0", "txqueuelen 77", "address 02:00:00:00:00:01", "broadcast ff:ff:ff:ff:ff:ff", "multicast on", "multicast off", "allmulticast on",
              "allmulticast off", "promisc on", "promisc off", "arp on", "arp off", "trailers on", "dynamic on", "dynamic off", "carrier off", "carrier on", "protodown on",
              "protodown off", "mode dormant", "mode default", "state down", "state up", "group 5", "group default", "addrgenmode eui64", "addrgenmode stable_secret",
              "addrgenmode random", "addrgenmode none", "gso_max_size 1000", "gso_max_size 65536", "gso_max_size 200000", "gso_max_segs 10", "gso_max_segs 65535",
              "gro_max_size 1000", "gro_max_size 200000", "gso_ipv4_max_size 3000", "gro_ipv4_max_size 3000", "alias office", "type wireguard", "vf 0 mac 02:00:00:00:00:01",
              "netns there", "nomaster", "numtxqueues 2", "xdp off", "name wg0", "name lo", "name wg1", "threaded on", "threaded off"):
    said = plain(ip("link", "set", "dev", "wg0", *words.split()))
    state = plain(ip("-d", "link", "show", "wg0"))
    if words == "netns there":
        state = plain(ip("-d", "link", "show", "wg0", netns="there"))
        ip("link", "set", "wg0", "netns", "here", netns="there")
    elif words == "name wg1":
        state = plain(ip("-d", "link", "show", "wg1"))
        ip("link", "set", "wg1", "name", "wg0")
    observe("set %s" % words, "%s; then %s" % (said, state))
observe("altname", ip("link", "property", "add", "dev", "wg0", "altname", "a-name-much-longer-than-fifteen"))
observe("altname twice", ip("link", "property", "add", "dev", "wg0", "altname", "a-name-much-longer-than-fifteen"))
observe("wg by altname", command("wg", "show", "a-name-much-longer-than-fifteen", "peers"))
observe("altname away", ip("link", "property", "del", "dev", "wg0", "altname", "a-name-much-longer-than-fifteen"))
for name, value in (("threaded", "0"), ("threaded", "1"), ("threaded", "2"), ("gro_flush_timeout", "1000"), ("napi_defer_hard_irqs", "1"), ("tx_queue_len", "9"), ("mtu", "1400"), ("flags", "0x1090"),
                    ("carrier", "0"), ("carrier", "1"), ("ifalias", "home"), ("group", "3"), ("netdev_group", "3"), ("proto_down", "1"), ("speed", "1"),
                    ("queues/rx-0/rps_cpus", "1"), ("queues/tx-0/xps_cpus", "1"), ("queues/tx-0/tx_maxrate", "1")):
    said = write("/sys/class/net/wg0/" + name, value)
    observe("write %s to sysfs %s" % (value, name), "%s; it is %s" % (said, read("/sys/class/net/wg0/" + name)))
ip("link", "del", "wg0")

# ---------------------------------------------------------------- what it may be made with
for words in ("address 02:00:00:00:00:01", "broadcast ff:ff:ff:ff:ff:ff", "mtu 1280", "mtu 0", "mtu 67", "mtu 2147483552", "mtu 2147483553", "txqueuelen 5", "txqueuelen 0",
              "numtxqueues 4", "numrxqueues 3", "numtxqueues 4 numrxqueues 3", "numtxqueues 0", "numtxqueues 5000", "group 9", "alias made", "up", "index 4711",
              "gso_max_size 3000", "gso_max_segs 7", "gro_max_size 3000", "carrier off", "promisc on", "arp on", "multicast on", "addrgenmode eui64", "netns there", "link lo"):
    said = ip("link", "add", "made", *words.split(), "type", "wireguard")
    where = "there" if words == "netns there" else "here"
    state = plain(ip("-d", "link", "show", "made", netns=where))
    observe("made with %s" % words, "%s; then %s; queues %s" % (said, state, " ".join(sorted(os.listdir("/sys/class/net/made/queues"))) if os.path.isdir("/sys/class/net/made/queues") else "unseen"))
    ip("link", "del", "made", netns=where)
for name in ("wg%d", "a", "fifteen-letters", "sixteen-letters-", "with/slash", "with space", "with:colon", ".", "..", "lo", "wg%d%d", "wg%s"):
    observe("made with the name '%s'" % name, "%s; then %s" % (ip("link", "add", "name", name, "type", "wireguard"), plain(ip("-br", "link", "show", "type", "wireguard"))))
    for made in ("wg0", "a", "fifteen-letters"):
        ip("link", "del", "dev", made)
observe("made with a word that the kind does not know", ip("link", "add", "made", "type", "wireguard", "colour", "red"))
observe("changed with a word that the kind does not know", ip("link", "set", "lo", "type", "wireguard", "colour", "red"))


def newlink(words, *attrs, flags=NLM_F_ACK | NLM_F_CREATE_EXCL, index=0):
    body = struct.pack("=BxHiII", 0, 0, index, 0, 0) + b"".join(attrs)
    error = links.request(RTM_NEWLINK, flags, body)[0]
    observe("netlink: %s" % words, "%s '%s'; then %s" % (errno_name(error), links.text, plain(ip("-d", "link", "show", "raw"))))
    ip("link", "del", "raw")


named = attribute(3, b"raw\0")
kind = attribute(1, b"wireguard\0")
newlink("no data", named, nest(18, kind))
newlink("empty data", named, nest(18, kind, nest(2)))
newlink("data with an unknown attribute", named, nest(18, kind, nest(2, attribute(1, b"\1\0\0\0"))))
newlink("data with many unknown attributes", named, nest(18, kind, nest(2, *[attribute(n, bytes(n)) for n in range(40)])))
newlink("data that is no nest", named, nest(18, kind, attribute(2, b"\xff" * 7)))
newlink("slave kind", named, nest(18, kind, attribute(4, b"bridge\0")))
newlink("slave data", named, nest(18, kind, nest(5, attribute(1, b"\1"))))
newlink("the kind without its NUL", named, nest(18, attribute(1, b"wireguard")))
newlink("the kind with something behind it", named, nest(18, attribute(1, b"wireguard2\0")))
newlink("no name", nest(18, kind))
ip("link", "del", "wireguard0")
newlink("with IFLA_LINK to nothing", named, nest(18, kind), attribute(5, struct.pack("=I", 4711)))
newlink("with IFLA_LINK to lo", named, nest(18, kind), attribute(5, struct.pack("=I", 1)))
newlink("with IFLA_CARRIER 0", named, nest(18, kind), attribute(33, b"\0"))
newlink("with IFLA_OPERSTATE", named, nest(18, kind), attribute(16, b"\5"))
newlink("with IFLA_LINKMODE", named, nest(18, kind), attribute(17, b"\1"))
newlink("with an unknown attribute of the link", named, nest(18, kind), attribute(200, b"\1\0\0\0"))
newlink("with IFLA_NET_NS_PID of nobody", named, nest(18, kind), attribute(19, struct.pack("=I", 4194303)))
newlink("with IFLA_LINK_NETNSID of nothing", named, nest(18, kind), attribute(37, struct.pack("=i", 77)))
ip("link", "add", "raw", "type", "wireguard")
newlink("a second of the name", named, nest(18, kind))
ip("link", "add", "raw", "type", "wireguard")
newlink("a change of the link with data", named, nest(18, kind, nest(2, attribute(1, b"\1\0\0\0"))), flags=NLM_F_ACK)
ip("link", "add", "raw", "type", "wireguard")
newlink("a change of the link without data", named, nest(18, kind), flags=NLM_F_ACK)
ip("link", "add", "raw", "type", "wireguard")
newlink("a change of the link to another kind", named, nest(18, attribute(1, b"dummy\0")), flags=NLM_F_ACK)

# ---------------------------------------------------------------- links on top of it, qdiscs
# What these modules say when they are loaded is not of interest, and is said only once.
shell("for m in 8021q macvlan macvtap ipvlan ipvtap macsec vxlan ip_gre ipip bridge bonding team vrf; do modprobe $m 2>/dev/null; done")
kernel_mark()
ip("link", "add", "wg0", "type", "wireguard")
ip("link", "set", "wg0", "up")
for upper in ("vlan id 5", "macvlan mode bridge", "macvtap", "ipvlan mode l3", "ipvlan mode l2", "ipvtap", "macsec", "vxlan id 3 dstport 4789", "gre local 1.2.3.4 remote 1.2.3.5", "ipip remote 1.2.3.5"):
    words = upper.split()
    dev = ["dev", "wg0"] if words[0] in ("vxlan", "gre", "ipip") else ["link", "wg0"]
    made = ["link", "add"] + (["top", "type"] + words + dev if dev[0] == "dev" else dev + ["name", "top", "type"] + words)
    observe("%s on it" % upper, plain(ip(*made)) + "; then " + re.sub(r"(link/\S+) [0-9a-f:]{17}", r"\1 MAC", plain(ip("link", "show", "top"))))
    ip("link", "del", "top")
for upper in ("bridge", "bond", "team", "vrf table 9"):
    ip("link", "add", "top", "type", *upper.split())
    ip("link", "set", "wg0", "down")
    observe("put into a %s" % upper, plain(ip("link", "set", "wg0", "master", "top")))
    observe("as a port of a %s" % upper, re.sub(r"(link/\S+) [0-9a-f:]{17}", r"\1 MAC", plain(ip("link", "show", "wg0"))))
    ip("link", "set", "wg0", "nomaster")
    ip("link", "set", "wg0", "up")
    ip("link", "del", "top")
for qdisc in ("pfifo limit 5", "fq", "fq_codel", "tbf rate 1mbit burst 10k latency 50ms", "netem delay 1ms", "mq", "noqueue", "clsact"):
    said = command("tc", "qdisc", "replace", "dev", "wg0", *(["clsact"] if qdisc == "clsact" else ["root", "handle", "1:", *qdisc.split()]))
    observe("qdisc %s" % qdisc, "%s; then %s" % (said, re.sub(r"refcnt \d+", "refcnt N", re.sub(r"memory_limit \S+|quantum \S+|drop_batch \S+|seed \d+", "", command("tc", "qdisc", "show", "dev", "wg0")))))
    command("tc", "qdisc", "del", "dev", "wg0", "clsact" if qdisc == "clsact" else "root")
observe("without any again", re.sub(r"refcnt \d+", "refcnt N", command("tc", "qdisc", "show", "dev", "wg0")))
ip("link", "del", "wg0")
observe_kernel("kernel messages of links on top of it")

# ---------------------------------------------------------------- many
observe("forty links at once", "; ".join(sorted({ip("link", "add", "many%d" % n, "type", "wireguard") + ip("link", "set", "many%d" % n, "group", "7", "up") for n in range(40)})))
observe("deleted by their group", ip("link", "del", "group", "7"))
observe("left", plain(ip("link", "show", "type", "wireguard")))

leave()
finish()
