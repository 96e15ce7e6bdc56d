# SPDX-License-Identifier: GPL-2.0
"""Who does something to WireGuard in the churn: each worker is a process that repeats one kind of thing until the end, with
a list of the error numbers that it may get. That links and namespaces go away under it is the point."""

import errno
import os
import random
import socket
import subprocess
import time

from netlink import in_netns
from links import Host
from tunnel import NAME, REPLACE_PEERS, Tunnel, peers, random_peer, random_settings, spoofed
from wgnetlink import D_FLAGS, name, u32

# The link is gone, is not there yet, is another worker's, or the module is just being loaded or unloaded.
PASSING = {0, errno.ENODEV, errno.ENOENT, errno.EEXIST, errno.EOPNOTSUPP, errno.EADDRINUSE, errno.EBUSY, errno.EAGAIN}


class Worker:
    def __init__(self, stop, hosts, world, seed):
        self.stop, self.names, self.world = stop, hosts, world
        self.done, self.wrong = {}, []
        random.seed(seed)

    def count(self, what, error, allowed=PASSING):
        if error == 0:
            self.done[what] = self.done.get(what, 0) + 1
        elif error not in allowed:
            self.wrong.append("%s: %s" % (what, errno.errorcode.get(error, error)))

    def run(self):
        self.hosts = [Host(each) for each in self.names]
        self.begin()
        while not self.stop.is_set():
            self.step()

    def begin(self):
        pass

    def anything(self):
        """A host and a device that it may have."""
        return random.choice(self.hosts), random.choice(self.world.devices)

    def settle(self, host, device, error):
        """Often, what is missing is made, or there would be little to work on."""
        if error == errno.ENODEV and random.random() < 0.3:
            self.count("link added", host.links.add(device))


class Peers(Worker):
    """Adds, changes and removes peers and allowed IPs of all devices."""

    def begin(self):
        self.known = [os.urandom(32) for _ in range(60)]

    def step(self):
        host, device = self.anything()
        several = [random_peer(random.choice(self.known)) for _ in range(random.choice((1, 1, 5, 30)))]
        flags = REPLACE_PEERS if random.random() < 0.1 else 0
        error = host.wireguard("set", name(device), u32(D_FLAGS, flags), peers(*several))[0]
        self.count("peers set", error)
        self.settle(host, device, error)
        time.sleep(0.005)


class Settings(Worker):
    """Ports, keys, firewall marks; up and down."""

    def step(self):
        host, device = self.anything()
        error = host.wireguard("set", name(device), *random_settings())[0]
        self.count("settings set", error)
        self.settle(host, device, error)
        if random.random() < 0.3:
            up = random.random() < 0.6
            self.count("up" if up else "down", host.links.up(device, up))
        time.sleep(0.1)


class Dumps(Worker):
    """Reads what the others change."""

    def step(self):
        host = random.choice(self.hosts)
        error, device = host.wireguard("get", name(random.choice(self.world.devices + (NAME,))))
        # The module is on its way out: a dump would hold on to it (__netlink_dump_start in the kernel's af_netlink.c).
        self.count("dump", error, PASSING | {errno.EPROTONOSUPPORT})
        if error:
            host.forget()
        time.sleep(0.02)


class Movers(Worker):
    """Makes links, moves them between namespaces, and deletes them."""

    ROUND = ("add", "add", "add", "move", "move", "delete")

    def begin(self):
        self.next = []

    def step(self):
        # However slow the machine is, each kind has its turn, and finds a link if there is one.
        if not self.next:
            self.next = random.sample(self.ROUND, len(self.ROUND))
        what = self.next.pop()
        for host, device in random.sample([(host, device) for host in self.hosts for device in self.world.devices],
                                          len(self.hosts) * len(self.world.devices)):
            if what == "add":
                error = host.links.add(device)
                self.count("link added", error)
                with in_netns(host.name):
                    host.links.address(device, "172.16.%d.1/24" % random.randrange(200))
                host.links.up(device)
                break
            if what == "move":
                error = host.links.move(device, random.choice([other for other in self.hosts if other is not host]).name)
                self.count("link moved", error)
            else:
                error = host.links.delete(device)
                self.count("link deleted", error)
            if error == 0 or self.stop.is_set():
                break
        time.sleep(0.3)


class Namespaces(Worker):
    """Namespaces that live for a moment, with devices in them and devices that were born in them, and packets on the way."""

    def step(self):
        mortal = "mortal%d" % random.randrange(1000000)
        if subprocess.call(["ip", "netns", "add", mortal]):
            return self.wrong.append("a namespace cannot be made")
        try:
            here = Host(mortal)
            inside, outside = "wgm", "wgn%d" % random.randrange(1000)
            added = here.links.add(inside), here.links.add(outside)
            here.wireguard("set", name(inside), *random_settings(), peers(random_peer(os.urandom(32))))
            with in_netns(mortal):
                here.links.address(inside, "172.16.0.1/12")
            here.links.up(inside)
            # Its socket stays in the namespace that goes away.
            moved = here.links.move(outside, self.names[2])
            self.hosts[2].links.up(outside)
            with in_netns(mortal):
                there = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            for _ in range(20):
                try:
                    there.sendto(bytes(1000), ("172.16.%d.9" % random.randrange(4), 9))
                except OSError:
                    break
            there.close()
            here.links.close()
            here.forget()
        finally:
            gone = subprocess.call(["ip", "netns", "del", mortal])
        if not any(added) and not gone:
            self.count("namespace deleted with a link", 0)
        if moved == 0:
            self.count("born in a namespace that went", 0)
            self.hosts[2].links.delete(outside)
        time.sleep(0.5)


class Unsettle(Worker):
    """Changes the tunnel that carries the traffic, in ways after which it works again."""

    def step(self):
        with self.world.lock:
            tunnel = self.world.tunnel(self.hosts)
            kind = random.choice(Tunnel.CHANGES)
            for error in tunnel.change(kind):
                self.count("tunnel: " + kind, error)
            self.world.keep(tunnel)
        time.sleep(random.uniform(0.5, 2))


class Flood(Worker):
    """Handshakes of strangers and data for nobody, at both ends of the tunnel."""

    def begin(self):
        with in_netns(self.names[3]):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def step(self):
        end = random.randrange(2)
        tunnel = self.world.tunnel(self.hosts)
        for message in spoofed(tunnel.keys[end].public):
            if self.stop.is_set():
                return
            try:
                self.socket.sendto(message, ("10.9.0.%d" % (end + 1), tunnel.ports[end]))
                self.count("flood", 0)
            except OSError as error:
                self.count("flood", error.errno, PASSING | {errno.ECONNREFUSED, errno.ENOBUFS})
        time.sleep(0.05)


ALL = (Peers, Peers, Settings, Dumps, Movers, Namespaces, Unsettle, Flood)
