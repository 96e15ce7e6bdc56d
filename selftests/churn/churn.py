#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Everything at once: processes add, change and remove peers and allowed IPs, change ports and keys, take links up and down,
move them between namespaces, delete namespaces, and unload the module, while iperf3, pings and floods run through tunnels.

  churn.py [SECONDS]     or CHURN= in the environment, or 30. SEED= repeats the workers' choices, though not their order

Nothing in it has a certain outcome but this: no request fails in a way that it may not, each load of the module carries
traffic, and at the end the module goes and leaves nothing behind, neither in the kernel's log nor for kmemleak.
"""

import multiprocessing
import os
import pickle
import random
import signal
import subprocess
import sys
import time

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(here, "..", "lib"))
import kmemleak  # noqa: E402
from links import Host  # noqa: E402
from module import loaded, unload, until  # noqa: E402
from netlink import run  # noqa: E402
from tap import Checks  # noqa: E402
from tunnel import NAME, Tunnel  # noqa: E402
import workers  # noqa: E402

HOSTS = ["c0", "c1", "c2", "c3"]
TRAFFIC = (
    (1, "while :; do timeout 60 iperf3 -s >/dev/null 2>&1; done"),
    (0, "while :; do timeout 12 iperf3 -c 10.8.0.2 -t 4 --connect-timeout 2000; sleep 0.3; done"),
    (0, "while :; do timeout 12 iperf3 -c fd08::2 -u -b 20M -l 400 -R -t 3 --connect-timeout 2000; sleep 0.3; done"),
    (0, "while :; do timeout 10 ping -f -q -s 1300 10.8.0.2; sleep 0.3; done"),
    (1, "while :; do timeout 10 ping -i 0.002 -q -s 3000 fd08::1; sleep 0.3; done"),
)


class World:
    """What the processes share: names, and how the tunnel is configured now."""
    devices = ("wga", "wgb", "wgc")

    def __init__(self):
        self.lock = multiprocessing.Lock()
        self.file = "/tmp/churn-tunnel.%d" % os.getpid()

    def keep(self, tunnel):
        state = ([key.private for key in tunnel.keys], tunnel.ports, tunnel.psk)
        with open(self.file + ".part", "wb") as file:
            pickle.dump(state, file)
        os.rename(self.file + ".part", self.file)

    def tunnel(self, hosts):
        tunnel = Tunnel(hosts)
        with open(self.file, "rb") as file:
            private, tunnel.ports, tunnel.psk = pickle.load(file)
        tunnel.keys = [type(tunnel.keys[0])(each) for each in private]
        return tunnel


def make_hosts():
    run("ip", "netns", "add", "switch")
    run("ip", "-n", "switch", "link", "add", "bridge", "up", "type", "bridge")
    for number, name in enumerate(HOSTS):
        run("ip", "netns", "add", name)
        run("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0", "net.ipv6.conf.all.accept_dad=0")
        run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "link", "add", "eth0", "netns", name, "type", "veth", "peer", "name", name, "netns", "switch")
        run("ip", "-n", name, "link", "set", "eth0", "up")
        run("ip", "-n", "switch", "link", "set", name, "master", "bridge", "up")
        for address in "10.9.0.%d/24" % (number + 1), "fd09::%d/64" % (number + 1):
            run("ip", "-n", name, "address", "add", address, "dev", "eth0")


def work(kind, stop, world, seed, pipe):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = kind(stop, HOSTS, world, seed)
    try:
        worker.run()
    except Exception as error:  # whatever it is, the check below is to name it
        worker.wrong.append("%s: %r" % (kind.__name__, error))
    pipe.send((worker.done, worker.wrong))
    os._exit(0)


def main():
    if os.geteuid():
        sys.exit("churn.py: error: must be root, to make network namespaces")
    seconds = float(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("CHURN") or 30)
    seed = os.environ.get("SEED") or str(random.randrange(2**32))
    epochs = max(2, int(seconds / 30))
    subprocess.call(["rmmod", "wireguard"], stderr=subprocess.DEVNULL)
    t = Checks()
    make_hosts()
    world = World()
    hosts = [Host(name) for name in HOSTS]
    world.keep(Tunnel(hosts))
    stop = multiprocessing.Event()
    t.chapter("%d s in %d loads of the module, SEED=%s" % (seconds, epochs, seed))

    processes = []
    for number, kind in enumerate(workers.ALL):
        ours, theirs = multiprocessing.Pipe(False)
        process = multiprocessing.Process(target=work, args=(kind, stop, world, "%s/%d" % (seed, number), theirs), daemon=True)
        process.start()
        processes.append((kind, process, ours))
    traffic = [subprocess.Popen(["ip", "netns", "exec", HOSTS[number], "nice", "bash", "-c", command], stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL, start_new_session=True) for number, command in TRAFFIC]

    def build():
        run("modprobe", "wireguard")
        with world.lock:
            tunnel = world.tunnel(hosts)
            for host in hosts:
                host.forget()
            errors = tunnel.build()
            world.keep(tunnel)
        return errors

    unloaded = built = carried = 0
    start = time.monotonic()
    for epoch in range(epochs):
        errors = build()
        built += not any(errors)
        if any(errors):
            t.note("load %d: the tunnel is not as asked for: %s" % (epoch + 1, errors))
        before = Tunnel(hosts).received()
        # The time is shared out; an epoch in which nothing has come through yet gets more of it.
        time.sleep(max(1, start + seconds * (epoch + 1) / epochs - time.monotonic()))
        passed = until(180, lambda: Tunnel(hosts).received() - before > 20000)
        carried += passed
        t.note("load %d: %d bytes through the tunnel, at %d s" % (epoch + 1, Tunnel(hosts).received() - before, time.monotonic() - start))
        if epoch + 1 < epochs:
            unloaded += unload()
    stop.set()
    done, wrong = {}, []
    for kind, process, pipe in processes:
        if pipe.poll(300):
            counts, errors = pipe.recv()
            for what, count in counts.items():
                done[what] = done.get(what, 0) + count
            wrong += errors
        else:
            wrong.append("%s does not end" % kind.__name__)
        process.join(10)
    for each in traffic:
        os.killpg(each.pid, signal.SIGKILL)

    t.equal(built, epochs, "the tunnel could be set up after each load")
    t.equal(carried, epochs, "and carried traffic each time")
    t.equal(unloaded, epochs - 1, "the module was unloaded each time, with everything going on")
    t.note(", ".join("%s %d" % each for each in sorted(done.items())))
    wanted = ["peers set", "settings set", "up", "down", "dump", "link added", "link moved", "link deleted", "namespace deleted with a link",
              "born in a namespace that went", "flood"]
    t.ok(all(done.get(what) for what in wanted) and sum(what.startswith("tunnel: ") for what in done) >= 3, "everything was done",
         "not done: %s" % [what for what in wanted if not done.get(what)])
    t.equal(sorted(set(wrong)), [], "nothing failed in a way that it may not")

    t.chapter("Afterwards")
    with world.lock:
        tunnel = world.tunnel(hosts)
        errors = [tunnel.configure(0), tunnel.configure(1)] + [host.links.up(NAME) for host in tunnel.hosts]
    t.ok(not any(errors) and until(120, lambda: subprocess.call(["ip", "netns", "exec", "c0", "ping", "-c1", "-W2", "10.8.0.2"], stdout=subprocess.DEVNULL) == 0),
         "the tunnel still works", str(errors))
    run("ip", "-all", "netns", "delete")
    t.ok(unload() and not loaded(), "the module is unloaded")
    lines = [line for line in t.kernel_lines() if "Call Trace" in line or "still referenced" in line]
    t.ok(not lines, "no trace in the kernel's log", "\n".join(lines))
    if kmemleak.available():
        found = kmemleak.scan()
        t.ok(not found, "kmemleak finds nothing", found)
    else:
        t.note("this kernel has no kmemleak (that of scripts/debug-kernel has)")
    os.remove(world.file)
    t.finish()


main()
