#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""paced.py ADDRESS PORT NUMBER MICROSECONDS: sends so many datagrams, each so long after the one before."""

import socket
import sys
import time

address, port, number, pause = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) / 1e6
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.connect((address, port))
due = time.monotonic()
for _ in range(number):
    time.sleep(max(0, due - time.monotonic()))
    sender.send(b"x" * 100)
    due = max(due, time.monotonic() - pause) + pause
