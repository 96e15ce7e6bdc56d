#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""report.py FOLDER VERSION: the figures in FOLDER as a table for people, and in FOLDER/figures.json for programs."""

import json
import os
import sys
from statistics import median

WORDS = {"tcp": "TCP bulk, per byte, both ends", "reverse": "  the other way", "tcp6": "  IPv6 in the tunnel", "tcp8": "  8 streams",
         "card-tcp": "  as through a network card", "gateway-up": "  through a gateway, up", "gateway-down": "  through a gateway, down",
         "gateway-down8": "  through a gateway, down, 8 streams", "travellers": "  from traveller to traveller, by a gateway",
         "udp64": "UDP, 64 bytes, per delivered packet", "udp64x64": "  64 flows", "card-udp64": "  as through a network card",
         "udp1372": "UDP, 1,372 bytes, per delivered packet", "ping": "ping round trip, minimum"}
NAMES = {"c": "C", "ours": "ours", "older": "older"}
BOUND = 1.10  # of the C driver's, for these:
BOUNDED = ("tcp", "udp64", "ping")


def read(folder, name):
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return json.load(file)


def number(value):
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def spread(values):
    return (max(values) - min(values)) / (sum(values) / len(values))


def mean(values):
    return sum(values) / len(values)


def packets(rows, figures, verdicts):
    if not rows:
        return
    print("\nGuest instructions, one processor for both ends; the mean of the repetitions\n")
    print(f"{'':44}{'no tunnel':>11}{'C':>11}{'ours':>11}{'ours/C':>8}{'spread':>8}  losses, idle")
    for name, words in WORDS.items():
        of = {module: [row for row in rows if row["name"] == name and row["module"] == module] for module in ("none", "c", "ours")}
        costs = {module: [row["cost"] for row in some] for module, some in of.items() if some}
        if not costs:
            continue
        means = {module: mean(some) for module, some in costs.items()}
        cells = "".join(f"{number(means[m]) if m in means else '':>11}" for m in ("none", "c", "ours"))
        ratio = means["ours"] / means["c"] if "c" in means and "ours" in means else None
        wide = max(spread(some) for some in costs.values()) if max(map(len, costs.values())) > 1 else None
        notes = []
        for module, some in of.items():
            lost = max((row.get("lost", 0) for row in some), default=0)
            idle = max((row.get("idle", 0) for row in some), default=0)
            if lost > 0.001:
                notes.append(f"{module} lost {lost:.1%}")
            # The run lasts a second. What the start of the programs waits is within the rest.
            if idle > 0.1:
                notes.append(f"{module} idle for up to {idle:.2f} s")
        print(f"{words:44}{cells}{f'{ratio:.3f}' if ratio else '':>8}{f'{wide:.2%}' if wide is not None else '':>8}  {', '.join(notes)}")
        figures[name] = {"means": means, "ratio": ratio, "spread": wide, "rows": sum(of.values(), [])}
        if name in BOUNDED and ratio:
            verdicts.append((ratio <= BOUND, f"{words}: {ratio:.3f} of the C driver's, wanted at most {BOUND:.2f}"))


def listener(rows, figures, verdicts):
    """Of rows like those of packets: what a listener costs, and what the module costs when there is none."""
    if not any(row["module"] == "listened" for row in rows):
        return False
    print("\nGuest instructions, one processor for both ends; the mean of the repetitions, and the spread of the widest\n")
    print(f"{'':40}{'older':>11}{'ours':>11}{'ours/older':>12}{'listener':>11}{'to ours':>9}{'spread':>8}")
    for name in dict.fromkeys(row["name"] for row in rows):
        costs = {}
        for row in rows:
            if row["name"] == name:
                costs.setdefault(row["module"], []).append(row["cost"])
        means = {module: mean(some) for module, some in costs.items()}
        grown = means["ours"] / means["older"] if "older" in means else None
        listened = means["listened"] / means["ours"]
        print(f"{WORDS[name]:40}{number(means['older']) if grown else '':>11}{number(means['ours']):>11}{f'{grown:.4f}' if grown else '':>12}"
              f"{number(means['listened']):>11}{listened:>9.4f}{max(map(spread, costs.values())):>8.2%}")
        if grown:
            verdicts.append((grown <= 1.003, f"{WORDS[name]}, if nobody listens: {grown:.4f} of the older module's, wanted at most 1.003"))
        verdicts.append((listened <= 1.01, f"{WORDS[name]}, with a listener: {listened:.4f}, wanted at most 1.01"))
        figures[f"listener-{name}"] = {"costs": costs, "grown": grown, "listened": listened}
    return True


def peer_get(rows, figures):
    if not rows:
        return
    print("\nThe dump peer-get; seconds, median (least to most)\n")
    for words, kind in (("all peers", "whole"), ("ten that changed", "changed"), ("none that changed", "none")):
        took = sorted(row[kind] for row in rows)
        print(f"{words + ' of ' + format(rows[0]['peers'], ','):40}{median(took):>10.3f} ({took[0]:.3f} to {took[-1]:.3f})")
    print(f"{'bytes for a peer':40}{rows[0]['bytes'] / rows[0]['peers']:>10.0f}")
    figures["peer-get"] = rows


def uplinks(rows, figures):
    if not rows:
        return
    print("\nPings beside bulk on a slow uplink: answered, and the 99th percentile of their times in milliseconds\n")
    print(f"{'':40}{'C':>22}{'ours':>22}  bulk: C, ours")
    for one in [row for row in rows if row["module"] == "c"]:
        same = [row for row in rows if all(row[key] == one[key] for key in ("rate", "queue", "load"))]
        of = {row["module"]: row for row in same}
        cells = "".join(f"{of[m]['answered']:>4} of {of[m]['pings']}{of[m]['late']:>11.2f}" if m in of else f"{'':>22}" for m in ("c", "ours"))
        words = f"{one['rate']}, {one['queue']}, beside {one['load']}"
        print(f"{words:40}{cells}  {', '.join(of[m]['bulk'] for m in ('c', 'ours') if m in of)}")
    figures["uplinks"] = rows


def removal(rows, figures):
    if not rows:
        return
    print("\nPeers removed by name with one wg syncconf, the link being up; median (least to most)\n")
    print(f"{'':10}{'peers':>8}{'seconds':>26}{'a peer':>12}{'grace periods':>18}")
    for module in dict.fromkeys(row["module"] for row in rows):
        some = [row for row in rows if row["module"] == module]
        took = sorted(row["took"] for row in some)
        print(f"{NAMES[module]:10}{some[0]['peers']:>8,}{f'{median(took):.2f} ({took[0]:.2f} to {took[-1]:.2f})':>26}"
              f"{median(took) / some[0]['peers'] * 1e6:>9,.0f} us{median([row['waits'] for row in some]):>18,.0f}")
    figures["removal"] = rows


def deletion(rows, figures):
    if not rows:
        return
    print("\nAn idle link deleted on a busy machine, then a dummy; the longest wait of others for the RTNL in a turn; in ms, median (most)\n")
    print(f"{'':10}{'deletion':>16}{'wait for RTNL':>16}{'dummy deleted':>16}{'wait for RTNL':>16}  turns")
    for module in dict.fromkeys(row["module"] for row in rows):
        some = [row for row in rows if row["module"] == module]
        cells = ""
        for kind in ("wireguard", "dummy"):
            for values in ([one for row in some for one in row[kind]["took"]], [row[kind]["waited"] for row in some]):
                cells += f"{f'{median(values) * 1e3:,.0f} ({max(values) * 1e3:,.0f})':>16}"
        print(f"{NAMES[module]:10}{cells}{len(some):>7}")
    figures["deletion"] = rows


def real_time(rows, figures):
    if not rows:
        return
    print(f"\nTCP in real time, {rows[0]['processors']} processors: Mbit/s, median (least to most); the share of C's; how idle the busiest and the idlest were\n")
    print(f"{'':10}{'':10}{'Mbit/s':>24}{'of C':>8}{'idle':>14}{'retransmits':>14}  rounds")
    for load in dict.fromkeys(row["load"] for row in rows):
        of_c = None
        for module in dict.fromkeys(row["module"] for row in rows):
            some = [row for row in rows if row["module"] == module and row["load"] == load]
            rates = sorted(row["rate"] for row in some)
            of_c = median(rates) if module == "c" else of_c
            idle = f"{median([min(row['idle']) for row in some]):.0%} to {median([max(row['idle']) for row in some]):.0%}"
            again = median([row["retransmits"] for row in some])
            print(f"{load:10}{NAMES[module]:10}{f'{median(rates):.1f} ({rates[0]:.1f} to {rates[-1]:.1f})':>24}"
                  f"{f'{median(rates) / of_c:.2f}' if of_c else '':>8}{idle:>14}{again:>14,.0f}{len(some):>8}")
    figures["real time"] = rows


def peers(rows, figures, verdicts):
    if not rows:
        return
    print("\nIdle peers, two processors, real time; ours: the mean of the repetitions\n")
    print(f"{'':40}{'C':>14}{'ours':>14}{'ours/C':>9}{'spread':>9}")
    of = {module: [row for row in rows if row["module"] == module] for module in ("c", "ours")}

    def line(words, value, form, comparable=True):
        cells = {module: [value(row) for row in some] for module, some in of.items() if some}
        means = {module: mean(some) for module, some in cells.items()}
        both = "c" in means and "ours" in means and means["c"] > 0 and comparable
        wide = f"{spread(cells['ours']):.1%}" if len(cells.get("ours", [])) > 1 and means["ours"] > 0 else ""
        ratio = f"{means['ours'] / means['c']:.3f}" if both else ""
        print(f"{words:40}" + "".join(f"{form(means[m]) if m in means else '':>14}" for m in ("c", "ours"))
              + f"{ratio:>9}{wide:>9}")
        figures[words] = means
        return cells

    line("peers", lambda row: row["peers"], lambda v: f"{v:,.0f}", False)
    counted = line("memory of a peer", lambda row: row["memory"]["counted"], lambda v: f"{v:,.0f} B")
    for kind, words in (("slab", "slab"), ("percpu", "per CPU"), ("vmalloc", "vmalloc, with the stacks of threads")):
        line(f"  {words}", lambda row: row["memory"][kind], lambda v: f"{v:,.0f} B", False)
    available = line("less available to the system", lambda row: row["memory"]["available"], lambda v: f"{v:,.0f} B")
    line("kernel threads per peer", lambda row: row["threads"] / row["peers"], lambda v: f"{v:.4f}", False)
    line("adding one (wg setconf)", lambda row: row["add"] / row["peers"] * 1e6, lambda v: f"{v:,.0f} us")
    line("deleting one, with its link", lambda row: row["delete"] / row["peers"] * 1e6, lambda v: f"{v:,.0f} us")
    line("removing one (wg setconf)", lambda row: row["remove"] / row["removed"] * 1e6, lambda v: f"{v:,.0f} us")
    deleted = line("deleting all of them, with the link", lambda row: row["delete"], lambda v: f"{v:,.2f} s", False)
    line("removed by wg setconf, peers", lambda row: row["removed"], lambda v: f"{v:,.0f}", False)
    removed = line("  in", lambda row: row["remove"], lambda v: f"{v:,.2f} s", False)
    if of["ours"]:
        count = of["ours"][0]["peers"]
        worst = max(deleted["ours"] + removed["ours"])
        if count >= 10000:
            verdicts.append((worst < 2, f"{count:,} peers deleted in {worst:.2f} s at most, wanted less than 2"))
        worst = max(row["threads"] for row in of["ours"])
        # A thread for the device, or for each processor, is no thread for a peer.
        verdicts.append((worst <= 4, f"{worst} kernel threads for {count:,} peers, wanted none per peer"))
        worst = max(counted["ours"] + available["ours"])
        verdicts.append((worst < 2048, f"an idle peer takes {worst:,.0f} bytes, wanted less than 2,048"))
    figures["peers"] = rows


def main():
    folder, version = sys.argv[1:]
    figures, verdicts = {"version": version}, []
    rows = read(folder, "packets.json")
    if not listener(rows, figures, verdicts):
        packets(rows, figures, verdicts)
    peer_get(read(folder, "peerget.json"), figures)
    uplinks(read(folder, "uplinks.json"), figures)
    peers(read(folder, "peers.json"), figures, verdicts)
    real_time(read(folder, "realtime.json"), figures)
    removal(read(folder, "removal.json"), figures)
    deletion(read(folder, "deletion.json"), figures)
    if verdicts:
        print(f"\nWhat is wanted, and whether version {version} has it\n")
    for holds, words in verdicts:
        print(f"  {'met    ' if holds else 'NOT MET'}  {words}")
    figures["verdicts"] = [{"met": holds, "what": words} for holds, words in verdicts]
    with open(os.path.join(folder, "figures.json"), "w") as file:
        json.dump(figures, file, indent=1)


main()
