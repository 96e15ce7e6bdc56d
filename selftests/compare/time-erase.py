#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: when keys and handshakes that nobody uses any more are erased
# vm: --icount
# cost: slow
# limit: 2000
"""Nothing says that keys were erased but that what belongs to them is no longer known: a cookie for a session's index is
taken as long as there is that session, and a response as long as there is the handshake. (Such a long timer may be 16 s late.)"""

import os

from lib import finish, observe
from wgpeer import mac
from wgscene import INITIATION_HEARD, End, Scene, kinds, see, together

scene = Scene()


def knows(end, index, mac1):
    """Whether the device takes a cookie for that index: its next initiation shows it. The session must be too old to send."""
    cookie = os.urandom(16)
    end.send(end.cookie_reply(mac1, cookie, index=index))
    end.collect(0.1)
    scene.send_inside(end.ip)
    event = end.wait_for(INITIATION_HEARD, 10)
    if event is None:
        return "no initiation"
    message = event.message
    if message[-16:] == bytes(16):
        return "unknown"
    return "known" if message[-16:] == mac(cookie, message[:-16]) else "another cookie"


def our_session(at):
    def part():
        end = End(scene)
        scene.send_inside(end.ip)
        event = end.wait_for(INITIATION_HEARD, 3)
        end.respond(event=event)
        end.collect(0.5)
        # It is answered, and so neither side has to say more.
        end.send(end.session.data())
        end.start()
        end.sleep_until(at)
        see("the session of our handshake after %d s is" % at, knows(end, end.session.remote_index, event.message[-32:-16]))
    return part


def their_session(at):
    def part():
        end = End(scene)
        end.initiate()
        end.start()
        end.sleep_until(at)
        # What it sent last with a mac1 was the response.
        see("the session of their handshake after %d s is" % at, knows(end, end.session.remote_index, end.response_mac1))
    return part


def renewed(at):
    def part():
        end = End(scene)
        end.initiate()
        end.start()
        end.sleep_until(100)
        end.initiate(confirm=False)
        end.sleep_until(at)
        see("a session never confirmed, %d s after the one before: it is" % at, knows(end, end.session.remote_index, end.response_mac1))
    return part


def given_up(at):
    """Which takes 95 to 108 seconds; then there are 540 more."""
    def part():
        end = End(scene)
        end.start()
        scene.send_inside(end.ip)
        events = [event for event in end.collect(115) if event.kind == INITIATION_HEARD]
        end.sleep_until(at)
        end.consume_initiation(events[-1].message)
        message, session = end.response()
        end.sessions.append(session)
        end.send(message)
        see("a handshake given up, its response comes after %d s" % at, kinds(end.collect(0.5)))
    return part


together(observe, *(kind(at) for kind in (our_session, their_session) for at in (200, 535, 560)), *map(renewed, (635, 660)), *map(given_up, (300, 630, 670)))
finish()
