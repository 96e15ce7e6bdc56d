# SPDX-License-Identifier: GPL-2.0
"""For the scenarios of the comparison (compare) that are Python: observations, one a line, `KEY = VALUE`.

A scenario imports this first (which makes ../lib importable, too) and calls finish() at its end. What a value holds by
chance (keys, ports, times, indices) is its scenario's to name or remove.
"""

import errno
import os
import re
import subprocess
import sys

SELFTESTS = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
sys.path.insert(1, os.path.join(SELFTESTS, "lib"))

_keys = set()
# What the rest of the network stack says about links is not compared.
_NOT_OURS = re.compile(r"link becomes ready|promiscuous|renamed from|nf_conntrack|nfnetlink|Netfilter|entered \w+ state")
_kernel_lines = None


def die(words):
    sys.exit("%s: error: %s" % (os.path.basename(sys.argv[0]), words))


def note(words):
    """Something to read that is not compared."""
    for line in str(words).splitlines():
        print("#   %s" % line, flush=True)


def observe(key, value=""):
    """One observation. Lines of the value are joined with a visible \\n."""
    if not key or key.startswith("#") or " = " in key or "\n" in key:
        die("'%s' is no key: one line, no ' = ' in it, no # in front" % key)
    if key in _keys:
        die("the key '%s' is observed twice" % key)
    _keys.add(key)
    print("%s = %s" % (key, str(value).rstrip().replace("\n", "\\n")), flush=True)


def errno_name(number):
    """EINVAL for 22 or -22, "0" for 0."""
    return errno.errorcode.get(abs(number), str(number)) if number else "0"


def attempt(call, *arguments):
    """The name of the error of a system call, or "0"."""
    try:
        call(*arguments)
        return "0"
    except OSError as error:
        return errno_name(error.errno)


def command(*words, stdin=""):
    """The exit status of a command and all that it says."""
    done = subprocess.run(words, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    said = done.stdout.rstrip()
    return "exit %d%s" % (done.returncode, ": " + said if said else "")


def observe_command(key, *words, stdin=""):
    observe(key, command(*words, stdin=stdin))


def _kernel():
    text = subprocess.run(["dmesg"], stdout=subprocess.PIPE, check=True).stdout.decode(errors="replace")
    lines = [re.sub(r"^\[[^]]*\] *", "", line) for line in text.splitlines()]
    return [line for line in lines if not _NOT_OURS.search(line)]


def kernel_mark():
    """Before observe_kernel()."""
    global _kernel_lines
    _kernel_lines = len(_kernel())


def observe_kernel(key):
    """The lines that the kernel logged since kernel_mark(), without times."""
    observe(key, "\n".join(_kernel()[_kernel_lines:]))


def finish():
    """Without it the scenario has failed."""
    print("observations = %d" % len(_keys), flush=True)
    sys.exit(0)
