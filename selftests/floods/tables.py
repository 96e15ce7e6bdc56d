#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""tables.py FILE: the rows of measure.py (floods.json) as tables."""

import json
import sys

FLOODS = {
    "none": "no flood",
    "mac1": "initiations, mac1 right, forged senders",
    "bad": "initiations, mac1 wrong",
    "train": "one such initiation and 63 of junk (GSO)",
    "cookie": "cookie replies to nothing",
    "unknown": "data for unknown indices",
    "forged": "data for the session, not authentic",
    "replayed": "data of the session, played back",
}
NAMES = {"c": "C", "ours": "ours"}


def left(rows):
    """By module and flood: what the tunnel carries meanwhile, of what it carries without a flood."""
    alone = {row["module"]: row["bytes"] for row in rows if row["kind"] == "none"}
    return {(row["module"], row["kind"]): row["bytes"] / alone[row["module"]] for row in rows if row["kind"] != "none"}


def table(rows):
    by = {(row["module"], row["kind"]): row for row in rows}
    modules = [module for module in NAMES if any(row["module"] == module for row in rows)]
    # A run that broke off has no row of some.
    floods = [kind for kind in FLOODS if kind != "none" and all((module, kind) in by for module in modules)]
    print(f"\n{'':42}" + "".join(f"{NAMES[module]:>13}" for module in modules) + (f"{'ours/C':>13}" if len(modules) == 2 else ""))

    def line(words, value, form):
        values = [value(module) for module in modules]
        ratio = f"{values[1] / values[0]:>13.3f}" if len(values) == 2 and values[0] > 0 else ""
        print(f"{words:42}" + "".join(f"{form(v):>13}" for v in values) + ratio)

    print(f"What one message costs its receiver, {rows[0]['unit']}")
    for kind in floods:
        line(f"  {FLOODS[kind]}", lambda module, kind=kind: by[module, kind]["cost"], "{:,.0f}".format)
    print("What the tunnel carries meanwhile, of what it carries without a flood")
    share = left(rows)
    for kind in floods:
        line(f"  {FLOODS[kind]}", lambda module, kind=kind: share[module, kind], "{:.1%}".format)
    print("  in megabytes per second without a flood, and in the worst one")
    line("  no flood", lambda module: by[module, "none"]["bytes"] / 1e6, "{:.1f}".format)
    line("  the worst", lambda module: min(row["bytes"] for row in rows if row["module"] == module) / 1e6, "{:.1f}".format)
    print("Messages that get an answer meanwhile")
    for kind in floods:
        if any(by[module, kind]["answered"] for module in modules):
            line(f"  {FLOODS[kind]}", lambda module, kind=kind: by[module, kind]["answered"], "{:.1%}".format)
    print("Datagrams sent in a second meanwhile")
    for kind in floods:
        line(f"  {FLOODS[kind]}", lambda module, kind=kind: by[module, kind]["rate"], "{:,.0f}".format)
    print("The kernel's memory, in KiB more than before: during a flood, 2 s after it")
    for kind in ["none", *floods]:
        cells = "".join(f"{by[m, kind]['during'] - by[m, kind]['before']:>+13,d}{by[m, kind]['after'] - by[m, kind]['before']:>+10,d}" for m in modules)
        print(f"  {FLOODS[kind]:40}{cells}")


if __name__ == "__main__":
    with open(sys.argv[1]) as opened:
        table(json.load(opened))
