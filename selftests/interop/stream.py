#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Data that tells whether it arrives as it was.

stream.py serve                                   answers all that follows, on port 9000
stream.py tcp ADDRESS up|down BYTES               a stream, in writes of random lengths
stream.py udp ADDRESS up|down COUNT MOST [rough]  datagrams of random lengths up to MOST bytes: each arrives as it was, once, and
                                                  behind those before it; if the way is rough, only as it was, and once
stream.py gro ADDRESS COUNT                       datagrams of 500 bytes, many in one buffer (UDP_SEGMENT), to a socket with UDP_GRO

Prints what was found, and fails if something is wrong."""

import json
import random
import select
import socket
import struct
import sys
import threading
import time

PORT = 9000
SEGMENT, GRO = 103, 104  # UDP's
ROUND = 32
BLOCK = 65521  # a prime number: no multiple of a packet's length hides what is at the wrong place


class Wrong(Exception):
    """Something is not as it was."""


def pattern(seed, size):
    return random.Random(seed).randbytes(BLOCK) * (size // BLOCK + 1)


def send_stream(sock, seed, size):
    data, lengths, at = memoryview(pattern(seed, size))[:size], random.Random(seed), 0
    while at < size:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, lengths.randrange(2))
        length = lengths.randrange(1, lengths.choice((2, 100, 1500, 5000, 60000)))
        sock.sendall(data[at:at + length])
        at += length
    sock.shutdown(socket.SHUT_WR)


def receive_stream(sock, seed, size):
    data, at = pattern(seed, size), 0
    while part := sock.recv(1 << 16):
        wanted = data[at:at + len(part)]
        if part != wanted or at + len(part) > size:
            bad = [n for n, (a, b) in enumerate(zip(part, wanted)) if a != b] or [0]
            raise Wrong(f"wrong between bytes {at + bad[0]} and {at + bad[-1]} of the stream: {part[bad[0]:bad[-1] + 1][:24].hex()} for {wanted[bad[0]:][:24].hex()}")
        at += len(part)
    if at != size:
        raise Wrong(f"the stream ends after {at} of {size} bytes")
    return f"{size} bytes as they were"


def datagram(order, number):
    """Its number, and bytes that follow from that."""
    lengths = random.Random(order["seed"] + number)
    length = order["most"] if order["kind"] == "gro" else lengths.randrange(4, order["most"] + 1)
    return struct.pack("!I", number) + lengths.randbytes(length - 4)


def send_datagrams(sock, control, order):
    for start in range(0, order["count"], ROUND):
        numbers = range(start, min(start + ROUND, order["count"]))
        if order["kind"] == "gro":
            sock.sendmsg([datagram(order, number) for number in numbers], [(socket.IPPROTO_UDP, SEGMENT, struct.pack("=H", order["most"]))])
        else:
            for number in numbers:
                sock.send(datagram(order, number))
        say(control, {"sent": numbers.stop})
        hear(control)


def receive_datagrams(sock, control, order):
    """After each round it is waited for those that are still missing, for a moment if they may be."""
    seen, late, merged, sent = set(), 0, 0, 0
    while sent < order["count"]:
        sent = hear(control)["sent"]
        until = time.monotonic() + (0.3 if order["rough"] else 10)
        while len(seen) < sent and select.select([sock], [], [], max(0, until - time.monotonic()))[0]:
            data, told, _, _ = sock.recvmsg(1 << 16, 64)
            size = len(data)
            for level, kind, value in told:
                if (level, kind) == (socket.IPPROTO_UDP, GRO):
                    (size,) = struct.unpack("=i", value)
            merged += size < len(data)
            for at in range(0, len(data), size):
                part = data[at:at + size]
                (number,) = struct.unpack_from("!I", part)
                if part != datagram(order, number):
                    raise Wrong(f"datagram {number} is not as it was")
                if number in seen:
                    raise Wrong(f"datagram {number} came twice")
                late += bool(seen) and number < max(seen)
                seen.add(number)
        if len(seen) < sent and not order["rough"]:
            raise Wrong(f"{len(seen)} of {sent} datagrams arrived")
        say(control, {})
    if late and not order["rough"]:
        raise Wrong(f"{late} datagrams came behind later ones")
    if len(seen) < order["count"] / 2:
        raise Wrong(f"only {len(seen)} of {order['count']} datagrams arrived")
    return f"{len(seen)} of {order['count']} datagrams, {late} behind later ones, {merged} buffers of several"


def say(control, words):
    control.write(json.dumps(words).encode() + b"\n")
    control.flush()


def hear(control):
    line = control.readline()
    if not line:
        raise Wrong("the other end has given up")
    words = json.loads(line)
    if "wrong" in words:
        raise Wrong(words["wrong"])
    return words


def udp_socket(connection, order):
    """A socket at this end of a connection, which sends to the other end's."""
    sock = socket.socket(connection.family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    sock.bind((connection.getsockname()[0], 0))
    if order["kind"] == "gro":
        sock.setsockopt(socket.IPPROTO_UDP, GRO, 1)
    return sock


def serve_one(connection):
    control = connection.makefile("rwb")
    try:
        order = hear(control)
        if order["kind"] == "tcp":
            say(control, {})
            if order["way"] == "down":
                return send_stream(connection, order["seed"], order["size"])
            found = receive_stream(connection, order["seed"], order["size"])
        else:
            sock = udp_socket(connection, order)
            sock.connect((connection.getpeername()[0], order["port"]))
            say(control, {"port": sock.getsockname()[1]})
            if order["way"] == "down":
                return send_datagrams(sock, control, order)
            found = receive_datagrams(sock, control, order)
        say(control, {"found": found})
    except Wrong as e:
        say(control, {"wrong": str(e)})
        # Unread data would have the connection reset, and the words lost.
        while connection.recv(1 << 16):
            pass
    finally:
        control.close()
        connection.close()


def serve():
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        listener = socket.create_server((address, PORT), family=family, backlog=16)

        def accept(listener=listener):
            while True:
                threading.Thread(target=serve_one, args=(listener.accept()[0],)).start()
        threading.Thread(target=accept).start()


def ask(address, order):
    connection = socket.create_connection((address, PORT), timeout=120)
    control = connection.makefile("rwb")
    if order["kind"] == "tcp":
        say(control, order)
        # Not by the file, which would read ahead; and the stream begins only now, as the other end's would, too.
        if connection.recv(3) != b"{}\n":
            raise Wrong("no answer")
        if order["way"] == "down":
            return receive_stream(connection, order["seed"], order["size"])
        send_stream(connection, order["seed"], order["size"])
        return hear(control)["found"]
    sock = udp_socket(connection, order)
    say(control, {**order, "port": sock.getsockname()[1]})
    sock.connect((connection.getpeername()[0], hear(control)["port"]))
    if order["way"] == "down":
        return receive_datagrams(sock, control, order)
    send_datagrams(sock, control, order)
    return hear(control)["found"]


def main(kind, *arguments):
    if kind == "serve":
        return serve()
    address, *rest = arguments
    order = {"kind": kind, "seed": random.randrange(1 << 30), "rough": rest[-1:] == ["rough"]}
    if kind == "tcp":
        order.update(way=rest[0], size=int(rest[1]))
    elif kind == "udp":
        order.update(way=rest[0], count=int(rest[1]), most=int(rest[2]))
    else:
        order.update(way="up", count=int(rest[0]), most=500)
    try:
        print(ask(address, order))
    except (Wrong, OSError) as e:
        sys.exit(f"stream.py: error: {e} (seed {order['seed']})")


main(*sys.argv[1:])
