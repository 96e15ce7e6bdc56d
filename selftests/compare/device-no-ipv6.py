#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: a machine that was booted without IPv6: sockets, endpoints, a tunnel
# cost: slow
# vm: --append ipv6.disable=1
"""A machine that was booted with ipv6.disable=1."""

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from device_scene import command, enter, ip, leave, plain, read, run, shell, two_links  # noqa: E402
from lib import finish, kernel_mark, observe, observe_kernel  # noqa: E402

enter()
kernel_mark()
keys, public = two_links()
observe("IPv6 is off", read("/sys/module/ipv6/parameters/disable"))
observe("configure", command("wg", "set", "wg0", "private-key", "/dev/stdin", "listen-port", "1", "peer", public["b"], "allowed-ips", "10.2.0.2/32,fd02::/64", "endpoint", "10.1.0.2:2", stdin=keys["a"]))
run("sh", "-ec", "ip -n there address add 10.2.0.2/24 dev wg0; ip -n there link set wg0 up; ip address add 10.2.0.1/24 dev wg0")
observe("up", ip("link set wg0 up"))
observe("link", plain(ip("-d link show wg0")))
observe("sockets", re.sub(r"\s+", " ", shell("ss -H -u -a -n")))
observe("ping", "answered" if " 1 received" in command("ping", "-c", "1", "-W", "10", "10.2.0.2") else "not answered")
observe("allowed IPs", shell("wg show wg0 allowed-ips | cut -f 2"))
observe("an IPv6 endpoint", command("wg", "set", "wg0", "peer", public["b"], "endpoint", "[fd01::2]:2") + "; " + shell("wg show wg0 endpoints | cut -f 2"))
before = shell("wg show wg0 transfer | cut -f 2-; cat /sys/class/net/wg0/statistics/tx_*")
observe("sending to an IPv6 endpoint", re.sub(r"(?s)PING.*?\n|\n--- .*", "", command("ping", "-c", "1", "-W", "1", "10.2.0.2")))
observe("counters moved by that", "no" if before == shell("wg show wg0 transfer | cut -f 2-; cat /sys/class/net/wg0/statistics/tx_*") else "yes")
observe("back", command("wg", "set", "wg0", "peer", public["b"], "endpoint", "10.1.0.2:2"))
observe("ping again", "answered" if " 1 received" in command("ping", "-c", "1", "-W", "10", "10.2.0.2") else "not answered")
# IPv6 packets into the device, from a packet socket, are not compared: with the C driver the kernel panics (in
# icmpv6_ndo_send). Ours refuses them with ENOKEY or EDESTADDRREQ and sends no ICMPv6.
observe("another port", command("wg", "set", "wg0", "listen-port", "7") + "; " + re.sub(r"\s+", " ", shell("ss -H -u -a -n")))
observe("a chosen port", command("wg", "set", "wg0", "listen-port", "0") + "; " + shell("ss -H -u -a -n | wc -l"))
observe("down, up", ip("link set wg0 down") + ip("link set wg0 up"))
observe("delete", ip("link del wg0"))
observe_kernel("kernel messages")
leave()
finish()
