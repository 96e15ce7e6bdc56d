#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: every attribute of device, peer and allowed IP: boundary values, wrong lengths and types, twice, missing, unknown
# cost: quick
"""Every message is SET_DEVICE (or, for the names, GET_DEVICE too) with one thing odd. Observed are its answer (error
number, text, offset of the attribute) and what it changed of the device, whose dump is shown where it did."""

import lib
import struct

from lib import observe
from netlink import NLA_F_NESTED, Links, attribute, nest
from netlinktools import Raw, device_words, ip, ips, left, namespace, peer, peers, public_key, secrets
from wgnetlink import (A_CIDR, A_FAMILY, A_FLAGS, A_IP, D_FLAGS, D_FWMARK, D_IFINDEX, D_IFNAME, D_PEERS, D_PORT, D_PRIVATE, D_PUBLIC, GET,
                       P_ENDPOINT, P_FLAGS, P_HANDSHAKE, P_IPS, P_KEEPALIVE, P_PSK, P_PUBLIC, P_RX, P_TX, P_VERSION, SET, name, sockaddr4,
                       sockaddr6, u16, u32, u8)

BYTE_ORDER = 0x4000
OWN, OTHER = b"\x10" * 31 + b"\x40", b"\x20" * 31 + b"\x40"
KNOWN, SECOND, NEW = b"known".ljust(32, b"k"), b"second".ljust(32, b"s"), b"new".ljust(32, b"n")
V4END, V6END = sockaddr4("192.0.2.1", 1234), sockaddr6("2001:db8::1", 4321, 0)
DEV = name("wg0")


class Device:
    """wg0 as it is before every message, and one message's outcome."""

    def __init__(self):
        self.raw = Raw()
        self.index = Links().index("wg0")
        self.names = {OWN: "OWN", OTHER: "OTHER", KNOWN: "KNOWN", SECOND: "SECOND", NEW: "NEW", public_key(OWN): "OWNPUBLIC", public_key(OTHER): "OTHERPUBLIC"}
        self.reset()
        self.base = self.raw.dump(DEV)
        observe("the device before every message", self.words(self.base))

    def words(self, dump):
        return device_words(dump, self.names, self.index)

    def reset(self):
        answer = self.raw.call(SET, DEV + u32(D_FLAGS, 1) + attribute(D_PRIVATE, OWN) + u16(D_PORT, 5555) + u32(D_FWMARK, 7) + peers(
            peer(KNOWN, attribute(P_PSK, b"p" * 32), attribute(P_ENDPOINT, V4END), u16(P_KEEPALIVE, 25), ips(ip("10.0.0.0", 8), ip("fd00::", 16))),
            peer(SECOND, ips(ip("192.168.0.0", 24)))))
        if answer.error:
            lib.die("cannot set the device up: %s" % answer)

    def message(self, words, payload, command=SET, flags=4):
        answer = self.raw.call(command, payload, flags)
        echo = answer.echo
        found = ""
        if command == SET and answer.error and len(echo) > 20:
            private, preshared = secrets(echo)
            if private or preshared:
                found = "; secrets in the echo: private %d of %d" % (left(echo, private), len(private))
                if preshared:
                    observe("%s: preshared keys in the echo" % words, "%d of %d" % (left(echo, preshared), len(preshared)))
        observe(words, "%s%s" % (answer, found))
        after = self.raw.dump(DEV)
        if after.messages != self.base.messages:
            observe("%s: the device then" % words, self.words(after))
            self.reset()


def lengths(good):
    """(words, attribute's payload): the same cut, drawn out, or empty."""
    seen = set()
    for size in (0, 1, 2, 3, len(good) - 1, len(good) + 1, len(good) + 4, len(good) * 2, 255, 4096):
        if size >= 0 and size != len(good) and size not in seen:
            seen.add(size)
            yield "%d bytes" % size, (good + b"\x01" * size)[:size]


def oddities(level, word, kind, values, place, device, required=False, form=True):
    """All that can be odd about one attribute, or, without its `form`, only all values. `place(attributes)` makes the
    message that it is in."""
    label = "%s %s" % (level, word)
    for text, value in values:
        device.message("%s %s" % (label, text), place(attribute(kind, value)))
    if not form:
        return
    good = values[0][1]
    other = values[1][1] if len(values) > 1 else good
    for text, value in lengths(good):
        device.message("%s of %s" % (label, text), place(attribute(kind, value)))
    for text, flag in (("marked as nested", NLA_F_NESTED), ("marked as of network byte order", BYTE_ORDER), ("with both marks", NLA_F_NESTED | BYTE_ORDER)):
        device.message("%s %s" % (label, text), place(attribute(kind ^ flag, good)))
    device.message("%s twice, the same" % label, place(attribute(kind, good) + attribute(kind, good)))
    device.message("%s twice, two values" % label, place(attribute(kind, good) + attribute(kind, other)))
    device.message("%s twice, two values turned round" % label, place(attribute(kind, other) + attribute(kind, good)))
    device.message("%s twice, the first too long" % label, place(attribute(kind, good + b"x") + attribute(kind, good)))
    device.message("%s twice, the second too short" % label, place(attribute(kind, good) + attribute(kind, good[:-1])))
    device.message("%s whose length is 3" % label, place(attribute(kind, good, length=-1)))
    device.message("%s whose length is 0" % label, place(attribute(kind, good, length=-4)))
    device.message("%s that is longer than the message" % label, place(attribute(kind, good, length=len(good) + 4096)))
    if required:
        device.message("%s missing" % label, place(b""))


def unknown(level, last, place, device):
    for kind in (0, last + 1, last + 2, 63, 255, 256, 0x3FFF):
        for words, payload in (("empty", b""), ("of 4 bytes", b"\x01\0\0\0"), ("of 32 bytes", b"u" * 32)):
            device.message("%s attribute of type %d, %s" % (level, kind, words), place(attribute(kind, payload)))
    device.message("%s attribute of type 0, nested" % level, place(nest(0, b"")))
    device.message("%s attribute of type %d, nested" % (level, last + 1), place(nest(last + 1, b"")))
    for size in (1, 2, 3):
        device.message("%s attributes with %d bytes behind them" % (level, size), place(b"\xff" * size))


def name_values():
    yield "of the device", b"wg0\0"
    yield "of another device", b"wg1\0"
    yield "without a NUL", b"wg0"
    yield "with two NULs", b"wg0\0\0"
    yield "with 12 NULs", b"wg0" + b"\0" * 12
    yield "with 13 NULs", b"wg0" + b"\0" * 13
    yield "with 14 NULs", b"wg0" + b"\0" * 14
    yield "with noise behind the NUL", b"wg0\0junk\0"
    yield "with noise and no NUL at the end", b"wg0\0junk"
    yield "of none", b"\0"
    yield "that is nobody's", b"nobody\0"
    yield "of 15 letters", b"x" * 15 + b"\0"
    yield "of 15 letters without a NUL", b"x" * 15
    yield "of 16 letters", b"x" * 16 + b"\0"
    yield "of 16 letters without a NUL", b"x" * 16
    yield "of 127 letters", b"x" * 127 + b"\0"
    yield "with a percent sign", b"wg%d\0"
    yield "with a slash", b"wg/0\0"
    yield "with a high byte", b"wg\xff\0"


def names(device):
    index = device.index
    indices = [("of the device", index), ("of another device", index + 1), ("0", 0), ("1 (lo)", 1), ("9999", 9999), ("-1", 0xFFFFFFFF), ("0x80000000", 0x80000000),
               ("beyond 16 bits", index + 0x10000)]
    values = [(words, struct.pack("=I", value)) for words, value in indices]
    for command, words, flags in ((GET, "GET_DEVICE: ", 0x304), (SET, "", 4)):
        # A device found by a name is changed visibly.
        change = u32(D_FWMARK, 9) if command == SET else b""
        for label, kind, all_values in (("ifindex", D_IFINDEX, values), ("ifname", D_IFNAME, list(name_values()))):
            for text, value in all_values:
                device.message("%s%s %s" % (words, label, text), attribute(kind, value) + change, command, flags)
            good = all_values[0][1]
            for text, value in lengths(good):
                device.message("%s%s of %s" % (words, label, text), attribute(kind, value) + change, command, flags)
            for text, flag in (("marked as nested", NLA_F_NESTED), ("marked as of network byte order", BYTE_ORDER)):
                device.message("%s%s %s" % (words, label, text), attribute(kind ^ flag, good) + change, command, flags)
            other = all_values[1][1]
            device.message("%s%s twice, two values" % (words, label), attribute(kind, good) + attribute(kind, other) + change, command, flags)
            device.message("%s%s twice, two values turned round" % (words, label), attribute(kind, other) + attribute(kind, good) + change, command, flags)
            device.message("%s%s twice, the first too long" % (words, label), attribute(kind, good + b"x" * 20) + attribute(kind, good) + change, command, flags)
            device.message("%s%s behind the rest" % (words, label), change + attribute(kind, good), command, flags)
        by_index, by_name = u32(D_IFINDEX, index), DEV
        for text, payload in (("no name at all", b""), ("both names", by_index + by_name), ("both names turned round", by_name + by_index),
                              ("an index and another's name", by_index + name("wg1")), ("an index and nobody's name", by_index + name("nobody")),
                              ("a name and index 0", by_name + u32(D_IFINDEX, 0))):
            device.message(words + text, payload + change, command, flags)
        if command == GET:
            for kind in list(range(3, 12)) + [0, 0x3FFF]:
                for text, payload in (("empty", b""), ("of 4 bytes", b"\1\0\0\0"), ("of 32 bytes", b"u" * 32)):
                    device.message("%sattribute of type %d, %s" % (words, kind, text), DEV + attribute(kind, payload), command, flags)
            device.message("%sa list of peers" % words, DEV + peers(peer(KNOWN)), command, flags)
            for size in (1, 2, 3):
                device.message("%s%d bytes behind the name" % (words, size), DEV + b"\xff" * size, command, flags)


def of_device(device):
    def place(some):
        return DEV + some

    keys = [("the same", OWN), ("another", OTHER), ("of zeroes", bytes(32)), ("of ones", b"\xff" * 32), ("not clamped", b"\x01" * 32)]
    oddities("device", "private key", D_PRIVATE, keys, place, device)
    oddities("device", "public key", D_PUBLIC, [("given", b"P" * 32), ("of zeroes", bytes(32)), ("its own", public_key(OWN))], place, device)
    oddities("device", "flags", D_FLAGS, [("%#x" % flags, struct.pack("=I", flags)) for flags in (0, 1, 2, 3, 4, 0x80000000, 0xFFFFFFFF)], place, device)
    oddities("device", "port", D_PORT, [("%d" % port, struct.pack("=H", port)) for port in (5555, 0, 1, 1023, 65535)], place, device)
    oddities("device", "fwmark", D_FWMARK, [("%#x" % mark, struct.pack("=I", mark)) for mark in (7, 0, 1, 0x80000000, 0xFFFFFFFF)], place, device)
    good = peer(NEW, ips(ip("172.16.0.0", 12)))
    oddities("device", "peers", D_PEERS | NLA_F_NESTED, [("one", good), ("another", peer(SECOND, ips(ip("172.17.0.0", 16)))), ("two", good + peer(KNOWN, ips(ip("172.18.0.0", 16)))), ("none", b"")], place, device)
    device.message("device peers in two lists", DEV + peers(good) + peers(peer(SECOND, ips(ip("1.0.0.0", 8)))))
    for text, one in (("empty", nest(0)), ("not marked as nested", attribute(0, attribute(P_PUBLIC, NEW))), ("of type 7", nest(7, attribute(P_PUBLIC, NEW))),
                      ("of the highest type", nest(0x3FFF, attribute(P_PUBLIC, NEW))), ("of 1 byte", attribute(NLA_F_NESTED, b"x")), ("of 3 bytes", attribute(NLA_F_NESTED, b"xxx")),
                      ("of 4 zeroes", attribute(NLA_F_NESTED, bytes(4))), ("with the mark of network byte order", attribute(NLA_F_NESTED | BYTE_ORDER, attribute(P_PUBLIC, NEW))),
                      ("twice the same", peer(NEW) + peer(NEW)), ("that is the device itself", peer(public_key(OWN), ips(ip("7.7.7.7", 32)))),
                      ("that the new key makes the device itself", peer(public_key(OTHER), ips(ip("7.7.7.7", 32)))),
                      ("with the key of zeroes", peer(bytes(32), ips(ip("7.7.7.7", 32)))), ("with the key of ones", peer(b"\xff" * 32, ips(ip("7.7.7.7", 32))))):
        device.message("device peer %s" % text, DEV + peers(one))
        device.message("device peer %s, behind a good one and before another" % text, DEV + peers(peer(NEW, attribute(P_PSK, b"1" * 32)), one, peer(b"last".ljust(32, b"l"), attribute(P_PSK, b"2" * 32))))
    device.message("device key with the key of a peer", DEV + attribute(D_PRIVATE, OTHER) + peers(peer(public_key(OTHER), ips(ip("7.7.7.7", 32)))))
    device.message("device key of zeroes and the former own key as a peer", DEV + attribute(D_PRIVATE, bytes(32)) + peers(peer(public_key(OWN))))
    unknown("device", D_PEERS, place, device)


def of_peer(device):
    for which, key in (("new", NEW), ("known", KNOWN)):
        def place(some, key=key):
            # The attribute in question comes last, so what is behind it comes behind all.
            return DEV + peers(nest(0, attribute(P_PUBLIC, key) + ips(ip("172.16.0.0", 12)) + some))

        # What is checked before the peer is looked for is the same for both.
        level, form = "%s peer's" % which, key == NEW
        oddities(level, "preshared key", P_PSK, [("given", b"S" * 32), ("another", b"T" * 32), ("of zeroes", bytes(32))], place, device, form=form)
        oddities(level, "flags", P_FLAGS, [("%#x" % flags, struct.pack("=I", flags)) for flags in (0, 2, 1, 3, 4, 5, 6, 7, 8, 0x80000000, 0xFFFFFFFF)], place, device, form=form)
        ends = [("IPv4", V4END), ("IPv6", V6END), ("IPv4 with port 0", sockaddr4("192.0.2.1", 0)), ("IPv4 address 0", sockaddr4("0.0.0.0", 5)), ("IPv4 broadcast", sockaddr4("255.255.255.255", 5)),
                ("IPv4 multicast", sockaddr4("224.0.0.1", 5)), ("IPv4 with padding that is not zero", V4END[:8] + b"padding!"), ("IPv6 with a scope", sockaddr6("fe80::1", 5, 3)),
                ("IPv6 with a flow label", V6END[:4] + b"\x01\x02\x03\x04" + V6END[8:]), ("IPv6 with IPv4 in it", sockaddr6("::ffff:192.0.2.1", 5)), ("IPv6 address 0", sockaddr6("::", 5)),
                ("IPv6 multicast", sockaddr6("ff02::1", 5, 2)), ("IPv4 of 28 bytes", V4END + bytes(12)), ("IPv6 of 16 bytes", V6END[:16]), ("of family 0", bytes(16)),
                ("of family 0 and 28 bytes", bytes(28)), ("of family AF_UNIX", struct.pack("=H", 1) + b"/tmp/x".ljust(26, b"\0")), ("of family 65535", b"\xff\xff" + bytes(14)),
                ("of 128 bytes", V6END + bytes(100))]
        oddities(level, "endpoint", P_ENDPOINT, ends, place, device, form=form)
        oddities(level, "keepalive", P_KEEPALIVE, [("%d" % seconds, struct.pack("=H", seconds)) for seconds in (25, 1, 0, 65535)], place, device, form=form)
        oddities(level, "handshake time", P_HANDSHAKE, [("given", struct.pack("=qq", 5, 6)), ("another", struct.pack("=qq", -1, -1))], place, device, form=form)
        oddities(level, "received bytes", P_RX, [("given", struct.pack("=Q", 1000)), ("another", b"\xff" * 8)], place, device, form=form)
        oddities(level, "sent bytes", P_TX, [("given", struct.pack("=Q", 1000)), ("another", b"\xff" * 8)], place, device, form=form)
        oddities(level, "protocol version", P_VERSION, [("%d" % version, struct.pack("=I", version)) for version in (1, 0, 2, 0x01000000, 0xFFFFFFFF)], place, device, form=form)
        oddities(level, "second key", P_PUBLIC, [("the same", key), ("another", b"second key".ljust(32, b"k")), ("of zeroes", bytes(32))], place, device, form=form)

        def only(some, key=key):
            return DEV + peers(nest(0, attribute(P_PUBLIC, key) + some))

        lists = [("one", ip("172.16.0.0", 12)), ("another", ip("172.20.0.0", 16)), ("two", ip("172.16.0.0", 12) + ip("fd01::", 32)), ("none", b"")]
        oddities(level, "allowed IPs", P_IPS | NLA_F_NESTED, lists, only, device, form=form)
        device.message("%s allowed IPs in two lists" % level, only(ips(ip("1.0.0.0", 8)) + ips(ip("2.0.0.0", 8))))
        if form:
            unknown(level, P_VERSION, place, device)

    def key_only(some):
        return DEV + peers(nest(0, some + attribute(P_PSK, b"S" * 32) + ips(ip("172.16.0.0", 12))))

    oddities("peer's", "public key", P_PUBLIC, [("new", NEW), ("known", KNOWN), ("of zeroes", bytes(32))], key_only, device, required=True)


def of_ip(device):
    four, six = bytes((172, 16, 1, 2)), bytes.fromhex("fd010203040506070809000000000001")
    for family_words, family, address, cidr in (("IPv4", 2, four, 24), ("IPv6", 10, six, 64)):
        def place(kind, family=family, address=address, cidr=cidr):
            parts = {A_FAMILY: u16(A_FAMILY, family), A_IP: attribute(A_IP, address), A_CIDR: u8(A_CIDR, cidr)}

            def make(some):
                return DEV + peers(peer(NEW, attribute(P_PSK, b"S" * 32), ips(ip("9.9.9.9", 32) + nest(0, *[part for other, part in parts.items() if other != kind], some) + ip("8.8.8.8", 32))))
            return make

        level = "%s allowed IP's" % family_words
        oddities(level, "family", A_FAMILY, [("%d" % f, struct.pack("=H", f)) for f in (family, 12 - family, 0, 1, 256 + family, 65535)], place(A_FAMILY), device, required=True)
        oddities(level, "address", A_IP, [("given", address), ("another", bytes(len(address))), ("of all ones", b"\xff" * len(address)), ("of the other length", six if family == 2 else four)], place(A_IP), device, required=True)
        oddities(level, "prefix", A_CIDR, [("%d" % n, bytes([n])) for n in [cidr] + [n for n in (0, 1, 31, 32, 33, 64, 127, 128, 129, 255) if n != cidr]], place(A_CIDR), device, required=True)
        oddities(level, "flags", A_FLAGS, [("%#x" % flags, struct.pack("=I", flags)) for flags in (0, 1, 2, 3, 0x80000000, 0xFFFFFFFF)], place(A_FLAGS), device)
        unknown(level, A_FLAGS, place(None), device)
    for text, one in (("empty", nest(0)), ("not marked as nested", attribute(0, ip("1.1.1.1", 32)[4:])), ("of type 7", nest(7, ip("1.1.1.1", 32)[4:])), ("of 1 byte", attribute(NLA_F_NESTED, b"x")),
                      ("of 3 bytes", attribute(NLA_F_NESTED, b"xxx")), ("of 4 zeroes", attribute(NLA_F_NESTED, bytes(4))), ("twice the same", ip("1.1.1.1", 32) * 2),
                      ("with bits beyond its prefix", ip("1.2.3.4", 8)), ("of another peer", ip("192.168.0.0", 24)), ("within one of another peer", ip("192.168.0.128", 25)),
                      ("around one of another peer", ip("192.0.0.0", 8)), ("everything", ip("0.0.0.0", 0) + ip("::", 0))):
        device.message("allowed IP %s" % text, DEV + peers(peer(NEW, ips(ip("9.9.9.9", 32) + one + ip("8.8.8.8", 32)))))
    def every(*more):
        return b"".join([ip("255.255.255.255", n, *more) for n in range(33)] + [ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", n, *more) for n in range(129)])

    device.message("allowed IPs of every prefix length", DEV + peers(peer(NEW, ips(every()))))
    device.message("allowed IPs of every prefix length, removed again", DEV + peers(peer(NEW, ips(every(), every(u32(A_FLAGS, 1))))))


def main():
    with namespace("n", "link add wg0 type wireguard", "link add wg1 type wireguard"):
        device = Device()
        for part in (names, of_device, of_peer, of_ip):
            part(device)
    lib.finish()


main()
