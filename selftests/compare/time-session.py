#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: how long sessions are used and when they are renewed
# vm: --icount
# cost: slow
# limit: 1500
"""Rekeying at 120 s (who began the last handshake) and at 165 s (upon receiving), the end of a session at 180 s, sessions that
follow each other."""

from lib import finish, observe
from wgscene import DATA_HEARD, INITIATION_HEARD, KEEPALIVE_HEARD, End, Scene, in_bounds, kinds, see, together

scene = Scene()


def only(events, *wanted):
    return [event for event in events if event.kind in wanted]


def packet_at(end, at, seconds=1.0):
    """What the device sends when an application sends a packet then."""
    end.sleep_until(at)
    scene.send_inside(end.ip)
    events = end.collect(seconds)
    answered = only(events, DATA_HEARD)
    if answered and not end.silent:
        end.send(end.sessions[answered[0].session].data())
    return kinds(events)


def used(end):
    """The session that a packet goes out with."""
    scene.send_inside(end.ip)
    return ", ".join("session %d" % event.session for event in only(end.collect(0.3), DATA_HEARD)) or "none"


def all_arrive(end):
    return ", ".join(end.arrives(session) for session in end.sessions)


def sending_with_ours():
    end = End(scene)
    end.be_initiated()
    end.start()
    for at in (1, 60, 119.5):
        see("a packet at %g s, our handshake" % at, packet_at(end, at))
    end.silent = True
    see("a packet at 120.5 s, our handshake", packet_at(end, 120.5))
    event = end.wait_for(INITIATION_HEARD, 7)
    see("the initiation is not answered: the next one comes after", in_bounds(event.at - 120.5 if event else None, 5, 5.7))
    end.sleep_until(179.5)
    see("a packet at 179.5 s goes out with", used(end))
    end.sleep_until(180.5)
    see("a packet at 180.5 s goes out with", used(end))
    end.respond(seconds=7)
    events = end.collect(1)
    see("a new session: what waited goes out", kinds(events))
    see("a new session: with which one", sorted({event.session for event in events}))


def sending_with_theirs():
    end = End(scene)
    end.initiate()
    end.start()
    for at in (1, 119.5, 120.5, 150, 166, 179.5, 180.5):
        see("a packet at %g s, their handshake" % at, packet_at(end, at))
    see("the handshake of 180.5 s brings what waited", kinds(end.collect(1)) if end.respond() else "no initiation")


def receiving(who):
    """Only that shows that the session is used."""
    end = End(scene)
    if who == "our":
        end.be_initiated()
        # The packet that it began with is answered: else it would begin again and again, 15 s later and every 5 s.
        end.send(end.session.data())
    else:
        end.initiate()
    end.start()
    for at in (100, 164.5, 165.5):
        end.sleep_until(at)
        end.send_data()
        see("data comes in at %g s, %s handshake" % (at, who), kinds(end.collect(0.5)))
    if who == "our":
        event = end.wait_for(INITIATION_HEARD, 7)
        see("that initiation is not answered: the next one comes after", in_bounds(event.at - 165.5 if event else None, 5, 5.7))
        end.respond(event=event)
        see("answered", kinds(end.collect(1)))
        end.start()
        end.sleep_until(166)
        end.send_data()
        see("data comes in at 166 s of the session after that", kinds(end.collect(0.5)))
    else:
        end.sleep_until(179.5)
        see("data at 179.5 s is", end.arrives())
        end.sleep_until(180.5)
        see("data at 180.5 s is", end.arrives())


def receiving_with_ours():
    receiving("our")


def receiving_with_theirs():
    receiving("their")


def receiving_keepalives():
    end = End(scene)
    end.be_initiated()
    end.start()
    end.sleep_until(166)
    end.send(end.session.data())
    see("a keepalive comes in at 166 s, our handshake", kinds(end.collect(0.5)))


def one_after_another():
    """Which of the sessions still count."""
    end = End(scene)
    end.be_initiated()
    end.start()
    end.sleep_until(130)
    scene.send_inside(end.ip)
    end.respond()
    end.collect(0.5)
    see("two handshakes of ours: data of both sessions is", all_arrive(end))
    see("two handshakes of ours: it sends with", used(end))
    end.sleep_until(140)
    end.initiate(confirm=False)
    see("then one of theirs, not confirmed: it sends with", used(end))
    see("then one of theirs, not confirmed: data of the two before is", ", ".join(end.arrives(session) for session in end.sessions[:2]))
    see("confirmed by data, which is", end.arrives())
    see("confirmed: it sends with", used(end))
    see("confirmed: data of the three is", all_arrive(end))
    end.sleep_until(150)
    end.initiate(confirm=False)
    end.initiate(confirm=False)
    see("two of theirs, neither confirmed: data of the five is", all_arrive(end))
    see("the last was confirmed thereby: it sends with", used(end))
    end.sleep_until(250)
    end.initiate(confirm=False)
    end.sleep_until(340)
    scene.send_inside(end.ip)
    answer = end.respond(seconds=7)
    end.collect(0.5)
    see("one of theirs that is never confirmed, then one of ours: data of the seven is", all_arrive(end) if answer else "no initiation")
    see("one of theirs that is never confirmed, then one of ours: it sends with", used(end))
    end.sleep_until(429)
    see("the one of theirs at 179 s is", end.arrives(end.sessions[-2]))
    end.sleep_until(431)
    see("the one of theirs at 181 s is", end.arrives(end.sessions[-2]))


def never_confirmed():
    """The session before stays in use, for its time."""
    end = End(scene)
    end.initiate()
    end.start()
    end.sleep_until(10)
    end.initiate(confirm=False)
    see("not confirmed: a packet goes out with", used(end))
    see("not confirmed: data of the older session is", end.arrives(end.sessions[0]))
    end.sleep_until(170)
    see("not confirmed: a packet at 170 s goes out with", used(end))
    end.sleep_until(181)
    see("not confirmed, the older one is 181 s old: a packet goes out with", used(end))
    end.send(end.session.data())
    see("then it is confirmed", kinds(only(end.collect(0.5), DATA_HEARD, KEEPALIVE_HEARD)))
    see("then a packet goes out with", used(end))


def both_at_once():
    """Both begin a handshake at the same time: the later one counts."""
    end = End(scene)
    scene.send_inside(end.ip)
    event = end.wait_for(INITIATION_HEARD, 3)
    see("theirs while ours is under way: answered", end.initiate(confirm=False))
    end.respond(event=event)
    see("then the response to ours brings", kinds(end.collect(0.5)))
    end.send(end.sessions[0].data())
    see("theirs is confirmed, which brings", kinds(end.collect(0.5)))
    see("theirs is confirmed: data of both is", all_arrive(end))
    see("theirs is confirmed: it sends with", used(end))


together(observe, sending_with_ours, sending_with_theirs, receiving_with_ours, receiving_with_theirs, receiving_keepalives, one_after_another,
         never_confirmed, both_at_once)
finish()
