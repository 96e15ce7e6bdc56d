#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""profile.py MODULE NAME...: where the instructions go (NAME is tcp or udp64), for a machine in which each is a nanosecond.

Leaves /out/profile-MODULE-NAME.txt (each function's own share, and its share with all that it calls) and prints its top.
"""

import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from guest import Hosts, load, main, run, say, settle_in, unload  # noqa: E402

ARGUMENTS = {"tcp": [], "udp64": ["--udp", "--bitrate", "0", "--length", "64"],
             "udp1372": ["--udp", "--bitrate", "0", "--length", "1372"]}
PERIOD = 100_000
# The program's start is among the samples; what the idle processor does is none of the cost.
IDLE = {"pv_native_safe_halt", "default_idle", "default_idle_call", "do_idle", "cpu_startup_entry", "rest_init", "start_kernel",
        "x86_64_start_reservations", "x86_64_start_kernel", "common_startup_64"}


def demangled(text):
    """Without the numbers that tell versions of a crate apart."""
    return re.sub(r"\[[0-9a-f]{16}\]", "", run("c++filt", stdin=text))


def parse(text, columns):
    rows = []
    for line in text.splitlines():
        words = line.split(None, columns + 1)
        if line.startswith("#") or len(words) < columns + 2 or not words[0].endswith("%"):
            continue
        name = words[columns + 1].rsplit("  -", 2)[0].strip().removesuffix("-").strip()
        rows.append((name, *(float(word.rstrip("%")) for word in words[:columns])))
    return rows


def report(data, *options, columns):
    text = run("perf", "report", "--input", data, "--stdio", "--call-graph", "none", "--sort", "symbol",
               "--no-inline", *options)  # inlined functions take it minutes to find
    rows = parse(demangled(text), columns)
    return [row for row in rows if row[0] not in IDLE], sum(row[columns] for row in rows if row[0] == "pv_native_safe_halt")


def profile(module, name):
    data = f"/tmp/{module}-{name}.data"
    load(module)
    hosts = Hosts(True)
    hosts.on("a", "ping", "-c", "3", "-i", "0.1", hosts.address)
    server = subprocess.Popen(["ip", "netns", "exec", "b", "iperf3", "--server"], stdout=subprocess.DEVNULL)
    client = ["ip", "netns", "exec", "a", "iperf3", "--client", hosts.address, "--time", "1", *ARGUMENTS[name]]
    run("perf", "--version")
    say(f"  recording {name} of {module}")
    run("perf", "record", "--event", "cpu-clock", "--count", str(PERIOD), "--all-cpus", "--call-graph", "fp", "--output", data,
        "--", *client)
    server.terminate()
    server.wait()
    # Reports need the module's symbols, so before it goes.
    own, idle = report(data, "--no-children", columns=1)
    total, _ = report(data, "--children", columns=2)
    hosts.gone()
    unload()
    scale = 100 / (100 - idle)
    lines = [f"{module} {name}: share of the instructions, a sample every {PERIOD:,} (idle, left out: {idle:.1f}%)",
             "", "own share"]
    lines += [f"{share * scale:7.2f}%  {symbol}" for symbol, share in own if share * scale >= 0.3]
    lines += ["", "with what it calls"]
    lines += [f"{share * scale:7.2f}%  {symbol}" for symbol, share, _ in total if share * scale >= 2]
    text = "\n".join(lines) + "\n"
    with open(f"/out/profile-{module}-{name}.txt", "w") as file:
        file.write(text)
    print(text, flush=True)


def all_of_them(arguments):
    module, *names = arguments
    settle_in("ip", "iperf3", "ping", "perf")
    for name in names:
        profile(module, name)


main(all_of_them)
