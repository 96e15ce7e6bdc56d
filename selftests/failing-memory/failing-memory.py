#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Memory that fails, for this module only: first each single allocation of each request in turn, then 1, 5 and 20 of a hundred
while links are made, devices configured and handshakes and packets under way. Whatever fails must do so with ENOMEM and
leave nothing behind, and everything must work again as soon as memory does.

  failing-memory.py [SECONDS] [single|shares]     how long each of the three shares lasts (20); one half of it only

Needs the kernel of scripts/debug-kernel.
"""

import collections
import ctypes
import errno
import itertools
import os
import re
import socket
import struct
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "lib"))
import injection  # noqa: E402
import kmemleak  # noqa: E402
from links import Host  # noqa: E402
from module import loaded, unload, until  # noqa: E402
from netlink import attribute, in_netns, nest, run  # noqa: E402
from tap import Checks  # noqa: E402
from tunnel import REPLACE_IPS, REPLACE_PEERS, Tunnel, allowed, peer, peers  # noqa: E402
from wgnetlink import D_FLAGS, D_FWMARK, D_PORT, D_PRIVATE, P_ENDPOINT, P_FLAGS, P_IPS, P_KEEPALIVE, P_PSK, name, sockaddr4, u16, u32  # noqa: E402

DEVICE = "wgf"
LIMIT = 2000  # no request makes so many allocations
# What the kernel itself makes of failing memory when a socket is opened: no inode (sock_alloc), no sock (inet_create).
NO_SOCKET = (errno.ENOMEM, errno.ENFILE, errno.ENOBUFS)
# And when a link is registered: no name for its kobject (device_add), no sysctls (neigh_sysctl_register, addrconf_sysctl_register).
NO_LINK = (errno.EINVAL, errno.ENOBUFS)
KEYS = [bytes([number]) * 32 for number in range(1, 6)]


def many_peers():
    """Peers with allowed IPs that lie beside, above and below each other."""
    each = []
    for number, key in enumerate(KEYS):
        ips = [allowed(bytes([10, number, 0, 0]), 16), allowed(bytes([10, number, 3, 4]), 32), allowed(bytes([10, 0, 0, 0]), 4 + number),
               allowed(bytes([0xFD, number] + [0] * 14), 16 + number)]
        each.append(peer(key, attribute(P_PSK, key), u16(P_KEEPALIVE, 25), attribute(P_ENDPOINT, sockaddr4("10.9.0.9", 9)), nest(P_IPS, *ips)))
    return peers(*each)


def load():
    path = run("modinfo", "-n", "wireguard").strip()
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb") as file:
        return 0 if libc.syscall(313, file.fileno(), b"", 0) == 0 else ctypes.get_errno()  # finit_module


class Single:
    """One request after the other, each as often as it takes until none of its allocations fails any more."""

    def __init__(self, checks):
        self.t = checks
        self.total = 0

    def try_all(self, what, action, undo=lambda: None, may=(errno.ENOMEM,), least=1):
        failed, survived, wrong = 0, 0, []
        for number in range(1, LIMIT):
            error, hit = injection.nth(number, action)
            if not hit:
                if error:
                    wrong.append("none fails: %s" % errno.errorcode.get(error, error))
                break
            if error == 0:
                survived += 1
            elif error in may:
                failed += 1
            else:
                wrong.append("%d: %s" % (number, errno.errorcode.get(error, error)))
            undo()
        else:
            wrong.append("there is no end to its allocations")
        self.total += failed + survived
        self.t.ok(not wrong and failed + survived >= least, "%s: %d allocations failed one by one; %d times that was its ENOMEM, %d times it did without" %
                  (what, failed + survived, failed, survived), str(wrong or "it took fewer than %d" % least))


def singles(t, host):
    t.chapter("Each allocation in turn")
    single = Single(t)

    def remove():
        if loaded():
            run("rmmod", "wireguard")

    injection.confine(*injection.MODULES)
    single.try_all("loading the module", load, remove, least=5)
    t.ok(loaded(), "then it loads")
    start, end = injection.text()
    t.note("the module's text: 0x%x-0x%x" % (start, end))
    injection.confine(start, end)
    links, wireguard = host.links, lambda *attrs: host.wireguard("set", name(DEVICE), *attrs)[0]

    def forget_peers():
        wireguard(u32(D_FLAGS, REPLACE_PEERS))

    single.try_all("adding a link", lambda: links.add(DEVICE), lambda: links.delete(DEVICE), (errno.ENOMEM, *NO_LINK), least=5)
    # With the link there from the last try.
    single.try_all("a private key, a port and a mark", lambda: wireguard(attribute(D_PRIVATE, KEYS[0]), u16(D_PORT, 51900), u32(D_FWMARK, 1)), least=0)
    single.try_all("adding peers with allowed IPs", lambda: wireguard(many_peers()), forget_peers, least=10)
    single.try_all("the same again", lambda: wireguard(many_peers()), least=0)
    more = peer(KEYS[0], nest(P_IPS, *(allowed(bytes([172, 16, n, 0]), 24) for n in range(4))))
    fewer = peer(KEYS[0], u32(P_FLAGS, REPLACE_IPS), nest(P_IPS, allowed(bytes([10, 1, 0, 0]), 16)))
    single.try_all("further allowed IPs", lambda: wireguard(peers(more)), lambda: wireguard(peers(fewer)), least=4)
    single.try_all("going up", lambda: links.up(DEVICE), lambda: links.up(DEVICE, False), NO_SOCKET, least=2)
    ports = iter(range(52000, 52000 + LIMIT))
    single.try_all("another port", lambda: wireguard(u16(D_PORT, next(ports))), may=NO_SOCKET, least=2)
    single.try_all("reading all of it", lambda: host.wireguard("get", name(DEVICE))[0], host.forget, may=(errno.ENOMEM, errno.ENOBUFS, errno.EMSGSIZE), least=0)
    single.try_all("removing the peers", lambda: wireguard(u32(D_FLAGS, REPLACE_PEERS)), lambda: wireguard(many_peers()), least=0)
    single.try_all("going down", lambda: links.up(DEVICE, False), lambda: links.up(DEVICE), least=0)
    single.try_all("deleting the link", lambda: links.delete(DEVICE), lambda: links.add(DEVICE), least=0)
    t.ok(single.total > 50, "that were many (%d)" % single.total)


class Undone:
    """How often a device was registered, and that undone, by the module itself."""
    TRACING = "/sys/kernel/tracing/"

    def __init__(self):
        run("sh", "-c", "mountpoint -q %s || mount -t tracefs tracefs %s" % (self.TRACING, self.TRACING))
        self.start, self.end = injection.text()
        self.write("kprobe_events", "p:undone/unregister unregister_netdevice_queue caller=+0($stack):x64")
        self.write("events/undone/unregister/enable", "1")

    def write(self, file, words):
        with open(self.TRACING + file, "w") as out:
            out.write(words)

    def close(self):
        with open(self.TRACING + "trace") as trace:
            callers = [int(caller, 16) for caller in re.findall(r" unregister: .* caller=(0x[0-9a-f]+)", trace.read())]
        self.write("events/undone/unregister/enable", "0")
        self.write("kprobe_events", "")
        return sum(self.start <= caller < self.end for caller in callers)


def areas():
    """The kernel's areas of adjacent addresses that are not stacks: [(size, who made it)]."""
    with open("/proc/vmallocinfo") as file:
        each = (line.split() for line in file)
        return sorted((int(words[1]), words[2]) for words in each if "vmalloc" in words and not words[2].startswith("dup_task_struct"))


def half_way(t, host):
    """All memory ends while a link is being made, sooner and later."""
    t.chapter("A link that comes to nothing half-way")
    links = host.links
    t.ok(links.delete(DEVICE) in (0, errno.ENODEV), "there is no link")
    before, undone, errors, left = areas(), Undone(), [], []
    for kilobytes in range(0, 2000):
        # The table of senders is large, and thus an area of its own.
        injection.begin(100, order=3, after=kilobytes << 10)
        error = links.add(DEVICE)
        injection.end()
        errors.append(error)
        if error == 0:
            break
        with in_netns(host.name):
            if DEVICE in (name for _, name in socket.if_nameindex()):
                left.append(kilobytes)
    during = areas()
    t.note("with so many errors: %s" % {errno.errorcode.get(error, error): errors.count(error) for error in set(errors)})
    t.equal(errors[-1], 0, "when there is enough, a link is there")
    t.equal(set(errors) - {0, errno.ENOMEM, *NO_LINK}, set(), "with less it was refused")
    t.equal(left, [], "and was not there")
    count = undone.close()
    t.ok(count > 0, "some were registered by then, which the module has undone (%d)" % count)
    t.ok(before != during, "a link has areas of memory (%s)" % [area for area in during if area not in before])
    t.equal(links.delete(DEVICE), 0, "the link is deleted")
    t.ok(until(10, lambda: areas() == before), "and with it all that the others had has gone", "%s, then %s" % (before, areas()))


def ping(count=1, patience=2):
    return subprocess.call(["ip", "netns", "exec", "f0", "ping", "-q", "-c", str(count), "-W", str(patience), "10.8.0.2"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0


def make_hosts():
    for number, host in enumerate(("f0", "f1")):
        run("ip", "netns", "add", host)
        run("ip", "netns", "exec", host, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        run("ip", "-n", host, "link", "set", "lo", "up")
    run("ip", "link", "add", "eth0", "netns", "f0", "type", "veth", "peer", "name", "eth0", "netns", "f1")
    for number, host in enumerate(("f0", "f1")):
        run("ip", "-n", host, "address", "add", "10.9.0.%d/24" % (number + 1), "dev", "eth0")
        run("ip", "-n", host, "link", "set", "eth0", "up")


def datagrams(raw, size, expected):
    """[(counter, how many messages)] of the data messages that leave f0, until so many of `size` bytes have come (20 s)."""
    seen, left, end = [], expected, time.monotonic() + 20
    while left > 0 and time.monotonic() < end:
        try:
            packet = raw.recv(65536)
        except TimeoutError:
            continue
        if packet[9] == 17 and packet[12:16] == socket.inet_aton("10.9.0.1") and packet[28:32] == b"\4\0\0\0":
            count = -(-(len(packet) - 28) // size)
            seen.append((struct.unpack("<Q", packet[36:44])[0], count))
            if len(packet) - 28 >= size:
                left -= count
    return seen


def no_pages(t):
    """Memory for many messages at once is not to be had."""
    t.chapter("No adjacent pages")
    segments, length = 40, 1000
    size = 32 + 1040  # with the inner headers, padded
    with in_netns("f0"):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with in_netns("f1"):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        raw.bind(("eth0", 0x0800))
    raw.settimeout(1)
    raw.setsockopt(socket.SOL_SOCKET, 33, 1 << 26)  # SO_RCVBUFFORCE

    def send(bursts=1):
        for _ in range(bursts):
            sender.sendmsg([bytes(segments * length)], [(17, 103, struct.pack("=H", length))], 0, ("10.8.0.2", 9))  # UDP_SEGMENT
        return datagrams(raw, size, bursts * segments)

    def gaps(seen):
        return [(counter, after) for (counter, count), (after, _) in zip(seen, seen[1:]) if counter + count != after]

    def are_together(seen):
        """Several in a buffer: how many, the rate decides, which is low with an instrumented kernel."""
        # Keepalives are alone.
        return sum(count for _, count in seen if count > 1) == segments

    together = send()
    t.ok(are_together(together), "with memory %d messages leave together" % segments, together)
    # Slabs do with fewer, even with all that is put around their objects here.
    injection.begin(100, order=3)
    # The packet socket keeps what it has not read, and so the pages, of which each processor has some: they come to an end.
    without = send(12)
    failed = injection.end()
    rows = itertools.groupby(without, lambda sent: sent[1] == 1)
    alone = max((len(list(row)) for is_alone, row in rows if is_alone), default=0)
    t.ok(failed["fail_page_alloc"] > 0 and failed["failslab"] == 0, "then the pages for that fail (%s)" % failed)
    t.ok(alone >= segments, "and the messages leave one by one (%d)" % alone, without)
    again = send()
    t.ok(are_together(again), "with memory again they leave together", again)
    t.equal(gaps(together + without + again), [], "and no counter was left out")
    sender.close()
    raw.close()


def handshakes(t, tunnel):
    """Handshakes are what work items do, and few of all that fails below. Returns in which contexts allocations failed."""
    t.chapter("Half of all, while there is nothing but handshakes")
    where = collections.Counter()
    for _ in range(20):
        tunnel.change("key")
        injection.begin(50, shown=True)
        ping()
        injection.end()
        where.update(injection.samples())
        if where["a work item"]:
            break
    t.ok(where["a work item"], "allocations failed in work items (%s)" % dict(where))
    t.ok(until(180, ping), "with memory again the tunnel works")
    return where


def share(t, percent, seconds, hosts, tunnel):
    """So many of a hundred fail while everything goes on."""
    t.chapter("%d of a hundred" % percent)
    done = {0: 0, errno.ENOMEM: 0, "other": 0}
    wrong = []

    def count(what, error, also=()):
        if error in done:
            done[error] += 1
        elif error in also:
            done["other"] += 1
        else:
            wrong.append("%s: %s" % (what, errno.errorcode.get(error, error)))

    before = tunnel.received()
    injection.samples()
    where = collections.Counter()
    injection.begin(percent, shown=True)
    end = time.monotonic() + seconds
    round_ = 0
    # On a slow machine as long as it takes for each end to have had some turns.
    while time.monotonic() < end or (round_ < 12 and time.monotonic() < end + 600):
        host = hosts[round_ % 2]
        round_ += 1
        # A link's whole life. What did not come to be is not there: that is what ENODEV and EEXIST say.
        error = host.links.add(DEVICE)
        count("add", error, NO_LINK)
        missing = (errno.ENODEV,) if error else ()
        count("set", host.wireguard("set", name(DEVICE), attribute(D_PRIVATE, os.urandom(32)), many_peers())[0], missing)
        count("up", host.links.up(DEVICE), missing + NO_SOCKET)
        count("get", host.wireguard("get", name(DEVICE))[0], missing + (errno.ENOBUFS, errno.EMSGSIZE))
        with in_netns(host.name):
            count("address", host.links.address(DEVICE, "172.16.0.1/24"), missing + (errno.ENOBUFS,))
        count("remove peers", host.wireguard("set", name(DEVICE), u32(D_FLAGS, REPLACE_PEERS))[0], missing)
        count("delete", host.links.delete(DEVICE), missing)
        # Without a session, so that handshakes are under way all the time.
        if round_ % 3 == 0:
            # It sets the port, too.
            for error in tunnel.change("key"):
                count("keys", error, NO_SOCKET)
        where.update(injection.samples())
        time.sleep(0.05)
    failed = injection.end()
    t.note("%d requests did what they should, %d said ENOMEM; allocations that failed: %s" % (done[0], done[errno.ENOMEM], failed))
    t.note("%d bytes came through the tunnel meanwhile" % (tunnel.received() - before))
    t.ok(failed["failslab"] > 0, "allocations failed (%d)" % failed["failslab"])
    t.ok(sum(done.values()) + len(wrong) >= 12, "requests were made (%d)" % (sum(done.values()) + len(wrong)))
    t.equal(sorted(set(wrong)), [], "what failed said ENOMEM (or that there is no socket to be had)")
    # The tunnel's last configuration may have been refused; to try again is the task of the program that configures it.
    t.equal([tunnel.configure(0), tunnel.configure(1)], [0, 0], "with memory there again the tunnel can be configured")
    t.ok(until(180, ping), "and works")
    moved = tunnel.received()
    t.ok(ping(20, 10) and tunnel.received() - moved >= 2 * 20 * 84, "both ways")
    return failed, where


def shares(t, seconds, hosts):
    tunnel = Tunnel(hosts)
    run("modprobe", "wireguard")
    injection.confine(*injection.text())
    t.equal(set(tunnel.build()), {0}, "a tunnel is set up")
    t.ok(until(60, ping), "and works")
    no_pages(t)
    injection.samples()
    where = handshakes(t, tunnel)
    commands = ((1, "while :; do timeout 60 iperf3 -s >/dev/null 2>&1; done"),
                (0, "while :; do timeout 10 iperf3 -c 10.8.0.2 -t 3 --connect-timeout 2000; sleep 0.3; done"),
                (0, "while :; do timeout 10 iperf3 -c 10.8.0.2 -p 5202 -u -b 10M -l 300 -R -t 3 --connect-timeout 2000; sleep 0.3; done"),
                (1, "while :; do timeout 60 iperf3 -s -p 5202 >/dev/null 2>&1; done"),
                (0, "while :; do timeout 10 ping -i 0.005 -q -s 3000 fd08::2; sleep 0.3; done"))
    traffic = [subprocess.Popen(["ip", "netns", "exec", hosts[number].name, "nice", "bash", "-c", command], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True) for number, command in commands]
    pages = 0
    for percent in (1, 5, 20):
        failed, shown = share(t, percent, seconds, hosts, tunnel)
        pages += failed["fail_page_alloc"]
        where.update(shown)
    for each in traffic:
        os.killpg(each.pid, 9)

    t.ok(pages > 0, "allocations of pages were among what failed (%d)" % pages)
    t.ok(all(where[context] for context in ("a process", "a softirq", "a work item")), "failures shown in the log were in processes, softirqs and work items (%s)" % dict(where))


def main():
    if os.geteuid():
        sys.exit("failing-memory.py: error: must be root, to make network namespaces")
    if not injection.available():
        sys.exit("failing-memory.py: error: this kernel has no fault injection with a stack filter: use that of scripts/debug-kernel")
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20
    halves = sys.argv[2:] or ["single", "shares"]
    t = Checks()
    # Its dependencies are loaded with it, and stay.
    run("modprobe", "wireguard")
    run("rmmod", "wireguard")
    make_hosts()
    hosts = [Host("f0"), Host("f1")]
    if "single" in halves:
        singles(t, hosts[0])
        half_way(t, hosts[0])
    if "shares" in halves:
        shares(t, seconds, hosts)

    t.chapter("Afterwards")
    run("ip", "-all", "netns", "delete")
    t.ok(unload(60), "the module is unloaded")
    # If its own memory had failed so often that it had given up, this would be an error.
    found = kmemleak.scan()
    t.ok(not found, "kmemleak finds nothing", found)
    t.finish()


main()
