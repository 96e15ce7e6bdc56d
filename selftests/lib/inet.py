# SPDX-License-Identifier: GPL-2.0
"""The Internet checksum (RFC 1071), and keys as wg(8) writes them."""

import base64
import struct


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def b64(data):
    return base64.b64encode(data).decode()
