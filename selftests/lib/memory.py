#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Measures the kernel's memory on request, for the question whether something was left behind.

Reads commands, one a line:
  measure      takes a sample: bytes in slab objects that cannot be reclaimed, vmalloc, per-CPU memory
  leak         leaves 1 KiB of slab behind for good (a System V message), and a page (in a pipe): the seeds that the test must find
  begin N      forgets the samples so far; from now on there is one for every N repetitions
  slopes       prints the growth per repetition since `begin`: a line per kind of memory, with its first and last value
"""

import ctypes
import fcntl
import os
import statistics
import sys
import time

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
    """{cache: objects in use}"""
    out = {}
    for line in read("/proc/slabinfo").splitlines()[2:]:
        words = line.split()
        out[words[0]], sizes[words[0]] = int(words[1]), int(words[3])
    return out


def caches():
    """Objects in use per slab cache that cannot be reclaimed. Freed objects that a processor still hoards count as used, so
    a cache that seems to have grown is made to give them back first; the others have certainly not grown."""
    first = slabinfo()
    last = samples[-1][1] if samples else {}
    for name, size in first.items():
        if name not in ignored and size > last.get(name, 0):
            try:
                write(SLAB + "/" + name + "/shrink", "1")
            except OSError:
                pass
    # What is in use only for a moment (a file's name, what waits for a grace period) is not in use twice.
    second = slabinfo()
    time.sleep(0.05)
    third = slabinfo()
    return {name: min(number, second[name], third[name]) for name, number in first.items() if name in second and name in third and name not in ignored}


def hoarded():
    """Bytes of free pages that the processors hold for themselves, which MemFree leaves out."""
    return PAGE * sum(int(line.split()[1]) for line in read("/proc/zoneinfo").splitlines() if line.strip().startswith("count:"))


def meminfo():
    return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in read("/proc/meminfo").splitlines()}


samples, ignored, sizes = [], reclaimable(), {}
pipe = os.pipe()
fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 256 * PAGE)


def unaccounted(info):
    """Bytes of pages that are neither free nor of any kind that is counted."""
    known = hoarded() + sum(info[n] for n in ("MemFree", "Slab", "PageTables", "Buffers", "Cached", "AnonPages", "VmallocUsed", "Percpu"))
    return info["MemTotal"] - known


def measure():
    slabs, pages = caches(), []
    for _ in range(5):
        # Each processor counts some pages for itself before the sums know of them; others are on their way for a moment.
        write("/proc/sys/vm/stat_refresh", "1")
        info = meminfo()
        pages.append(unaccounted(info))
        time.sleep(0.02)
    # The stacks of the kernel's own worker threads, which come and go, are vmalloc, too.
    samples.append(({"slab": sum(number * sizes[name] for name, number in slabs.items()), "vmalloc": info["VmallocUsed"] - info["KernelStack"], "percpu": info["Percpu"],
                     "pages": min(pages)}, slabs))


def slope(values):
    """Theil and Sen's estimate: the median of the slopes of all pairs, which stray values do not move."""
    pairs = [(b - a) / (j - i) for i, a in enumerate(values) for j, b in enumerate(values) if j > i + len(values) // 4]
    return statistics.median(pairs)


def slopes():
    """Growth per repetition. Slab is summed over the caches that grow by a third of an object or more: a leak at every
    repetition, or at every third, is that much, and what other caches give back does not hide it."""
    grown = []
    for cache in samples[-1][1]:
        by = slope([s[1].get(cache, 0) for s in samples]) / every
        if by >= 0.3:
            grown.append((by * sizes[cache], by, cache))
    for name in samples[0][0]:
        values = [s[0][name] for s in samples]
        by = sum(by for by, _, _ in grown) if name == "slab" else slope(values) / every
        print("%s %.0f %d..%d" % (name, by, values[0], values[-1]), *("%+d" % (value - values[0]) for value in values[1:]))
    print("growing: " + (", ".join("%s %.2f objects, %.0f bytes" % (cache, objects, by) for by, objects, cache in sorted(grown, reverse=True)[:8]) or "no cache"))
    print(".", flush=True)


def leak():
    queue = libc.msgget(0, 0o1600)
    buffer = ctypes.create_string_buffer(8 + 976)  # 48 bytes of header and these are 1,024
    ctypes.c_long.from_buffer(buffer).value = 1
    if queue < 0 or libc.msgsnd(queue, buffer, 976, 0):
        sys.exit("memory.py: error: no System V messages here")
    os.write(pipe[1], bytes(PAGE))


for line in sys.stdin:
    command = line.split()[0]
    if command == "begin":
        every = int(line.split()[1])
        del samples[:-1]  # the last one is the first of the new
    elif command == "slopes":
        slopes()
        continue
    else:
        {"measure": measure, "leak": leak}[command]()
    print("done", flush=True)
