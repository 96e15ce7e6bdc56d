#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""deletion.py REPEATS MODULE...: how long an idle link takes to go while another namespace is busy, and others wait for the RTNL.

Bulk goes through a tunnel, and a program of a higher priority than all others computes on processor 1. Everything else is on
processor 0. Leaves /out/deletion.json: a row for each turn of a module, with the times of its deletions.
"""

import multiprocessing
import os
import statistics
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from guest import Failed, Hosts, main, run, say, seconds  # noqa: E402
from held import bulk_and_held_processor, traffic, turns  # noqa: E402
from netlink import NLM_F_ACK, Links, attribute, in_netns  # noqa: E402

LINKS = 40
KINDS = ("wireguard", "dummy")  # the second tells what the rest of the kernel takes
RTM_DELLINK, RTM_SETLINK = 17, 19


def request(links, kind, name):
    error, _, _ = links.request(kind, NLM_F_ACK, struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(3, name.encode() + b"\0"))
    if error:
        raise Failed(f"{os.strerror(error)}: request {kind} for {name}")


def ask(deleting, end, waited):
    """Sets nothing of lo, for which the RTNL must be had, over and over: the longest times, by what is being deleted then."""
    links, longest = Links(), [0] * (len(KINDS) + 1)
    while not end.is_set():
        before = deleting.value
        took = seconds(lambda: request(links, RTM_SETLINK, "lo"))
        meanwhile = before or deleting.value
        longest[meanwhile] = max(took, longest[meanwhile])
        time.sleep(0.001)
    waited.put(longest)


def turn():
    hosts = Hosts(True)
    run("ip", "netns", "add", "idle")
    for kind in KINDS:
        for number in range(LINKS):
            run("ip", "-n", "idle", "link", "add", f"{kind}{number}", "up", "type", kind)
    with in_netns("idle"):
        links = Links()
    hosts.on("a", "ping", "-c", "1", "-W", "10", hosts.address)
    deleting, end, waited = multiprocessing.Value("b", 0), multiprocessing.Event(), multiprocessing.Queue()
    took = {kind: [] for kind in KINDS}
    with bulk_and_held_processor(hosts):
        # Neither who deletes nor who asks waits for the bulk's programs.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        asker = multiprocessing.Process(target=ask, args=(deleting, end, waited))
        asker.start()
        try:
            time.sleep(2)
            before, start = traffic(hosts), time.monotonic()
            for number in range(LINKS):
                for index, kind in enumerate(KINDS, 1):
                    deleting.value = index
                    took[kind].append(seconds(lambda name=f"{kind}{number}": request(links, RTM_DELLINK, name)))
                    deleting.value = 0
                    time.sleep(0.2)
            speed = (traffic(hosts) - before) * 8 / (time.monotonic() - start)
            end.set()
            longest = waited.get(timeout=60)
        finally:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
            asker.kill()
            asker.join()
    run("ip", "netns", "delete", "idle")
    hosts.gone()
    return {"bulk": speed, "waited_otherwise": longest[0],
            **{kind: {"took": took[kind], "waited": longest[index]} for index, kind in enumerate(KINDS, 1)}}


def measure_all(arguments):
    run("modprobe", "dummy", "numdummies=0")
    for row in turns("/out/deletion.json", turn, *arguments):
        say(f"  {row['module']}, beside {row['bulk'] / 1e6:.1f} Mbit/s, {LINKS} of each: " + "; ".join(
            f"{kind} deleted in {statistics.median(row[kind]['took']) * 1e3:.0f} ms, at most {max(row[kind]['took']) * 1e3:.0f}, "
            f"longest wait for the RTNL {row[kind]['waited'] * 1e3:.0f}" for kind in KINDS) + f" (otherwise {row['waited_otherwise'] * 1e3:.0f})")


main(measure_all)
