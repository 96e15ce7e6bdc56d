#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: the machine sleeps and wakes, and begins to hibernate
# vm: --sleep
# cost: slow
"""Before the machine sleeps all keys are erased: a reader of its memory shall find none. Everything is done but the sleep
itself (pm_test): from suspend-to-idle QEMU's clock does not wake a machine. Of hibernating, only the part up to frozen
processes is done, at whose start the driver is told: the folders that the machine's root is on do not outlive more."""

import os
import time

from lib import die, finish, observe
from wgpeer import mac
from wgscene import DATA_HEARD, INITIATION_HEARD, End, Scene, kinds

scene = Scene()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def sleep(state, test):
    """Whether the machine slept, as far as `test` says."""
    if not os.path.exists("/sys/power/pm_test"):
        die("this kernel has no /sys/power/pm_test")
    write("/sys/power/pm_test", test)
    write("/sys/module/suspend/parameters/pm_test_delay", "1")
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    try:
        write("/sys/power/state", state)
    except OSError as error:
        return "refused: %s" % error
    slept = time.clock_gettime(time.CLOCK_BOOTTIME) - before
    return "for a while" if slept > 0.9 else "%.1f s" % slept


def used(end):
    """The session that a packet goes out with."""
    end.drain()
    scene.send_inside(end.ip)
    return ", ".join("session %d" % event.session for event in end.collect(0.5) if event.kind == DATA_HEARD) or "none"


for words, state, test in (("suspend to idle", "freeze", "platform"), ("suspend to memory", "mem", "platform"), ("hibernate", "disk", "freezer")):
    ours, theirs, under_way, eager = End(scene), End(scene), End(scene), End(scene, "persistent-keepalive", "60000")
    observe("%s: before, our handshake" % words, ours.be_initiated())
    ours.send(ours.session.data())
    observe("%s: before, their handshake" % words, theirs.initiate())
    eager.respond()
    eager.collect(0.5)
    scene.send_inside(under_way.ip)
    event = under_way.wait_for(INITIATION_HEARD, 3)
    observe("%s: before, another handshake of ours is under way" % words, event is not None)
    observe("%s: the machine sleeps" % words, sleep(state, test))
    # If it took less than five seconds, it has not been tried again.
    message, session = under_way.response()
    under_way.sessions.append(session)
    under_way.send(message)
    observe("%s: the response to the handshake that was under way: a packet goes out with" % words, used(under_way))
    time.sleep(6)  # so that another initiation to the same peer may be sent
    for who, end in (("ours", ours), ("theirs", theirs)):
        observe("%s: %s, data is" % (words, who), end.arrives())
        observe("%s: %s, a packet goes out with" % (words, who), used(end))
        observe("%s: %s, answered" % (words, who), kinds(end.collect(0.5)) if end.respond(seconds=8) else "no initiation")
        observe("%s: %s, then a packet goes out with" % (words, who), used(end))
        observe("%s: %s, then data is" % (words, who), end.arrives())
    observe("%s: the peer with an interval is told to send nothing new" % words, kinds(eager.collect(1)))
    # It was tried again meanwhile. The last try counts: the next one.
    under_way.drain()
    observe("%s: what was under way is begun again" % words, under_way.respond(seconds=8))
    observe("%s: and answered: data arrives" % words, DATA_HEARD in [event.kind for event in under_way.collect(2)])
    eager.set("persistent-keepalive", "0")
    # A cookie is no key: what was said of it stays.
    cookie = os.urandom(16)
    fourth = End(scene)
    scene.send_inside(fourth.ip)
    first = fourth.wait_for(INITIATION_HEARD, 3)
    fourth.send(fourth.cookie_reply(first.message[-32:-16], cookie))
    time.sleep(0.2)
    observe("%s: the machine sleeps again" % words, sleep(state, test))
    fourth.drain()
    event = fourth.wait_for(INITIATION_HEARD, 8)
    observe("%s: a cookie of before is used" % words, event is not None and event.message[-16:] == mac(cookie, event.message[:-16]))
write("/sys/power/pm_test", "none")
finish()
