#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Inside the virtual machine of secrets.sh: does what it is told by files in /out, and never leaves a key in its own memory.

Command number N is the file /out/N: words, one a line. Its answer is /out/N.done. Keys arrive masked, stand in the clear in
one buffer while the kernel copies them, and are masked again there."""

import os
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlink import NLM_F_ACK, NLM_F_REQUEST, Generic, attribute, nest  # noqa: E402
from wgnetlink import A_CIDR, A_FAMILY, A_IP, D_PEERS, D_PRIVATE, P_ENDPOINT, P_IPS, P_PSK, P_PUBLIC, SET, name, sockaddr4, u8, u16  # noqa: E402

MASK = 0xA5


def run(line):
    done = subprocess.run(["sh", "-ec", line], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError("exit status %d of: %s\n%s" % (done.returncode, line, done.stderr))
    return done.stdout


def scene():
    """The link below and the WireGuard device. Neighbours are known, so that nobody need answer ARP."""
    run("modprobe virtio_net; modprobe wireguard")
    card = next(n for n in os.listdir("/sys/class/net") if n != "lo")
    run("""
        sysctl -qw net.ipv6.conf.all.disable_ipv6=1
        ip link set %s address 02:00:00:00:00:01 up
        ip address add 10.9.0.1/24 dev %s
        ip neighbour add 10.9.0.2 lladdr 02:00:00:00:00:02 dev %s nud permanent
        ip link add wg0 type wireguard
        ip address add 192.168.50.1/24 dev wg0
    """ % (card, card, card))
    return "version of the module: %s" % ("ours" if " (O" in run("grep '^wireguard ' /proc/modules") else "c")


def tell(masked, *attributes):
    """One SET_DEVICE in which the masked key stands somewhere."""
    netlink = Generic("wireguard")
    body = struct.pack("=BBH", SET, 1, 0) + name("wg0") + b"".join(attributes)
    message = bytearray(struct.pack("=IHHII", 16 + len(body), netlink.family, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body)
    at = message.index(masked)
    # No object that Python could leave behind: the numbers of a byte are all there are already.
    for i in range(at, at + len(masked)):
        message[i] ^= MASK
    netlink.socket.send(message)
    for i in range(at, at + len(masked)):
        message[i] ^= MASK
    error = -struct.unpack_from("=i", netlink.socket.recv(8192), 16)[0]
    if error:
        raise OSError(error, "SET_DEVICE")
    netlink.close()


def private(masked):
    tell(masked, attribute(D_PRIVATE, masked))


def peer(public, masked, *endpoint):
    more = []
    if endpoint:
        address = nest(0, u16(A_FAMILY, socket.AF_INET), attribute(A_IP, socket.inet_aton("192.168.50.2")), u8(A_CIDR, 32))
        more = [attribute(P_ENDPOINT, sockaddr4(endpoint[0], int(endpoint[1]))), nest(P_IPS, address)]
    tell(masked, nest(D_PEERS, nest(0, attribute(P_PUBLIC, public), attribute(P_PSK, masked), *more)))


def knock():
    """A packet for the peer."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"knock", ("192.168.50.2", 9))


def page(number):
    """What the kernel says of a page: names of include/uapi/linux/kernel-page-flags.h."""
    names = {0: "locked", 2: "referenced", 5: "lru", 7: "slab", 10: "buddy", 11: "mmap", 12: "anon", 15: "head", 16: "tail", 20: "nopage", 26: "pgtable"}
    with open("/proc/kpageflags", "rb", buffering=0) as file:
        file.seek(8 * int(number))
        flags = struct.unpack("=Q", file.read(8))[0]
    return " ".join(word for bit, word in names.items() if flags >> bit & 1) or "no flag (a stack, or a page of its own)"


def obey(words):
    if words[0] == "scene":
        return scene()
    if words[0] == "private":
        return private(bytes.fromhex(words[1]))
    if words[0] == "peer":
        return peer(bytes.fromhex(words[1]), bytes.fromhex(words[2]), *words[3:])
    if words[0] == "knock":
        return knock()
    if words[0] == "page":
        return page(words[1])
    if words[0] == "sh":
        return run(words[1])
    raise ValueError(words[0])


number = 0
while True:
    number += 1
    path = "/out/%d" % number
    while not os.path.exists(path):
        time.sleep(0.1)
    with open(path) as file:
        words = file.read().split("\n")
    if words[0] == "end":
        break
    answer = obey(words) or ""
    with open(path + ".part", "w") as file:
        file.write(answer)
    os.rename(path + ".part", path + ".done")
