#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: 10,000 peers
# cost: slow
# limit: 3000
"""A device with ten thousand peers: added, shown, changed, replaced by others, deleted with them."""

import hashlib
import struct
import subprocess

import lib
from lib import observe
from netlink import NLM_F_ACK, NLM_F_DUMP, Links, attribute
from netlinktools import Raw, coalesced, interrupted, ip, ips, namespace, peer, peers
from wgnetlink import D_FLAGS, D_PORT, GET, P_FLAGS, P_KEEPALIVE, P_PSK, SET, name, u16, u32

DEV, COUNT, PART = name("wg0"), 10000, 250


def key(number):
    return struct.pack(">I", number).ljust(32, b"k")


def show(raw, words, index):
    answer = raw.call(GET, DEV, NLM_F_DUMP | NLM_F_ACK)
    own, some, addresses = coalesced(answer.messages)
    text = repr(([part for part in own if part[1] != struct.pack("=I", index)], some, addresses)).encode()
    observe(words, "%s; interrupted %s; %d peers, %d allowed IPs, %s" % (
        answer, interrupted(answer), len(some), sum(map(len, addresses.values())), hashlib.sha256(text).hexdigest()[:16]))


def main():
    with namespace("n", "link add wg0 type wireguard"):
        raw, index = Raw(), Links().index("wg0")
        raw.socket.settimeout(600)
        errors = set()
        for start in range(0, COUNT, PART):
            some = [peer(key(n), attribute(P_PSK, key(n)), u16(P_KEEPALIVE, n & 0xFFFF), ips(ip("10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255), 32), ip("fd00::%x" % n, 128))) for n in range(start, start + PART)]
            errors.add(str(raw.call(SET, DEV + peers(*some))))
        observe("added", " ".join(sorted(errors)))
        show(raw, "shown", index)
        for words, payload in (("an allowed IP of the first goes to the last", peers(peer(key(COUNT - 1), ips(ip("10.0.0.0", 32))))), ("one in the middle removed", peers(peer(key(COUNT // 2), u32(P_FLAGS, 1)))),
                               ("every tenth updated", peers(*[peer(key(n), u32(P_FLAGS, 4), u16(P_KEEPALIVE, 1)) for n in range(0, COUNT, 10)])), ("another added", peers(peer(b"another".ljust(32, b"a"))))):
            observe(words, raw.call(SET, DEV + payload))
            show(raw, "%s: shown" % words, index)
        # A port that is not by chance, before sockets are opened.
        observe("a port", raw.call(SET, DEV + u16(D_PORT, 4000)))
        lib.observe_command("ip link set up", "ip", "link", "set", "wg0", "up")
        listed = subprocess.run(["wg", "show", "wg0", "allowed-ips"], capture_output=True, text=True, check=False)
        observe("wg show", "exit %d, %d lines, %s" % (listed.returncode, listed.stdout.count("\n"), hashlib.sha256(listed.stdout.encode()).hexdigest()[:16]))
        observe("a thousand removed one by one", raw.call(SET, DEV + peers(*[peer(key(n), u32(P_FLAGS, 1)) for n in range(1000)])))
        show(raw, "a thousand removed one by one: shown", index)
        observe("all of them replaced by one", raw.call(SET, DEV + u32(D_FLAGS, 1) + peers(peer(key(5)))))
        show(raw, "all of them replaced by one: shown", index)
        lib.observe_command("the device deleted", "ip", "link", "del", "wg0")
    lib.finish()


main()
