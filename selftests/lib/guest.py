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

import userspace

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
    """Counts the grace periods that are waited for, expedited or not."""
    PROBES = "/sys/kernel/tracing/kprobe_events"
    FUNCTIONS = ("synchronize_rcu", "synchronize_rcu_expedited")

    def __enter__(self):
        # Each time this file is opened to be written, it forgets what was in it.
        self.write(self.PROBES, "".join(f"p:waits/{function} {function}\n" for function in self.FUNCTIONS))
        self.write("/sys/kernel/tracing/events/waits/enable", "1")
        # Switching this on and off waits, too, and so does what makes probes quicker a moment later.
        time.sleep(0.5)
        self.before = self.hits()
        return self

    def __exit__(self, *_):
        self.count = self.hits() - self.before
        self.write("/sys/kernel/tracing/events/waits/enable", "0")
        self.write(self.PROBES, "")

    @staticmethod
    def hits():
        with open("/sys/kernel/tracing/kprobe_profile") as file:
            return sum(int(line.split()[1]) for line in file)

    @staticmethod
    def write(path, words):
        with open(path, "w") as file:
            file.write(words)


def iperf3_server(hosts, name, *options, before=()):
    """iperf3 at a host, which listens; what is `before` it runs it."""
    process = subprocess.Popen(["ip", "netns", "exec", name, *before, "iperf3", "--server", *options],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(500):
        if hosts.on(name, "ss", "-tlnH", "sport = 5201"):
            return process
        time.sleep(0.01)
    raise Failed("iperf3 does not listen")


class Hosts:
    """Two namespaces, a and b, joined by a veth pair, and a tunnel between them if a module is loaded, or of a program in user space."""

    def __init__(self, tunnel, program=None):
        for name in "ab":
            run("ip", "netns", "add", name)
        run("ip", "-n", "a", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", "b")
        for name, number in (("a", 1), ("b", 2)):
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", name, "address", "add", f"10.0.0.{number}/24", "dev", "cable")
            run("ip", "-n", name, "address", "add", f"fd10::{number}/64", "dev", "cable", "nodad")
            run("ip", "-n", name, "link", "set", "cable", "up")
        self.address, self.address6 = "10.0.0.2", "fd10::2"
        self.names = "ab"
        self.keys = {}
        self.program, self.running = program, []
        # wg(8) finds a program by its link's name, whose namespace it does not ask for: so there they differ.
        self.links = {"a": "wg0", "b": "wg1" if program else "wg0", "d": "wg0"}
        if tunnel:
            self.tunnel()
            self.address, self.address6 = "192.168.0.2", "fd20::2"

    def tunnel(self):
        for name, number in (("a", 1), ("b", 2)):
            self.link(name, number)
        for name, other, number in (("a", "b", 2), ("b", "a", 1)):
            self.peer(name, other, f"10.0.0.{number}", f"192.168.0.{number}/32,fd20::{number}/128")

    def link(self, name, number):
        """A WireGuard link."""
        self.keys[name] = run("wg", "genkey").strip()
        link = self.links[name]
        if self.program:
            self.running.append(userspace.start(self.program, name, link))
            run("ip", "-n", name, "link", "set", link, "mtu", "1420")
        else:
            run("ip", "-n", name, "link", "add", link, "mtu", "1420", "type", "wireguard")
        run("ip", "-n", name, "address", "add", f"192.168.0.{number}/24", "dev", link)
        run("ip", "-n", name, "address", "add", f"fd20::{number}/64", "dev", link, "nodad")
        run("ip", "netns", "exec", name, "wg", "set", link, "private-key", "/dev/stdin", "listen-port", "51820", stdin=self.keys[name])
        run("ip", "-n", name, "link", "set", link, "up")

    def peer(self, name, other, endpoint, allowed):
        self.on(name, "wg", "set", self.links[name], "peer", public(self.keys[other]), "allowed-ips", allowed, "endpoint", f"{endpoint}:51820")

    def without_session(self, name):
        """The link goes down and up, with which its sessions end; what was derived of its peers' keys alone stays."""
        self.on(name, "sysctl", "-qw", "net.ipv6.conf.all.keep_addr_on_down=1")
        for state in ("down", "up"):
            run("ip", "-n", name, "link", "set", self.links[name], state)

    def gateway(self):
        """Makes b the gateway between a, another traveller d (192.168.0.3 or 10.2.0.2), and a plain network with host c (10.1.0.2)."""
        if "c" in self.names:
            return
        self.names = "abcd"
        for name, cable, number in (("c", "lan", 1), ("d", "cable2", 2)):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("ip", "-n", "b", "link", "add", cable, "type", "veth", "peer", "name", cable, "netns", name)
            for end, host in (("b", 1), (name, 2)):
                run("ip", "-n", end, "address", "add", f"10.{number}.0.{host}/24", "dev", cable)
                run("ip", "-n", end, "link", "set", cable, "up")
            run("ip", "-n", name, "route", "add", "default", "via", f"10.{number}.0.1")
        self.on("b", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        if not self.keys:
            run("ip", "-n", "a", "route", "add", "default", "via", "10.0.0.2")
            return
        self.link("d", 3)
        self.peer("b", "d", "10.2.0.2", "192.168.0.3/32")
        self.peer("d", "b", "10.2.0.1", "192.168.0.0/24")
        self.peer("a", "b", "10.0.0.2", "192.168.0.0/24,10.1.0.0/24,fd20::2/128")
        run("ip", "-n", "a", "route", "add", "10.1.0.0/24", "dev", "wg0")

    def on(self, name, *command, timeout=600):
        return run("ip", "netns", "exec", name, *command, timeout=timeout)

    def gone(self):
        for process in self.running:
            process.terminate()
            process.wait()
        for name in self.names:
            for interface in ("wg0", "cable", "cable2", "lan"):
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
