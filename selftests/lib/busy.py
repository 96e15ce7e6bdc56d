# SPDX-License-Identifier: GPL-2.0
"""Machines that are too busy for what is asked of them: processors that do no work items, packets that come in one go, packets that
take long to leave."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading

UDP_SEGMENT = 103


def burst(sock, messages):
    """Sends datagrams of one length, up to 60 in a buffer."""
    for at in range(0, len(messages), 60):
        some = messages[at:at + 60]
        sock.sendmsg([b"".join(some)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", len(some[0])))])


def _at_once(priority):
    os.sched_setscheduler(0, os.SCHED_FIFO if priority else os.SCHED_OTHER, os.sched_param(priority))


def _fair_server(cpu, runtime):
    """How many of each thousand milliseconds the kernel gives to ordinary tasks whatever real-time tasks do."""
    with open("/sys/kernel/debug/sched/fair_server/cpu%d/runtime" % cpu, "w", encoding="ascii") as file:
        file.write(str(runtime * 1_000_000))


def nothing_in_rcus_way():
    """Grace periods wait for nobody who does not get a processor that is held.

    khugepaged has the lowest priority: preempted in the middle of reading, on a processor that has other things to do, it is
    waited for until that has time. RCU's own threads wait for the processor that is held if they happen to be there."""
    huge = "/sys/kernel/mm/transparent_hugepage/enabled"
    if os.path.exists(huge):
        with open(huge, "w", encoding="ascii") as file:
            file.write("never")
    threads = subprocess.run(["pgrep", "^rcu_(preempt|sched|exp_)"], stdout=subprocess.PIPE, check=True).stdout.split()
    for thread in threads:
        os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(51))


@contextlib.contextmanager
def held(cpus, before=lambda: None):
    """Each of these processors is held by a process that does this there and then computes: nobody but interrupts, softirqs and who has
    a higher priority gets it, however long it takes."""
    children = []
    for cpu in cpus:
        _fair_server(cpu, 0)
    try:
        for cpu in cpus:
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    os.sched_setaffinity(0, {cpu})
                    _at_once(10)
                    before()
                    os.write(writer, b"x")
                    while True:
                        pass
                finally:
                    os._exit(1)
            children.append(pid)
            os.close(writer)
            if not os.read(reader, 1):
                raise RuntimeError("the process that was to hold processor %d has ended" % cpu)
            os.close(reader)
        yield
    finally:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for cpu in cpus:
            _fair_server(cpu, 50)


@contextlib.contextmanager
def no_work_items():
    """Nobody but the caller, interrupts and softirqs gets a processor, however long it takes."""
    here, *others = cpus = sorted(os.sched_getaffinity(0))
    _fair_server(here, 0)
    os.sched_setaffinity(0, {here})
    try:
        with held(others):
            _at_once(20)
            yield
    finally:
        _at_once(0)
        os.sched_setaffinity(0, cpus)
        _fair_server(here, 50)


def has_plug():
    """Whether the kernel has what `plugged` needs."""
    return subprocess.run(["modprobe", "-q", "sch_plug"], check=False).returncode == 0


@contextlib.contextmanager
def plugged(namespace, link):
    """What is sent there waits, and leaves in one go."""
    tc = ["tc", "-n", namespace, "qdisc"]
    where = ["dev", link, "root", "plug"]
    subprocess.run([*tc, "add", *where, "limit", "10000000"], check=True)
    try:
        yield
        subprocess.run([*tc, "change", *where, "release_indefinite"], check=True)
    finally:
        subprocess.run([*tc, "del", *where], check=True)


@contextlib.contextmanager
def slow_to_leave(namespace, match):
    """A packet that matches, for nftables, takes a processor a large part of a second on its way out."""
    rules = "table ip slow {\n chain c {\n%s }\n chain b {\n%s }\n chain a {\n%s }\n chain out { type filter hook output priority 0; %s jump a; }\n}\n" % (
        "  counter\n" * 300, "  jump c\n" * 100, "  jump b\n" * 100, match)
    nft = ["ip", "netns", "exec", namespace, "nft"]
    subprocess.run([*nft, "-f", "-"], input=rules.encode(), check=True)
    try:
        yield
    finally:
        subprocess.run([*nft, "delete", "table", "ip", "slow"], check=True)


def beside(first, second, pause=0.02):
    """Does the one on a processor, and the other on another one shortly afterwards."""
    cpus = sorted(os.sched_getaffinity(0))

    def on(cpu, act):
        os.sched_setaffinity(0, {cpu})
        try:
            act()
        finally:
            os.sched_setaffinity(0, set(cpus))

    thread = threading.Thread(target=on, args=(cpus[0], first))
    thread.start()
    thread.join(pause)
    on(cpus[-1], second)
    thread.join()
