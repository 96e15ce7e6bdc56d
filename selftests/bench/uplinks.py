#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""uplinks.py MODULE...: how long pings take through a tunnel beside bulk, when the way below it is slow.

MODULE is ours or c. Leaves /out/uplinks.json: a row for each module, uplink, queueing discipline and load.
"""

import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from guest import Failed, Hosts, iperf3_server, load, main, results, run, say, settle_in, unload  # noqa: E402

PINGS = 250
UPLINKS = [("1mbit", "tcp"), ("60mbit", "tcp"), ("60mbit", "forwarded")]
QUEUES = ["fq_codel", "cake"]


def shape(rate, queue):
    """A class of htb has no bypass: what waits for the link waits in its queue."""
    subprocess.run(["tc", "-n", "a", "qdisc", "delete", "dev", "cable", "root"], capture_output=True, check=False)
    run("tc", "-n", "a", "qdisc", "add", "dev", "cable", "root", "handle", "1:", "htb", "default", "1")
    run("tc", "-n", "a", "class", "add", "dev", "cable", "parent", "1:", "classid", "1:1", "htb", "rate", rate, "burst", "3k",
        "cburst", "3k")
    run("tc", "-n", "a", "qdisc", "add", "dev", "cable", "parent", "1:1", queue)


def third_host():
    """A host c behind a, whose packets a forwards into the tunnel."""
    run("ip", "netns", "add", "c")
    run("ip", "-n", "c", "link", "add", "lan", "type", "veth", "peer", "name", "lan", "netns", "a")
    for name, number in (("c", 2), ("a", 1)):
        run("ip", "-n", name, "address", "add", f"10.3.0.{number}/24", "dev", "lan")
        run("ip", "-n", name, "link", "set", "lan", "up")
    run("ip", "-n", "c", "route", "add", "default", "via", "10.3.0.1")
    run("ip", "netns", "exec", "a", "sysctl", "-qw", "net.ipv4.ip_forward=1")
    peer = run("ip", "netns", "exec", "b", "wg", "show", "wg0", "peers").strip()
    run("ip", "netns", "exec", "b", "wg", "set", "wg0", "peer", peer, "allowed-ips", "192.168.0.1/32,10.3.0.0/24")
    run("ip", "-n", "b", "route", "add", "10.3.0.0/24", "dev", "wg0")


def beside(hosts, kind):
    """Pings beside bulk of a kind: how many were answered, and in how many milliseconds."""
    source = "c" if kind == "forwarded" else "a"
    server = iperf3_server(hosts, "b", "--one-off")
    words = ["--udp", "--bitrate", "200M", "--length", "1300"] if kind == "forwarded" else []
    bulk = subprocess.Popen(["ip", "netns", "exec", source, "iperf3", "--client", hosts.address, "--time", "9", *words],
                            stdout=subprocess.PIPE, text=True)
    time.sleep(2)
    said = subprocess.run(["ip", "netns", "exec", source, "ping", "-i", "0.02", "-c", str(PINGS), hosts.address],
                          capture_output=True, text=True, check=False).stdout
    output = bulk.communicate(timeout=120)[0]
    server.terminate()
    server.wait()
    times = sorted(float(found) for found in re.findall(r"time=([\d.]+)", said))
    got = re.findall(r"([\d.]+ [KMG]?)bits/sec.*receiver", output)
    if not times or not got:
        raise Failed(f"nothing came through: {said}\n{output}")
    return {"answered": len(times), "median": times[len(times) // 2], "late": times[min(len(times) - 1, len(times) * 99 // 100)],
            "worst": times[-1], "bulk": got[-1] + "bit/s"}


def measure_all(modules):
    run("modprobe", "-a", "sch_htb", "sch_fq_codel", "sch_cake")
    settle_in("ip", "iperf3", "ping", "ss", "tc", "wg", "sysctl")
    rows = []
    for module in modules:
        load(module)
        hosts = Hosts(True)
        third_host()
        hosts.on("c", "ping", "-c", "3", "-i", "0.1", hosts.address)
        for rate, kind in UPLINKS:
            for queue in QUEUES:
                shape(rate, queue)
                row = {"module": module, "rate": rate, "queue": queue, "load": kind, "pings": PINGS, **beside(hosts, kind)}
                rows.append(row)
                results("/out/uplinks.json", rows)
                say("  %(module)s %(rate)s %(queue)s beside %(load)s (%(bulk)s): %(answered)d of %(pings)d pings, median %(median).2f ms, "
                    "99th percentile %(late).2f ms" % row)
        subprocess.run(["ip", "-n", "c", "link", "delete", "lan"], check=False)
        run("ip", "netns", "delete", "c")
        hosts.gone()
        unload()


main(measure_all)
