#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""flood.py KIND INTERFACE MAC PUBLICKEY: sends one kind of message to 10.0.0.2:51820 fast, with addresses that
are not its own (but for trains).

Says `ready` when all is prepared; then reads `send N` (so many), `flood RATE` (so many a second, before everything else that
the processor has to do, or, with 0, as many as it can; until the next line) or `end`, and answers each with how many were
sent and how many nanoseconds that took."""

import base64
import ctypes
import os
import random
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from inet import checksum  # noqa: E402
from wgpeer import COOKIE, DATA, INITIATION, with_macs  # noqa: E402

BATCH = 64
DIFFERENT = 2048
TARGET = socket.inet_aton("10.0.0.2")
random.seed(1)


def frame(mac, source, port, message):
    """The message in UDP in IPv4 in Ethernet; without a UDP checksum, as IPv4 allows."""
    udp = struct.pack("!HHHH", port, 51820, 8 + len(message), 0) + message
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, TARGET)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return mac + bytes.fromhex("020000000001") + b"\x08\0" + head + udp


def anybody():
    return struct.pack("!BBH", 10, random.randrange(1, 250), random.randrange(1, 65535))


def noise(size):
    return random.getrandbits(8 * size).to_bytes(size, "big")


def recorded(interface):
    """Data messages of the tunnel, as an attacker on its way sees them."""
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sock.bind((interface, 0))
    sock.settimeout(20)
    print("recording", flush=True)
    frames = []
    while len(frames) < 16:
        data = sock.recv(65536)
        if len(data) > 42 and data[12:14] == b"\x08\0" and data[30:34] == TARGET and data[42:46] == struct.pack("<I", DATA):
            # Without what is in a frame's padding; a frame that stands for many is not one to be played back.
            size = 14 + struct.unpack_from("!H", data, 16)[0]
            if size == len(data) and size <= 1514:
                # Its checksum is left to the card, so it is not there yet; zero means that there is none.
                frames.append(data[:40] + bytes(2) + data[42:])
    return frames


def frames(kind, interface, mac, public):
    """Different frames to send in turn."""
    count = range(DIFFERENT)
    if kind == "mac1":  # nobody's initiation, but mac1 is right
        return [frame(mac, anybody(), 1024 + n, with_macs(struct.pack("<II", INITIATION, n) + noise(108), public)) for n in count]
    if kind == "bad":
        return [frame(mac, anybody(), 1024 + n, struct.pack("<II", INITIATION, n) + noise(140)) for n in count]
    if kind == "unknown":
        return [frame(mac, anybody(), 1024 + n, struct.pack("<I", DATA) + noise(124)) for n in count]
    if kind == "cookie":
        return [frame(mac, anybody(), 1024 + n, struct.pack("<I", COOKIE) + noise(60)) for n in count]
    if kind == "train":  # one initiation in a packet that stands for 64 datagrams, and junk that looks like data
        return [with_macs(struct.pack("<II", INITIATION, n) + noise(108), public) + b"".join(struct.pack("<I", DATA) + noise(144) for _ in range(63))
                for n in range(BATCH)]
    seen = recorded(interface)
    if kind == "replayed":
        return seen
    if kind == "forged":  # for an index that is known, with a counter that is new, and sealed with no key
        return [frame(mac, anybody(), 1024 + n, seen[0][42:50] + struct.pack("<Q", 2**40 + n) + noise(112)) for n in count]
    sys.exit("flood.py: error: there is no flood %s" % kind)


class iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]


class msghdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint), ("iov", ctypes.POINTER(iovec)), ("iovlen", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class mmsghdr(ctypes.Structure):
    _fields_ = [("header", msghdr), ("length", ctypes.c_uint)]


def main(kind, interface, mac, key):
    messages = frames(kind, interface, bytes.fromhex(mac.replace(":", "")), base64.b64decode(key))
    messages = (messages * (BATCH // len(messages) + 1))[:max(BATCH, len(messages) // BATCH * BATCH)]
    buffers = [ctypes.create_string_buffer(message, len(message)) for message in messages]
    vectors = (iovec * len(buffers))(*[iovec(ctypes.addressof(buffer), len(buffer)) for buffer in buffers])
    headers = (mmsghdr * len(buffers))()
    for number, header in enumerate(headers):
        header.header.iov = ctypes.pointer(vectors[number])
        header.header.iovlen = 1
    starts = [ctypes.addressof(headers) + at * ctypes.sizeof(mmsghdr) for at in range(0, len(buffers), BATCH)]
    if kind == "train":
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_UDP, 103, 148)  # UDP_SEGMENT
        sock.connect(("10.0.0.2", 51820))
    else:
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sock.bind((interface, 0))
    descriptor, sendmmsg = sock.fileno(), ctypes.CDLL(None, use_errno=True).sendmmsg
    sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
    turn = 0

    def some():
        nonlocal turn
        turn += 1
        return max(0, sendmmsg(descriptor, starts[turn % len(starts)], BATCH, 0))

    print("ready", flush=True)
    while True:
        words = sys.stdin.readline().split()
        if not words or words[0] == "end":
            return
        sent, begin = 0, time.monotonic_ns()
        if words[0] == "send":
            while sent < int(words[1]):
                sent += some()
        elif words[1] != "0":
            # Like a network, which does not ask whether the receiver has other things to do.
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
            pause = BATCH / int(words[1])
            due = time.monotonic()
            while not select.select([sys.stdin], [], [], max(0, due - time.monotonic()))[0]:
                sent += some()
                due += pause
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        else:
            while not select.select([sys.stdin], [], [], 0)[0]:
                for _ in range(8):
                    sent += some()
        print(sent, time.monotonic_ns() - begin, flush=True)


main(*sys.argv[1:])
