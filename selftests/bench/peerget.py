#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""peerget.py REPEATS PEERS: how long wg-monitor's peer-get takes, of all peers of a link, and of ten that have changed.

Leaves /out/peerget.json: a row for each repetition. What the answers say is counted and not decoded: it is about the kernel's time.
"""

import os
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from guest import Failed, configuration, load, main, results, run, say, unload  # noqa: E402
from netlink import NLM_F_ACK, NLM_F_DUMP, Generic, attribute, attributes  # noqa: E402

DEVICE_GET, PEER_GET, IFNAME, GENERATION = 1, 2, 2, 3  # of both requests and both answers
CHANGED = 10
ROOM = 65536  # what the kernel puts into a message at most is 32 KB


def peer_get(monitor, wanted, *more):
    """(seconds, bytes) of a dump, which is to have so many peers."""
    begin = time.monotonic()
    monitor.sequence += 1
    body = struct.pack("=BBH", PEER_GET, 1, 0) + attribute(IFNAME, b"wg0\0") + b"".join(more)
    monitor.socket.send(struct.pack("=IHHII", 16 + len(body), monitor.family, NLM_F_DUMP | NLM_F_ACK | 1, monitor.sequence, 0) + body)
    chunks = []
    while True:
        chunks.append(monitor.socket.recv(ROOM))
        # The end comes alone, or last.
        if struct.unpack_from("=H", chunks[-1], 4)[0] == 3 or struct.unpack_from("=H", chunks[-1], len(chunks[-1]) - 16)[0] == 3:
            break
    took = time.monotonic() - begin
    count = 0
    for chunk in chunks:
        at = 0
        while at < len(chunk):
            size, kind = struct.unpack_from("=IH", chunk, at)
            count += kind == monitor.family
            at += (size + 3) & ~3
    if count != wanted:
        raise Failed(f"{count} peers in the dump, not {wanted}")
    return took, sum(map(len, chunks))


def generation(monitor):
    error, answers, _ = monitor.call(DEVICE_GET, attribute(IFNAME, b"wg0\0"))
    if error:
        raise Failed(f"device-get: error {error}")
    value = dict(attributes(answers[0][4:]))[GENERATION]
    return int.from_bytes(value, sys.byteorder)


def measure_all(arguments):
    repeats, count = map(int, arguments)
    load("ours")
    run("ip", "link", "add", "wg0", "type", "wireguard")
    run("ip", "link", "set", "wg0", "up")
    configuration("/tmp/peers", count)
    say(f"  adding {count:,} peers")
    run("wg", "setconf", "wg0", "/tmp/peers")
    monitor = Generic("wg-monitor")
    keys = run("wg", "show", "wg0", "peers").split()
    rows = []
    for repeat in range(repeats):
        row = {"repeat": repeat, "peers": count}
        row["whole"], row["bytes"] = peer_get(monitor, count)
        before = generation(monitor)
        for key in keys[count // 20::count // CHANGED]:
            run("wg", "set", "wg0", "peer", key, "persistent-keepalive", str(100 + repeat))
        row["changed"], _ = peer_get(monitor, CHANGED, attribute(GENERATION, struct.pack("=Q", before)))
        row["none"], _ = peer_get(monitor, 0, attribute(GENERATION, struct.pack("=Q", generation(monitor))))
        say(f"  {count:,} peers in {row['whole']:.3f} s and {row['bytes'] / count:.0f} bytes each; ten that changed in {row['changed']:.3f} s")
        rows.append(row)
        results("/out/peerget.json", rows)
    run("ip", "link", "delete", "wg0")
    unload()


main(measure_all)
