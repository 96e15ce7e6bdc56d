#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: dumps of many messages, read with buffers of many sizes, and changed, renamed, moved meanwhile
# cost: slow
"""Peers with thousands of allowed IPs. Where a dump is not disturbed, what a reader puts together of its messages is
compared to the last byte, and the lengths of the messages as well. Where something changes between two messages, observed
are whether the reader is told (NLM_F_DUMP_INTR), what it has read, how the dump ends, and what the device is afterwards."""

import hashlib
import struct
import subprocess
import time

import lib
from lib import observe
from netlink import NLM_F_ACK, NLM_F_DUMP, Links, attribute, run
from netlinktools import Answer, Raw, coalesced, device_words, interrupted, ip, ips, namespace, peer, peers
from wgnetlink import A_FLAGS, D_FLAGS, D_FWMARK, D_IFINDEX, D_PORT, D_PRIVATE, GET, P_FLAGS, P_KEEPALIVE, P_PSK, SET, name, u16, u32

DEV = name("wg0")
# Where among the peers the one is whose allowed IPs fill several messages.
LARGE = 8


def key(number):
    return struct.pack("=I", number).ljust(32, b"k")


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def contents(answer, index):
    """What a reader puts together: numbers and a digest."""
    own, some, addresses = coalesced(answer.messages)
    line = device_words(Answer(answer.error, answer.tlvs, [(0, body) for _, body in answer.messages], 0, b""), (), index)
    return "%d of the device's own attributes, %d peers, %d allowed IPs, %s" % (len(own), len(some), sum(map(len, addresses.values())), digest(line.split("messages", 1)[1].encode()))


def fill(raw, device, counts, first=0):
    """Peers with that many allowed IPs each, of both families."""
    for number, count in enumerate(counts, first):
        for start in range(0, max(count, 1), 500):
            some = [ip("10.%d.%d.%d" % (number % 256, n >> 8, n & 255), 32) if n % 3 else ip("fd00:%x::%x" % (number, n), 128) for n in range(start, min(start + 500, count))]
            answer = raw.call(SET, device + peers(peer(key(number), u16(P_KEEPALIVE, number % 65536), ips(*some))))
            if answer.error:
                lib.die("cannot fill the device: %s" % answer)


def undisturbed(raw, index):
    for words, counts in (("no peers", ()), ("one peer", (0,)), ("one peer with 5,000 allowed IPs", (5000,)), ("120 peers", [0] * 120), ("120 peers with 1 to 9 each", [1 + n % 9 for n in range(120)]),
                          ("three peers with 3,000 each", (3000,) * 3), ("peers with 2,000, none and 2,000", (2000, 0, 2000)), ("peers about as long as a message", [100 + 4 * n for n in range(30)])):
        raw.call(SET, DEV + u32(D_FLAGS, 1))
        fill(raw, DEV, counts)
        for receive in (8192, 4096, 16384, 32768, 65536, 1 << 20):
            if receive != 8192 and words not in ("one peer with 5,000 allowed IPs", "120 peers with 1 to 9 each", "peers about as long as a message"):
                continue
            reader = Raw(raw.family, receive)
            reader.send(GET, DEV, NLM_F_DUMP | NLM_F_ACK)
            answer = reader.rest()
            label = "%s, read by %d bytes" % (words, receive)
            observe(label, "%s; interrupted %s; %s" % (answer, interrupted(answer), contents(answer, index)))
            observe("%s: lengths of the messages" % label, " ".join(str(len(body)) for _, body in answer.messages[:400]))


def disturbed(raw, index):
    """Something happens after the first message."""
    def setup():
        raw.call(SET, DEV + u32(D_FLAGS, 1) + attribute(D_PRIVATE, b"k" * 32) + u16(D_PORT, 4443) + u32(D_FWMARK, 0))
        fill(raw, DEV, [60] * LARGE + [600] + [3] * 4)

    def change(payload):
        return lambda: str(raw.call(SET, DEV + payload))

    def command(*words):
        return lambda: lib.command(*words)

    def together(*some):
        return lambda: "; ".join(one() for one in some)

    changes = [
        ("nothing", lambda: ""),
        ("a dump of another reader", lambda: str(Raw(raw.family).dump(DEV).error)),
        ("an empty SET_DEVICE", change(b"")),
        ("a mark", change(u32(D_FWMARK, 5))),
        ("the same mark", change(u32(D_FWMARK, 0))),
        ("a port", change(u16(D_PORT, 4444))),
        ("a private key", change(attribute(D_PRIVATE, b"n" * 32))),
        ("a SET_DEVICE with an unknown attribute", change(attribute(99, b""))),
        ("a SET_DEVICE whose peer has no key", change(peers(attribute(0x8000, u16(P_KEEPALIVE, 5))))),
        ("a SET_DEVICE of another device", lambda: str(raw.call(SET, name("wg1") + u32(D_FWMARK, 1)))),
        ("a peer behind", change(peers(peer(b"last".ljust(32, b"l"), ips(ip("7.0.0.0", 8)))))),
        ("a peer that is to come removed", change(peers(peer(key(LARGE + 2), u32(P_FLAGS, 1))))),
        ("a peer that was shown removed", change(peers(peer(key(0), u32(P_FLAGS, 1))))),
        ("all peers removed", change(u32(D_FLAGS, 1))),
        ("all peers replaced by one", change(u32(D_FLAGS, 1) + peers(peer(key(5))))),
        ("a peer's preshared key", change(peers(peer(key(LARGE + 2), attribute(P_PSK, b"z" * 32))))),
        ("an allowed IP added to the large peer", change(peers(peer(key(LARGE), ips(ip("7.0.0.0", 8)))))),
        ("an allowed IP taken from the large peer", change(peers(peer(key(LARGE), ips(ip("10.%d.0.1" % LARGE, 32, u32(A_FLAGS, 1))))))),
        ("all allowed IPs of the large peer removed", change(peers(peer(key(LARGE), u32(P_FLAGS, 2))))),
        ("the large peer removed", change(peers(peer(key(LARGE), u32(P_FLAGS, 1))))),
        ("a new MTU", command("ip", "link", "set", "wg0", "mtu", "1300")),
        ("an address", command("ip", "address", "add", "10.99.0.1/24", "dev", "wg0")),
        ("the link set up and down", together(command("ip", "link", "set", "wg0", "up"), command("ip", "link", "set", "wg0", "down"))),
        ("another name and back", together(command("ip", "link", "set", "wg0", "name", "x"), command("ip", "link", "set", "x", "name", "wg0"))),
        ("another name, and a new device of the former", together(command("ip", "link", "set", "wg0", "name", "x"), command("ip", "link", "add", "wg0", "type", "wireguard"))),
    ]
    for where, before in (("after the first message", 1), ("further on", None)):
        for words, happen in changes:
            setup()
            reader = Raw(raw.family, 8192)
            reader.send(GET, DEV, NLM_F_DUMP | NLM_F_ACK)
            seen = [(flags, body) for _, flags, body in reader.read()]
            while before is None and key(LARGE) not in coalesced(seen)[1]:
                seen += [(flags, body) for _, flags, body in reader.read()]
            said = happen()
            answer = reader.rest()
            label = "%s, %s" % (words, where)
            observe("%s: it is answered" % label, said)
            observe("%s: what was read" % label, contents(Answer(0, [], seen + answer.messages, 0, b""), index))
            observe("%s: how the dump ends" % label, "%s; told %s; first message that tells so: %s" % (
                lib.errno_name(answer.error), "yes" if interrupted(answer) else "no", next((n for n, (flags, _) in enumerate(answer.messages) if flags & 16), "none")))
            after = raw.dump(u32(D_IFINDEX, index))
            observe("%s: the device then" % label, "told %s; %s" % (interrupted(after), contents(after, index)))
            if "of the former" in words:
                run("ip", "link", "del", "wg0")
                run("ip", "link", "set", "x", "name", "wg0")
    return setup


def begin(raw, device):
    """A dump of which the first message has been read."""
    reader = Raw(raw.family)
    reader.send(GET, device, NLM_F_DUMP | NLM_F_ACK)
    return reader, [(flags, body) for _, flags, body in reader.read()]


def elsewhere(raw, index, setup):
    """The device is moved to another namespace, or deleted, while a reader is at it."""
    run("ip", "netns", "add", "other")
    for words, back in (("moved to another namespace", False), ("moved to another namespace and back", True)):
        setup()
        reader, first = begin(raw, DEV)
        run("ip", "link", "set", "wg0", "netns", "other")
        if back:
            run("ip", "-n", "other", "link", "set", "wg0", "netns", "n")
        answer = reader.rest()
        observe("%s: how the dump ends" % words, "%s; told %s" % (lib.errno_name(answer.error), "yes" if interrupted(answer) else "no"))
        observe("%s: what was read" % words, "%d peers" % len(coalesced(first + answer.messages)[1]))
        if not back:
            run("ip", "-n", "other", "link", "set", "wg0", "netns", "n")
    run("ip", "netns", "del", "other")

    for words, another in (("deleted", False), ("deleted, and another of its name and index made", True)):
        setup()
        reader, first = begin(raw, DEV)
        with subprocess.Popen(["ip", "link", "del", "wg0"]) as deletion:
            # It may wait for the reader; but the link is out of sight at once.
            until = time.monotonic() + 60
            while subprocess.run(["ip", "link", "show", "wg0"], capture_output=True, check=False).returncode == 0 and time.monotonic() < until:
                time.sleep(0.05)
            try:
                deletion.wait(1)
                observe("%s: the deletion" % words, "does not wait for the reader")
            except subprocess.TimeoutExpired:
                observe("%s: the deletion" % words, "waits for the reader")
            if another:
                run("ip", "link", "add", "wg0", "index", str(index), "type", "wireguard")
                # As many changes as the first one had.
                setup()
            answer = reader.rest()
        observe("%s: how the dump ends" % words, "%s; told %s" % (lib.errno_name(answer.error), "yes" if interrupted(answer) else "no"))
        observe("%s: what was read" % words, "%d peers" % len(coalesced(first + answer.messages)[1]))
        if not another:
            run("ip", "link", "add", "wg0", "index", str(index), "type", "wireguard")


def given_up(raw, index):
    """Readers that stop reading are in nobody's way."""
    fill(raw, DEV, [200] * 20)
    readers = [Raw(raw.family) for _ in range(50)]
    for reader in readers:
        reader.send(GET, DEV, NLM_F_DUMP | NLM_F_ACK)
        reader.read()
    observe("fifty dumps begun: a SET_DEVICE", raw.call(SET, DEV + peers(peer(key(1), u32(P_FLAGS, 1)), peer(key(15), ips(ip("9.9.9.9", 32))))))
    observe("fifty dumps begun: the device", contents(raw.dump(DEV), index))
    # A second dump on the same socket while the first goes on.
    readers[0].sequence += 1
    readers[0].socket.send(struct.pack("=IHHIIBBH", 20 + len(DEV), raw.family, 0x305, readers[0].sequence, 0, GET, 1, 0) + DEV)
    answer = readers[0].rest()
    observe("a second dump on the socket of one that goes on", lib.errno_name(answer.error))
    for reader in readers:
        reader.socket.close()
    observe("fifty dumps given up: all peers removed", raw.call(SET, DEV + u32(D_FLAGS, 1)))
    lib.observe_command("fifty dumps given up: the device deleted", "ip", "link", "del", "wg0")
    observe("fifty dumps given up: the module", "unloads" if unloads() else "stays")


def unloads():
    """Whether nothing holds the module, once the other device is gone as well."""
    run("ip", "link", "del", "wg1")
    for _ in range(200):
        with open("/sys/module/wireguard/refcnt") as file:
            if file.read().strip() == "0":
                return True
        subprocess.run(["sleep", "0.1"], check=True)
    return False


def main():
    with namespace("n", "link add wg0 type wireguard", "link add wg1 type wireguard"):
        raw, index = Raw(), Links().index("wg0")
        undisturbed(raw, index)
        setup = disturbed(raw, index)
        elsewhere(raw, index, setup)
        given_up(raw, index)
    lib.finish()


main()
