# SPDX-License-Identifier: GPL-2.0
"""Netlink by hand: messages are packed byte by byte, so that wrong ones can be packed too."""

import contextlib
import os
import socket
import struct
import subprocess
import sys

NLM_F_REQUEST, NLM_F_MULTI, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_DUMP = 1, 2, 4, 16, 0x300
NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
NLA_F_NESTED = 0x8000
RECEIVE = 8192  # so much a dump puts into one message for us, as for wg(8)
GENL_ID_CTRL = 16
RTM_GETLINK = 18


def run(*command, check=True, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    if check and done.returncode:
        raise SystemExit("%s: error: `%s` failed: %s" % (os.path.basename(sys.argv[0]), " ".join(command), done.stderr.decode().strip()))
    return done.stdout.decode()


@contextlib.contextmanager
def in_netns(name):
    """What is opened here belongs to that network namespace, and goes on doing so."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open("/run/netns/" + name, os.O_RDONLY)
    try:
        os.setns(there, os.CLONE_NEWNET)
        yield
    finally:
        os.setns(here, os.CLONE_NEWNET)
        os.close(here)
        os.close(there)


def attribute(kind, payload=b"", length=None):
    """One attribute; `length` lies about the payload's length when given."""
    size = 4 + (len(payload) if length is None else length)
    return struct.pack("=HH", size & 0xFFFF, kind) + payload + b"\0" * (-len(payload) % 4)


def nest(kind, *inside):
    return attribute(kind | NLA_F_NESTED, b"".join(inside))


def attributes(data):
    """[(kind, payload)], without the flags in the kind."""
    out, at = [], 0
    while at + 4 <= len(data):
        size, kind = struct.unpack_from("=HH", data, at)
        if size < 4 or at + size > len(data):
            raise ValueError("the kernel sent a broken attribute")
        out.append((kind & 0x3FFF, data[at + 4:at + size]))
        at += (size + 3) & ~3
    return out


class Netlink:
    def __init__(self, protocol):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.socket.bind((0, 0))
        self.socket.setsockopt(270, 11, 1)  # NETLINK_EXT_ACK: the error's text
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.settimeout(20)
        self.sequence = 0
        self.text = ""

    def close(self):
        self.socket.close()

    def request(self, kind, flags, payload, length=None):
        """Sends one message; (errno, [payload of each answer], whether the dump was interrupted)."""
        self.sequence += 1
        size = 16 + len(payload) if length is None else length
        self.socket.send(struct.pack("=IHHII", size, kind, flags | NLM_F_REQUEST, self.sequence, 0) + payload)
        answers, interrupted, self.text, self.messages = [], False, "", 0
        while True:
            data = self.socket.recv(RECEIVE)
            self.messages += 1
            while data:
                size, kind, flags, sequence, _ = struct.unpack_from("=IHHII", data)
                body, data = data[16:size], data[(size + 3) & ~3:]
                if sequence != self.sequence:
                    continue
                interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    error = -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
                    if flags & 0x200:  # NLM_F_ACK_TLVS
                        at = 4
                        if kind == NLMSG_ERROR:
                            at = 20 if flags & 0x100 else 4 + ((struct.unpack_from("=I", body, 4)[0] + 3) & ~3)
                        for k, v in attributes(body[at:]):
                            if k == 1:
                                self.text = v.rstrip(b"\0").decode()
                    return error, answers, interrupted
                answers.append(body)


class Generic(Netlink):
    def __init__(self, family):
        super().__init__(16)
        error, answers, _ = self.request(GENL_ID_CTRL, NLM_F_ACK, struct.pack("=BBH", 3, 2, 0) + attribute(2, family.encode() + b"\0"))
        if error:
            raise OSError(error, "netlink family %s" % family)
        self.info = dict(attributes(answers[0][4:]))
        self.family = struct.unpack("=H", self.info[1])[0]

    def call(self, command, *attrs, flags=NLM_F_ACK, version=1, raw=None):
        body = b"".join(attrs) if raw is None else raw
        return self.request(self.family, flags, struct.pack("=BBH", command, version, 0) + body)

    def begin_dump(self, command, *attrs):
        """Asks for a dump and reads its first message: the others are made as we read on."""
        body = struct.pack("=BBH", command, 1, 0) + b"".join(attrs)
        self.sequence += 1
        self.socket.send(struct.pack("=IHHII", 16 + len(body), self.family, NLM_F_REQUEST | NLM_F_DUMP, self.sequence, 0) + body)
        return self.socket.recv(RECEIVE)

    def end_dump(self, data):
        """Reads the rest; whether a message was flagged as inconsistent."""
        flagged = False
        while True:
            while data:
                size, kind, flags, _, _ = struct.unpack_from("=IHHII", data)
                flagged |= bool(flags & NLM_F_DUMP_INTR)
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    return flagged
                data = data[(size + 3) & ~3:]
            data = self.socket.recv(RECEIVE)


class Links(Netlink):
    """rtnetlink, for the statistics of a device."""
    NAMES = ("rx_packets tx_packets rx_bytes tx_bytes rx_errors tx_errors rx_dropped tx_dropped multicast collisions "
             "rx_length_errors rx_over_errors rx_crc_errors rx_frame_errors").split()

    def __init__(self):
        super().__init__(0)

    def link(self, name):
        error, answers, _ = self.request(RTM_GETLINK, NLM_F_ACK, struct.pack("=BxHiII", 0, 0, 0, 0, 0) + attribute(3, name.encode() + b"\0"))
        if error:
            raise OSError(error, name)
        return answers[0]

    def index(self, name):
        return struct.unpack_from("=i", self.link(name), 4)[0]

    def statistics(self, name):
        payload = dict(attributes(self.link(name)[16:]))[23]
        return dict(zip(self.NAMES, struct.unpack_from("=%dQ" % len(self.NAMES), payload)))
