#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: keepalives: those that answer data, and persistent ones
# vm: --icount
# cost: slow
# limit: 2000
"""What is sent without there being anything to say: ten seconds after data, and at the interval that was asked for."""

import struct

from lib import finish, note, observe
from wgscene import INITIATION_HEARD, KEEPALIVE_HEARD, End, Scene, in_bounds, kinds, see, together

TEN = (10, 10.4)
LONG = (25, 27.2)  # above 16 seconds, timers may be two seconds late
UDP_SEGMENT = 103
scene = Scene()


def only(events, *wanted):
    return [event for event in events if event.kind in wanted]


def times(events, *bounds):
    """For each event the bounds that it came within."""
    if len(events) != len(bounds):
        return "%d events: %s" % (len(events), events)
    return ", ".join(in_bounds(event.at, *bound) for event, bound in zip(events, bounds))


def after_data():
    end = End(scene)
    end.initiate()
    see("the first keepalive of a session, their handshake", kinds(end.collect(30)))
    end.start()
    end.send_data()
    see("data comes in: a keepalive goes out after", times(end.collect(60), TEN))
    end.start()
    end.send(end.session.data())
    see("a keepalive comes in", kinds(end.collect(30)))


def several(words, gap, count):
    def part():
        end = End(scene)
        end.initiate()
        end.collect(1)
        end.start()
        for number in range(count):
            if number:
                end.collect(gap)
            end.send_data()
        see("data comes in, %s: what goes out in a minute" % words, times(only(end.collect(0, until=60), KEEPALIVE_HEARD), TEN))
    return part


def in_one_buffer():
    end = End(scene)
    end.initiate()
    end.collect(1)
    end.start()
    messages = [end.session.data(end.packet()) for _ in range(8)]
    end.sock.sendmsg([b"".join(messages)], [(17, UDP_SEGMENT, struct.pack("=H", len(messages[0])))])
    see("eight data messages in one datagram buffer: what goes out in a minute", times(end.collect(60), TEN))


def data_goes_out():
    end = End(scene)
    end.initiate()
    end.collect(1)
    end.start()
    end.send_data()
    end.collect(6)
    scene.send_inside(end.ip)
    see("data comes in, data goes out 6 s later: keepalives", kinds(only(end.collect(14), KEEPALIVE_HEARD)))
    # Unanswered, that brings a handshake after 15 s.
    end.respond(seconds=7)
    end.collect(20)
    end.start()
    end.send_data()
    end.collect(6)
    scene.send_inside(end.ip)
    end.collect(0.1)
    end.send_data()
    see("and data comes in again: a keepalive goes out after", times(only(end.collect(20), KEEPALIVE_HEARD), (16.1, 16.5)))


def confirmation():
    end = End(scene)
    scene.send_inside(end.ip)
    end.respond()
    see("our handshake because of a packet: confirmed by", kinds(end.collect(0.5)))
    end = End(scene, "persistent-keepalive", "25")
    see("an interval set with the peer, without a session", kinds(end.collect(0.5)))
    end.respond(seconds=7)
    see("answered", kinds(end.collect(0.5)))
    end.start()
    see("an interval of 25 s: a keepalive goes out after", times(end.collect(0, until=60), (24, 27.2), (49, 54.4)))
    before = end.now()
    end.send(end.session.data())
    events = end.collect(40)
    see("a keepalive comes in: the next goes out after", in_bounds(events[0].at - before if events else None, *LONG))
    scene.send_inside(end.ip)
    end.collect(14)
    before = end.now()
    end.send(end.session.data())
    events = end.collect(40)
    see("data goes out and is answered: the next goes out after", in_bounds(events[0].at - before if events else None, *LONG))


def changes():
    end = End(scene, "persistent-keepalive", "25")
    end.respond()
    end.collect(1)
    end.set("persistent-keepalive", "10")
    see("25 becomes 10: at once", kinds(end.collect(0.5)))
    end.start()
    events = end.collect(60)
    see("25 becomes 10: the first after that goes out within", in_bounds(events[0].at if events else None, 0, 27.2))
    later = events[1:]
    see("25 becomes 10: then every", in_bounds(max(b.at - a.at for a, b in zip(later, later[1:])), 10, 10.4) if len(later) > 1 else later)
    end.set("persistent-keepalive", "0")
    see("the interval becomes 0: what goes out in 60 s", kinds(end.collect(60)))
    end.initiate()
    end.collect(1)
    end.set("persistent-keepalive", "1")
    see("0 becomes 1: at once", kinds(end.collect(0.2)))
    end.collect(1)
    events = end.collect(20)
    see("0 becomes 1: keepalives in 20 s", "18 to 20" if 18 <= len(only(events, KEEPALIVE_HEARD)) <= 20 else len(events))
    end.set("persistent-keepalive", "2")
    end.set("persistent-keepalive", "65535")
    end.collect(3)
    see("2 becomes 65535: what goes out in 100 s", kinds(end.collect(100)))


def nobody_answers():
    """It is given up, and begun again at the next keepalive: so long after the last initiation."""
    end = End(scene, "persistent-keepalive", "25")
    tries = only(end.collect(400), INITIATION_HEARD)
    gaps = [b.at - a.at for a, b in zip(tries, tries[1:])]
    note("%d initiations in 400 s, %.3f to %.3f s apart" % (len(tries), min(gaps), max(gaps)))
    see("an interval of 25 s, nobody answers: the longest of the first 19 gaps", in_bounds(max(gaps[:19]), 5, 5.7))
    see("an interval of 25 s, nobody answers: the next gap", in_bounds(gaps[19], *LONG))
    see("an interval of 25 s, nobody answers: the longest of the next 19", in_bounds(max(gaps[20:39]), 5, 5.7))
    see("an interval of 25 s, nobody answers: the next gap after those", in_bounds(gaps[39], *LONG))


def nobody_answers_long():
    """Longer than it takes to give up."""
    end = End(scene, "persistent-keepalive", "250")
    tries = only(end.collect(620), INITIATION_HEARD)
    see("an interval of 250 s, nobody answers: initiations in 620 s", len(tries))


def no_endpoint():
    """Nobody can be asked."""
    end = End(scene, "persistent-keepalive", "5", endpoint=False)
    see("no endpoint: what goes out in 20 s", kinds(end.collect(20)))
    see("no endpoint: our initiation is answered", end.initiate(confirm=False))
    see("no endpoint: after our initiation", kinds(end.collect(4)))
    end.send(end.session.data())
    see("no endpoint: confirmed, in 12 s", kinds(end.collect(12)))


def one_way():
    """Each side knows that the other is there."""
    end = End(scene)
    end.initiate()
    end.collect(1)
    end.start()
    count = 0
    for _ in range(10):
        end.send_data()
        count += len(only(end.collect(5), KEEPALIVE_HEARD))
    see("data comes in every 5 s for 50 s: keepalives", count)
    end.initiate()
    end.collect(30)
    count = 0
    for _ in range(8):
        end.send_data()
        count += len(only(end.collect(11), KEEPALIVE_HEARD))
    see("data comes in every 11 s for 88 s: keepalives", count)


together(observe, after_data, several("two at once", 0, 2), several("two, 3 s apart", 3, 2), several("five, 1 s apart", 1, 5), several("two, 9 s apart", 9, 2),
         in_one_buffer, data_goes_out, confirmation, changes, nobody_answers, nobody_answers_long, no_endpoint, one_way)

# Down: none. Up: at once.
end = End(scene, "persistent-keepalive", "5")
end.respond()
end.collect(1)
scene.down()
end.start()
observe("down: what goes out in 20 s", kinds(end.collect(20)))
end.set("persistent-keepalive", "0")
end.set("persistent-keepalive", "5")
observe("down, set to 0 and 5: what goes out in 10 s", kinds(end.collect(10)))
scene.up()
events = end.collect(0.2)
# Time passes while a command is being read.
observe("up: at once", kinds(event for event in events if event.at - events[0].at < 4))
observe("up: answered", kinds(only(end.collect(0.3), KEEPALIVE_HEARD)) if end.respond(seconds=10) else "no initiation")
end.set("persistent-keepalive", "0")
finish()
