#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""report.py FOLDER VERSION [PART...]: the figures in FOLDER as tables for people, and in FOLDER/figures.json for programs.

PARTs are those whose run failed. What they left is in the report all the same, and a part whose table cannot be made of it loses no other.
What figures.json holds: Documentation/performance.md, "Figures for programs".
"""

import glob
import json
import os
import sys
import traceback

import report_packets
import report_peers
import report_time

PROCESSORS = os.cpu_count()
PARTS = {
    "packets": ("packets.json", report_packets.packets),
    "listener": ("packets.json", report_packets.listener),
    "uplinks": ("uplinks.json", report_time.uplinks),
    "stalled": ("stalled.json", report_time.stalled),
    "floods": ("floods.json", report_time.floods),
    "peers": ("peers.json", report_peers.peers),
    "peer-get": ("peerget.json", report_peers.peer_get),
    "real-time": ("realtime-*.json", lambda rows: report_time.real_time(rows, PROCESSORS)),
    "removal": ("removal.json", report_peers.removal),
    "deletion": ("deletion.json", report_peers.deletion),
    "wakeups": ("wakeups.json", report_time.wakeups),
}


def read(folder, pattern):
    rows = []
    for path in sorted(glob.glob(os.path.join(folder, pattern))):
        with open(path) as file:
            rows += json.load(file)
    return rows


def main():
    folder, version, *failed = sys.argv[1:]
    parts, verdicts = {}, []
    for name, (pattern, report) in PARTS.items():
        try:
            rows = read(folder, pattern)
            if not rows or (pattern == "packets.json" and (name == "listener") != any(row["module"] == "listened" for row in rows)):
                continue
            parts[name] = {"rows": rows, "table": None}
            parts[name]["table"], more = report(rows)
            verdicts += more
        except Exception:  # whatever it is, the others are told
            print(f"\nNo table of {name}: {traceback.format_exc()}")
            if name not in failed:
                failed.append(name)
    if verdicts:
        print(f"\nWhat is wanted, and whether version {version} has it\n")
    for holds, words in verdicts:
        print(f"  {'met    ' if holds else 'NOT MET'}  {words}")
    for name in failed:
        print(f"  FAILED   {name}: what there is of it is incomplete")
    figures = {"version": version, "processors": PROCESSORS, "failed": failed, "verdicts": [{"met": holds, "what": words} for holds, words in verdicts],
               "parts": parts}
    with open(os.path.join(folder, "figures.json"), "w") as file:
        json.dump(figures, file, indent=1)
    if failed:
        sys.exit(1)


main()
