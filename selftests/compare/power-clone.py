#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: the virtual machine is cloned: its generation ID changes
# vm: --vmgenid
# cost: quick
"""A clone must not go on with the keys and counters of the machine that it was made of. What a hypervisor does, we do: write
another ID to where it is in memory, and tell the kernel to look (scripts/vm --vmgenid has a bell for that)."""

import glob
import mmap
import os
import re
import time
import uuid

from lib import die, finish, kernel_mark, note, observe, observe_kernel
from wgscene import DATA_HEARD, INITIATION_HEARD, End, Scene, kinds

BELL = "/sys/bus/acpi/devices/WGBL0001:00/status"
FIRST = uuid.UUID("81f3e06c-66a1-4b4d-9b0a-7c2c5d4b2f11").bytes_le  # scripts/vm says so
KEPT = "/run/generation-id"  # from one module's turn to the other's


def place():
    """The file and the offset of the ID in the machine's memory: reserved, and thus not the kernel's."""
    wanted = FIRST
    if os.path.exists(KEPT):
        with open(KEPT, "rb") as file:
            wanted = file.read()
    memory = os.open("/dev/mem", os.O_RDWR)
    with open("/proc/iomem") as file:
        for line in file:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) : .*[Rr]eserved", line)
            if not found:
                continue
            start, end = (int(number, 16) for number in found.groups())
            if start < 1 << 20 or end - start > 1 << 24:
                continue
            try:
                window = mmap.mmap(memory, end - start + 1, offset=start)
            except OSError as error:
                note("%s: %s" % (line.strip(), error))
                continue
            at = window.find(wanted)
            if at >= 0:
                return window, at
    return die("the generation ID is nowhere in the reserved memory: was this machine made with scripts/vm --vmgenid?")


def ring():
    with open(BELL) as file:
        file.read()
    time.sleep(0.5)


def fork():
    """The machine is another one from now on."""
    fresh = os.urandom(16)
    window[at:at + 16] = fresh
    with open(KEPT, "wb") as file:
        file.write(fresh)
    ring()


if not glob.glob(BELL):
    die("there is no bell: this scenario needs scripts/vm --vmgenid")
window, at = place()
scene = Scene()


def sends(end):
    end.drain()
    scene.send_inside(end.ip)
    return kinds(end.collect(1))


def used(end):
    """The session that a packet goes out with."""
    end.drain()
    scene.send_inside(end.ip)
    return ", ".join("session %d" % event.session for event in end.collect(0.5) if event.kind == DATA_HEARD) or "none"


ours, theirs, under_way, unconfirmed = End(scene), End(scene), End(scene), End(scene)
observe("before: our handshake", ours.be_initiated())
ours.send(ours.session.data())
ring()
observe("asked to look, with nothing changed: a packet goes out with", used(ours))
ours.send(ours.session.data())
scene.send_inside(under_way.ip)
observe("before: another handshake of ours is under way", under_way.wait_for(INITIATION_HEARD, 3) is not None)
observe("before: their handshake", theirs.initiate())
observe("before: another of theirs is not confirmed", unconfirmed.initiate(confirm=False))

kernel_mark()
fork()
observe_kernel("cloned: the kernel says")
for words, end in (("our session", ours), ("their session", theirs)):
    observe("cloned, %s: data is" % words, end.arrives())
    observe("cloned, %s: a packet brings" % words, sends(end))
    message, session = end.response()
    end.sessions.append(session)
    end.send(message)
    observe("cloned, %s: that answered" % words, kinds(end.collect(0.5)))
    observe("cloned, %s: a packet goes out with" % words, used(end))
    observe("cloned, %s: data of the session before is" % words, end.arrives(end.sessions[0]))
message, session = under_way.response()
under_way.sessions.append(session)
under_way.send(message)
observe("cloned: the response to the handshake that was under way lets data out", DATA_HEARD in [event.kind for event in under_way.collect(0.5)])
under_way.drain()
observe("cloned: it is begun again", under_way.respond(seconds=8))
observe("cloned: and answered: data arrives", DATA_HEARD in [event.kind for event in under_way.collect(2)])
unconfirmed.send_data()
observe("cloned: data of the unconfirmed session brings", kinds(unconfirmed.collect(0.5)))
observe("cloned: a packet for that peer brings", sends(unconfirmed))
finish()
