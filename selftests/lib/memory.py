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


def reclaimable():
    """The caches whose memory the kernel takes back when it wants to: file names, inodes. /proc/slabinfo may call a
    cache by a name that is an alias here."""
    out = set()
    for name in os.listdir(SLAB):
        try:
            if read(SLAB + "/" + name + "/reclaim_account").strip() == "1":
                out.add(name)
        except OSError:
            pass
    return out


def slabinfo():
    """{cache: bytes in objects in use}"""
    return {line.split()[0]: int(line.split()[1]) * int(line.split()[3]) for line in read("/proc/slabinfo").splitlines()[2:]}


def caches():
    """Bytes in use per slab cache that cannot be reclaimed. Freed objects that a processor still hoards count as used, so
    a cache that seems to have grown is made to give them back first; the others have certainly not grown."""
    first = slabinfo()
    last = samples[-1][1] if samples else {}
    for name, size in first.items():
        if name not in ignored and size > last.get(name, 0):
            try:
                write(SLAB + "/" + name + "/shrink", "1")
            except OSError:
                pass
    second = slabinfo()
    return {name: min(size, second[name]) for name, size in first.items() if name in second and name not in ignored}


def hoarded():
    """Bytes of free pages that the processors hold for themselves, which MemFree leaves out."""
    return PAGE * sum(int(line.split()[1]) for line in read("/proc/zoneinfo").splitlines() if line.strip().startswith("count:"))


def meminfo():
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in read("/proc/meminfo").splitlines()}


samples, ignored = [], reclaimable()


def measure():
    slabs, info = caches(), meminfo()
    known = hoarded() + sum(info[n] for n in ("MemFree", "Slab", "PageTables", "KernelStack", "Buffers", "Cached", "AnonPages", "VmallocUsed", "Percpu"))
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
