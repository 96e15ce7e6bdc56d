#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""A name server that knows one name: name-server.py NAME ADDRESS. It listens to everybody on port 53."""

import socket
import sys

name, address = sys.argv[1].rstrip("."), socket.inet_aton(sys.argv[2])
question_name = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 53))
while True:
    query, sender = server.recvfrom(512)
    end = query.find(b"\0", 12) + 1
    if len(query) < end + 4 or end == 0:
        continue
    question = query[12 : end + 4]
    known = question[:-4].lower() == question_name
    wants_address = question[-4:] == b"\0\1\0\1"
    answers = b"\xc0\x0c\0\1\0\1\0\0\0\x0a\0\4" + address if known and wants_address else b""
    # An answer, recursion available; NXDOMAIN for other names.
    header = query[:2] + (b"\x81\x80" if known else b"\x81\x83") + b"\0\1" + (b"\0\1" if answers else b"\0\0") + bytes(4)
    server.sendto(header + question + answers, sender)
