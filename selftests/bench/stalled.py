#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""stalled.py REPEATS MODULE...: how late pings of one peer are while another peer's bulk wants a processor that a program holds.

Both peers' packets come in on processor 0, where all programs are but one: that computes on processor 1, with a higher priority
than all others. Leaves /out/stalled.json: a row for each turn of a module, with the times of its pings in milliseconds.
"""

import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from guest import Failed, Hosts, main, say, settle_in  # noqa: E402
from held import bulk_and_held_processor, traffic, turns  # noqa: E402

PINGS = 250
LATEST = 10  # seconds that an answer is waited for


def turn():
    hosts = Hosts(True)
    hosts.gateway()
    for name in "ad":
        hosts.on(name, "ping", "-c", "2", "-i", "0.2", "-W", "10", hosts.address)
    with bulk_and_held_processor(hosts):
        time.sleep(2)
        before, start = traffic(hosts), time.monotonic()
        said = subprocess.run(["ip", "netns", "exec", "d", "ping", "-i", "0.02", "-c", str(PINGS), "-W", str(LATEST), hosts.address],
                              capture_output=True, text=True, check=False).stdout
        speed = (traffic(hosts) - before) * 8 / (time.monotonic() - start)
    hosts.gone()
    times = sorted(float(found) for found in re.findall(r"time=([\d.]+)", said))
    if not times:
        raise Failed(f"no ping was answered: {said}")
    return {"pings": PINGS, "times": times, "bulk": speed}


def measure_all(arguments):
    settle_in("ip", "iperf3", "ping", "ss", "wg", "cat", "sysctl", "chrt", "taskset", "sh")
    for row in turns("/out/stalled.json", turn, *arguments):
        times = row["times"]
        say(f"  {row['module']}, beside {row['bulk'] / 1e6:.1f} Mbit/s: {len(times)} of {PINGS} pings, median {times[len(times) // 2]:.2f} ms, "
            f"99th percentile {times[(len(times) - 1) * 99 // 100]:.2f}, longest {times[-1]:.2f}")


main(measure_all)
