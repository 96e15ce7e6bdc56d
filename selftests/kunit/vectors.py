#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes src/tests/vectors.rs: handshakes, cookies and the keys that come out, by the peer of lib/wgpeer.py, which shares no
code with the driver (Python's hashlib, OpenSSL through python3-cryptography). The same in each run.

  vectors.py            writes the file
  vectors.py --check    fails if the file is another
"""

import hashlib
import os
import struct
import sys

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
sys.path.insert(0, "selftests/lib")
import wgpeer  # noqa: E402

TARGET = "src/tests/vectors.rs"
HEADER = """// SPDX-License-Identifier: GPL-2.0

//! Handshakes as another implementation made them: written by `selftests/kunit/vectors.py`.

#![forbid(unsafe_code)]

use super::hex;

/// A handshake, from the keys of both sides to the session, and a cookie for its initiation.
pub(crate) struct Vector {
%s}

/// Without a preshared key, and with one.
pub(crate) static VECTORS: [Vector; 2] = [
%s];
"""


def made_up(name):
    return hashlib.blake2s(b"kunit-vectors.py: " + name.encode()).digest()


class Planned(wgpeer.Key):
    """A key that is not by chance."""

    plan = []

    def __init__(self, private=None):
        super().__init__(private or self.plan.pop(0))


def vector(number, psk):
    name = lambda what: made_up("%s %d" % (what, number))  # noqa: E731
    keys = {what: Planned(name(what)) for what in ("initiator", "responder")}
    index = [struct.unpack("<I", name(what)[:4])[0] for what in ("initiator index", "responder index")]
    stamp = wgpeer.tai64n(1_700_000_000 + number)
    initiator = wgpeer.Peer(keys["initiator"], keys["responder"].public, psk)
    responder = wgpeer.Peer(keys["responder"], keys["initiator"].public, psk)
    Planned.plan = [name("initiator ephemeral"), name("responder ephemeral")]
    initiation = initiator.initiation(stamp, index[0])
    # Both sides have the same transcript, or this raises.
    assert responder.consume_initiation(initiation) == stamp
    chain, digest = initiator.chain, initiator.digest
    assert (chain, digest) == (responder.chain, responder.digest)
    response, theirs = responder.response(index[1])
    ours = initiator.consume_response(response)
    assert (ours.send_key, ours.receive_key) == (theirs.receive_key, theirs.send_key)
    cookie, nonce = name("cookie")[:16], name("nonce")[:24]
    sealed = wgpeer.xseal(wgpeer.hash_(b"cookie--", keys["responder"].public), nonce, cookie, initiation[116:132])
    return [
        ("initiator_private", keys["initiator"].private), ("initiator_public", keys["initiator"].public),
        ("responder_private", keys["responder"].private), ("responder_public", keys["responder"].public),
        ("ephemeral", name("initiator ephemeral")), ("psk", psk), ("timestamp", stamp),
        ("initiator_index", index[0]), ("responder_index", index[1]),
        ("initiation", initiation), ("chaining_key", chain), ("hash", digest), ("response", response),
        ("first_key", ours.send_key), ("second_key", ours.receive_key),
        ("cookie_reply", struct.pack("<II", wgpeer.COOKIE, index[0]) + nonce + sealed),
        ("mac2", wgpeer.mac(cookie, initiation[:132])),
    ]


COMMENTS = {
    "initiator_private": "Not clamped.", "ephemeral": "The initiator's, private.", "timestamp": "What the initiation says.",
    "initiation": "The whole message, `mac1` in it and no `mac2`.",
    "chaining_key": "After the initiation, on both sides.", "hash": "As above.",
    "first_key": "From the initiator to the responder.", "second_key": "From the responder to the initiator.",
    "cookie_reply": "The responder's answer under load.", "mac2": "What the initiation then has.",
}


def rust(value):
    if isinstance(value, int):
        return "0x%04x_%04x" % (value >> 16, value & 0xFFFF)
    digits = value.hex()
    if len(digits) <= 64:
        return 'hex("%s")' % digits
    lines = [digits[at:at + 80] for at in range(0, len(digits), 80)]
    return "hex(\n            \"" + "\\\n             ".join(lines) + '",\n        )'


def text():
    wgpeer.Key = Planned
    vectors = [vector(0, bytes(32)), vector(1, made_up("psk"))]
    fields = ""
    for name, value in vectors[0]:
        if name in COMMENTS:
            fields += "    /// %s\n" % COMMENTS[name]
        fields += "    pub(crate) %s: %s,\n" % (name, "u32" if isinstance(value, int) else "[u8; %d]" % len(value))
    bodies = "".join("    Vector {\n" + "".join("        %s: %s,\n" % (n, rust(v)) for n, v in one) + "    },\n" for one in vectors)
    return HEADER % (fields, bodies)


def main():
    wanted = text()
    if sys.argv[1:] == ["--check"]:
        with open(TARGET) as file:
            if file.read() != wanted:
                sys.exit("vectors.py: error: %s is not what this program writes: run it without --check" % TARGET)
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        with open(TARGET, "w") as file:
            file.write(wanted)


main()
