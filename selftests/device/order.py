#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Messages of two peers come in on two processors at once, and by one queue of the socket's: none of a peer's overtakes another.
For a machine whose processors work at the same time; what can go wrong takes a moment, so a part of a minute is waited for it."""

import os
import re
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from netlink import in_netns, run  # noqa: E402
from tap import Checks  # noqa: E402

SECONDS = 30
WG_MONITOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts/monitor/wg-monitor")

run("sh", "-c", "[ -d /sys/module/wireguard ] || modprobe wireguard")  # before its greeting counts
checks = Checks()
processors = sorted(os.sched_getaffinity(0))[:2]
if len(processors) < 2:
    raise SystemExit("order.py: error: this needs a machine of two processors")
run("bash", "-ec", """
cd "$(mktemp -d)"; umask 077
for n in here peer0 peer1; do ip netns add $n; ip -n $n link set lo up; wg genkey >$n; wg pubkey <$n >$n.pub; ip -n $n link add wg0 type wireguard; done
ip netns exec here wg set wg0 listen-port 51820 private-key here
ip -n here address add 192.168.50.1/24 dev wg0
ip -n here link set wg0 up
for i in 0 1; do
	ip link add cable$i netns here type veth peer name cable netns peer$i
	ip -n here address add 10.$i.0.1/24 dev cable$i; ip -n here link set cable$i up
	ip -n peer$i address add 10.$i.0.2/24 dev cable; ip -n peer$i link set cable up
	ip netns exec here wg set wg0 peer "$(cat peer$i.pub)" allowed-ips 192.168.50.1$i/32
	ip netns exec peer$i wg set wg0 private-key peer$i peer "$(cat here.pub)" allowed-ips 192.168.50.1/32 endpoint 10.$i.0.1:51820
	ip -n peer$i address add 192.168.50.1$i/24 dev wg0; ip -n peer$i link set wg0 up
	ip netns exec peer$i ping -q -c 1 -W 5 192.168.50.1
done
""")


def send(number):
    """Small packets, as many as go, from one processor."""
    os.sched_setaffinity(0, {processors[number]})
    with in_netns("peer%d" % number):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(("192.168.50.1", 9))
    until, packet = time.monotonic() + SECONDS, bytes(100)
    while time.monotonic() < until:
        try:
            sock.send(packet)
        except ConnectionRefusedError:
            pass


checks.chapter("Two peers that send from two processors, for %d seconds" % SECONDS)
senders = []
for which in range(2):
    senders.append(os.fork())
    if senders[-1] == 0:
        send(which)
        os._exit(0)
for sender in senders:
    os.waitpid(sender, 0)
time.sleep(1)
said = run("ip", "netns", "exec", "here", WG_MONITOR, "stats", "wg0")
paths = [tuple(map(int, path)) for path in re.findall(r"path: +received (\d+), lost (\d+)\D.*?reordered (\d+)", said)]
checks.ok(len(paths) == 2 and all(received > 100 * SECONDS for received, _, _ in paths), "messages of both come in", said)
checks.equal([reordered for _, _, reordered in paths], [0, 0], "none is overtaken")
checks.quiet_kernel()
checks.finish()
