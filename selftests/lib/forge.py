#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""forge.py RECORDING ADDRESS PORT: sends there a data message like the last one of a recording by tcpdump, for the same session,
but with a counter that was not used yet; so its tag is wrong."""

import socket
import struct
import sys

recording, address, port = open(sys.argv[1], "rb").read(), sys.argv[2], int(sys.argv[3])
at, last = 24, None
while at < len(recording):
    length = struct.unpack_from("<I", recording, at + 8)[0]
    # Behind the headers of Ethernet, IPv4 and UDP.
    message, at = recording[at + 16 + 14 + 20 + 8 : at + 16 + length], at + 16 + length
    if message[:4] == b"\x04\0\0\0":
        last = message
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.sendto(last[:8] + struct.pack("<Q", 10**6) + last[16:], (address, port))
