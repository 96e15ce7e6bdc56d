#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""packets.py REPEATS MODULE... -- NAME...: what packets cost, in guest instructions, for a machine in which each is a nanosecond.

MODULE is ours, c or none (no tunnel), listened (ours with a wg-monitor at either end that waits for events), or a program that
makes links in user space: wireguard-go, or a path to boringtun-cli. NAME is one of MEASURES; those of USERSPACE are measured of programs.
Leaves /out/packets.json: a row for each figure.
"""

import json
import os
import re
import select
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import userspace  # noqa: E402
from guest import Failed, Hosts, idle_ticks, iperf3_server, load, main, results, say, settle_in, switches, unload  # noqa: E402

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def iperf3(hosts, *arguments, to=None):
    """The client's report, which is host a, with the server at another (b) and its address, for how long the processor was idle and how often it changed to another task.

    Both are upper bounds: they cover the program's start and end, too."""
    name, address = to or ("b", hosts.address)
    server = iperf3_server(hosts, name, "--one-off")
    before, switched = idle_ticks(), switches()
    # By time and not by amount: with -n, iperf3 3.18 spins until its next whole second, and over UDP for ever.
    report = json.loads(hosts.on("a", "iperf3", "--client", address, "--json", "--time", "1", *arguments, timeout=120))
    idle, switched = (idle_ticks() - before) / 100, switches() - switched
    server.terminate()
    server.wait()
    if "error" in report:
        raise Failed(f"iperf3: {report['error']}")
    return report["end"], {"idle": idle, "switches": switched}


def tcp(hosts, *arguments, to=None):
    end, effort = iperf3(hosts, *arguments, to=to)
    received = end["sum_received"]
    # iperf3's own interval begins when data flows.
    return {"cost": received["seconds"] * 1e9 / received["bytes"], **effort,
            "volume": received["bytes"], "retransmits": end["sum_sent"].get("retransmits")}


def drops(hosts):
    """Counters of the places where a packet can be lost."""
    counts = {}
    for name in "ab":
        fields, values = [line.split() for line in hosts.on(name, "cat", "/proc/net/snmp").splitlines() if line.startswith("Udp:")]
        counts[f"{name} receive buffer"] = int(dict(zip(fields, values))["RcvbufErrors"])
        for interface in ("cable", hosts.links[name]):
            for counter in ("tx_dropped", "rx_dropped"):
                try:
                    counts[f"{name} {interface} {counter}"] = int(hosts.on(
                        name, "cat", f"/sys/class/net/{interface}/statistics/{counter}"))
                except Failed:
                    pass  # no tunnel, no link
    return counts


def udp(size, *arguments):
    def measure(hosts):
        before = drops(hosts)
        end, effort = iperf3(hosts, "--udp", "--bitrate", "0", "--length", str(size), *arguments)
        stream = end["sum"]
        sent, lost = stream["packets"], stream["lost_packets"]
        delivered = end["sum_received"]["packets"] - end["sum_received"]["lost_packets"]
        if delivered <= 0:
            raise Failed(f"no UDP packet arrived: {end}")
        where = {place: count - before[place] for place, count in drops(hosts).items() if count > before[place]}
        return {"cost": stream["seconds"] * 1e9 / delivered, **effort, "volume": delivered, "lost": lost / max(sent, 1),
                "lost_where": where}
    return measure


def pings(hosts, count):
    """Nanoseconds of the least of so many round trips, and the mean."""
    said = hosts.on("a", "ping", "-i", "0.01", "-c", str(count), "-q", hosts.address)
    found = re.search(r"(\d+) received.*= ([\d.]+)/([\d.]+)/", said, re.S)
    if not found or int(found[1]) != count:
        raise Failed(f"ping lost packets: {said}")
    return [round(float(milliseconds) * 1e6) for milliseconds in found.groups()[1:]]


def ping(hosts):
    least, mean = pings(hosts, 200)
    return {"cost": least, "mean": mean}


def handshake(hosts):
    """What a ping takes longer that finds no session than one that finds it."""
    costs = []
    for _ in range(HANDSHAKES):
        # No responder answers initiations of one peer that come at a faster rate than one in 20 ms.
        time.sleep(0.05)
        hosts.without_session("a")
        without, _ = pings(hosts, 1)
        costs.append(without - pings(hosts, 1)[0])
    return {"cost": statistics.median(costs), "all": costs}


def as_with_a_card(measure):
    """On a path as network cards make it: nothing is segmented for the sender, and the receiver's merges what comes in."""
    def switch(hosts, *words):
        for name in "ab":
            hosts.on(name, "ethtool", "-K", "cable", *words)

    def measured(hosts):
        switch(hosts, "tso", "off", "tx-udp-segmentation", "off", "gro", "on")
        try:
            return measure(hosts)
        finally:
            switch(hosts, "tso", "on", "tx-udp-segmentation", "on", "gro", "off")
    return measured


def through_gateway(*arguments, between_travellers=False):
    """Host a with a host of the plain network behind b, or with another traveller, whose packets b decrypts and encrypts."""
    def measure(hosts):
        hosts.gateway()
        to = ("d", "192.168.0.3" if hosts.keys else "10.2.0.2") if between_travellers else ("c", "10.1.0.2")
        # The handshakes.
        hosts.on("a", "ping", "-c", "2", "-i", "0.1", to[1])
        return tcp(hosts, *arguments, to=to)
    return measure


def listen(hosts):
    """Programs that have told of an event: they listen, and are in memory."""
    listeners = []
    for name in "ab":
        listener = subprocess.Popen(["ip", "netns", "exec", name, f"{PROJECT}/scripts/monitor/wg-monitor", "watch", "--json"], stdout=subprocess.PIPE)
        listeners.append(listener)
        (peer,) = hosts.on(name, "wg", "show", "wg0", "peers").split()
        for seconds in range(3600, 3660):
            hosts.on(name, "wg", "set", "wg0", "peer", peer, "persistent-keepalive", str(seconds))
            if select.select([listener.stdout], [], [], 1)[0]:
                break
        if b"peer-set" not in listener.stdout.readline():
            raise Failed("wg-monitor watch tells of nothing")
    return listeners


RESTED = 0.1  # seconds of a run, which takes one
HANDSHAKES = 20
MEASURES = {"tcp": tcp, "reverse": lambda hosts: tcp(hosts, "--reverse"), "tcp6": lambda hosts: tcp(hosts, to=("b", hosts.address6)),
            "tcp8": lambda hosts: tcp(hosts, "--parallel", "8"), "card-tcp": as_with_a_card(tcp),
            "gateway-up": through_gateway(), "gateway-down": through_gateway("--reverse"),
            "gateway-down8": through_gateway("--reverse", "--parallel", "8"), "travellers": through_gateway(between_travellers=True),
            "udp64": udp(64), "udp64x64": udp(64, "--parallel", "64"), "card-udp64": as_with_a_card(udp(64)),
            "udp1372": udp(1372), "ping": ping, "handshake": handshake}
USERSPACE = ("tcp", "reverse", "tcp6", "tcp8", "udp64", "ping")


def undisturbed(measure, hosts, most):
    """A run in which the processor had no rest, or the least of it.

    A read from the machine below makes the clock leap (the likely cause, not a proven one); such a run is done again, up to `most` runs. A module
    that makes the processor wait does so each time, and then it stays in the figures, with the idle time."""
    runs = []
    while not runs or (runs[-1].get("idle", 0) > RESTED and len(runs) < most):
        runs.append(measure(hosts))
    return {**min(runs, key=lambda row: row.get("idle", 0)), "runs": len(runs)}


def measure_all(arguments):
    repeats, *rest = arguments
    cut = rest.index("--")
    modules, names = rest[:cut], rest[cut + 1:]
    for path in [module for module in modules if "/" in module]:
        userspace.prepare(path)
    modules = [os.path.basename(module) for module in modules]
    programs = [module for module in modules if module in userspace.PROGRAMS]
    if programs:
        userspace.prepare()
    settle_in("ip", "iperf3", "ping", "cat", "ss", "ethtool", "sysctl", "wg", *programs)
    rows = []
    for repeat in range(int(repeats)):
        # There and back, so that a drift would show as spread and not as a difference.
        for module in modules if repeat % 2 == 0 else modules[::-1]:
            some = [name for name in names if (module not in programs or name in USERSPACE) and (module, name) != ("none", "handshake")]
            if some:
                measure(module, repeat, some, rows)


def measure(module, repeat, names, rows):
    in_kernel = module != "none" and module not in userspace.PROGRAMS
    if in_kernel:
        load("ours" if module == "listened" else module)
    hosts = Hosts(module != "none", module if module in userspace.PROGRAMS else None)
    listeners = listen(hosts) if module == "listened" else []
    # The handshake, and the programs into the page cache.
    hosts.on("a", "ping", "-c", "3", "-i", "0.1", hosts.address)
    if not set(names) <= {"ping", "handshake"}:
        iperf3(hosts)
    for name in names:
        # Programs in user space do rest: that is told and no reason to do it again.
        row = {"module": module, "repeat": repeat, "name": name, **undisturbed(MEASURES[name], hosts, 4 if in_kernel or module == "none" else 1)}
        rows.append(row)
        results("/out/packets.json", rows)
        extra = "".join(f", {key} {row[key]:.6g}" for key in ("idle", "lost", "switches", "volume") if key in row)
        if row["runs"] > 1:
            extra += f", the best of {row['runs']}"
        if row.get("lost_where"):
            extra += f", lost where: {row['lost_where']}"
        say(f"  {module} {name}: {row['cost']:,.6g}{extra}")
    for listener in listeners:
        listener.terminate()
        listener.wait()
    hosts.gone()
    if in_kernel:
        unload()


main(measure_all)
