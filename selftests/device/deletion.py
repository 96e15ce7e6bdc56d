#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A link is deleted while work of another link, in other namespaces, waits in each of the module's work queues for a processor
that it does not get: who deletes waits for nothing of that. For a machine of two processors."""

import multiprocessing
import os
import re
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from busy import UDP_SEGMENT, held, nothing_in_rcus_way  # noqa: E402
from links import Host  # noqa: E402
from module import until  # noqa: E402
from netlink import attribute, in_netns, nest, run  # noqa: E402
from tap import Checks  # noqa: E402
from tunnel import NAME, Tunnel, allowed, peer, peers  # noqa: E402
from wgnetlink import D_PORT, D_PRIVATE, P_ENDPOINT, P_IPS, name, sockaddr4, u16  # noqa: E402
from wgpeer import Key  # noqa: E402

HERE, THERE = 0, 1  # Processors: what is to go on does so here, and what waits waits there.
UNBOUND = "/sys/devices/virtual/workqueue/cpumask"
TRACING = "/sys/kernel/tracing"
QUEUES = {"wg-crypt", "wg-help", "wg-kex"}
# More than it takes by far, and less than what the kernel complains of.
PATIENCE = 20


def write(path, words):
    with open(path, "w", encoding="ascii") as file:
        file.write(words)


def waiting():
    """The module's work queues with items that were queued and have not begun."""
    queued = {}
    with open(TRACING + "/trace", encoding="ascii") as file:
        for event, item, words in re.findall(r": workqueue_(queue_work|execute_start): work struct[ =](\w+):?(.*)", file.read()):
            if event == "queue_work":
                queued[item] = re.search(r"workqueue=(\S+)", words).group(1)
            else:
                queued.pop(item, None)
    return {queue for queue in queued.values() if queue.startswith("wg-")}


def trace(on):
    for event in "workqueue_queue_work", "workqueue_execute_start":
        write("%s/events/workqueue/%s/enable" % (TRACING, event), on)


def packets():
    """Some small ones, which are collected for a work item of this processor; a large one, which a helper encrypts; and one for a peer
    that there is no session with."""
    for size, length, address in (60, 16, "10.8.0.2"), (40, 1000, "10.8.0.2"), (1, 16, "10.8.0.3"):
        sender.sendmsg([bytes(size * length)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", length))], 0, (address, 9))


def ping():
    return subprocess.call(["ip", "netns", "exec", "near", "ping", "-q", "-c", "1", "-W", "2", "10.8.0.2"], stdout=subprocess.DEVNULL) == 0


run("sh", "-c", """
set -e
[ -d /sys/module/wireguard ] || modprobe wireguard
mountpoint -q %s || mount -t tracefs tracefs %s
for n in near far idle; do ip netns add $n; ip -n $n link set lo up; done
ip link add cable netns near type veth peer name cable netns far
ip -n near address add 10.9.0.1/24 dev cable; ip -n near link set cable up
ip -n far address add 10.9.0.2/24 dev cable; ip -n far link set cable up
""" % (TRACING, TRACING))
t = Checks()
near, far, idle = Host("near"), Host("far"), Host("idle")
t.equal(set(Tunnel([near, far]).build()), {0}, "a tunnel is set up")
stranger = peer(Key().public, attribute(P_ENDPOINT, sockaddr4("10.9.0.2", 9)), nest(P_IPS, allowed(bytes([10, 8, 0, 3]), 32)))
t.equal(near.wireguard("set", name(NAME), peers(stranger))[0], 0, "with another peer")
t.equal([idle.links.add("wgi"), idle.wireguard("set", name("wgi"), attribute(D_PRIVATE, Key().private), u16(D_PORT, 51820), peers(stranger))[0],
         idle.links.up("wgi")], [0, 0, 0], "and a link in another namespace")
t.ok(until(60, ping), "the tunnel works")
with in_netns("near"):
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

nothing_in_rcus_way()
with open(UNBOUND, encoding="ascii") as file:
    everywhere = file.read()
os.sched_setaffinity(0, {HERE})
# Nothing is opened from now on: reading a disk takes work items, too.
deletion = multiprocessing.Process(target=lambda: os._exit(idle.links.delete("wgi")))
write(UNBOUND, "%x" % (1 << THERE))
trace("1")
try:
    with held({THERE}, packets):
        before = waiting()
        deletion.start()
        deletion.join(PATIENCE)
        status, after = deletion.exitcode, waiting()
finally:
    write(UNBOUND, everywhere)
    trace("0")
deletion.join()
t.equal(before, QUEUES, "work of the tunnel waits for a processor, in each queue")
t.equal(status, 0, "the other link is deleted meanwhile")
t.equal(after, QUEUES, "and that work has waited all the time")
t.ok(until(60, ping), "with the processor given back the tunnel works")

for namespace in "near", "far", "idle":
    run("ip", "netns", "delete", namespace)
t.quiet_kernel()
t.finish()
