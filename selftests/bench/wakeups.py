#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""wakeups.py REPEATS MODULE...: how often processors are woken for small packets, when 64 peers of a link ping at once.

All peers are in one other namespace, each with a link of its own. Leaves /out/wakeups.json: a row for each turn of a module, with
the packets that went through its tunnels, the work items of the module that ran, by their functions, and the interrupts from
processor to processor.
"""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from guest import Failed, Hosts, load, main, public, results, run, say, settle_in, unload  # noqa: E402

PEERS = 64
PINGS = 100
EVENTS = "/sys/kernel/tracing/events/"
WORK = EVENTS + "workqueue/workqueue_execute_start/"
INTERRUPTS = [EVENTS + f"irq_vectors/{kind}_entry/" for kind in ("reschedule", "call_function", "call_function_single")]


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def histograms(on):
    """Begins to count, or ends."""
    for folder, key in [(WORK, "function.sym")] + [(folder, "vector") for folder in INTERRUPTS]:
        with open(folder + "trigger", "w", encoding="ascii") as file:
            file.write(f"{'' if on else '!'}hist:keys={key}")


def packets(hosts):
    """Packets that were given to WireGuard links."""
    return sum(sum(map(int, hosts.on(name, "sh", "-c", "cat /sys/class/net/wg*/statistics/tx_packets").split())) for name in "ab")


def peers(hosts):
    """Host a's link has them all; each answers from an address, and by a link, of its own."""
    hosts.link("a", 1)
    run("ip", "-n", "a", "route", "add", "192.168.1.0/24", "dev", "wg0")
    for number in range(PEERS):
        link, address, private = f"wg{number}", f"192.168.1.{number}", run("wg", "genkey").strip()
        for command in (f"link add {link} type wireguard", f"address add {address}/32 dev {link}", f"link set {link} up",
                        f"route add 192.168.0.1 dev {link} table {1000 + number}", f"rule add from {address} lookup {1000 + number}"):
            run("ip", "-n", "b", *command.split())
        run("ip", "netns", "exec", "b", "wg", "set", link, "private-key", "/dev/stdin", "listen-port", str(52000 + number),
            "peer", public(hosts.keys["a"]), "allowed-ips", "192.168.0.1/32", "endpoint", "10.0.0.1:51820", stdin=private)
        hosts.on("a", "wg", "set", "wg0", "peer", public(private), "allowed-ips", f"{address}/32", "endpoint", f"10.0.0.2:{52000 + number}")
        hosts.on("a", "ping", "-q", "-c", "1", "-W", "10", address)


def turn():
    hosts = Hosts(False)
    peers(hosts)
    before = packets(hosts)
    histograms(True)
    pings = [subprocess.Popen(["ip", "netns", "exec", "a", "ping", "-q", "-i", "0.05", "-c", str(PINGS), "-W", "10", f"192.168.1.{number}"],
                              stdout=subprocess.PIPE, text=True) for number in range(PEERS)]
    answered = sum(int(re.search(r"(\d+) received", ping.communicate()[0])[1]) for ping in pings)
    # A function of a module has the module's name behind it.
    work = {name: int(count) for name, count in re.findall(r"\] (\S+) +\[wireguard\] *\} hitcount: +(\d+)", read(WORK + "hist"))}
    interrupts = sum(int(count) for folder in INTERRUPTS for count in re.findall(r"hitcount: +(\d+)", read(folder + "hist")))
    histograms(False)
    row = {"packets": packets(hosts) - before, "answered": answered, "work": work, "interrupts": interrupts}
    for number in range(PEERS):
        run("ip", "-n", "b", "link", "delete", f"wg{number}")
    hosts.gone()
    if answered < PEERS * PINGS * 0.99:
        raise Failed(f"{answered} of {PEERS * PINGS} pings were answered")
    return row


def measure_all(arguments):
    repeats, *modules = arguments
    settle_in("ip", "ping", "wg", "cat", "sh")
    rows = []
    for repeat in range(int(repeats)):
        for module in modules:
            load(module)
            rows.append({"repeat": repeat, "module": module, **turn()})
            results("/out/wakeups.json", rows)
            unload()
            row = rows[-1]
            say(f"  {module}: {row['packets']:,} packets, {sum(row['work'].values()):,} work items, {row['interrupts']:,} interrupts between processors")


main(measure_all)
