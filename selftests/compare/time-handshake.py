#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: when handshakes are begun, tried again and given up
# vm: --icount
# cost: quick
# limit: 1500
"""An end of the tunnel that answers only when it is told to."""

import time

from lib import finish, note, observe
from wgscene import INITIATION_HEARD, End, Scene, in_bounds, kinds, see, together

RETRY = (5, 5.7)  # REKEY_TIMEOUT, a third of a second of jitter, and the timer's own coarseness
scene = Scene()


def initiations(events):
    return [event for event in events if event.kind == INITIATION_HEARD]


def spacing(events, least=RETRY[0], most=RETRY[1]):
    """Whether all of the times between events lie in the bounds."""
    between = [later.at - earlier.at for earlier, later in zip(events, events[1:])]
    wrong = [gap for gap in between if in_bounds(gap, least, most, "right") != "right"]
    return "%g to %g s" % (least, most) if not wrong else "also " + ", ".join("%.3f s" % gap for gap in wrong)


def nobody_answers():
    end = End(scene)
    end.start()
    for _ in range(3):
        scene.send_inside(end.ip)
    tries = initiations(end.collect(130))
    note([round(event.at, 3) for event in tries])
    see("nobody answers: initiations", len(tries))
    see("nobody answers: the first comes after", in_bounds(tries[0].at, 0, 0.2))
    see("nobody answers: time between them", spacing(tries))
    see("nobody answers: each has an index of its own", len({event.message[4:8] for event in tries}) == len(tries))
    see("nobody answers: each has an ephemeral key of its own", len({event.message[8:40] for event in tries}) == len(tries))
    see("nobody answers: latest handshake", end.numbers()["handshake"])

    # It was given up; the next packet begins anew, and a response to any but the last initiation is worth nothing.
    end.start()
    scene.send_inside(end.ip)
    tries = initiations(end.collect(12))
    see("given up, one more packet: the first initiation comes after", in_bounds(tries[0].at, 0, 0.2))
    end.consume_initiation(tries[0].message)
    message, session = end.response()
    end.sessions.append(session)
    end.send(message)
    see("a response to the initiation before the last one", kinds(end.collect(0.3)))
    end.consume_initiation(tries[-1].message)
    see("a response to the last one", kinds(end.collect(0.3)) if end.respond(event=tries[-1]) else "")
    see("the handshake is dated", in_bounds(time.time() - end.numbers()["handshake"][0], 0, 2))


def packets_meanwhile():
    """They do not make it quicker, but longer."""
    end = End(scene)
    end.start()
    scene.send_inside(end.ip)
    end.collect(50)
    last = end.wait_for(INITIATION_HEARD, 7)
    end.collect(1)
    scene.send_inside(end.ip)
    tries = initiations(end.collect(130))
    see("a packet while it is tried: further initiations", len(tries))
    see("a packet while it is tried: the next one comes after the one before by", in_bounds(tries[0].at - last.at, *RETRY))


def many_packets():
    end = End(scene)
    end.start()
    events = []
    for _ in range(40):
        scene.send_inside(end.ip)
        events += end.collect(0.5)
    see("two packets a second: time between initiations", spacing(initiations(events)))


def after_response():
    """What the peer sent last counts, whatever it was."""
    end = End(scene)
    end.initiate(confirm=False)
    end.start()
    scene.send_inside(end.ip)
    see("a packet just after our response, whose session is not confirmed", kinds(end.collect(4.8)))
    see("and later, by itself", kinds(end.collect(20)))
    scene.send_inside(end.ip)
    see("another packet then", kinds(end.collect(1)))
    end.send(end.session.data())
    see("the session is confirmed", kinds(end.collect(1)))
    end.start()
    events = end.collect(18)
    see("what waited is not answered: a handshake is begun after", in_bounds(events[0].at + 1 if events else None, 15, 15.8))


def nothing_comes_back():
    """Data that nothing answers."""
    end = End(scene)
    end.be_initiated()
    end.start()
    events = end.collect(18)
    see("the first packet of a session is not answered: a handshake is begun after", in_bounds(events[0].at if events else None, 15, 15.8))
    end.respond(seconds=7)
    end.send(end.session.data())
    end.collect(1)
    end.start()
    scene.send_inside(end.ip)
    end.collect(3)
    scene.send_inside(end.ip)
    events = end.collect(24)
    tries = initiations(events)
    see("data that nothing answers: a handshake is begun after", in_bounds(tries[0].at if tries else None, 15, 15.8))
    see("data that nothing answers: and again after another", spacing(tries))
    end.respond(event=tries[-1])
    end.collect(1)
    end.start()
    events = []
    for _ in range(4):
        scene.send_inside(end.ip)
        events += end.collect(14)
        end.send(end.session.data())
    see("data every 14 s that a keepalive answers just then", kinds(initiations(events + end.collect(20))))


def keepalives_are_no_data():
    end = End(scene)
    end.be_initiated()
    end.collect(1)
    end.send(end.session.data())
    end.start()
    end.send_data()
    see("our keepalive is not answered", kinds(end.collect(60)))


def dates():
    """Whose handshake is complete when."""
    end = End(scene)

    def date(words):
        see("latest handshake, %s" % words, "of now" if abs(time.time() - end.numbers()["handshake"][0]) < 3 else "of before" if end.numbers()["handshake"][0] else "none")

    date("at first")
    end.initiate(confirm=False)
    date("theirs, not confirmed")
    end.send(end.session.data())
    end.collect(1)
    date("theirs, confirmed")
    end.collect(20)
    end.initiate(confirm=False)
    date("theirs again, not confirmed")
    end.send_data()
    end.collect(1)
    date("theirs again, confirmed by data")
    end.collect(20)
    end.send_data()
    end.collect(1)
    date("data 20 s later")
    end = End(scene)
    scene.send_inside(end.ip)
    event = end.wait_for(INITIATION_HEARD, 3)
    date("ours, not answered")
    end.respond(event=event)
    end.collect(0.5)
    date("ours, answered")


together(observe, dates, nobody_answers, packets_meanwhile, many_packets, after_response, nothing_comes_back, keepalives_are_no_data)

observe("packets dropped, of all that were given up", scene.dropped())

# The link goes down: at once, and nothing of before comes back. (What that runs has been read before: waiting for it would let
# time pass.)
scene.down()
scene.up()
end = End(scene)
end.start()
before = scene.dropped()
scene.send_inside(end.ip)
event = end.wait_for(INITIATION_HEARD, 3)
scene.send_inside(end.ip)
scene.down()
observe("down with a handshake under way: packets dropped", scene.dropped() - before)
end.drain()
observe("down with a handshake under way", kinds(end.collect(20)))
scene.up()
observe("up again", kinds(end.collect(1)))
message, session = end.response()
end.sessions.append(session)
end.send(message)
observe("up again: the response to that handshake", kinds(end.collect(0.5)))
observe("up again: latest handshake", end.numbers()["handshake"][0])
scene.send_inside(end.ip)
observe("up again: a packet brings", kinds(end.collect(0.5)))
observe("up again: the next initiation answered", kinds(end.collect(0.5)) if end.respond(seconds=7) else "no initiation")
scene.down()
end.send_data()
scene.up()
observe("down and up within a session: data is", end.arrives())
scene.send_inside(end.ip)
observe("down and up within a session: a packet brings at once", kinds(end.collect(0.5)))
observe("and answered", kinds(end.collect(0.5)) if end.respond(seconds=7) else "no initiation")

# The private key: everything of the old one ends.
end = End(scene)
end.be_initiated()
scene.wg("set", "wg0", "private-key", "/dev/null")
observe("without a private key: data is", end.arrives())
end.drain()
scene.send_inside(end.ip)
observe("without a private key: a packet brings", kinds(end.collect(20)))
finish()
