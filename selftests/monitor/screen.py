#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""screen.py COLUMNS LINES SECONDS KEYS COMMAND...: runs a command in a terminal of that size, waits, types the keys with as long a pause
after each, prints what the terminal showed before the last of them, and ends as the command does."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

import pyte

columns, lines, seconds, keys, *command = sys.argv[1:]
columns, lines, seconds = int(columns), int(lines), float(seconds)
child, terminal = pty.fork()
if child == 0:
    # The size must be there when the command asks.
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    os.execvpe(command[0], command, os.environ | {"TERM": "linux"})
screen = pyte.Screen(columns, lines)
stream = pyte.ByteStream(screen)


def look(seconds):
    """Shows for so long what the command writes."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([terminal], [], [], left)[0]:
            try:
                stream.feed(os.read(terminal, 65536))
            except OSError:
                # It has ended.
                return


look(seconds)
for key in keys[:-1]:
    os.write(terminal, key.encode())
    look(seconds)
print(*screen.display, sep="\n")
os.write(terminal, keys[-1].encode())
look(seconds)
for _ in range(100):
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        sys.exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.1)
os.kill(child, 9)
sys.exit("it did not end")
