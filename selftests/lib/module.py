# SPDX-License-Identifier: GPL-2.0
"""The module comes and goes."""

import os
import subprocess
import time


def until(seconds, holds):
    """Waits for something; false if it takes too long."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def loaded():
    return os.path.isdir("/sys/module/wireguard")


def unload(patience=120):
    """A process that reads a dump keeps the module from going, for a moment."""
    return until(patience, lambda: subprocess.call(["rmmod", "wireguard"], stderr=subprocess.DEVNULL) == 0 or not loaded())
