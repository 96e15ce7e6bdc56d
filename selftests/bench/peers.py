#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""peers.py REPEATS PEERS PEERS_OF_C MODULE...: what peers cost that nothing is said to: memory, threads, time to come and to go.

PEERS, and PEERS_OF_C for the C driver, are numbers of them, with commas between them. Leaves /out/peers.json: a row for each repetition. Grace periods are waited for here, so this is for a machine with real time.
"""

import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from guest import Failed, configuration, load, main, results, run, say, seconds, unload  # noqa: E402

REMOVED_FROM_C = 1000  # of its peers, by `wg setconf`: milliseconds each


def settled():
    """Kernel memory in bytes by kind, when it no longer changes."""
    last, calm = None, 0
    for _ in range(100):
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("3")
        time.sleep(0.2)
        with open("/proc/meminfo") as file:
            memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in file}
        # Free pages in the processors' own lists count as not available: as many as were freed lately.
        with open("/proc/zoneinfo") as file:
            hoarded = sum(int(number) for number in re.findall(r"^ +count: +(\d+)$", file.read(), re.M)) * os.sysconf("SC_PAGE_SIZE")
        now = {"available": memory["MemAvailable"] + hoarded, "slab": memory["SUnreclaim"], "percpu": memory["Percpu"],
               "vmalloc": memory["VmallocUsed"], "stacks": memory["KernelStack"]}
        calm = calm + 1 if last and abs(now["available"] - last["available"]) < 256 * 1024 else 0
        if calm == 4:
            # Pages of large allocations stand only in the first, which also moves with everything else in the machine.
            now["counted"] = now["slab"] + now["percpu"] + now["vmalloc"]
            return now
        last = now
    raise Failed("the memory in use never comes to rest")


def threads():
    """Threads of the kernel: those with no memory of their own."""
    count = 0
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                with open(f"/proc/{process}/stat") as file:
                    # The flags; 0x200000 is PF_KTHREAD. The pool of workers comes and goes with the work, whatever the module.
                    text = file.read()
            except OSError:
                continue
            name = text[text.index("(") + 1:text.rindex(")")]
            count += bool(int(text[text.rindex(")") + 2:].split()[6]) & 0x200000) and not name.startswith("kworker/")
    return count


def listed():
    return len(run("wg", "show", "wg0", "peers").split())


def expect(count, what):
    if listed() != count:
        raise Failed(f"{listed()} peers {what}, not {count}")


def once(module, count):
    row = {"module": module, "peers": count}
    run("ip", "link", "add", "wg0", "type", "wireguard")
    run("ip", "link", "set", "wg0", "up")
    before, threads_before = settled(), threads()
    row["add"] = seconds(lambda: run("wg", "setconf", "wg0", "/tmp/peers"))
    expect(count, "after adding")
    after = settled()
    row["threads"] = threads() - threads_before
    row["memory"] = {kind: (before[kind] - after[kind] if kind == "available" else after[kind] - before[kind]) / count
                     for kind in before}
    say(f"  {module}: {count:,} peers added in {row['add']:.2f} s, {row['memory']['counted']:,.0f} bytes and "
        f"{row['threads'] / count:.3g} kernel threads each; deleting the link")
    row["delete"] = seconds(lambda: run("ip", "link", "delete", "wg0"))
    say(f"  {module}: deleted in {row['delete']:.2f} s")
    return row


def remove(module, count):
    """By netlink, the device staying: a configuration without the peers."""
    run("ip", "link", "add", "wg0", "type", "wireguard")
    run("ip", "link", "set", "wg0", "up")
    run("wg", "setconf", "wg0", "/tmp/peers")
    expect(count, "after adding")
    took = seconds(lambda: run("wg", "setconf", "wg0", "/tmp/none"))
    expect(0, "after removing all")
    run("ip", "link", "delete", "wg0")
    say(f"  {module}: {count:,} peers removed by `wg setconf` in {took:.2f} s")
    return took


def measure_all(arguments):
    repeats, counts, counts_of_c, *modules = arguments
    configuration("/tmp/none", 0)
    rows = []
    for module in modules:
        # The C driver takes minutes for ten thousand, so it is measured once.
        for repeat in range(int(repeats) if module == "ours" else 1):
            for number in map(int, (counts if module == "ours" else counts_of_c).split(",")):
                load(module)
                configuration("/tmp/peers", 100)
                once(module, 100)  # whatever happens only the first time
                configuration("/tmp/peers", number)
                row = {"repeat": repeat, **once(module, number)}
                some = number if module == "ours" else min(number, REMOVED_FROM_C)
                configuration("/tmp/peers", some)
                row["removed"], row["remove"] = some, remove(module, some)
                unload()
                rows.append(row)
                results("/out/peers.json", rows)


main(measure_all)
