#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""datagrams.py FROM TO ADDRESS: sends a datagram of each size from 1 to 1,600 bytes from one namespace to another and
compares what arrives byte for byte, and in which order; then many in one UDP GSO call, which the tunnel must take apart with right checksums;
then some whose checksum is computed as zero, which must be sent as all ones: zero stands for none (RFC 768), and over IPv6 there must be one."""

import hashlib
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from netlink import in_netns  # noqa: E402

where, to, address = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
UDP_SEGMENT = 103
# What a program sends from different CPUs can be overtaken on any veth, which has a queue for each.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
with in_netns(to):
    receiver = socket.socket(family, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    receiver.bind((address, 0))
    receiver.settimeout(5)
with in_netns(where):
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.connect((address, receiver.getsockname()[1]))
if family == socket.AF_INET:
    sender.setsockopt(socket.IPPROTO_IP, 10, 0)  # IP_MTU_DISCOVER: fragments are welcome
else:
    sender.setsockopt(socket.IPPROTO_IPV6, 23, 0)


def pattern(size, seed):
    return (hashlib.shake_128(struct.pack("=HH", size, seed)).digest(size))


overtaken = []


def compare(sent, words):
    """All must arrive, each once and unchanged. Which were overtaken by a later one is only noted down."""
    # Tiny datagrams can be alike: the first of them to arrive counts as the first that was sent.
    left = {}
    for number, data in enumerate(sent):
        left.setdefault(data, []).append(number)
    last = -1
    for _ in sent:
        try:
            got = receiver.recv(65536)
        except TimeoutError:
            sys.exit("%s: %d of %d were lost: those of %s bytes" % (words, sum(map(len, left.values())), len(sent), sorted(len(data) for data, numbers in left.items() if numbers)))
        numbers = left.get(got)
        if not numbers:
            sys.exit("%s: what arrived as %d bytes was not sent, or arrived before" % (words, len(got)))
        number = numbers.pop(0)
        if number < last:
            overtaken.append("%s, %d bytes" % (words, len(got)))
        last = max(last, number)


for start in range(1, 1601, 40):
    sent = [pattern(size, 0) for size in range(start, start + 40)]
    for data in sent:
        sender.send(data)
    compare(sent, "one by one")


def with_zero_sum(size):
    """A datagram whose checksum comes to zero: its last two bytes make up for the rest."""
    ends = [socket.inet_pton(family, s.getsockname()[0]) for s in (sender, receiver)]
    head = b"".join(ends) + struct.pack("!HHHHH", socket.IPPROTO_UDP, size + 8, sender.getsockname()[1], receiver.getsockname()[1], size + 8)
    data = pattern(size - 2, 7)
    total = sum(struct.unpack("!%dH" % ((len(head) + len(data)) // 2), head + data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return data + struct.pack("!H", 0xFFFF - total)


sent = [with_zero_sum(size) for size in (2, 40, 600, 1200)]
for data in sent:
    sender.send(data)
compare(sent, "with a checksum of zero")
sent = [with_zero_sum(600), pattern(600, 8), with_zero_sum(600)]
sender.sendmsg([b"".join(sent)], [(17, UDP_SEGMENT, struct.pack("=H", 600))])
compare(sent, "with a checksum of zero, in one call")
total = 0
for size in (1, 15, 16, 17, 100, 500, 1000, 1200, 1372):
    count = min(60, 60000 // size)
    sent = [pattern(size, n) for n in range(count)] + [pattern(max(1, size // 2), 99)]
    sender.sendmsg([b"".join(sent)], [(17, UDP_SEGMENT, struct.pack("=H", size))])
    compare(sent, "in one call, %d bytes each" % size)
    total += len(sent)
print("1,600 sizes one by one, %d in segments; overtaken by a later one: %d%s" % (total, len(overtaken), ": " + "; ".join(overtaken) if overtaken else ""))
