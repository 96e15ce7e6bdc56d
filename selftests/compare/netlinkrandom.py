# SPDX-License-Identifier: GPL-2.0
"""Random netlink messages from a seed, most of them nearly right, the same for both modules. What they answer and what
becomes of the device is observed message by message."""

import hashlib
import random
import re
import socket
import struct

import lib
from lib import observe
from netlink import NLA_F_NESTED, Links, attribute, nest, run
from netlinktools import Raw, device_words, left, namespace, public_key, secrets
from wgnetlink import (A_CIDR, A_FAMILY, A_FLAGS, A_IP, D_FLAGS, D_FWMARK, D_IFINDEX, D_IFNAME, D_PEERS, D_PORT, D_PRIVATE, D_PUBLIC, GET,
                       P_ENDPOINT, P_FLAGS, P_HANDSHAKE, P_IPS, P_KEEPALIVE, P_PSK, P_PUBLIC, P_RX, P_VERSION, SET, name, sockaddr4, sockaddr6)

DEV = name("wg0")


class Messages:
    def __init__(self, seed, index):
        self.random = random.Random(seed)
        self.index = index
        self.private = [bytes(32)] + [self.bytes(32) for _ in range(3)]
        # The device's own possible keys among the peers' keys.
        self.keys = [self.bytes(32) for _ in range(12)] + [public_key(key) for key in self.private[1:]]

    def maybe(self, chance):
        return self.random.random() < chance

    def bytes(self, count):
        return bytes(self.random.randrange(256) for _ in range(count))

    def attribute(self, kind, payload):
        if self.maybe(.03):
            payload = payload[:self.random.randrange(len(payload) + 1)] if self.maybe(.5) else payload + self.bytes(self.random.randrange(1, 5))
        return attribute(kind, payload)

    def flags(self, some):
        return struct.pack("=I", self.random.choice(some) if not self.maybe(.03) else self.random.randrange(16))

    def allowed_ip(self):
        rnd, six = self.random, self.maybe(.4)
        family = rnd.choice([0, 1, 2, 10, 7]) if self.maybe(.03) else 10 if six else 2
        data = bytes([0xFD]) + bytes(rnd.randrange(4) for _ in range(15)) if six else bytes([10, rnd.randrange(3), rnd.randrange(4), rnd.randrange(256)])
        cidr = rnd.choice([0, 7, 8, 64, 127, 128, 120] if six else [0, 8, 15, 16, 24, 31, 32])
        if self.maybe(.04):
            cidr = rnd.randrange(256)
        parts = [self.attribute(kind, payload) for kind, payload, chance in (
            (A_FAMILY, struct.pack("=H", family), .98), (A_IP, data, .98), (A_CIDR, bytes([cidr]), .98), (A_FLAGS, self.flags([0, 1]), .3)) if self.maybe(chance)]
        if self.maybe(.01):
            parts.append(self.attribute(rnd.randrange(9), self.bytes(4)))
        rnd.shuffle(parts)
        return attribute(0, b"".join(parts)) if self.maybe(.02) else nest(rnd.randrange(3), *parts)

    def endpoint(self):
        rnd = self.random
        noise = struct.pack("=H", rnd.choice([0, 1, 2, 10, 7, 65535]))
        return rnd.choice([sockaddr4("10.0.0.%d" % rnd.randrange(255), rnd.randrange(65536)),
                           sockaddr6("fd00::%x" % rnd.randrange(65536), rnd.randrange(65536), rnd.randrange(4)),
                           noise + self.bytes(14), noise + self.bytes(26), noise + self.bytes(18)])

    def peer(self):
        rnd = self.random
        parts = [self.attribute(kind, payload) for kind, payload, chance in (
            (P_PUBLIC, rnd.choice(self.keys), .97), (P_PSK, rnd.choice([bytes(32), self.bytes(32)]), .2), (P_FLAGS, self.flags([0, 1, 2, 4, 6, 3, 0, 2]), .5),
            (P_ENDPOINT, self.endpoint(), .3), (P_KEEPALIVE, struct.pack("=H", rnd.randrange(65536)), .2), (P_VERSION, struct.pack("=I", rnd.choice([1, 1, 1, 0, 2])), .1),
            (P_RX, self.bytes(8), .05), (P_HANDSHAKE, self.bytes(16), .05)) if self.maybe(chance)]
        for _ in range(rnd.choice([0, 1, 1, 2])):
            some = b"".join(self.allowed_ip() for _ in range(rnd.choice([0, 1, 2, 3, 8, 40])))
            parts.append(attribute(P_IPS | (0 if self.maybe(.02) else NLA_F_NESTED), some + (b"\1\2" if self.maybe(.01) else b"")))
        if self.maybe(.01):
            parts.append(self.attribute(rnd.randrange(16), self.bytes(4)))
        rnd.shuffle(parts)
        return attribute(0, b"".join(parts)) if self.maybe(.01) else nest(rnd.randrange(3), *parts)

    def set_device(self):
        rnd, which = self.random, self.random.random()
        parts = [self.attribute(D_IFNAME, b"wg0\0")] if which < .92 else [self.attribute(D_IFINDEX, struct.pack("=I", self.index))] if which < .97 else []
        if self.maybe(.02):
            parts.append(self.attribute(D_IFNAME, rnd.choice([b"lo\0", b"nobody\0", b"wg0", b"dum0\0", b"\0", b"x" * 15 + b"\0", b"x" * 16 + b"\0", b"wg0" + bytes(13)])))
        if self.maybe(.02):
            parts.append(self.attribute(D_IFINDEX, struct.pack("=I", rnd.choice([0, 1, self.index, 9999, 0xFFFFFFFF]))))
        parts += [self.attribute(kind, payload) for kind, payload, chance in (
            (D_PRIVATE, rnd.choice(self.private), .15), (D_PUBLIC, self.bytes(32), .05), (D_FLAGS, self.flags([0, 1, 0, 0]), .1),
            (D_PORT, struct.pack("=H", rnd.randrange(65536)), .2), (D_FWMARK, struct.pack("=I", rnd.getrandbits(32)), .2)) if self.maybe(chance)]
        for _ in range(rnd.choice([0, 1, 1, 1, 2])):
            parts.append(attribute(D_PEERS | (0 if self.maybe(.01) else NLA_F_NESTED), b"".join(self.peer() for _ in range(rnd.choice([0, 1, 2, 5])))))
        if self.maybe(.01):
            parts.append(self.attribute(rnd.randrange(20), self.bytes(4)))
        rnd.shuffle(parts)
        message = bytearray(b"".join(parts))
        if self.maybe(.02):
            message += self.bytes(rnd.randrange(1, 4))
        if self.maybe(.05) and message:
            for _ in range(rnd.randrange(1, 4)):
                message[rnd.randrange(len(message))] = rnd.randrange(256)
        return bytes(message)

    def get_device(self):
        index = attribute(D_IFINDEX, struct.pack("=I", self.index))
        return self.random.choice([b"", index, attribute(D_IFNAME, b"lo\0"), attribute(D_IFNAME, b"nobody\0"), DEV + index, attribute(D_PRIVATE, b"x" * 32), self.bytes(8), attribute(D_IFNAME, b"wg0")])


def without_padding(answer):
    """A dump in which what fills up a sockaddr_in is zero. (Whether it comes back is netlink-attributes' to see.)"""
    start = re.escape(struct.pack("=HHH", 20, P_ENDPOINT, socket.AF_INET))
    answer.messages = [(flags, re.sub(b"(%s.{6}).{8}" % start, lambda found: found[1] + bytes(8), body, flags=re.DOTALL)) for flags, body in answer.messages]
    return answer


def digest(answer):
    """The messages of a dump, byte by byte."""
    whole = hashlib.sha256()
    for flags, body in answer.messages:
        whole.update(struct.pack("=HI", flags, len(body)) + body)
    return whole.hexdigest()[:12]


def clean(echo, places):
    data = bytearray(echo)
    for start, end in places:
        data[start:end] = bytes(end - start)
    return hashlib.sha256(data[16:]).hexdigest()[:12]


def play(seed, count, up=False):
    with namespace("n", "link add wg0 type wireguard", "link add dum0 type dummy"):
        index = Links().index("wg0")
        raw, messages = Raw(), Messages(seed, index)
        if up:
            # Of a port that is not by chance. There is no route to any endpoint.
            raw.call(SET, DEV + attribute(D_PORT, struct.pack("=H", 4000)))
            run("ip", "link", "set", "wg0", "up")
        rnd, errors = messages.random, {}
        for number in range(count):
            label = "seed %d, message %d" % (seed, number)
            answer = raw.call(SET, messages.set_device())
            errors[lib.errno_name(answer.error)] = errors.get(lib.errno_name(answer.error), 0) + 1
            # The header in front holds numbers by chance.
            echo = answer.echo
            if answer.error and len(echo) > 20 and not any(kind == 1 for kind, _ in answer.tlvs):
                # It reached the module, which looks after its secrets.
                private, preshared = secrets(echo)
                if preshared:
                    observe("%s: preshared keys in the echo" % label, "%d of %d" % (left(echo, preshared), len(preshared)))
                observe("%s: private keys in the echo" % label, left(echo, private))
                echo = clean(echo, private + preshared)
            else:
                echo = hashlib.sha256(echo[16:]).hexdigest()[:12]
            dump = without_padding(raw.dump(DEV))
            observe(label, "%s, echo %s; the device then: %s, %s" % (answer, echo, dump, digest(dump)))
            if number % 200 == 199:
                observe("%s: the device then" % label, device_words(dump, (), index))
            if number % 4 == 0:
                observe("%s: GET_DEVICE" % label, raw.call(GET, messages.get_device(), rnd.choice([0x304, 0x304, 4])))
                observe("%s: any command" % label, raw.call(rnd.randrange(4), messages.get_device(), rnd.choice([0x304, 4, 0x804, 0x404])))
        observe("seed %d: answers" % seed, ", ".join("%s %d" % item for item in sorted(errors.items())))
