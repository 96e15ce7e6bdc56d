#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""removal.py REPEATS PEERS PEERS_OF_C MODULE...: how long peers take to go that one `wg syncconf` removes by name, the link being up.

Leaves /out/removal.json: a row for each repetition, with the grace periods that were waited for.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from guest import Failed, Waits, configuration, load, main, results, run, say, seconds, unload  # noqa: E402


def once(count):
    run("ip", "link", "add", "wg0", "type", "wireguard")
    # One peer stays: for a file without any, `wg syncconf` asks to replace all peers, and names none.
    configuration("/tmp/peers", count + 1)
    with open("/tmp/peers") as peers, open("/tmp/one", "w") as one:
        one.write("[Peer]".join(peers.read().split("[Peer]")[:2]))
    run("wg", "setconf", "wg0", "/tmp/peers")
    run("ip", "link", "set", "wg0", "up")
    with Waits() as waits:
        took = seconds(lambda: run("wg", "syncconf", "wg0", "/tmp/one", timeout=1100))
    left = len(run("wg", "show", "wg0", "peers").split())
    if left != 1:
        raise Failed(f"{left} peers are left, and not the one that is to stay")
    run("ip", "link", "delete", "wg0")
    return {"took": took, "waits": waits.count}


def measure_all(arguments):
    repeats, count, count_of_c, *modules = arguments
    rows = []
    for repeat in range(int(repeats)):
        for module in modules:
            number = int(count_of_c if module == "c" else count)
            load(module)
            once(100)  # whatever happens only the first time
            row = {"repeat": repeat, "module": module, "peers": number, **once(number)}
            unload()
            rows.append(row)
            results("/out/removal.json", rows)
            say(f"  {module}: {number:,} peers removed in {row['took']:.2f} s, {row['waits']:,} grace periods")


main(measure_all)
