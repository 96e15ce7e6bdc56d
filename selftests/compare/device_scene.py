# SPDX-License-Identifier: GPL-2.0
"""For the device scenarios: they run in a network namespace of their own, with the /sys of that, so that no command has to
enter one first."""

import os
import re
import subprocess

import lib  # noqa: F401 # makes ../lib importable
from lib import command
from netlink import in_netns, run


def enter():
    """This process, and those that it starts, are in a new network namespace from now on; its name is `here`."""
    os.unshare(os.CLONE_NEWNS)
    subprocess.run("mount --make-rprivate / && ip netns add here && ip netns add there", shell=True, check=True)
    there = os.open("/run/netns/here", os.O_RDONLY)
    os.setns(there, os.CLONE_NEWNET)
    os.close(there)
    subprocess.run("mount -t sysfs sysfs /sys && ip link set lo up", shell=True, check=True)


def leave():
    for name in ("there", "here"):
        run("ip", "netns", "del", name, check=False)


def two_links():
    """A cable between this namespace and `there`, a link wg0 at either end, that of there with its key and peer. The keys of both."""
    keys = {name: run("wg", "genkey").strip() for name in "ab"}
    public = {name: run("wg", "pubkey", input=key.encode()).strip() for name, key in keys.items()}
    run("sh", "-ec", """
    ip link add eth0 type veth peer name eth1 netns there
    ip address add 10.1.0.1/24 dev eth0; ip link set eth0 up; ip -n there link set lo up; ip -n there address add 10.1.0.2/24 dev eth1; ip -n there link set eth1 up
    ip link add wg0 type wireguard; ip -n there link add wg0 type wireguard
    """)
    run("ip", "netns", "exec", "there", "wg", "set", "wg0", "private-key", "/dev/stdin", "listen-port", "2", "peer", public["a"], "allowed-ips", "10.2.0.1/32", input=keys["b"].encode())
    return keys, public


def ip(*words, netns=None):
    """ip(8): its exit status and all that it says. In a word the whole line, or word by word."""
    words = words[0].split() if len(words) == 1 else words
    return command("ip", *(["-n", netns] if netns else []), *words)


def shell(line):
    return re.sub(r"^exit 0: ?", "", command("sh", "-c", line))


def read(path):
    try:
        with open(path, errors="replace") as file:
            return " ".join(file.read().split("\n")).strip()
    except OSError as error:
        return lib.errno_name(error.errno)


def write(path, value):
    """The name of the error, or 0."""
    try:
        file = os.open(path, os.O_WRONLY)
    except OSError as error:
        return "open: " + lib.errno_name(error.errno)
    try:
        return lib.attempt(os.write, file, value.encode())
    finally:
        os.close(file)


def plain(text):
    """Without the number of an interface."""
    text = re.sub(r"(?m)^(exit \d+: |Deleted )?\d+: ", r"\1N: ", text)
    return re.sub(r"\bifindex \d+|(?<=@)if\d+", "ifindex N", text)


__all__ = ["enter", "leave", "ip", "shell", "read", "write", "plain", "two_links", "in_netns", "run", "command", "lib", "os", "re", "subprocess"]
