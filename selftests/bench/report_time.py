# SPDX-License-Identifier: GPL-2.0
"""Real time, slow uplinks, a processor that is held, and floods."""

import os
import sys
from statistics import median

from report_lib import NAMES, only, values_of

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../floods"))
import tables  # noqa: E402

LOADS = {"tcp": "TCP, one stream", "tcp4": "TCP, four streams", "reverse": "TCP, one stream, the other way"}
FASTER = 1.35  # than the C driver, with two processors
IDLEST = 0.08  # then
LATE = 2  # milliseconds, of pings beside a processor that is held
LEFT = 0.64  # of a tunnel under initiations whose mac1 is right


def real_time(rows, processors_of_host):
    figures, verdicts = [], []
    for processors in values_of(rows, "processors"):
        of_machine = only(rows, processors=processors)
        print(f"\nTCP in real time, {processors} processor{'s' * (processors > 1)}: Mbit/s, median (least to most); how idle each processor was, the busiest of a round first\n")
        if processors > processors_of_host:
            print(f"(This machine has {processors_of_host} for them, and for everything else: it says nothing about how either module scales.)\n")
        print(f"{'':34}{'':7}{'Mbit/s':>26}{'of C':>7}{'idle':>20}{'retransmits':>13}  rounds")
        for load in values_of(of_machine, "load"):
            of_c = None
            for module in values_of(of_machine, "module"):
                some = only(of_machine, load=load, module=module)
                if not some:
                    continue
                rates = sorted(row["rate"] for row in some)
                of_c = median(rates) if module == "c" else of_c
                ratio = median(rates) / of_c if of_c else None
                idle = [median(ranked) for ranked in zip(*(sorted(row["idle"]) for row in some))]
                print(f"{LOADS[load]:34}{NAMES[module]:7}{f'{median(rates):.1f} ({rates[0]:.1f} to {rates[-1]:.1f})':>26}"
                      f"{f'{ratio:.2f}' if ratio else '':>7}{' '.join(f'{share:.0%}' for share in idle):>20}"
                      f"{median([row['retransmits'] for row in some]):>13,.0f}{len(some):>8}")
                figures.append({"processors": processors, "load": load, "module": module, "rate": median(rates), "of_c": ratio, "idle": idle})
                if processors == 2 and module == "ours":
                    if ratio:
                        verdicts.append((ratio >= FASTER, f"{LOADS[load]}, in real time, two processors: {ratio:.2f} of the C driver's, wanted at least {FASTER:.2f}"))
                    verdicts.append((idle[-1] <= IDLEST, f"  of the two, one is idle for {idle[-1]:.0%} of it, wanted at most {IDLEST:.0%}"))
    return figures, verdicts


def uplinks(rows):
    print("\nPings beside bulk on a slow uplink: answered, and the 99th percentile of their times in milliseconds\n")
    print(f"{'':40}{'C':>22}{'ours':>22}  bulk: C, ours")
    for one in only(rows, module="c"):
        of = {row["module"]: row for row in only(rows, **{key: one[key] for key in ("rate", "queue", "load")})}
        cells = "".join(f"{of[m]['answered']:>4} of {of[m]['pings']}{of[m]['late']:>11.2f}" if m in of else f"{'':>22}" for m in ("c", "ours"))
        words = f"{one['rate']}, {one['queue']}, beside {one['load']}"
        print(f"{words:40}{cells}  {', '.join(of[m]['bulk'] for m in ('c', 'ours') if m in of)}")
    return None, []


def stalled(rows):
    print("\nPings of one peer beside another one's bulk, while a program of a higher priority holds one of two processors; milliseconds\n")
    print(f"{'':10}{'answered':>14}{'median':>10}{'99th percentile':>17}{'longest':>10}{'bulk, Mbit/s':>14}")
    figures, verdicts = {}, []
    for module in values_of(rows, "module"):
        some = only(rows, module=module)
        times = sorted(one for row in some for one in row["times"])
        figures[module] = {"answered": len(times), "pings": sum(row["pings"] for row in some), "median": median(times),
                           "late": times[(len(times) - 1) * 99 // 100], "longest": times[-1], "bulk": median([row["bulk"] for row in some])}
        got = figures[module]
        print(f"{NAMES[module]:10}{f'''{got['answered']} of {got['pings']}''':>14}{got['median']:>10.2f}{got['late']:>17.2f}{got['longest']:>10.2f}{got['bulk'] / 1e6:>14.1f}")
    if "ours" in figures:
        late = figures["ours"]["late"]
        verdicts.append((late <= LATE, f"a peer beside another one, a processor being held: 99th percentile {late:.2f} ms, wanted at most {LATE}"))
    return figures, verdicts


def wakeups(rows):
    print("\nPings of 64 peers at once on four processors; the least of the turns, for a thousand packets, each encrypted and decrypted\n")
    print(f"{'':10}{'packets':>10}{'work items':>14}{'interrupts':>14}  turns")
    for module in values_of(rows, "module"):
        some = only(rows, module=module)
        work, interrupts = (min(value(row) / row["packets"] * 1e3 for row in some) for value in (
            lambda row: sum(row["work"].values()), lambda row: row["interrupts"]))
        print(f"{NAMES[module]:10}{some[0]['packets']:>10,}{work:>14,.1f}{interrupts:>14,.1f}{len(some):>7}")
    return None, []


def floods(rows):
    print("\nFloods: somebody on the way sends from forged addresses to one end of a tunnel")
    tables.table(rows)
    left = tables.left(rows)
    answered = {row["module"]: row["answered"] for row in only(rows, kind="mac1")}
    verdicts = []
    if ("ours", "mac1") in left:
        verdicts.append((left["ours", "mac1"] >= LEFT, f"tunnel under initiations with a right mac1: {left['ours', 'mac1']:.1%} is left, wanted at least {LEFT:.0%}"))
    if len(answered) == 2:
        verdicts.append((answered["ours"] >= answered["c"],
                         f"  of these initiations {answered['ours']:.1%} get an answer, wanted no fewer than the C driver's {answered['c']:.1%}"))
    return [{"module": module, "kind": kind, "left": share} for (module, kind), share in left.items()], verdicts
