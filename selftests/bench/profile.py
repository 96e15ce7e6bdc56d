#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""profile.py MODULE NAME...: where the instructions go (NAME is tcp, udp64, udp1372 or ping), for a machine in which each is a nanosecond.

Leaves /out/profile-MODULE-NAME.txt (each function's own share, and its share with all that it calls) and prints its top.
"""

import os
import re
import subprocess
import sys
from collections import Counter

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from guest import Hosts, load, main, run, say, settle_in, unload  # noqa: E402

ARGUMENTS = {"tcp": [], "udp64": ["--udp", "--bitrate", "0", "--length", "64"],
             "udp1372": ["--udp", "--bitrate", "0", "--length", "1372"]}
PING = ["ping", "-f", "-q", "-c", "20000"]
# In instructions. What is measured repeats itself exactly, so with one period the same places might be hit again and again.
PERIODS = (211_007, 307_009, 401_017)
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


def recorded(period, client, data):
    """Records a run. Returns each function's own share, and its share with all that it calls."""
    run("perf", "record", "--event", "cpu-clock", "--count", str(period), "--all-cpus", "--call-graph", "fp", "--output", data,
        "--", *client)
    own, idle = report(data, "--no-children", columns=1)
    total, _ = report(data, "--children", columns=2)
    scale = 100 / (100 - idle)
    return Counter({symbol: share * scale for symbol, share in own}), Counter({row[0]: row[1] * scale for row in total}), idle


def profile(module, name):
    load(module)
    hosts = Hosts(True)
    hosts.on("a", "ping", "-c", "3", "-i", "0.1", hosts.address)
    server = subprocess.Popen(["ip", "netns", "exec", "b", "iperf3", "--server"], stdout=subprocess.DEVNULL)
    command = PING if name == "ping" else ["iperf3", "--time", "1", *ARGUMENTS[name], "--client"]
    client = ["ip", "netns", "exec", "a", *command, hosts.address]
    run("perf", "--version")
    own, total, idle = Counter(), Counter(), []
    for period in PERIODS:
        say(f"  recording {name} of {module}, a sample every {period:,}")
        # Reports need the module's symbols, so before it goes.
        found = recorded(period, client, f"/tmp/{module}-{name}.data")
        own.update(found[0])
        total.update(found[1])
        idle.append(found[2])
    server.terminate()
    server.wait()
    hosts.gone()
    unload()
    count = len(PERIODS)
    lines = [f"{module} {name}: share of the instructions, means of {count} runs (idle, left out: {max(idle):.1f}% at most)",
             "", "own share"]
    lines += [f"{share / count:7.2f}%  {symbol}" for symbol, share in own.most_common() if share / count >= 0.3]
    lines += ["", "with what it calls"]
    lines += [f"{share / count:7.2f}%  {symbol}" for symbol, share in total.most_common() if share / count >= 1]
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
