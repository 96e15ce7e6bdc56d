#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Runs Documentation/guide.md: every command of its machines, in its order, and compares what it prints with what stands there.

  guide.py             checks
  guide.py --update    prints the document with what was printed now, to put in its place

A command stands in a block of code behind the prompt of its machine (`gateway# `), up to the end of a here document if it has
one; what it printed stands below. `…` is for lines of any number. Numbers may be others, and keys, of which the first that are
printed stand for those of the document from then on. Each machine is a network namespace with an /etc/wireguard and an
/etc/systemd of its own; a router, which is the internet, joins them."""

import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from guest import settle_in  # noqa: E402
from netlink import run  # noqa: E402
from tap import Checks  # noqa: E402

DOCUMENT = os.path.join(HERE, "../../Documentation/guide.md")
HOSTS = {"gateway": ("198.51.100.1", "2001:db8:1::1"), "laptop": ("203.0.113.10", "2001:db8:2::10"), "phone": ("203.0.113.130", "2001:db8:3::20")}
INDENT = " " * 4
PROMPT = re.compile(INDENT + r"(%s)# (.*)" % "|".join(HOSTS))
KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
CAPABILITIES = "+net_admin,+net_bind_service,+net_broadcast,+net_raw"
WG_MONITOR = os.path.join(HERE, "../../scripts/monitor/wg-monitor")


def make_machines():
    """Each has eth0, and a router between them, which also is 192.0.2.80 and 2001:db8:80::80, a place in the internet."""
    run("sh", "-ec", "ip netns add internet; ip -n internet link set lo up; ip -n internet address add 192.0.2.80/32 dev lo; "
        "ip -n internet address add 2001:db8:80::80/128 dev lo; ip netns exec internet sysctl -qw net.ipv4.ip_forward=1 "
        "net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0")
    for name, (four, six) in HOSTS.items():
        os.makedirs("/etc/netns/%s/wireguard" % name, 0o700)
        os.makedirs("/etc/netns/%s/systemd/network" % name)
        router4, router6 = four.rpartition(".")[0] + (".129" if four.endswith("130") else ".2"), six.rpartition(":")[0] + ":ff"
        run("sh", "-ec", "ip netns add {0}; ip -n {0} link set lo up; ip netns exec {0} sysctl -qw net.ipv6.conf.default.accept_dad=0 "
            "net.ipv6.conf.all.accept_dad=0; ip link add eth0 netns {0} type veth peer name {0} netns internet; "
            "ip -n {0} link set eth0 up; ip -n internet link set {0} up; "
            "ip -n {0} address add {1}/25 dev eth0; ip -n {0} address add {2}/64 dev eth0; "
            "ip -n internet address add {3}/25 dev {0}; ip -n internet address add {4}/64 dev {0}; "
            "ip -n {0} route add default via {3}; ip -n {0} -6 route add default via {4}".format(name, four, six, router4, router6))
    os.symlink(WG_MONITOR, "/usr/local/bin/wg-monitor")
    run("ip", "netns", "exec", "gateway", "sh", "-c", "ip link add lan0 type dummy; ip link set lan0 up; ip address add 192.168.77.1/24 dev lan0")


def start_networkd():
    """On the phone, as its unit would: with a read-only /sys, it does not wait for udev to know a link."""
    settle_in("/usr/lib/systemd/systemd-networkd", "networkctl", "ping", "wg", "iperf3")
    os.makedirs("/run/dbus", exist_ok=True)
    run("dbus-uuidgen", "--ensure")
    run("dbus-daemon", "--system", "--fork")
    run("sh", "-ec", "mkdir -p /run/systemd/netif /var/lib/systemd/network; chown systemd-network: /run/systemd/netif /var/lib/systemd/network")
    subprocess.Popen(["ip", "netns", "exec", "phone", "sh", "-c", "mount -o remount,ro /sys; exec setpriv --reuid=systemd-network "
                      "--regid=systemd-network --init-groups --inh-caps=%s --ambient-caps=%s /usr/lib/systemd/systemd-networkd"
                      % (CAPABILITIES, CAPABILITIES)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if subprocess.call(["busctl", "status", "org.freedesktop.network1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0:
            return
        time.sleep(0.1)
    sys.exit("guide.py: error: systemd-networkd does not start")


def printed(lines, at):
    """Whether this line is output: code that is no prompt, or an empty line before such code."""
    if not lines[at] and at + 1 < len(lines):
        at += 1
    return lines[at].startswith(INDENT) and not PROMPT.match(lines[at])


def parse(text):
    """[(line number, machine, command, what it printed)], and the lines that none of these take."""
    lines, at = text.splitlines(), 0
    while at < len(lines):
        begin, match = at, PROMPT.match(lines[at])
        at += 1
        if not match:
            yield begin, lines[begin:at], None, None, None
            continue
        command = [match[2]]
        end = re.search(r"<<'?(\w+)'?", match[2])
        while end and command[-1] != end[1]:
            command.append(lines[at].removeprefix(INDENT))
            at += 1
        after = at
        while at < len(lines) and printed(lines, at):
            at += 1
        yield begin, lines[begin:after], match[1], "\n".join(command), [line.removeprefix(INDENT) for line in lines[after:at]]


def bare(line):
    """Without what is another each time: numbers, keys, units."""
    line = KEY.sub("KEY", line)
    line = re.sub(r"\b[A-Za-z0-9+/]{8}…", "KEY…", line)
    line = re.sub(r"[\d.:,]+( [KMGT]i?)?|\b(Now|seconds?|minutes?|ago|B)\b", "", line)
    return " ".join(line.split())


def same(wanted, got):
    """Whether these lines are those, where `…` stands for any."""
    if not wanted:
        return not got
    if wanted[0] == "…":
        return any(same(wanted[1:], got[skip:]) for skip in range(len(got) + 1))
    return bool(got) and bare(wanted[0]) == bare(got[0]) and same(wanted[1:], got[1:])


def main():
    update = sys.argv[1:] == ["--update"]
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    checks = None if update else Checks()
    make_machines()
    start_networkd()
    keys = {}
    for number, lines, machine, command, wanted in parse(text):
        if machine:
            real = KEY.sub(lambda match: keys.get(match[0], match[0]), command)
            done = subprocess.run(["ip", "netns", "exec", machine, "bash", "-c", real], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, env={**os.environ, "WG_HIDE_KEYS": "always", "LANG": "C.UTF-8"}, timeout=300, check=False)
            got = [line.expandtabs().rstrip() for line in done.stdout.decode(errors="replace").rstrip("\n").splitlines()]
            for here, there in zip(KEY.findall("\n".join(wanted)), KEY.findall("\n".join(got))):
                keys.setdefault(here, there)
        if update:
            print("\n".join(KEY.sub(lambda match: keys.get(match[0], match[0]), line) for line in lines))
            if machine:
                print("".join(INDENT + line + "\n" if line else "\n" for line in got), end="")
        elif machine:
            checks.note("%s# %s" % (machine, command.replace("\n", "\n  ")))
            checks.note("\n".join(got))
            checks.ok(done.returncode == 0 and same([line for line in wanted if line], [line for line in got if line]), "line %d: %s# %s" % (number + 1, machine, command.splitlines()[0]),
                      "exit status %d; it should print\n%s" % (done.returncode, "\n".join(wanted)))
    if not update:
        checks.finish()


main()
