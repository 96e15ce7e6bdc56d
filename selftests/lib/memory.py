#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Measures the kernel's memory on request, for the question whether something was left behind.

Reads commands, one a line:
  measure      takes a sample: bytes in slab objects that cannot be reclaimed, vmalloc, per-CPU memory
  leak         leaves 1 KiB of slab behind for good (a System V message): the seed that the test must find
  begin        forgets the samples so far
  slopes WORDS prints the growth per sample since `begin`, a line per kind of memory: name, bytes per sample
"""

import ctypes
import os
import statistics
import sys

SLAB = "/sys/kernel/slab"
PAGE = os.sysconf("SC_PAGE_SIZE")
libc = ctypes.CDLL(None, use_errno=True)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def read(path):
    with open(path) as file:
        return file.read()


def caches():
    """Bytes in use per slab cache that cannot be reclaimed; freed objects that a processor still hoards are given back first."""
    real = [name for name in os.listdir(SLAB) if not os.path.islink(SLAB + "/" + name)]
    aliases = {}
    for name in os.listdir(SLAB):
        path = SLAB + "/" + name
        if os.path.islink(path):
            aliases[os.path.basename(os.readlink(path))] = name
    reclaimable = set()
    for name in real:
        path = SLAB + "/" + name
        try:
            write(path + "/shrink", "1")
            if read(path + "/reclaim_account").strip() == "1":
                reclaimable.add(aliases.get(name, name))
                reclaimable.add(name)
        except OSError:
            pass
    out = {}
    for line in read("/proc/slabinfo").splitlines()[2:]:
        words = line.split()
        if words[0] not in reclaimable:
            out[words[0]] = int(words[1]) * int(words[3])
    return out


def meminfo():
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in read("/proc/meminfo").splitlines()}


samples = []


def measure():
    os.sync()
    write("/proc/sys/vm/drop_caches", "3")
    write("/proc/sys/vm/compact_memory", "1")  # gives the processors' hoards of free pages back, too
    slabs, info = caches(), meminfo()
    known = sum(info[n] for n in ("MemFree", "Slab", "PageTables", "KernelStack", "Buffers", "Cached", "AnonPages", "VmallocUsed", "Percpu"))
    samples.append(({"slab": sum(slabs.values()), "vmalloc": info["VmallocUsed"], "percpu": info["Percpu"],
                     "pages": info["MemTotal"] - known}, slabs))


def slope(values):
    """Theil and Sen's estimate: the median of the slopes of all pairs, which stray values do not move."""
    pairs = [(b - a) / (j - i) for i, a in enumerate(values) for j, b in enumerate(values) if j > i + len(values) // 4]
    return statistics.median(pairs)


def slopes():
    for name in samples[0][0]:
        print("%s %.0f %d..%d" % (name, slope([s[0][name] for s in samples]), samples[0][0][name], samples[-1][0][name]))
    grown = sorted(((slope([s[1].get(cache, 0) for s in samples]), cache) for cache in samples[-1][1]), reverse=True)
    print("most: " + ", ".join("%s %.0f" % (cache, by) for by, cache in grown[:5] if by > 0))
    print(".", flush=True)


def leak():
    queue = libc.msgget(0, 0o1600)
    libc.msgctl(queue, 0, None)
    buffer = ctypes.create_string_buffer(8 + 976)  # 48 bytes of header and these are 1,024
    ctypes.c_long.from_buffer(buffer).value = 1
    if queue < 0 or libc.msgsnd(queue, buffer, 976, 0):
        sys.exit("memory.py: error: no System V messages here")


for line in sys.stdin:
    command = line.split()[0]
    if command == "begin":
        samples.clear()
    elif command == "slopes":
        slopes()
        continue
    else:
        {"measure": measure, "leak": leak}[command]()
    print("done", flush=True)
