#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: the family as the kernel describes it (versions, operations, policies), odd headers, commands and message flags
# cost: quick
"""The generic netlink family `wireguard` as its controller tells of it, and what is in the headers of messages rather
than in attributes. The number of the family is by chance, and not shown."""

import struct
import subprocess

import lib
from lib import observe
from netlink import NLM_F_ACK, NLM_F_DUMP, attribute, attributes, nest
from netlinktools import NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK, Raw, V4, device_words, ip, ips, namespace, peer, peers
from wgnetlink import D_FLAGS, D_FWMARK, D_IFNAME, D_PORT, D_PRIVATE, GET, P_PSK, SET, name, u16, u32

GENL_ID_CTRL, CTRL_GETFAMILY, CTRL_GETPOLICY = 16, 3, 10
FAMILY_ID, FAMILY_NAME, VERSION, HDRSIZE, MAXATTR, OPS, MCAST_GROUPS, POLICY, OP_POLICY, OP = range(1, 11)
DEV = name("wg0")


def number(value):
    return int.from_bytes(value, "little")


def tell_family(words, body):
    for kind, value in attributes(body[4:]):
        if kind == FAMILY_ID:
            continue
        if kind in (VERSION, HDRSIZE, MAXATTR):
            observe("%s: %s" % (words, {VERSION: "version", HDRSIZE: "header's size", MAXATTR: "highest attribute"}[kind]), number(value))
        elif kind == FAMILY_NAME:
            observe("%s: name" % words, value.rstrip(b"\0").decode())
        elif kind == OPS:
            for place, operation in attributes(value):
                parts = dict(attributes(operation))
                observe("%s: operation number %d" % (words, place), "command %d, flags %#x" % (number(parts[1]), number(parts[2])))
        else:
            observe("%s: attribute %d" % (words, kind), value.hex())


def tell_policies(words, answer):
    observe(words, "%s, each in a message" % answer)
    for at, (_, body) in enumerate(answer.messages):
        for kind, value in attributes(body[4:]):
            if kind == FAMILY_ID:
                continue
            for outer, inside in attributes(value):
                for inner, policy in attributes(inside):
                    observe("%s: message %d: %s %d, %d" % (words, at, {POLICY: "policy", OP_POLICY: "operation"}.get(kind, "attribute %d" % kind), outer, inner),
                            ", ".join("%d=%s" % (k, number(v) if len(v) in (4, 8) else v.hex()) for k, v in attributes(policy)) if kind == POLICY else policy.hex())


def described(raw):
    control = Raw(GENL_ID_CTRL)
    answer = control.call(CTRL_GETFAMILY, attribute(FAMILY_NAME, b"wireguard\0"), NLM_F_ACK, version=2)
    tell_family("by its name", answer.messages[0][1])
    answer = control.call(CTRL_GETFAMILY, u16(FAMILY_ID, raw.family), NLM_F_ACK, version=2)
    tell_family("by its number", answer.messages[0][1])
    answer = control.call(CTRL_GETFAMILY, b"", NLM_F_DUMP | NLM_F_ACK, version=2)
    mine = [body for _, body in answer.messages if dict(attributes(body[4:]))[FAMILY_NAME] == b"wireguard\0"]
    observe("in the list of all families", "%d times" % len(mine))
    tell_family("in the list", mine[0])
    tell_policies("policies", control.call(CTRL_GETPOLICY, u16(FAMILY_ID, raw.family), NLM_F_DUMP | NLM_F_ACK, version=2))
    for command in range(4):
        tell_policies("policies of command %d" % command,
                      control.call(CTRL_GETPOLICY, u16(FAMILY_ID, raw.family) + u32(OP, command), NLM_F_DUMP | NLM_F_ACK, version=2))
    done = subprocess.run(["genl", "ctrl", "get", "name", "wireguard"], capture_output=True, text=True, check=False)
    text = [line for line in done.stdout.splitlines() if "ID:" not in line]
    observe("genl ctrl get name wireguard", "exit %d: %s" % (done.returncode, "\n".join(text)))


def headers(raw):
    for command in list(range(6)) + [127, 255]:
        for words, flags in (("", NLM_F_ACK), (" as a dump", NLM_F_DUMP | NLM_F_ACK), (" without asking for an answer", 0)):
            observe("command %d%s" % (command, words), raw.call(command, DEV, flags))
    for version in (0, 1, 2, 3, 255):
        observe("version %d: GET_DEVICE" % version, device_words(raw.call(GET, DEV, NLM_F_DUMP | NLM_F_ACK, version=version), (), None)[:60])
        observe("version %d: SET_DEVICE" % version, raw.call(SET, DEV + u32(D_FWMARK, version), version=version))
    for reserved in (1, 0xFFFF):
        observe("reserved %#x: GET_DEVICE" % reserved, raw.call(GET, DEV, NLM_F_DUMP | NLM_F_ACK, reserved=reserved))
        observe("reserved %#x: SET_DEVICE" % reserved, raw.call(SET, DEV, reserved=reserved))
    for flags in (0x100, 0x200, 0x400, 0x800, 0x900, 0x304, 0x704, 0xB04, 0xF04, 8, 0x10, 0x20):
        for words, command in (("GET_DEVICE", GET), ("SET_DEVICE", SET)):
            observe("message flags %#x: %s" % (flags, words), raw.call(command, DEV, flags | NLM_F_ACK))
    # Of lengths that the header states. (A message shorter than a header is dropped without an answer.)
    for length in (16, 17, 19, 20, 22, 24, 27):
        observe("a message of %d bytes: SET_DEVICE" % length, raw.call(SET, DEV, length=length))
    for words, payload in (("nothing", b""), ("1 byte", b"x"), ("3 bytes", b"xxx"), ("zeroes", bytes(4)), ("64 zeroes", bytes(64))):
        observe("only %s behind the headers: SET_DEVICE" % words, raw.call(SET, payload))
        observe("only %s behind the headers: GET_DEVICE" % words, raw.call(GET, payload, NLM_F_DUMP | NLM_F_ACK))
    # Two messages in one datagram, the first of them wrong.
    raw.sequence += 1
    one = struct.pack("=IHHIIBBH", 20 + len(DEV), raw.family, 5, raw.sequence, 0, SET, 1, 0) + DEV
    bad = struct.pack("=IHHIIBBH", 20, raw.family, 5, raw.sequence, 0, SET, 1, 0)
    raw.socket.send(bad + one)
    observe("two messages in one datagram: the first, wrong", raw.rest())
    observe("two messages in one datagram: the second", raw.rest())


def options(raw):
    """What a socket may ask for."""
    bad = DEV + attribute(D_PRIVATE, b"k" * 32) + u32(D_FLAGS, 1) + peers(peer(b"1" * 32, attribute(P_PSK, b"s" * 32), ips(ip("1.1.1.1", 33))))
    for words, chosen in (("capped acks", (NETLINK_CAP_ACK,)), ("strict checking", (NETLINK_GET_STRICT_CHK,)), ("both", (NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK))):
        socket = Raw(raw.family)
        for option in chosen:
            socket.option(option)
        for label, command, payload, flags in (
                ("a good SET_DEVICE", SET, DEV, 4), ("a SET_DEVICE that fails", SET, bad, 4), ("a SET_DEVICE with an unknown attribute", SET, DEV + attribute(99, b"x"), 4),
                ("a SET_DEVICE with bytes behind", SET, DEV + b"xxx", 4), ("GET_DEVICE", GET, DEV, 0x304), ("GET_DEVICE with an unknown attribute", GET, DEV + attribute(99, b"x"), 0x304),
                ("GET_DEVICE with an attribute of SET_DEVICE", GET, DEV + u16(D_PORT, 1), 0x304), ("GET_DEVICE with bytes behind", GET, DEV + b"xxx", 0x304), ("GET_DEVICE of nobody", GET, name("nobody"), 0x304)):
            answer = socket.call(command, payload, flags)
            observe("%s: %s" % (words, label), "%s, echo of %d bytes" % (answer, len(answer.echo)))
    raw.option(11, 0)  # NETLINK_EXT_ACK off again
    observe("without extended acks: an unknown attribute", raw.call(SET, DEV + attribute(99, b"x")))
    observe("without extended acks: a bad device name", raw.call(GET, attribute(D_IFNAME, b"x" * 40), 0x304))
    raw.option(11, 1)
    observe("a nest in a nest in a nest", raw.call(SET, DEV + peers(nest(0, nest(9, nest(0, nest(9, nest(0, u16(1, V4)))))))))


def main():
    with namespace("n", "link add wg0 type wireguard"):
        raw = Raw()
        described(raw)
        headers(raw)
        options(raw)
    lib.finish()


main()
