# SPDX-License-Identifier: GPL-2.0
"""What the netlink scenarios share: messages of any form, their answers in words, and a device's dump as one line."""

import base64
import contextlib
import socket
import struct
import subprocess

import lib
from netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLMSG_DONE, NLMSG_ERROR, attribute, attributes, in_netns, nest, run
from wgnetlink import (A_CIDR, A_FAMILY, A_FLAGS, A_IP, D_FLAGS, D_FWMARK, D_IFINDEX, D_IFNAME, D_PEERS, D_PORT, D_PRIVATE, D_PUBLIC, GET,
                       P_ENDPOINT, P_FLAGS, P_HANDSHAKE, P_IPS, P_KEEPALIVE, P_PSK, P_PUBLIC, P_RX, P_TX, P_VERSION, WireGuard, u16, u8)

NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 10, 11, 12
NLM_F_CAPPED, NLM_F_ACK_TLVS = 0x100, 0x200
V4, V6 = socket.AF_INET, socket.AF_INET6
NAMES = {
    "device": {D_IFINDEX: "ifindex", D_IFNAME: "ifname", D_PRIVATE: "private", D_PUBLIC: "public", D_FLAGS: "flags", D_PORT: "port",
               D_FWMARK: "fwmark", D_PEERS: "peers"},
    "peer": {P_PUBLIC: "peer", P_PSK: "psk", P_FLAGS: "flags", P_ENDPOINT: "endpoint", P_KEEPALIVE: "keepalive", P_HANDSHAKE: "handshake",
             P_RX: "rx", P_TX: "tx", P_IPS: "ips", P_VERSION: "version"},
    "ip": {A_FAMILY: "family", A_IP: "ip", A_CIDR: "cidr", A_FLAGS: "flags"},
}
# Not numbers, however short they are.
AS_BYTES = {"device": (D_IFNAME,), "peer": (P_ENDPOINT,), "ip": (A_IP,)}


class Answer:
    """What came back: error (None if nothing did), tlvs of the extended ack, messages as (flags, payload), the echo."""

    def __init__(self, error, tlvs, messages, flags, echo):
        self.error, self.tlvs, self.messages, self.flags, self.echo = error, tlvs, messages, flags, echo

    def __str__(self):
        if self.error is None:
            return "no answer"
        words = [lib.errno_name(self.error)]
        for kind, value in self.tlvs:
            if kind == 1:
                words.append("'%s'" % value.rstrip(b"\0").decode())
            elif kind == 2:
                words.append("offset %d" % struct.unpack("=I", value))
            else:
                words.append("%s %s" % ({3: "cookie", 4: "policy", 5: "missing type", 6: "missing in nest"}.get(kind, "tlv %d" % kind), value.hex()))
        if self.messages:
            words.append("%d messages" % len(self.messages))
        flags = self.flags & ~(2 | NLM_F_CAPPED | NLM_F_ACK_TLVS)
        if flags:
            words.append("flags %#x" % flags)
        return ", ".join(words)


class Raw:
    """A netlink socket that sends any bytes."""

    def __init__(self, family=None, receive=8192):
        self.family = WireGuard().family if family is None else family
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.socket.bind((0, 0))
        self.socket.setsockopt(270, NETLINK_EXT_ACK, 1)
        self.socket.settimeout(60)
        self.receive, self.sequence = receive, 0

    def option(self, number, value=1):
        self.socket.setsockopt(270, number, value)

    def send(self, command, payload, flags, version=1, reserved=0, kind=None, length=None):
        self.sequence += 1
        size = 20 + len(payload) if length is None else length
        self.socket.send(struct.pack("=IHHIIBBH", size, self.family if kind is None else kind, flags | 1, self.sequence, 0, command, version, reserved) + payload)

    def read(self):
        """One datagram: [(type, flags, payload)]."""
        data, out = self.socket.recv(self.receive), []
        while data:
            size, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data)
            if sequence == self.sequence:
                out.append((kind, flags, data[16:size]))
            data = data[(size + 3) & ~3:]
        return out

    def rest(self):
        """All until an error or the end of a dump."""
        messages = []
        while True:
            for kind, flags, body in self.read():
                if kind == NLMSG_ERROR:
                    at = 20 if flags & NLM_F_CAPPED else 4 + ((struct.unpack_from("=I", body, 4)[0] + 3) & ~3)
                    return Answer(struct.unpack_from("=i", body)[0], attributes(body[at:]) if flags & NLM_F_ACK_TLVS else [], messages, flags, body[4:at])
                if kind == NLMSG_DONE:
                    return Answer(struct.unpack_from("=i", body)[0], attributes(body[4:]) if flags & NLM_F_ACK_TLVS else [], messages, flags, b"")
                messages.append((flags, body))

    def call(self, command, payload, flags=NLM_F_ACK, **how):
        self.send(command, payload, flags, **how)
        if not flags & (NLM_F_ACK | NLM_F_DUMP):
            # The answer to this comes behind whatever the first one got.
            mine, self.sequence = self.sequence, self.sequence + 1
            self.socket.send(struct.pack("=IHHII", 16, 1, 5, self.sequence, 0))
            got = []
            while True:
                data = self.socket.recv(self.receive)
                while data:
                    size, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data)
                    if sequence == self.sequence:
                        break
                    if sequence == mine and kind == NLMSG_ERROR:
                        got.append(struct.unpack_from("=i", data, 16)[0])
                    data = data[(size + 3) & ~3:]
                else:
                    continue
                return Answer(got[0] if got else None, [], [], 2, b"")
        return self.rest()

    def dump(self, *attrs):
        return self.call(GET, b"".join(attrs), NLM_F_DUMP | NLM_F_ACK)


def coalesced(messages):
    """A device's parts of all messages put together, as a reader does: (device's attributes, {key: attributes}, {key: ips})."""
    own, peers, ips = [], {}, {}
    for _, body in messages:
        for kind, value in attributes(body[4:]):
            if kind != D_PEERS:
                own.append((kind, value))
                continue
            for _, peer in attributes(value):
                parts = attributes(peer)
                key = dict(parts)[P_PUBLIC]
                peers.setdefault(key, []).extend(part for part in parts if part[0] not in (P_IPS, P_PUBLIC))
                ips.setdefault(key, [])
                for part, inside in parts:
                    if part == P_IPS:
                        ips[key] += [tuple(attributes(ip)) for _, ip in attributes(inside)]
    return own, peers, ips


def words(level, parts):
    return " ".join("%s=%s" % (NAMES[level].get(kind, "type %d" % kind), value.hex() if kind in AS_BYTES[level] else number(value)) for kind, value in parts)


def number(value):
    """Short ones as numbers, others by their bytes, zeroes as how many."""
    if len(value) in (1, 2, 4, 8):
        return "%#x" % int.from_bytes(value, "little")
    return value.hex() if any(value) else "0*%d" % len(value)


def device_words(answer, names=(), index=None):
    """A dump as a line. `names`: {bytes: word} for keys that it may show; the device's own `index` is left out."""
    own, peers, ips = coalesced(answer.messages)
    text = ["%s [%s]" % (answer, words("device", [part for part in own if part != (D_IFINDEX, struct.pack("=I", index or 0))]))]
    for key, parts in peers.items():
        text.append("peer %s [%s] (%s)" % (key.hex(), words("peer", parts), "; ".join(words("ip", ip) for ip in ips[key])))
    line = " ".join(text)
    for value, word in dict(names).items():
        line = line.replace(value.hex(), word)
    return line


def interrupted(answer):
    return any(flags & NLM_F_DUMP_INTR for flags, _ in answer.messages) or bool(answer.flags & NLM_F_DUMP_INTR)


def peer(public, *inside):
    return nest(0, attribute(P_PUBLIC, public), *inside)


def peers(*inside):
    return nest(D_PEERS, *inside)


def ip(address, cidr, *more):
    family = V6 if ":" in address else V4
    return nest(0, u16(A_FAMILY, family), attribute(A_IP, socket.inet_pton(family, address)), u8(A_CIDR, cidr), *more)


def ips(*inside):
    return nest(P_IPS, *inside)


def secrets(echo):
    """Where in an echoed SET_DEVICE secrets are: ([(start, end)] of the private keys, of the preshared keys)."""
    private, preshared = [], []

    def walk(start, end):
        while start + 4 <= end:
            size, kind = struct.unpack_from("=HH", echo, start)
            if size < 4 or start + size > end:
                return
            yield kind & 0x3FFF, start + 4, start + size
            start += (size + 3) & ~3

    for kind, start, end in walk(20, len(echo)):
        if kind == D_PRIVATE:
            private.append((start, end))
        elif kind == D_PEERS:
            for _, peer_start, peer_end in walk(start, end):
                preshared += [(s, e) for kind, s, e in walk(peer_start, peer_end) if kind == P_PSK]
    return private, preshared


def left(echo, places):
    """How many of these places hold something else than zeroes."""
    return sum(1 for start, end in places if any(echo[start:end]))


@contextlib.contextmanager
def namespace(label, *commands):
    """A fresh network namespace, in which what is opened here is; the commands of ip run in it."""
    run("ip", "netns", "add", label)
    for command in commands:
        run("ip", "-n", label, *command.split())
    with in_netns(label):
        yield
    run("ip", "netns", "del", label)


def public_key(private):
    """X25519 of the base point, by wg(8), as bytes."""
    done = subprocess.run(["wg", "pubkey"], input=base64.b64encode(private) + b"\n", capture_output=True, check=True)
    return base64.b64decode(done.stdout)

