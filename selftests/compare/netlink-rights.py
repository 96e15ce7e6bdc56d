#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: who may: without CAP_NET_ADMIN, from a user namespace, in which network namespace, on devices of other kinds
# cost: quick
"""Who asks, from where, for which device. Every message is tried by every one of them; observed are the answers and, as
root sees it, the device afterwards."""

import os
import socket
import struct
import subprocess
import traceback

import lib
from lib import observe
from netlink import Links, attribute, in_netns, run
from netlinktools import Raw, device_words, ip, ips, peer, peers
from wgnetlink import D_FLAGS, D_FWMARK, D_IFINDEX, D_PORT, D_PRIVATE, GET, SET, name, u16, u32

KEY, PEER = b"\x10" * 31 + b"\x40", b"peer".ljust(32, b"p")
NOBODY = 65534


def messages(device):
    dev = name(device)
    return (("GET_DEVICE", GET, dev, 0x304), ("GET_DEVICE of nobody", GET, name("nobody"), 0x304), ("GET_DEVICE without a name", GET, b"", 0x304),
            ("SET_DEVICE of nothing", SET, dev, 4), ("SET_DEVICE of a key", SET, dev + attribute(D_PRIVATE, KEY), 4), ("SET_DEVICE of flags", SET, dev + u32(D_FLAGS, 0), 4),
            ("SET_DEVICE of a peer", SET, dev + peers(peer(PEER, ips(ip("10.0.0.0", 8)))), 4), ("SET_DEVICE of a mark", SET, dev + u32(D_FWMARK, 3), 4),
            ("SET_DEVICE of a port", SET, dev + u16(D_PORT, 4000), 4), ("SET_DEVICE of port and peer", SET, dev + u16(D_PORT, 4001) + peers(peer(b"q" * 32)), 4),
            ("SET_DEVICE with an unknown attribute", SET, dev + attribute(77, b""), 4), ("SET_DEVICE of nobody", SET, name("nobody"), 4), ("command 2", 2, dev, 4), ("command 2, as a dump", 2, dev, 0x304))


def ask(words, raw, device):
    for text, command, payload, flags in messages(device):
        observe("%s: %s" % (words, text), raw.call(command, payload, flags))


def in_child(function):
    """What changes this process for good happens in another, whose observations come back as ours."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reader)
            lines = []
            function(lambda key, value: lines.append("%s\t%s" % (key, value)))
            os.write(writer, "\n".join(lines).encode())
            status = 0
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        os._exit(status)
    os.close(writer)
    with os.fdopen(reader) as file:
        for line in file.read().splitlines():
            observe(*line.split("\t", 1))
    if os.waitpid(child, 0)[1]:
        lib.die("a part of the scenario failed: see above")


def answers(tell, words, raw, device):
    for text, command, payload, flags in messages(device):
        tell("%s: %s" % (words, text), raw.call(command, payload, flags))


def ordinary_user():
    """The capability is asked of who opened the socket and of who sends."""
    with in_netns("n"):
        opened_by_root = Raw()
        os.seteuid(NOBODY)
        opened_by_nobody = Raw(opened_by_root.family)
        ask("root's socket, used by nobody", opened_by_root, "wg0")
        ask("nobody's socket, used by nobody", opened_by_nobody, "wg0")
        os.seteuid(0)
        ask("nobody's socket, used by root", opened_by_nobody, "wg0")
        observe("the device then", device_words(opened_by_root.dump(name("wg0")), {KEY: "KEY"}, Links().index("wg0")))
        bounded = subprocess.run(["setpriv", "--bounding-set=-net_admin", "wg", "show", "wg0"], capture_output=True, text=True, check=False)
        observe("wg show of a root without CAP_NET_ADMIN", "exit %d: %s%s" % (bounded.returncode, bounded.stdout, bounded.stderr))
        bounded = subprocess.run(["setpriv", "--bounding-set=-net_admin", "wg", "set", "wg0", "fwmark", "5"], capture_output=True, text=True, check=False)
        observe("wg set of a root without CAP_NET_ADMIN", "exit %d: %s%s" % (bounded.returncode, bounded.stdout, bounded.stderr))


def enter_user_namespace():
    """A user namespace of our own with a network namespace that belongs to it."""
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNET)
    for file, text in (("setgroups", "deny"), ("uid_map", "0 0 1"), ("gid_map", "0 0 1")):
        with open("/proc/self/" + file, "w") as out:
            out.write(text)


def user_namespace(tell):
    """The owner of a network namespace, a device that it made and one that was made outside and moved in."""
    with in_netns("n"):
        outside = Raw()
    first, second = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        # The owner: waits until the device is in its namespace.
        status = 1
        try:
            enter_user_namespace()
            os.write(first[1], b"!")
            os.read(second[0], 1)
            lines = []
            for command in ("link add own0 type wireguard", "link set lo up", "link set own0 up"):
                done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
                lines.append("in a user namespace: ip %s\texit %d: %s" % (command, done.returncode, done.stderr.strip()))
            raw = Raw()
            for words, device in (("the owner of the namespace, of a device that it made", "own0"), ("the owner of the namespace, of a device that came from outside", "wg1")):
                answers(lambda key, value: lines.append("%s\t%s" % (key, value)), words, raw, device)
                lines.append("%s: the device then\t%s" % (words, device_words(raw.dump(name(device)), {KEY: "KEY"}, Links().index(device))))
            for command in ("link set wg1 up", "link set wg1 down", "link set wg1 mtu 1300"):
                done = subprocess.run(["ip", *command.split()], capture_output=True, text=True, check=False)
                lines.append("in a user namespace, of a device from outside: ip %s\texit %d: %s" % (command, done.returncode, done.stderr.strip()))
            answers(lambda key, value: lines.append("%s\t%s" % (key, value)), "the owner of a namespace, through a socket from outside", outside, "wg0")
            data = "\n".join(lines).encode()
            os.write(first[1], struct.pack("=I", len(data)) + data)
            os.read(second[0], 1)
            status = 0
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc()
        os._exit(status)
    if os.read(first[0], 1) != b"!":
        lib.die("no user namespace")
    run("ip", "-n", "n", "link", "set", "wg1", "netns", str(child))
    os.write(second[1], b"!")
    size, data = struct.unpack("=I", os.read(first[0], 4))[0], b""
    while len(data) < size:
        part = os.read(first[0], size - len(data))
        if not part:
            break
        data += part
    for line in data.decode().splitlines():
        tell(*line.split("\t", 1))
    # Root of the machine, in that namespace.
    there = os.open("/proc/%d/ns/net" % child, os.O_RDONLY)
    os.setns(there, os.CLONE_NEWNET)
    raw = Raw()
    answers(tell, "the machine's root, in the user namespace's network, of a device that was made there", raw, "own0")
    answers(tell, "the machine's root, in the user namespace's network, of a device from outside", raw, "wg1")
    os.close(there)
    os.write(second[1], b"!")
    if os.waitpid(child, 0)[1]:
        lib.die("the owner of the namespace failed: see above")


def creating_namespace_gone():
    """A device whose sockets' namespace is deleted."""
    run("ip", "netns", "add", "birth")
    run("ip", "-n", "birth", "link", "add", "wg7", "type", "wireguard")
    run("ip", "-n", "birth", "link", "set", "wg7", "netns", "n")
    with in_netns("n"):
        raw = Raw()
        ask("moved", raw, "wg7")
        run("ip", "netns", "del", "birth")
        gone = False
        for _ in range(600):
            # The namespace goes behind our back: then the mark can no longer be set.
            if raw.call(SET, name("wg7") + u32(D_FWMARK, 3)).error:
                gone = True
                break
            subprocess.run(["sleep", "0.1"], check=True)
        observe("moved, its first namespace deleted: it notices", gone)
        ask("moved, its first namespace deleted", raw, "wg7")
        for command in (("link", "set", "wg7", "up"), ("link", "set", "wg7", "down")):
            lib.observe_command("moved, its first namespace deleted: ip %s" % " ".join(command), "ip", *command)
        observe("moved, its first namespace deleted: the device then", device_words(raw.dump(name("wg7")), {KEY: "KEY"}, Links().index("wg7")))
        run("ip", "link", "del", "wg7")


def other_devices():
    with in_netns("n"):
        raw = Raw()
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
        run("ip", "link", "add", "vlan5", "link", "veth0", "type", "vlan", "id", "5")
        run("ip", "link", "property", "add", "dev", "wg0", "altname", "another-name-of-this-device-of-more-than-15")
        run("ip", "link", "property", "add", "dev", "wg0", "altname", "short-alt")
        run("ip", "netns", "add", "elsewhere")
        run("ip", "-n", "elsewhere", "link", "add", "far0", "index", "77", "type", "wireguard")
        links = Links()
        for device in ("lo", "dum0", "br0", "veth0", "vlan5", "nobody", "far0", "short-alt"):
            ask("of %s, by name" % device, raw, device)
        for words, index in (("lo", 1), ("dum0", links.index("dum0")), ("nobody's", 4242), ("one in another namespace", 77), ("0", 0), ("-1", 0xFFFFFFFF)):
            observe("by index, %s: GET_DEVICE" % words, raw.call(GET, u32(D_IFINDEX, index), 0x304))
            observe("by index, %s: SET_DEVICE" % words, raw.call(SET, u32(D_IFINDEX, index)))
        # The name of a device changes, and the index stays.
        index = links.index("wg0")
        run("ip", "link", "set", "wg0", "name", "renamed")
        observe("renamed: by the former name", raw.call(SET, name("wg0")))
        observe("renamed: by the new name", raw.call(SET, name("renamed")))
        observe("renamed: by the index", raw.call(SET, u32(D_IFINDEX, index)))
        observe("renamed: its dump", device_words(raw.dump(name("renamed")), {KEY: "KEY"}, index))
        run("ip", "link", "set", "renamed", "name", "wg0")
        run("ip", "link", "set", "wg0", "netns", "elsewhere")
        observe("moved away: by its name", raw.call(SET, name("wg0")))
        observe("moved away: by its index", raw.call(SET, u32(D_IFINDEX, index)))
        observe("moved away: through a socket of its new namespace", in_elsewhere())
        run("ip", "netns", "del", "elsewhere")


def in_elsewhere():
    with in_netns("elsewhere"):
        raw = Raw()
        return "%s; %s" % (raw.call(SET, name("wg0")), raw.call(SET, name("wg0") + u16(D_PORT, 5)))


def main():
    run("ip", "netns", "add", "n")
    for link, kind in (("wg0", "wireguard"), ("wg1", "wireguard"), ("dum0", "dummy")):
        run("ip", "-n", "n", "link", "add", link, "type", kind)
    ordinary_user()
    in_child(user_namespace)
    creating_namespace_gone()
    other_devices()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16) as unbound:
        # A socket that is not bound gets its address with its first message.
        unbound.settimeout(10)
        unbound.send(struct.pack("=IHHIIBBH", 20, Raw().family, 5, 1, 0, SET, 1, 0))
        observe("an unbound socket is answered", lib.errno_name(struct.unpack_from("=i", unbound.recv(8192), 16)[0]))
    run("ip", "netns", "del", "n")
    lib.finish()


main()
