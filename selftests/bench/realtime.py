#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""realtime.py ROUNDS MODULE...: how much TCP goes through a tunnel in real time, and how idle each processor is meanwhile.

MODULE is c, ours or older (which is /out/older.ko). The modules take turns, so that other work of the machine hits all of them. Leaves
/out/realtime-N.json, N being the machine's processors: a row for each round, module and load.
"""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from guest import Failed, Hosts, iperf3_server, load, main, results, say, settle_in, unload  # noqa: E402

SECONDS = 6
# Not measured at the beginning.
WARM_UP = 1
LOADS = {"tcp": [], "tcp4": ["--parallel", "4"], "reverse": ["--reverse"]}


def times():
    """Of each processor, hundredths of a second in all, and idle."""
    with open("/proc/stat") as file:
        lines = [line.split() for line in file if line.startswith("cpu") and line[3].isdigit()]
    return [(sum(map(int, words[1:9])), int(words[4]) + int(words[5])) for words in lines]


def measure(hosts, words):
    server = iperf3_server(hosts, "b", "--one-off")
    client = subprocess.Popen(["ip", "netns", "exec", "a", "iperf3", "--client", hosts.address, "--json", "--omit", str(WARM_UP), "--time",
                               str(SECONDS), *words], stdout=subprocess.PIPE, text=True)
    time.sleep(WARM_UP + 0.5)
    before = times()
    time.sleep(SECONDS - 1)
    after = times()
    said = client.communicate(timeout=120)[0]
    server.wait()
    try:
        end = json.loads(said)["end"]
        rate, again = end["sum_received"]["bits_per_second"] / 1e6, end["sum_sent"]["retransmits"]
    except (ValueError, KeyError):
        raise Failed(f"iperf3 said no rate: {said}") from None
    idle = [(then[1] - now[1]) / max(1, then[0] - now[0]) for now, then in zip(before, after)]
    return {"rate": rate, "retransmits": again, "idle": idle}


def measure_all(words):
    rounds, modules = int(words[0]), words[1:]
    settle_in("ip", "iperf3", "ss", "wg")
    rows = []
    for number in range(rounds):
        for module in modules:
            load(module)
            hosts = Hosts(True)
            hosts.on("a", "ping", "-c", "3", "-i", "0.1", hosts.address)
            for name, options in LOADS.items():
                row = {"round": number, "module": module, "load": name, "processors": os.cpu_count(), **measure(hosts, options)}
                rows.append(row)
                results(f"/out/realtime-{os.cpu_count()}.json", rows)
                idle = ", ".join(f"{share:.0%}" for share in row["idle"])
                say(f"  {module} {name}: {row['rate']:.1f} Mbit/s, idle {idle}, {row['retransmits']} retransmits")
            hosts.gone()
            unload()


main(measure_all)
