#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: how often initiations of a peer are answered, and which timestamps are
# vm: --icount
# cost: quick
# limit: 1000
"""One initiation per peer in 20 ms, each with a later timestamp than any before."""

import time

from lib import finish, observe
from wgpeer import tai64n
from wgscene import RESPONSE_HEARD, End, Scene, kinds

scene = Scene()


def responses(end, messages, pause):
    """How many of these are answered, sent so many seconds apart."""
    end.drain()
    heard = []
    for message in messages:
        end.send(message)
        heard += end.collect(pause) if pause else []
    heard += end.collect(0.3)
    return sum(event.kind == RESPONSE_HEARD for event in heard)


end = End(scene)
base = time.time() + 100


def fresh(count, step=0.001):
    global base
    out = []
    for _ in range(count):
        base += step
        out.append(end.initiation(tai64n(base)))
    return out


observe("ten at once", responses(end, fresh(10), 0))
observe("ten, 30 ms apart", responses(end, fresh(10), 0.030))
observe("pairs 10 ms apart, the pairs 50 ms apart", sum(responses(end, fresh(2), 0.010) for _ in range(5)))
others = [End(scene) for _ in range(5)]
for other in others:
    other.send(other.initiation())
observe("five peers at once", sum(other.wait_for(RESPONSE_HEARD, 1) is not None for other in others))
message = fresh(1)[0]
observe("an initiation", responses(end, [message], 0))
observe("the same again", responses(end, [message], 0))
observe("its timestamp in another", responses(end, [end.initiation(tai64n(base))], 0))
observe("a timestamp of a nanosecond more", responses(end, [end.initiation(tai64n(base + 0.000001))], 0))
observe("a timestamp of the past", responses(end, [end.initiation(tai64n(base - 1))], 0))
observe("a timestamp of the far future", responses(end, [end.initiation(tai64n(base + 10**9))], 0))
observe("then one of now", responses(end, fresh(1), 0))
scene.down()
scene.up()
observe("down and up, then one of now", responses(end, fresh(1), 0))
observe("and a later one of the far future", responses(end, [end.initiation(tai64n(base + 10**9 + 1))], 0))
end.set("remove")
end.set("allowed-ips", end.ip + "/32")
observe("the peer removed and added again: one of now", responses(end, fresh(1), 0))

# A flood of replays does not keep the peer from being answered.
message = fresh(1)[0]
observe("an initiation then", responses(end, [message], 0))
end.drain()
for number in range(50):
    end.send(message)
observe("fifty replays, then a new one", responses(end, fresh(1), 0))
# One that is refused for coming too early does not count as the last one.
end.drain()
heard = 0
for message in fresh(12):
    end.send(message)
    heard += sum(event.kind == RESPONSE_HEARD for event in end.collect(0.012))
heard += sum(event.kind == RESPONSE_HEARD for event in end.collect(0.3))
observe("twelve, 12 ms apart: answered", "a third to two thirds" if 4 <= heard <= 8 else heard)
observe("sessions work after all that", end.arrives() if end.initiate(timestamp=tai64n(base + 1)) else "not answered")
observe("what else was heard", kinds(end.drain()))
finish()
