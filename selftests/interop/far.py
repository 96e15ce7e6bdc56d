#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The machine with the C driver does what the other one says by TCP: a shell script a connection, answered with its output and,
in a last line, its exit status; until the script is `exit`."""

import socket
import subprocess

with socket.create_server(("", 7000)) as listener:
    while True:
        connection = listener.accept()[0]
        with connection:
            script = b""
            while data := connection.recv(65536):
                script += data
            if script.strip() == b"exit":
                break
            # Not by a pipe: a program that the script leaves running would keep it open.
            with open("/tmp/output", "w+b") as output:
                done = subprocess.run(["bash"], input=script, stdout=output, stderr=subprocess.STDOUT, check=False)
                output.seek(0)
                connection.sendall(output.read() + b"\n@status %d\n" % done.returncode)
