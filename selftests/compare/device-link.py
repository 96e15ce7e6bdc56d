#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: a link as ip, netlink, sysfs, sysctl and ethtool show it; its MTU, its name, its notifications
# cost: quick
"""A link as it looks from user space: ip(8) in detail, every attribute of its netlink message, sysfs, sysctl, ethtool(8), notifications;
also in a user namespace."""

import json
import os
import re
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from device_scene import command, enter, ip, leave, plain, read, shell  # noqa: E402
from lib import finish, observe  # noqa: E402
from netlink import Links, attributes, run  # noqa: E402


def flat(value, path=""):
    if isinstance(value, dict):
        for key in sorted(value):
            yield from flat(value[key], "%s.%s" % (path, key) if path else key)
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for number, item in enumerate(value):
            yield from flat(item, "%s[%d]" % (path, number))
    else:
        yield path, json.dumps(value)


def show(when):
    """All that ip knows, value by value; and the link's netlink message, attribute by attribute."""
    out = run("ip", "-j", "-d", "-s", "-s", "link", "show", "wg0")
    for path, value in flat(json.loads(out)[0]):
        if path != "ifindex":
            observe("%s: ip -j -d -s -s link: %s" % (when, path), value)
    observe("%s: ip -d -s link" % when, plain(ip("-d -s link show wg0")))
    header = links.link("wg0")
    family, kind, _, flags, change = struct.unpack_from("=BxHiII", header)
    observe("%s: ifinfomsg" % when, "family %d type %d flags %#x change %#x" % (family, kind, flags, change))
    for number, value in attributes(header[16:]):
        if number != 26:  # IFLA_AF_SPEC holds times
            observe("%s: link attribute %d" % (when, number), value.hex())


def sysfs(when):
    top = "/sys/class/net/wg0/"
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(folder, name)
            value = "a link" if os.path.islink(path) else "a number" if name in ("ifindex", "iflink") else read(path)
            observe("%s: sysfs: %s" % (when, path[len(top):]), "%o %s" % (os.lstat(path).st_mode & 0o7777, re.sub(r"IFINDEX=\d+", "IFINDEX=N", value)))
        for name in folders:
            observe("%s: sysfs: %s/" % (when, os.path.join(folder, name)[len(top):]), "a folder")


def sysctl(when):
    for folder in ("ipv4/conf/wg0", "ipv6/conf/wg0", "ipv4/neigh/wg0", "ipv6/neigh/wg0"):
        path = "/proc/sys/net/" + folder
        for name in sorted(os.listdir(path)) if os.path.isdir(path) else ():
            observe("%s: sysctl: %s/%s" % (when, folder, name), read(path + "/" + name))
    observe("%s: sysctl: ipv4/conf/all/send_redirects" % when, read("/proc/sys/net/ipv4/conf/all/send_redirects"))


def qdisc(text):
    return re.sub(r"refcnt \d+", "refcnt N", text)


enter()
links = Links()

# ---------------------------------------------------------------- a new link, up, down
observe("add", ip("link add wg0 type wireguard"))
show("new")
sysfs("new")
sysctl("new")
observe("up", ip("link set wg0 up"))
show("up")
sysfs("up")
sysctl("up")
observe("up: addresses", plain(ip("address show wg0")))
observe("up: qdisc", qdisc(shell("tc qdisc show dev wg0")))
observe("up: routes", ip("route show dev wg0 table all") + " / " + ip("-6 route show dev wg0 table all"))
observe("up: multicast groups", plain(ip("maddress show wg0")))
observe("up: netconf", plain(ip("-4 netconf show dev wg0")) + " / " + plain(ip("-6 netconf show dev wg0")))
observe("up: neighbours", ip("neighbour show dev wg0"))
observe("up: modules that use this one", read("/sys/module/wireguard/refcnt"))
observe("down", ip("link set wg0 down"))
show("down")

# ---------------------------------------------------------------- ethtool
for option in ("", "-i", "-k", "-S", "-l", "-g", "-c", "-a", "-T", "-P", "-n", "-x", "-m", "-d", "-e", "-t", "--phy-statistics", "--show-priv-flags",
               "--show-fec", "--show-eee", "--show-tunnels", "--show-mm"):
    observe("ethtool %s" % option, command("ethtool", *([option] if option else []), "wg0"))

# ---------------------------------------------------------------- MTU
for mtu in (0, 1, 67, 68, 1279, 1280, 1420, 65535, 65536, 2147483551, 2147483552, 2147483553, 2147483647, 2147483648, 4294967295):
    observe("mtu %d" % mtu, "%s; it is %s" % (ip("link set wg0 mtu %d" % mtu), read("/sys/class/net/wg0/mtu")))
ip("link del wg0")
observe("gone", ip("link show wg0"))
observe("threads that stayed", shell("ps -eo comm | grep -c 'wg0' || true"))

# ---------------------------------------------------------------- notifications
log = "/tmp/device-link-monitor.%d" % os.getpid()
with open(log, "wb") as out:
    monitor = subprocess.Popen(["stdbuf", "-oL", "ip", "-d", "monitor", "all"], stdout=out)
text = ""


def events(words, *commands):
    """What ip monitor says of these commands; the end of each is marked by an alias on lo."""
    global text
    events.count = getattr(events, "count", 0) + 1
    for line in commands:
        ip(line)
    mark = "mark%d" % events.count
    deadline = time.monotonic() + 20
    before = len(text)
    while mark not in text[before:] and time.monotonic() < deadline:
        ip("link", "set", "lo", "alias", mark)
        time.sleep(0.05)
        with open(log, encoding="utf-8") as source:
            text = source.read()
            text = text[:text.rfind("\n") + 1]
    new, took = text[before:], []
    for line in new.splitlines():
        if re.match(r"\S*\d+: lo:|^\[\S+\]\d+: lo:", line):
            took.append(None)
        elif line.startswith((" ", "\t")):
            if took and took[-1] is not None:
                took.append(line.strip())
        else:
            took.append(re.sub(r"\d+: ", "N: ", line, count=1))
    lines = [line for line in took if line is not None and "alias mark" not in line]
    observe("notifications: %s" % words, re.sub(r"\bdev if\d+|if\d+", "ifN", "\n".join(lines)))


events("nothing")
events("add", "link add wg0 type wireguard")
events("address", "address add 10.0.0.1/24 dev wg0")
events("up", "link set wg0 up")
events("mtu", "link set wg0 mtu 1300")
events("alias", "link set wg0 alias x")
events("down", "link set wg0 down")
events("rename", "link set wg0 name wg1")
events("up again", "link set wg1 up")
events("delete", "link del wg1")
events("a failed one", "link add wg2 mtu 2147483553 type wireguard")
events("made up at once", "link add wg3 up type wireguard")
monitor.terminate()
monitor.wait()
ip("link del wg3")

# ---------------------------------------------------------------- a link that comes to nothing
for number in range(3):
    observe("made with a name that is none, %d" % number, ip("link", "add", "name", "with:colon", "type", "wireguard"))
for number in range(3):
    observe("made with a name that is taken, %d" % number, ip("link add name lo type wireguard"))
time.sleep(0.5)

# ---------------------------------------------------------------- a user namespace
observe("in a user namespace", command("unshare", "-Urn", "sh", "-c", """
ip link add wg0 type wireguard && ip link set wg0 up && ip -br link show wg0 && wg set wg0 listen-port 5555 fwmark 3 && wg show wg0 dump | cut -f 3-
ip link set wg0 mtu 2147483552 && ip address add 10.0.0.1/24 dev wg0 && ip route show dev wg0 && ip link del wg0"""))
observe("in a user namespace within a user namespace, without CAP_NET_ADMIN outside", command("unshare", "-Urn", "unshare", "-U", "sh", "-c", "ip link add wg0 type wireguard; wg show all dump"))
leave()
finish()
