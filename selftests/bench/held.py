# SPDX-License-Identifier: GPL-2.0
"""A machine one of whose two processors is held by a program of a higher priority, for the benchmarks of what waits for it."""

import contextlib
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from busy import nothing_in_rcus_way  # noqa: E402
from guest import iperf3_server, load, results, run, unload  # noqa: E402


@contextlib.contextmanager
def bulk_and_held_processor(hosts):
    """Bulk goes from host a to host b, and a program computes on processor 1. Everything else is on processor 0."""
    server = iperf3_server(hosts, "b")
    bulk = subprocess.Popen(["ip", "netns", "exec", "a", "iperf3", "--client", hosts.address, "--time", "600"], stdout=subprocess.DEVNULL)
    holder = subprocess.Popen(["taskset", "-c", "1", "chrt", "-f", "50", "sh", "-c", "while :; do :; done"])
    try:
        yield
    finally:
        for process in (holder, bulk, server):
            process.kill()
            process.wait()


def traffic(hosts):
    """Bytes that have come out of the tunnel at host b."""
    return int(hosts.on("b", "cat", "/sys/class/net/wg0/statistics/rx_bytes"))


def turns(path, turn, repeats, *modules):
    """What a turn of each module in turn gave, so many times; the file has all rows so far. This program stays on processor 0."""
    nothing_in_rcus_way()
    os.sched_setaffinity(0, {0})
    rows = []
    for repeat in range(int(repeats)):
        for module in modules:
            load(module)
            rows.append({"repeat": repeat, "module": module, **turn()})
            unload()
            results(path, rows)
            yield rows[-1]
