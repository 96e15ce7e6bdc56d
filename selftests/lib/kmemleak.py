#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Memory that nothing points to any more, as the kernel's kmemleak finds it. By itself: prints it, and fails if there is some;
with --available it only tells, by its exit status, whether this kernel has kmemleak."""

import sys
import time

FILE = "/sys/kernel/debug/kmemleak"
YOUNG = 6  # objects of less than 5 s are not reported


def available():
    try:
        with open(FILE) as file:
            file.read(1)
        return True
    except OSError:
        return False


def _write(word):
    with open(FILE, "w") as file:
        file.write(word)


def forget():
    """What was found so far shall not be reported again."""
    _write("clear")


def scan():
    """The reports of two scans, as one text: what the first one takes for lost only because it was on its way somewhere, the
    second one finds."""
    for _ in range(2):
        time.sleep(YOUNG)
        _write("scan")
    with open(FILE) as file:
        return file.read()


if __name__ == "__main__":
    if sys.argv[1:] == ["--available"]:
        sys.exit(not available())
    if not available():
        sys.exit("kmemleak.py: error: this kernel has no kmemleak: use that of scripts/debug-kernel")
    found = scan()
    print(found, end="")
    sys.exit(1 if found else 0)
