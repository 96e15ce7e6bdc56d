# SPDX-License-Identifier: GPL-2.0
"""Numbered checks in words (TAP version 14), the Python half of check.sh."""

import re
import subprocess
import sys

# What the rest of the network stack says about links, connection tracking and the form of netlink messages is not ours to judge.
_NOT_OURS = re.compile(r"link becomes ready|promiscuous|renamed from|nf_conntrack|nfnetlink|Netfilter|entered \w+ state"
                       r"|netlink: .*(invalid length|leftover after parsing)|nla_validate\w*: \d+ callbacks|validate_nla: \d+ callbacks|used greatest stack depth"
                       r"|(Fair|Ext) server (dis|en)abled on CPU")


class Checks:
    def __init__(self):
        self.passed = 0
        self.failed = 0
        self._lines = len(self.kernel_lines())

    def chapter(self, words):
        print("\n# %s" % words, flush=True)

    def note(self, words):
        for line in str(words).splitlines():
            print("#   %s" % line, flush=True)

    def ok(self, holds, words, why=""):
        """One check. `why` is shown only when it does not hold."""
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            if why:
                self.note(why)
        print("%s %d - %s" % ("ok" if holds else "not ok", self.passed + self.failed, words), flush=True)
        return bool(holds)

    def equal(self, got, wanted, words):
        return self.ok(got == wanted, words, "got %s, wanted %s" % (got, wanted))

    @staticmethod
    def kernel_lines():
        text = subprocess.run(["dmesg"], stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
        return [line for line in text.splitlines() if not _NOT_OURS.search(line)]

    def quiet_kernel(self, words="the kernel log has no new line"):
        lines = self.kernel_lines()
        new = lines[self._lines:]
        self._lines = len(lines)
        return self.ok(not new, words, "\n".join(new[:20]))

    def finish(self):
        print("1..%d\n%d passed, %d failed" % (self.passed + self.failed, self.passed, self.failed), flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)
