# SPDX-License-Identifier: GPL-2.0
"""The kernel's fault injection, confined to this module: an allocation fails only if a function of the module is among those
that led to it, whoever's process it is in, softirqs and work items included (Documentation/fault-injection of the kernel's
source: stacktrace filter)."""

import os
import re
import subprocess

DEBUGFS = "/sys/kernel/debug/"
INJECTORS = ("failslab", "fail_page_alloc")
MANY = 1_000_000_000
# Where all modules are (x86: MODULES_VADDR and behind): for the time in which ours is being loaded, and has no address yet.
MODULES = (0xFFFFFFFFA0000000, 0xFFFFFFFFFF000000)


def available():
    try:
        read("failslab", "require-start")
        return True
    except OSError:
        return False


def write(injector, file, value):
    with open(DEBUGFS + injector + "/" + file, "w") as out:
        out.write(str(value))


def read(injector, file):
    with open(DEBUGFS + injector + "/" + file) as file:
        return file.read().strip()


def text():
    """From the first function of the module to the page behind the last."""
    places = []
    with open("/proc/kallsyms") as symbols:
        for line in symbols:
            if line.endswith("\t[wireguard]\n") and line.split()[1] in "tT":
                places.append(int(line.split()[0], 16))
    return min(places), (max(places) | 0xFFF) + 1


def confine(start, end):
    """Nothing fails yet; what will fail has an address out of this range on its stack."""
    for injector in INJECTORS:
        for file, value in (("probability", 0), ("interval", 1), ("space", 0), ("task-filter", "N"), ("verbose", 0), ("stacktrace-depth", 32),
                            ("require-start", "0x%x" % start), ("require-end", "0x%x" % end), ("ignore-gfp-wait", "N"), ("times", MANY)):
            write(injector, file, value)
    write("fail_page_alloc", "min-order", 0)
    write("fail_page_alloc", "ignore-gfp-highmem", "N")


def begin(percent, shown=False, order=None, after=None):
    """From now on so many of a hundred allocations fail; `shown`: a few a second with their stacks in the kernel's log. `order`:
    only those of two to its power adjacent pages, or more. `after`: and smaller ones, when so many bytes of them were had."""
    write("fail_page_alloc", "min-order", order or 0)
    for injector in INJECTORS:
        write(injector, "verbose_ratelimit_interval_ms", 100)
        write(injector, "verbose_ratelimit_burst", 1)
        write(injector, "verbose", 2 if shown else 0)
        write(injector, "times", MANY)
        write(injector, "space", after or 0 if injector == "failslab" else 0)
        if injector == "fail_page_alloc" or order is None or after is not None:
            write(injector, "probability", percent)


def end():
    """How many failed, by injector."""
    for injector in INJECTORS:
        write(injector, "probability", 0)
    return {injector: MANY - int(read(injector, "times")) for injector in INJECTORS}


def nth(number, action):
    """Lets the number-th allocation in what `action` does in this process fail, and no other one. (its result, whether it
    came to that)"""
    file = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
    try:
        os.write(file, b"%d" % number)
        try:
            result = action()
        finally:
            left = int(os.pread(file, 20, 0).strip(b"\0\n ") or 0)
            os.write(file, b"0")
    finally:
        os.close(file)
    return result, left == 0


def samples():
    """In which contexts the failures were that the kernel's log shows since the last time: {"a process", "a softirq", "a work
    item"}. The log is cleared, for it has room for few of them."""
    log = subprocess.run(["dmesg", "--read-clear"], stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
    found = {}
    for report in log.split("FAULT_INJECTION: forcing a failure.")[1:]:
        report = report[:6000]
        if re.search(r"<(IRQ|SOFTIRQ)>|handle_softirqs|run_ksoftirqd|__local_bh_enable_ip", report):
            context = "a softirq"
        elif re.search(r"Comm: kworker|Workqueue:", report):
            context = "a work item"
        else:
            context = "a process"
        found[context] = found.get(context, 0) + 1
    return found
