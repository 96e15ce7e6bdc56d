#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: the module: what it says of itself, who uses it, unloading it while there are links with sessions in several namespaces
# cost: quick
"""The module as a whole. Unloading it is the last thing that happens here, with everything still in use."""

import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from device_scene import command, enter, ip, plain, read, run, shell, two_links  # noqa: E402
from lib import errno_name, finish, kernel_mark, observe, observe_kernel  # noqa: E402
from netlink import Generic  # noqa: E402

enter()
top = "/sys/module/wireguard"
for name in ("version", "refcnt", "initstate", "parameters", "drivers"):
    path = "%s/%s" % (top, name)
    observe("module: %s" % name, " ".join(sorted(os.listdir(path))) if os.path.isdir(path) else read(path) if os.path.exists(path) else "absent")
observe("module: used by", " ".join(sorted(os.listdir(top + "/holders"))))
observe("module: whom it needs", " ".join(sorted(line.split()[0] for line in open("/proc/modules", encoding="ascii") if "wireguard" in line.split()[3].split(","))))
family = Generic("wireguard")
observe("netlink family: users", read(top + "/refcnt"))
keys, public = two_links()
run("sh", "-ec", "ip netns add third; ip link add wg1 type wireguard; ip link set wg1 netns third; ip -n third link set wg1 up")
run("wg", "set", "wg0", "private-key", "/dev/stdin", "listen-port", "1", "peer", public["b"], "allowed-ips", "10.2.0.2/32", "endpoint", "10.1.0.2:2", "persistent-keepalive", "1", input=keys["a"].encode())
run("sh", "-ec", "ip -n there address add 10.2.0.2/24 dev wg0; ip -n there link set wg0 up; ip address add 10.2.0.1/24 dev wg0; ip link set wg0 up")
observe("ping", "answered" if " 1 received" in command("ping", "-c", "1", "-W", "10", "10.2.0.2") else "not answered")
observe("with three links: users", read(top + "/refcnt"))
observe("with three links: lsmod", " ".join(line.split()[2] for line in open("/proc/modules", encoding="ascii") if line.startswith("wireguard ")))
ip("link set wg0 netns there name wg9")
observe("ping in there", ip("-br link show type wireguard", netns="there").replace("\n", " / "))
ip("link set wg9 netns here name wg0", netns="there")
run("sh", "-ec", "ip address replace 10.2.0.1/24 dev wg0; ip link set wg0 up")
flood = subprocess.Popen(["ping", "-q", "-f", "-w", "20", "10.2.0.2"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
watch = subprocess.Popen(["ip", "monitor", "link"], stdout=subprocess.PIPE, text=True)
time.sleep(0.5)
kernel_mark()
observe("unload under traffic", command("rmmod", "wireguard"))
observe("it is gone", not os.path.exists(top))
observe("links", plain(command("ip", "-br", "link", "show", "type", "wireguard")) + " / " + plain(ip("-br link show type wireguard", netns="there")) + " / " + plain(ip("-br link show type wireguard", netns="third")))
observe("sockets", shell("ss -H -u -a -n; ip netns exec there ss -H -u -a -n"))
observe("routes", shell("ip route show 10.2.0.0/24"))
time.sleep(0.2)
watch.terminate()
observe("notifications", sorted(set(re.sub(r"\d+: ", "N: ", line).strip() for line in watch.communicate()[0].splitlines() if "wg0" in line and "Deleted" in line)))
flood.terminate()
flood.wait()
observe("the family's number still", errno_name(family.call(0, flags=0x305)[0]))
observe_kernel("kernel messages")
for name in ("third", "there", "here"):
    run("ip", "netns", "del", name)
finish()
