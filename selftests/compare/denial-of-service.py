#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: floods of handshake messages: cookies, rate limits, bounds
# vm: --icount
# cost: slow
# limit: 2000
"""More handshake messages than can be handled. On one processor a sender of real-time priority decides how many of them wait
before the first is handled."""

import os
import select
import struct
import time

from lib import finish, note, observe
import busy
from netlink import run
from wgpeer import COOKIE, RESPONSE, Key, Peer, mac, with_macs
from wgscene import DATA_HEARD, End, Scene, b64, udp_socket

scene = Scene()
run("sh", "-c", "ip -n out address add 10.9.3.1/16 dev outer; ip -n out address add 10.9.3.2/16 dev outer; "
    "ip -n out address add fd09:0:0:1::1/48 dev outer; ip -n out address add fd09:0:0:1::2/48 dev outer; ip -n out address add fd09:0:0:2::1/48 dev outer; "
    "echo -1 >/proc/sys/kernel/sched_rt_runtime_us")
KIND = {RESPONSE: "response", COOKIE: "cookie"}


def junk():
    """A message with a right mac1, and nothing else right."""
    return with_macs(struct.pack("<I", 1) + os.urandom(112), scene.key.public)


def hear(sock, seconds=0.05):
    """All messages of a kind that come within so many seconds of each other."""
    out = []
    while select.select([sock], [], [], seconds)[0]:
        try:
            out.append(sock.recv(65536))
        except ConnectionRefusedError:
            pass
    return out


def words(messages):
    """What these are."""
    if not messages:
        return "silence"
    kinds = [KIND.get(struct.unpack_from("<I", message)[0], "something else") for message in messages]
    return kinds[0] if len(kinds) == 1 else ", ".join("%d x %s" % (kinds.count(kind), kind) for kind in sorted(set(kinds)))


flooder = udp_socket("10.9.3.1", 7000, buffer=64 << 20)
MESSAGE = junk()


def burst(count, message=MESSAGE, sock=flooder, measure=None):
    """So many messages are queued before any of them is handled. Then something is measured."""
    with busy.no_work_items():
        busy.burst(sock, [message] * count)
        if measure:
            measure()


def load():
    """Brings the device under load for a second."""
    hear(flooder, 0)
    burst(600)
    hear(flooder)


def peace():
    time.sleep(1.3)


# From how many on
for count in (1, 400, 511, 512, 1000, 4096, 6000):
    peace()
    hear(flooder, 0)
    burst(count)
    heard = hear(flooder, 1 if count == 1 else 0.05)
    # Some find no place when thousands of others wait, or are more than is answered at once.
    observe("%d messages at once: answers" % count, "4000 x cookie or more" if len(heard) >= 4000 else words(heard))
peace()

# For how long
end = End(scene)
start = time.monotonic()
load()
note("the flood was dealt with after %.3f s" % (time.monotonic() - start))
heard = []
for at in (0.5, 0.9, 1.3):
    time.sleep(max(0, start + at - time.monotonic()))
    end.send(end.initiation())
    heard.append(words(hear(end.sock)))
observe("an initiation 0.5, 0.9 and 1.3 s after the flood", ", ".join(heard))


def try_message(message, sock=end.sock):
    sock.send(message)
    return hear(sock)


def answer_to(message, sock=end.sock):
    return words(try_message(message, sock))


def loaded(message, sock=end.sock):
    """The answer under load."""
    load()
    return answer_to(message, sock)


def cookie_for(peer, sock):
    """Gets one, under load."""
    peer.cookie = None
    messages = try_message(peer.initiation(), sock)
    if words(messages) != "cookie":
        raise SystemExit("no cookie came but %s" % words(messages))
    receiver, cookie = peer.consume_cookie_reply(messages[0])
    return receiver == peer.index, cookie


# What helps
load()
index, cookie = cookie_for(end, end.sock)
observe("the cookie is for the index of the initiation", index)
end.cookie = cookie
message = end.initiation()
observe("under load: with its mac2", loaded(message))
observe("under load: the same again", loaded(message))
message = end.initiation()
observe("under load: with mac2 wrong in a bit", loaded(message[:-1] + bytes([message[-1] ^ 1])))
observe("under load: with mac1 wrong in a bit, mac2 as it was", loaded(message[:-32] + bytes([message[-32] ^ 1]) + message[-31:]))
body = message[:-32] + bytes([message[-32] ^ 1]) + message[-31:-16]
observe("under load: with mac1 wrong in a bit, mac2 right for that", loaded(body + mac(cookie, body)))
observe("under load: junk with mac1, no mac2", loaded(junk()))
message = junk()[:-16]
observe("under load: junk with mac1 and mac2", loaded(message + mac(cookie, message)))
load()
body = with_macs(struct.pack("<III", 2, 0x12345678, 1) + os.urandom(48), scene.key.public)
replies = try_message(body)
observe("under load: a response to nothing, no mac2", words(replies))
observe("and its cookie is for the index", replies[0][4:8] == body[4:8] if replies else "")
message = body[:-16]
observe("under load: a response to nothing, with mac2", loaded(message + mac(cookie, message)))
observe("under load: a cookie reply for nothing", loaded(struct.pack("<II", 3, 1) + os.urandom(56)))
port = udp_socket("10.9.0.2", 7001)
address = udp_socket("10.9.3.2", end.sock.getsockname()[1])
load()
cookie = cookie_for(end, end.sock)[1]
end.cookie = cookie
observe("under load: that mac2 from another port", loaded(end.initiation(), port))
observe("under load: that mac2 from another address", loaded(end.initiation(), address))
observe("under load: that mac2 from where it belongs", loaded(end.initiation()))
other = Peer(Key(), scene.key.public)
other.cookie = cookie
observe("under load: that mac2 by a stranger at the same address", loaded(other.initiation()))
peace()
observe("no load: that mac2", answer_to(end.initiation()))
observe("no load: mac2 wrong", answer_to(end.initiation()[:-1] + b"x"))

# A secret lives for two minutes from when it was made, which is when the first cookie after the end of the last one is.
time.sleep(125)
made = time.monotonic()
load()
_, cookie = cookie_for(end, end.sock)
for at in (1, 60, 117, 123):
    time.sleep(max(0, made + at - time.monotonic()))
    load()
    _, now = cookie_for(end, end.sock)
    observe("the cookie after %d s is the same" % at, now == cookie)
    if at == 123:
        end.cookie = cookie
        observe("the old cookie's mac2 then", loaded(end.initiation()))
        end.cookie = now
        observe("the new cookie's mac2 then", loaded(end.initiation()))

# How much a sender may with cookies: many peers at one address.
crowd = []
for number in range(90):
    key = Key()
    scene.wg("set", "wg0", "peer", b64(key.public))
    crowd.append(Peer(key, scene.key.public))


def volley(senders, pause=0.0):
    """Each of them sends an initiation with a right mac2; how many are answered. They are made before, as that takes long."""
    messages = []
    for peer, sock, cookie in senders:
        peer.cookie = cookie
        messages.append((sock, peer.initiation()))
    socks = {sock for _, sock, _ in senders}
    burst(600)
    time.sleep(0.1)
    for sock in socks:
        hear(sock, 0)
    for sock, message in messages:
        sock.send(message)
        if pause:
            time.sleep(pause)
    return {sock: sum(message[0] == RESPONSE for message in hear(sock)) for sock in socks}


def sender(address, port):
    sock = udp_socket(address, port)
    load()
    return sock, cookie_for(crowd[0], sock)[1]


one, two, same = sender("10.9.0.2", 7100), sender("10.9.3.2", 7100), sender("10.9.0.2", 7101)
six, near, far = sender("fd09:0:0:1::1", 7100), sender("fd09:0:0:1::2", 7100), sender("fd09:0:0:2::1", 7100)
peace()
counts = volley([(peer, *one) for peer in crowd[:30]])
observe("thirty peers at one address at once: answered", counts[one[0]])
counts = volley([(peer, *one) for peer in crowd[:30]])
observe("a quarter of a second later", "5 or less" if counts[one[0]] <= 5 else counts[one[0]])
peace()
counts = volley([(peer, *one) for peer in crowd[:10]] + [(peer, *two) for peer in crowd[10:20]])
observe("ten each at two addresses: answered", sorted(counts.values()))
peace()
counts = volley([(peer, *one) for peer in crowd[:10]] + [(peer, *same) for peer in crowd[10:20]])
observe("ten each at two ports of an address: answered", sum(counts.values()))
peace()
counts = volley([(peer, *six) for peer in crowd[:10]] + [(peer, *near) for peer in crowd[10:20]] + [(peer, *far) for peer in crowd[20:30]])
observe("ten each at two addresses of a /64: answered", counts[six[0]] + counts[near[0]])
observe("ten at an address of another /64: answered", counts[far[0]])
peace()
start = time.monotonic()
counts = volley([(peer, *one) for peer in crowd[:80]], pause=0.01)
took = time.monotonic() - start
note("%d of 80 in %.3f s" % (counts[one[0]], took))
observe("eighty, 10 ms apart: answered", "18 to 26" if 18 <= counts[one[0]] <= 26 else counts[one[0]])
peace()
counts = volley([(peer, *one) for peer in crowd[:20]])
observe("and after a second of peace, twenty at once: answered", counts[one[0]])
peace()
peace()
hear(one[0], 0)
for peer in crowd[:30]:
    peer.cookie = None
    one[0].send(peer.initiation())
observe("no load, thirty at once: answered", words(hear(one[0])))

# Data goes its own way.
talker = End(scene)
talker.initiate()
burst(4096)
before = scene.statistics()["rx_packets"]
for _ in range(100):
    talker.send_data()
time.sleep(0.2)
observe("a hundred data messages behind four thousand handshakes: received", scene.statistics()["rx_packets"] - before)
for _ in range(100):
    scene.send_inside(talker.ip)
observe("and a hundred packets sent", sum(event.kind == DATA_HEARD for event in talker.collect(1)))


# What it costs: nothing that stays, for any sender.
def used(drop=True):
    """Memory that the kernel uses for itself, in MiB."""
    if drop:
        run("sh", "-c", "sync; echo 3 >/proc/sys/vm/drop_caches")
    with open("/proc/meminfo") as file:
        info = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return (info["SUnreclaim"] + info["VmallocUsed"]) / 1024


hear(flooder, 0.2)
peace()
before = used()
meanwhile = []
for _ in range(5):
    burst(8000, measure=lambda: meanwhile.append(used(drop=False)))
    hear(flooder, 0.2)
grew = max(meanwhile) - before
note("%.1f MiB more while forty thousand messages came" % grew)
observe("eight thousand messages at once, five times: memory meanwhile grew by", "less than 16 MiB" if grew < 16 else "%.1f MiB" % grew)
peace()
run("sh", "-c", "ip -n out route add local 10.9.128.0/17 dev lo; echo 20000 >/proc/sys/net/ipv4/neigh/default/gc_thresh2; echo 20000 >/proc/sys/net/ipv4/neigh/default/gc_thresh3")
before = used()
served = 0
for number in range(2000):
    # A sender of its own, with its cookie.
    sock = udp_socket("10.9.%d.%d" % (128 + number // 250, 1 + number % 250), 9000, buffer=4096)
    if number % 50 == 0:
        burst(600)
        time.sleep(0.08)
    peer = crowd[number % len(crowd)]
    peer.cookie = None
    sock.send(peer.initiation())
    reply = hear(sock, 0.003)
    if reply and reply[0][0] == COOKIE:
        peer.cookie = peer.consume_cookie_reply(reply[0])[1]
        sock.send(peer.initiation())
        reply = hear(sock, 0.003)
        served += bool(reply) and reply[0][0] == RESPONSE
    sock.close()
hear(flooder, 0.1)
time.sleep(5)
after = used()
note("%d of 2000 were served; %.1f MiB before, %.1f after" % (served, before, after))
observe("two thousand senders with cookies: most were served", served > 1500)
observe("two thousand senders with cookies: five seconds later memory has grown by", "less than 3 MiB" if after - before < 3 else "%.1f MiB" % (after - before))
observe("after all of that, the tunnel works", talker.arrives() if talker.initiate() else "no handshake")
finish()
