# SPDX-License-Identifier: GPL-2.0
"""What the benchmarks share inside the virtual machine: the two modules, two hosts joined by a cable, a tunnel."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time

RELEASE = os.uname().release
C_MODULE = f"/lib/modules/{RELEASE}/kernel/drivers/net/wireguard/wireguard.ko.xz"
# Both modules need these; loaded once, so that they cost neither of them anything.
COMMON = ["udp_tunnel", "ip6_udp_tunnel", "libcurve25519", "libchacha20poly1305"]


class Failed(Exception):
    pass


def run(*command, stdin=None, timeout=600):
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"no end after {timeout} seconds: {' '.join(command)}") from None
    if done.returncode:
        raise Failed(f"exit status {done.returncode} of: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def say(words):
    """Progress. The guest's clock says nothing in a machine that counts instructions, so no time stands here."""
    print(words, flush=True)


def settle_in(*programs):
    """Brings programs into this machine's memory, with their libraries.

    They come from another machine's disk, and a machine that counts instructions leaps ahead while it waits for that: a
    library opened in the middle of a measurement, even one that was read before, would be idle time of random length.
    Changing a file of the overlay that is / makes a copy of it."""
    # The first is opened when a thread is cancelled, at the end of a run.
    files = ["/usr/lib/x86_64-linux-gnu/libgcc_s.so.1", "/etc/ld.so.cache", "/etc/nsswitch.conf", "/etc/passwd"]
    for program in programs:
        path = shutil.which(program)
        files.append(path)
        files += re.findall(r"(/\S+) \(0x", run("ldd", path))
    for path in {os.path.realpath(path) for path in files if os.path.exists(path)}:
        os.utime(path)
        with open(path, "rb") as file:
            file.read()


def load(which):
    run("modprobe", "-a", *COMMON)
    if which == "c":
        run("insmod", C_MODULE)
    elif which == "ours":
        run("modprobe", "wireguard")
    elif which == "older":
        run("insmod", "/out/older.ko")
    with open("/proc/modules") as file:
        line = next((line for line in file if line.startswith("wireguard ")), None)
    # Only the C one is of the kernel's tree, without an O: that the right one is measured is checked, not believed.
    if line is None or ("(O" in line) != (which != "c"):
        raise Failed(f"the module loaded is not the one wanted ({which}): {line}")


def unload():
    run("rmmod", "wireguard")


def key():
    return base64.b64encode(os.urandom(32)).decode()


def public(private):
    return run("wg", "pubkey", stdin=private).strip()


def configuration(path, count):
    """A file for wg setconf with so many peers, each with an endpoint and one allowed address."""
    with open(path, "w") as file:
        file.write(f"[Interface]\nPrivateKey = {key()}\nListenPort = 51820\n")
        for i in range(count):
            address = f"{i >> 16 & 255}.{i >> 8 & 255}.{i & 255}"
            file.write(f"[Peer]\nPublicKey = {key()}\nEndpoint = 127.{address}:51820\nAllowedIPs = 10.{address}/32\n")


class Waits:
    """Counts the grace periods that somebody waits for, expedited or not."""
    PROBES = "/sys/kernel/tracing/kprobe_events"
    FUNCTIONS = ("synchronize_rcu", "synchronize_rcu_expedited")

    def __enter__(self):
        # Each time this file is opened to be written, it forgets what was in it.
        self.write(self.PROBES, "".join(f"p:waits/{function} {function}\n" for function in self.FUNCTIONS))
        self.write("/sys/kernel/tracing/events/waits/enable", "1")
        return self

    def __exit__(self, *_):
        self.write("/sys/kernel/tracing/events/waits/enable", "0")
        with open("/sys/kernel/tracing/kprobe_profile") as file:
            self.count = sum(int(line.split()[1]) for line in file)
        self.write(self.PROBES, "")

    @staticmethod
    def write(path, words):
        with open(path, "w") as file:
            file.write(words)


class Hosts:
    """Two namespaces, a and b, joined by a veth pair, and a tunnel between them if a module is loaded."""

    def __init__(self, tunnel):
        for name in "ab":
            run("ip", "netns", "add", name)
        run("ip", "-n", "a", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", "b")
        for name, number in (("a", 1), ("b", 2)):
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "address", "add", f"10.0.0.{number}/24", "dev", "cable")
            run("ip", "-n", name, "link", "set", "cable", "up")
        self.address = "10.0.0.2"
        if tunnel:
            self.tunnel()
            self.address = "192.168.0.2"

    def tunnel(self):
        keys = {name: run("wg", "genkey").strip() for name in "ab"}
        for name, other, number in (("a", "b", 1), ("b", "a", 2)):
            run("ip", "-n", name, "link", "add", "wg0", "mtu", "1420", "type", "wireguard")
            run("ip", "-n", name, "address", "add", f"192.168.0.{number}/24", "dev", "wg0")
            run("ip", "netns", "exec", name, "wg", "set", "wg0", "private-key", "/dev/stdin", "listen-port", "51820",
                "peer", public(keys[other]), "allowed-ips", f"192.168.0.{3 - number}/32",
                "endpoint", f"10.0.0.{3 - number}:51820", stdin=keys[name])
        for name in "ab":
            run("ip", "-n", name, "link", "set", "wg0", "up")

    def on(self, name, *command, timeout=600):
        return run("ip", "netns", "exec", name, *command, timeout=timeout)

    def gone(self):
        for name in "ab":
            for interface in ("wg0", "cable"):
                subprocess.run(["ip", "-n", name, "link", "delete", interface], capture_output=True, check=False)
            run("ip", "netns", "delete", name)


def idle_ticks():
    """Hundredths of a second in which the processors had nothing to do."""
    with open("/proc/stat") as file:
        words = file.readline().split()
    return int(words[4]) + int(words[5])


def switches():
    """Context switches since the start."""
    with open("/proc/stat") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("ctxt "))


def seconds(function):
    """How long the function took, from the guest's monotonic clock."""
    start = time.monotonic_ns()
    function()
    return (time.monotonic_ns() - start) / 1e9


def results(path, rows):
    with open(path, "w") as file:
        json.dump(rows, file, indent=1)


def main(function):
    try:
        function(sys.argv[1:])
    except Failed as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        sys.exit(1)
