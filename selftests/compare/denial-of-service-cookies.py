#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: the device as the one that gets cookies: when it uses them
# vm: --icount
# cost: slow
# limit: 2000
"""A responder that claims to be under load: what the device does with the cookies that it sends."""

import os

from lib import finish, observe
from wgpeer import Key, hash_, mac
from wgscene import INITIATION_HEARD, End, Scene, in_bounds, kinds

scene = Scene()


def initiation(end, seconds=10.0):
    event = end.wait_for(INITIATION_HEARD, seconds)
    if event is None:
        raise SystemExit("no initiation came")
    return event


def mac2(message, **cookies):
    """What the mac2 of a message was made with."""
    if message[-16:] == bytes(16):
        return "none"
    return next((name for name, cookie in cookies.items() if message[-16:] == mac(cookie, message[:-16])), "something else")


end = End(scene)
end.start()
first, second, third = os.urandom(16), os.urandom(16), os.urandom(16)
cookies = {"first": first, "second": second, "third": third}
scene.send_inside(end.ip)
event = initiation(end)
mac1 = event.message[-32:-16]
observe("the first initiation: mac2", mac2(event.message))
end.send(end.cookie_reply(mac1, first))
observe("a cookie: what it brings at once", kinds(end.collect(4)))
again = initiation(end)
observe("the next initiation comes after", in_bounds(again.at - event.at, 5, 5.7))
observe("the next initiation: mac2 with cookie", mac2(again.message, **cookies))
observe("another initiation: mac2 with cookie", mac2(initiation(end).message, **cookies))

# Not the answer to what was sent last.
end.send(end.cookie_reply(mac1, second))
observe("a cookie for an initiation before the last: mac2 with cookie", mac2(initiation(end).message, **cookies))
event = initiation(end)
wrong = bytearray(end.cookie_reply(event.message[-32:-16], second))
wrong[-1] ^= 1
end.send(bytes(wrong))
end.send(end.cookie_reply(event.message[-32:-16], second, key=hash_(b"cookie--", Key().public)))
end.send(end.cookie_reply(event.message[-32:-16], second, index=end.remote_index ^ 1))
observe("cookies with a wrong tag, key and index: mac2 with cookie", mac2(initiation(end).message, **cookies))
event = initiation(end)
end.send(end.cookie_reply(event.message[-32:-16], second))
end.send(end.cookie_reply(event.message[-32:-16], third))
event = initiation(end)
observe("two cookies for one initiation: mac2 with cookie", mac2(event.message, **cookies))
taken = end.now()
end.respond(event=event)
observe("it is answered", kinds(end.collect(1)))

# Responses have a mac2, too.
observe("our initiation is answered", end.initiate())
end.send(end.initiation())
end.collect(0.05)
end.send(end.initiation())
event = end.wait_for("response", 3)
observe("the response: mac2 with cookie", mac2(event.message, **cookies) if event else "not answered")

# For how long
for words, wait in (("100 s", 100), ("130 s", 130)):
    end = End(scene)
    scene.send_inside(end.ip)
    event = initiation(end)
    end.send(end.cookie_reply(event.message[-32:-16], first))
    end.start()
    # The response ends the attempts; the session that it begins is forgotten with the link going down.
    end.respond(event=event)
    end.collect(0.5)
    end.send(end.session.data())
    end.sleep_until(wait)
    scene.down()
    scene.up()
    end.drain()
    scene.send_inside(end.ip)
    observe("a cookie that is %s old: mac2 with cookie" % words, mac2(initiation(end).message, **cookies))

# Whose cookie it is: the peer's, whatever the endpoint. And from wherever it comes.
end, other = End(scene), End(scene)
scene.send_inside(end.ip)
event = initiation(end)
other.send(end.cookie_reply(event.message[-32:-16], first))
end.collect(0.1)
observe("a cookie that comes from another port: mac2 with cookie", mac2(initiation(end).message, **cookies))
observe("and the endpoint stays", end.numbers()["endpoint"] == "%s:%d" % end.sock.getsockname())
finish()
