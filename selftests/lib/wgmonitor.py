# SPDX-License-Identifier: GPL-2.0
"""The netlink family `wg-monitor`, read by the kernel's own client (pyynl) from its specification."""

import errno
import glob
import os
import platform
import sys
import time

from netlink import in_netns

PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPEC = os.path.join(PROJECT, "Documentation/netlink/specs/wg-monitor.yaml")


def _pyynl():
    """The package `lib` of pyynl, from the kernel's source."""
    kernels = os.path.join(PROJECT, "build/kernel")
    for folder in [os.path.join(kernels, platform.release(), "source"), *sorted(glob.glob(kernels + "/*/source"))]:
        if os.path.exists(folder + "/tools/net/ynl/pyynl/cli.py"):
            sys.dont_write_bytecode = True
            sys.path.insert(0, folder + "/tools/net/ynl/pyynl")
            import lib  # pylint: disable=import-outside-toplevel
            sys.path.pop(0)
            return lib
    raise SystemExit("wgmonitor: error: the kernel's source is not unpacked in build/kernel: run make setup")


ynl = _pyynl()
NlError = ynl.NlError


class Monitor(ynl.YnlFamily):
    """A client in a network namespace. `raw` holds all bytes that it ever received."""

    def __init__(self, namespace=None, listen=True):
        self.raw = bytearray()
        if namespace is None:
            super().__init__(SPEC, schema="")
        else:
            with in_netns(namespace):
                super().__init__(SPEC, schema="")
        if listen:
            self.ntf_subscribe("peers")

    def _recvmsg(self, *args, **more):
        reply, rest = super()._recvmsg(*args, **more)
        self.raw += reply
        return reply, rest

    def news(self, seconds=1.5):
        """What is told from now on, for so many seconds: [(name, attributes, when)]."""
        return [(news["name"], news["msg"], time.monotonic()) for news in self.poll_ntf(seconds)]

    def overflowed(self):
        """Reads all that there is. Whether something was lost."""
        lost = False
        while True:
            try:
                self.check_ntf()
                return lost
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                lost = True

    def peers(self, **request):
        """The peers of a device, by their public keys."""
        return {peer["public-key"]: peer for peer in self.dump("peer-get", {"ifname": "wg0", **request})}

    def device(self, **request):
        return self.do("device-get", request or {"ifname": "wg0"})

    def error(self, method, request, dump=False):
        """The number of the error that a request gets, zero for none."""
        try:
            self.dump(method, request) if dump else self.do(method, request)
            return 0
        except NlError as error:
            return -error.error if error.error < 0 else error.error
