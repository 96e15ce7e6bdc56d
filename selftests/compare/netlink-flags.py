#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: every combination of the flags of device, peer and allowed IP, on peers and allowed IPs that are there or not
# cost: slow
"""One SET_DEVICE for each combination; observed are its answer and the whole device afterwards."""

import itertools

import lib
from lib import observe
from netlink import Links, attribute
from netlinktools import Raw, device_words, ip, ips, namespace, peer, peers, public_key
from wgnetlink import A_FLAGS, D_FLAGS, D_PRIVATE, P_FLAGS, P_PSK, SET, name, u32

OWN, KNOWN, OTHER, NEW = b"\x10" * 31 + b"\x40", b"known".ljust(32, b"k"), b"other".ljust(32, b"o"), b"new".ljust(32, b"n")
DEV = name("wg0")
DEVICE_FLAGS = {"none": 0, "replace peers": 1}
PEER_FLAGS = {"remove": 1, "replace allowed IPs": 2, "update only": 4}
IP_FLAGS = {"add": 0, "remove": 1}
ADDRESSES = {"its own": ("10.0.0.0", 8), "another's": ("192.168.0.0", 24), "a new one": ("172.16.0.0", 12), "a part of its own": ("10.1.0.0", 16)}


def main():
    with namespace("n", "link add wg0 type wireguard"):
        raw, index = Raw(), Links().index("wg0")
        own = public_key(OWN)
        names = {OWN: "OWN", own: "OWNPUBLIC", KNOWN: "KNOWN", OTHER: "OTHER", NEW: "NEW"}

        def words_of(dump):
            return device_words(dump, names, index)

        def reset():
            answer = raw.call(SET, DEV + u32(D_FLAGS, 1) + attribute(D_PRIVATE, OWN) + peers(
                peer(KNOWN, attribute(P_PSK, b"p" * 32), ips(ip("10.0.0.0", 8), ip("fd00::", 16))), peer(OTHER, ips(ip("192.168.0.0", 24)))))
            if answer.error:
                lib.die("cannot set the device up: %s" % answer)

        reset()
        base = raw.dump(DEV)
        observe("the device before every message", words_of(base))
        keys = {"a known peer": KNOWN, "a new peer": NEW, "the device itself": own}
        for (device_word, device_flags), bits, (key_word, key) in itertools.product(DEVICE_FLAGS.items(), range(8), keys.items()):
            peer_word = " and ".join(word for word, bit in PEER_FLAGS.items() if bits & bit) or "none"
            for (ip_word, ip_flags), (address_word, (address, cidr)) in itertools.product(IP_FLAGS.items(), ADDRESSES.items()):
                # What becomes of an allowed IP says nothing new where the peer is not there any more.
                if (bits & 1 or key_word == "the device itself") and address_word != "its own":
                    continue
                label = "device flags %s; %s with flags %s; %s %s" % (device_word, key_word, peer_word, ip_word, address_word)
                more = [u32(A_FLAGS, ip_flags)] if ip_flags else []
                answer = raw.call(SET, DEV + u32(D_FLAGS, device_flags) + peers(peer(key, u32(P_FLAGS, bits), attribute(P_PSK, b"q" * 32), ips(ip(address, cidr, *more)))))
                after = raw.dump(DEV)
                changed = after.messages != base.messages
                observe(label, "%s; %s" % (answer, words_of(after) if changed else "the device is as before"))
                if changed:
                    reset()
        # Several peers, or one several times, in one message.
        for words, message in (
                ("removed and added again", peers(peer(KNOWN, u32(P_FLAGS, 1)), peer(KNOWN, ips(ip("10.0.0.0", 9))))),
                ("added and removed again", peers(peer(NEW, ips(ip("10.0.0.0", 8))), peer(NEW, u32(P_FLAGS, 1)))),
                ("replaced, then added to", peers(peer(KNOWN, u32(P_FLAGS, 2), ips(ip("1.0.0.0", 8))), peer(KNOWN, ips(ip("2.0.0.0", 8))))),
                ("its allowed IP removed and added in one list", peers(peer(KNOWN, ips(ip("10.0.0.0", 8, u32(A_FLAGS, 1)), ip("10.0.0.0", 8))))),
                ("its allowed IP added and removed in one list", peers(peer(KNOWN, ips(ip("3.0.0.0", 8), ip("3.0.0.0", 8, u32(A_FLAGS, 1)))))),
                ("its allowed IP taken by another and back", peers(peer(OTHER, ips(ip("10.0.0.0", 8))), peer(KNOWN, ips(ip("10.0.0.0", 8))))),
                ("its allowed IP removed by another", peers(peer(OTHER, ips(ip("10.0.0.0", 8, u32(A_FLAGS, 1)))))),
                ("a child's prefix removed by the parent's owner", peers(peer(OTHER, ips(ip("10.1.0.0", 16))), peer(KNOWN, ips(ip("10.1.0.0", 16, u32(A_FLAGS, 1)))))),
                ("all peers replaced, the known one first", u32(D_FLAGS, 1) + peers(peer(KNOWN, ips(ip("10.0.0.0", 8))), peer(NEW)))):
            answer = raw.call(SET, DEV + message)
            observe(words, "%s; %s" % (answer, words_of(raw.dump(DEV))))
            reset()
    lib.finish()


main()
