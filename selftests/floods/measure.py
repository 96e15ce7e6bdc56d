#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""measure.py SECONDS COUNT RATE MODULE...: what floods do to each module, in a virtual machine.

Leaves /out/floods.json: a row for each module and flood, with `unit`, what its cost is in (instructions or ns). tables.py prints it.

A host a talks to a host b through a tunnel. On a's cable somebody else sends to b whatever flood.py makes. For each flood:
what one message costs b, what the tunnel still carries meanwhile, and how much memory the kernel uses before, during and
after. In a machine with one processor that counts instructions, they come at a fixed RATE, whatever else there is to do; with
two processors the flooder has one for itself and sends what it can, and the other is for b and the tunnel."""

import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from guest import Failed, Hosts, iperf3_server, load, main, results, run, say, settle_in, unload  # noqa: E402
from tables import FLOODS  # noqa: E402

# How many datagrams one message of it stands for, if several.
DATAGRAMS = {"train": 64}
ALONE = os.cpu_count() > 1


def pinned(processor):
    return ["taskset", "-c", str(processor)] if ALONE else []


class Flood:
    def __init__(self, hosts, kind, mac, key):
        self.process = subprocess.Popen(["ip", "netns", "exec", "a", *pinned(0), "python3", os.path.join(HERE, "flood.py"), kind, "cable", mac, key],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().strip()
        if line == "recording":
            hosts.on("a", "ping", "-c", "20", "-i", "0.02", "-q", hosts.address)
            line = self.process.stdout.readline().strip()
        if line != "ready":
            raise Failed(f"flood.py did not get ready: {line}")

    def say(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def answer(self):
        sent, nanoseconds = self.process.stdout.readline().split()
        return int(sent), int(nanoseconds)

    def gone(self):
        self.say("end")
        self.process.wait()


def idle():
    """Nanoseconds in which processors had nothing to do."""
    with open("/proc/stat") as file:
        words = file.readline().split()
    return (int(words[4]) + int(words[5])) * 10**7


def used():
    """What the kernel itself uses of the memory, in KiB: all but what is free, of programs or cached."""
    with open("/proc/meminfo") as file:
        info = {line.split(":")[0]: int(line.split()[1]) for line in file}
    with open("/proc/zoneinfo") as file:
        hoarded = 4 * sum(int(line.split()[1]) for line in file if line.strip().startswith("count:"))
    return info["MemTotal"] - hoarded - sum(info[name] for name in ("MemFree", "Buffers", "Cached", "AnonPages", "SReclaimable"))


def answered(hosts):
    """How many packets for addresses of nobody have come to host a: answers to forged senders."""
    names, values = [line.split() for line in hosts.on("a", "cat", "/proc/net/snmp").splitlines() if line.startswith("Ip:")]
    return int(values[names.index("InAddrErrors")])


def cost(flood, count):
    """Nanoseconds of work for one message, sending included; an idle machine is waited for at the end."""
    rested, begin = idle(), time.monotonic_ns()
    flood.say(f"send {count}")
    sent, _ = flood.answer()
    # What was queued (4,096 handshake messages at most) is dealt with in this time.
    time.sleep(2)
    return (time.monotonic_ns() - begin - (idle() - rested)) / sent


def carried(hosts, seconds):
    """Bytes per second through the tunnel, and the kernel's memory in the middle of it."""
    server = iperf3_server(hosts, "b", "--one-off", before=pinned(1))
    client = subprocess.Popen(["ip", "netns", "exec", "a", *pinned(1), "iperf3", "--client", hosts.address, "--json", "--time", str(seconds)],
                              stdout=subprocess.PIPE, text=True)
    time.sleep(seconds / 2 + 0.2)
    memory = used()
    report = json.loads(client.communicate(timeout=300)[0])
    server.terminate()
    server.wait()
    if "error" in report:
        raise Failed(f"iperf3: {report['error']}")
    return report["end"]["sum_received"]["bits_per_second"] / 8, memory


def measure(module, seconds, count, rate, rows):
    load(module)
    hosts = Hosts(True)
    # Answers to forged senders have somewhere to go: to host a, which has no use for them.
    run("ip", "-n", "b", "route", "add", "default", "via", "10.0.0.1")
    mac = json.loads(run("ip", "-n", "b", "-json", "link", "show", "cable"))[0]["address"]
    key = hosts.on("b", "wg", "show", "wg0", "public-key").strip()
    if ALONE:
        hosts.on("b", "sh", "-c", "echo 2 >/sys/class/net/cable/queues/rx-0/rps_cpus")
    hosts.on("a", "ping", "-c", "3", "-i", "0.1", hosts.address)
    carried(hosts, 1)
    sending = None
    for kind, words in FLOODS.items():
        row = {"module": module, "kind": kind, "unit": "ns" if ALONE else "instructions", "before": used()}
        if kind == "none":
            # The same messages to nobody's address: what sending them costs.
            flood = Flood(hosts, "unknown", "02:00:00:00:00:99", key)
            cost(flood, count // 4)
            sending = cost(flood, count)
            flood.gone()
            row["sending"] = sending
            row["bytes"], row["during"] = carried(hosts, seconds)
        else:
            flood = Flood(hosts, kind, mac, key)
            datagrams = DATAGRAMS.get(kind, 1)
            row["cost"] = cost(flood, count // datagrams) - sending
            row["before"] = used()
            before = answered(hosts)
            flood.say(f"flood {rate // datagrams}")
            time.sleep(0.3)
            row["bytes"], row["during"] = carried(hosts, seconds)
            flood.say("")
            sent, nanoseconds = flood.answer()
            row["rate"] = sent * datagrams * 1e9 / nanoseconds
            row["answered"] = (answered(hosts) - before) / sent
            flood.gone()
        time.sleep(2)
        row["after"] = used()
        hosts.on("a", "ping", "-c", "2", "-W", "10", hosts.address)
        rows.append(row)
        results("/out/floods.json", rows)
        say(f"  {module}, {words}: " + ", ".join(f"{name} {value:,.{2 if value <= 1 else 0}f}" for name, value in row.items() if not isinstance(value, str)))
    hosts.gone()
    unload()


def measure_all(arguments):
    seconds, count, rate, *modules = arguments
    settle_in("ip", "iperf3", "ping", "ss", "taskset", "python3", "sysctl")
    rows = []
    for module in modules:
        measure(module, int(seconds), int(count), 0 if ALONE else int(rate), rows)


main(measure_all)
