#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The family `wg-monitor` and `ethtool -S`: each event caused and told once, in the right namespace and in no other; each
cause of a drop planted and counted once; generations, overflow, floods; and who may not ask. The other end of the tunnel is
lib/wgpeer.py, so that what happens is known exactly."""

import errno
import itertools
import os
import random
import re
import select
import socket
import struct
import sys
import threading
import time
import traceback

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.join(here, "..", "lib"), os.path.join(here, "..", "failing-memory")]
import injection  # noqa: E402
from busy import UDP_SEGMENT, beside, burst, has_plug, no_work_items, plugged, slow_to_leave  # noqa: E402
from guest import Waits  # noqa: E402
from inet import b64, checksum  # noqa: E402
from netlink import NLM_F_ACK, NLM_F_DUMP, Generic, attribute, in_netns, nest, run  # noqa: E402
from tap import Checks  # noqa: E402
from wgmonitor import Monitor  # noqa: E402
from wgnetlink import *  # noqa: E402,F403
from wgpeer import *  # noqa: E402,F403

PORT = 51820
run("sh", "-c", "[ -d /sys/module/wireguard ] || modprobe wireguard")
checks = Checks()

run("sh", "-c", """
set -e
for n in dut out third; do ip netns add $n; ip -n $n link set lo up; done
ip link add name under netns dut type veth peer name outer netns out
ip -n dut address add 10.9.0.1/24 dev under; ip -n dut link set under up
ip -n out address add 10.9.0.2/24 dev outer; ip -n out address add 10.9.0.3/24 dev outer; ip -n out link set outer up
ip -n dut link add wg0 type wireguard
ip -n dut address add 192.168.50.1/24 dev wg0; ip -n dut link set wg0 up
""")
device_key, key = Key(), Key()
PSK = os.urandom(32)


def wg(*arguments, where="dut", **more):
    return run("ip", "netns", "exec", where, "wg", *arguments, **more)


def udp(address, port):
    with in_netns("out"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, port))
        sock.connect(("10.9.0.1", PORT))
        return sock


def receive(sock, seconds=2):
    return sock.recv(2048) if select.select([sock], [], [], seconds)[0] else b""


def hear(sock, kind, seconds=2):
    """The next message of a kind."""
    message = receive(sock, seconds)
    while message and message[0] != kind:
        message = receive(sock, seconds)
    return message


def ipv4(source, length=None, version=4, payload=bytes(8)):
    head = bytearray(struct.pack("!BBHHHBBH4s4s", version << 4 | 5, 0, 20 + len(payload) if length is None else length, 1, 0, 64, 253, 0,
                                 socket.inet_aton(source), socket.inet_aton("192.168.50.1")))
    head[10:12] = struct.pack("!H", checksum(bytes(head)))
    return bytes(head) + payload


def ethtool(where="dut", link="wg0"):
    text = run("ip", "netns", "exec", where, "ethtool", "-S", link)
    return {name: int(number) for name, number in re.findall(r"^ +(\w+): (\d+)$", text, re.M)}


def handshake(peer, sock):
    """A session that we begin, not yet confirmed."""
    sock.send(peer.initiation())
    return peer.consume_response(hear(sock, RESPONSE))


def inside():
    """An application that sends through the tunnel."""
    with in_netns("dut"):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("192.168.50.1", 0))
        return sock


wg("set", "wg0", "listen-port", str(PORT), "private-key", "/proc/self/fd/0", input=b64(device_key.private).encode())
listener, elsewhere, third = Monitor("dut"), Monitor("out"), Monitor("third")
first, second = udp("10.9.0.2", 5000), udp("10.9.0.3", 5001)
application = inside()


def names(news):
    return [name for name, _, _ in news]


def told(words, *wanted, seconds=1.5):
    """Exactly these are told, where the link is."""
    news = listener.news(seconds)
    checks.equal(names(news), list(wanted), words)
    return news[0][1] if news else {}


DEVICE_GET, PEER_GET = 1, 2
others = itertools.count(10)


def told_later(words, happens, *wanted):
    """Exactly these are told, together, of what happens within a second after another piece of news."""
    for _ in range(20):
        listener.news(2.5)
        begin = time.monotonic()
        wg("set", "wg0", "peer", b64(key.public), "allowed-ips", "192.168.50.2/32,192.168.50.%d/32" % next(others))
        news = listener.news(0.2)
        happens()
        # Otherwise it took too long for that.
        if time.monotonic() - begin < 1:
            break
    news += listener.news(2.5)
    checks.equal(names(news), ["peer-set-ntf", *wanted], words)
    return news[1][1] if news[1:] else {}


# ---------------------------------------------------------------- events

checks.chapter("Each event, once")
wg("set", "wg0", "peer", b64(key.public), "allowed-ips", "192.168.50.2/32")
message = told("a peer is added", "peer-new-ntf")
checks.equal(message.get("public-key"), key.public, "it names the peer by its key")
checks.equal(message.get("ifname"), "wg0", "and the link by its name")
with in_netns("dut"):
    checks.equal(message.get("ifindex"), socket.if_nametoindex("wg0"), "and by its index")
generation = listener.device()["generation"]
checks.equal(message.get("generation"), generation, "the device has its generation")
checks.equal(set(listener.peers(generation=0)), {key.public}, "since generation 0 all have changed")

wg("set", "wg0", "peer", b64(key.public), "persistent-keepalive", "0", "allowed-ips", "192.168.50.2/32")
told("a configuration that changes nothing is not told")
wg("set", "wg0", "peer", b64(key.public), "persistent-keepalive", "3600")
told("a keepalive interval is", "peer-set-ntf")
wg("set", "wg0", "peer", b64(key.public), "persistent-keepalive", "off", "preshared-key", "/proc/self/fd/0", input=b64(PSK).encode())
told("so is a preshared key", "peer-set-ntf")
wg("set", "wg0", "peer", b64(key.public), "allowed-ips", "192.168.50.2/32,192.168.50.3/32")
told("and a list of allowed IPs with another one", "peer-set-ntf")

peer = Peer(key, device_key.public, PSK)
session = handshake(peer, first)
told("an initiation alone establishes nothing")
first.send(session.data())
message = told("its first message does", "session-ntf")
checks.equal(message.get("role"), "responder", "the device was the responder")
checks.equal(message.get("endpoint"), {"addr": "10.9.0.2", "port": 5000}, "the endpoint is where that came from")
checks.equal((message.get("has-preshared-key"), message.get("preshared-key-generation")), (1, 1), "a preshared key was mixed in, after one change")
second.send(session.data())
message = told("a message from another address", "endpoint-ntf")
checks.equal((message.get("old-endpoint", {}).get("addr"), message.get("endpoint", {}).get("addr")), ("10.9.0.2", "10.9.0.3"), "old and new are told")


def there_and_back():
    for sock in first, second:
        sock.send(session.data())


message = told_later("within a second after another piece of news the peer moves and comes back", there_and_back, "endpoint-ntf")
checks.equal([message.get(which, {}).get("addr") for which in ("old-endpoint", "endpoint")], ["10.9.0.3"] * 2, "it is where it was")
second.send(flipped(session.data(), 20))
first.send(session.data(b"", counter=0))
told("what is forged or replayed moves nobody")

time.sleep(6)
session.counter += 1
run("ip", "-n", "dut", "link", "set", "wg0", "down")
told("the link goes down: the session's keys are erased", "session-expired-ntf")
run("ip", "-n", "dut", "link", "set", "wg0", "up")
application.sendto(b"x", ("192.168.50.2", 9))
initiation = receive(second, 10)
peer.consume_initiation(initiation)
time.sleep(0.05)
second.send(peer.response()[0])
message = told("the device begins a session", "session-ntf")
checks.equal(message.get("role"), "initiator", "as the initiator")
rtt = message.get("path", {}).get("rtt-us", 0)
checks.ok(50_000 <= rtt < 5_000_000, "the round-trip time is what the answer took", "%d microseconds" % rtt)


def begins_and_ends():
    second.send(handshake(peer, second).data())
    run("ip", "-n", "dut", "link", "set", "wg0", "down")


def ends_and_begins():
    begins_and_ends()
    run("ip", "-n", "dut", "link", "set", "wg0", "up")
    second.send(handshake(peer, second).data())


message = told_later("a session is over before it is told of: so is that", begins_and_ends, "session-ntf", "session-expired-ntf")
checks.ok("endpoint" in message and "role" not in message, "without what there is no more")
run("ip", "-n", "dut", "link", "set", "wg0", "up")
told_later("one ends, and another one begins: the last word is that there is one", ends_and_begins, "session-ntf")
wg("set", "wg0", "peer", b64(key.public), "allowed-ips", "192.168.50.2/32,192.168.50.3/32")

run("ip", "-n", "dut", "link", "set", "wg0", "down")
listener.news()
run("ip", "-n", "dut", "link", "set", "wg0", "up")
application.sendto(b"x", ("192.168.50.2", 9))
message = told("nobody answers", "handshake-failed-ntf", seconds=130)
checks.equal(message.get("attempts"), 20, "after twenty attempts")
checks.equal((elsewhere.news(0.1), third.news(0.1)), ([], []), "nothing of all that is told in other namespaces")

run("ip", "-n", "dut", "link", "set", "wg0", "netns", "third")
listener.news(), third.news()
wg("set", "wg0", "peer", b64(key.public), "persistent-keepalive", "30", where="third")
checks.equal((names(third.news()), listener.news(0.1), elsewhere.news(0.1)), (["peer-set-ntf"], [], []), "a link that has moved: told where it is, and nowhere else")
run("ip", "-n", "third", "link", "set", "wg0", "netns", "dut")
run("ip", "-n", "dut", "link", "set", "wg0", "up")
run("ip", "-n", "dut", "address", "add", "192.168.50.1/24", "dev", "wg0")
listener.news(), third.news()
before = listener.device()
wg("set", "wg0", "peer", b64(key.public), "remove")
message = told("a peer is removed", "peer-del-ntf")
checks.equal(message.get("public-key"), key.public, "its key is told")
after = listener.device()
checks.ok(after["removal-generation"] == after["generation"] > before["generation"] and after["peers"] == 0, "the device has the generation of that", "%s %s" % (before, after))

# ---------------------------------------------------------------- drops

checks.chapter("Each cause of a drop, once")
wg("set", "wg0", "peer", b64(key.public), "allowed-ips", "192.168.50.2/32")
listener.news()
peer = Peer(key, device_key.public)
session = handshake(peer, first)
first.send(session.data())
listener.news()
application = inside()


TRACING = "/sys/kernel/tracing"
run("sh", "-c", "mountpoint -q %s || mount -t tracefs tracefs %s" % (TRACING, TRACING))


def write(path, words):
    with open(path, "w", encoding="ascii") as file:
        file.write(words)


def trace(on):
    write(TRACING + "/events/wireguard/enable", "1" if on else "0")


def traced():
    """What tracepoints have told since this was asked for: [(event, {name: value})]."""
    with open(TRACING + "/trace", encoding="ascii") as file:
        lines = re.findall(r": (wg_\w+): (.*)$", file.read(), re.M)
    with open(TRACING + "/trace", "w", encoding="ascii"):
        pass  # Opened so, it is emptied.
    return [(event, dict(re.findall(r"(\w+)=(\S+)", values))) for event, values in lines]


trace(True)


planted = set()


def is_drop(name):
    return "drop" in name or "handshake" in name


def dropped(words, causes, of_peer, act, count=1, link="wg0", public=None):
    """What is done is counted once, as this by ethtool and as that of the peer, and as nothing else. `causes` may be several, each
    with its count; the count may be None, for any. Returns how many each was."""
    causes = causes if isinstance(causes, dict) else {causes: count}
    planted.update(causes)
    peers, numbers = listener.peers(ifname=link), ethtool(link=link)
    traced()
    act()
    time.sleep(0.3)
    numbers2 = ethtool(link=link)
    while None in causes.values():  # until all has been dealt with
        time.sleep(0.2)
        last, numbers2 = numbers2, ethtool(link=link)
        if last == numbers2:
            break
    peers2 = listener.peers(ifname=link)
    changes = {name: numbers2[name] - numbers[name] for name in numbers if is_drop(name) and numbers2[name] != numbers[name]}
    wanted = {name: changes.get(name, 0) if number is None else number for name, number in causes.items()}
    wanted = {name: number for name, number in wanted.items() if number}
    checks.equal(changes, wanted, "%s: ethtool -S" % words)
    found = {}
    for event, values in traced():
        if event == "wg_dropped":
            found[values["cause"]] = found.get(values["cause"], 0) + int(values["count"])
    checks.equal(found, wanted, "%s: the tracepoint" % words)
    was, now = (found[public or key.public]["drops"] for found in (peers, peers2))
    changes = {name: now[name] - was[name] for name in now if now[name] != was[name]}
    checks.equal(changes, {of_peer: sum(wanted.values())} if of_peer and wanted else {}, "%s: the peer" % words)
    return wanted


def refused(act):
    try:
        act()
    except OSError:
        pass


def say(address="192.168.50.2"):
    refused(lambda: application.sendto(b"x", (address, 9)))


dropped("forged", "rx_drop_not_authentic", "not-authentic", lambda: first.send(flipped(session.data(), 30)))
session.counter = 10
first.send(session.data(counter=10))
time.sleep(0.2)
dropped("replayed", "rx_drop_replayed", "replayed", lambda: first.send(session.data(counter=10)))
first.send(session.data(counter=20000))
session.counter = 20001
dropped("too old", "rx_drop_too_old", "too-old", lambda: first.send(session.data(counter=11)))
dropped("of a source that is not allowed", "rx_drop_source", "source-not-allowed", lambda: first.send(session.data(ipv4("192.168.50.77"))))
dropped("not IP", "rx_drop_inner_not_ip", "malformed", lambda: first.send(session.data(ipv4("192.168.50.2", version=7))))
dropped("longer than it is", "rx_drop_inner_truncated", "malformed", lambda: first.send(session.data(ipv4("192.168.50.2", length=900))))
dropped("shorter than its header", "rx_drop_inner_header", "malformed", lambda: first.send(session.data(ipv4("192.168.50.2", length=8))))
dropped("too short for a message", "rx_drop_too_short", None, lambda: first.send(b"abc"))
dropped("no message", "rx_drop_not_message", None, lambda: first.send(bytes(64)))
dropped("an unknown index", "rx_drop_unknown_index", None, lambda: first.send(struct.pack("<IIQ", DATA, session.remote_index ^ 1, 3) + bytes(32)))
dropped("a bad mac1", "rx_handshake_bad_mac1", None, lambda: first.send(flipped(peer.initiation(), 120)))
dropped("an initiation of nobody we know", "rx_handshake_not_authentic", None, lambda: first.send(Peer(Key(), device_key.public).initiation()))
dropped("an initiation with an old timestamp", "rx_handshake_refused", None, lambda: first.send(peer.initiation(timestamp=tai64n(1000))))
dropped("no peer for the destination", "tx_drop_no_peer", None, lambda: say("192.168.50.200"))
checks.equal(listener.peers()[key.public]["handshakes"]["initiations-refused"], 1, "the initiation that was refused is counted as that of its peer")


run("ip", "-n", "dut", "route", "add", "blackhole", "10.9.0.2/32")
dropped("no route", "tx_drop_no_route", "no-route", say)
run("ip", "-n", "dut", "route", "del", "blackhole", "10.9.0.2/32")
wg("set", "wg0", "peer", b64(key.public), "endpoint", "192.168.50.2:5000")
dropped("a route into the tunnel itself", "tx_drop_loop", "loop", say)
wg("set", "wg0", "peer", b64(key.public), "endpoint", "10.9.0.2:5000")
nobody = Key()
wg("set", "wg0", "peer", b64(nobody.public), "allowed-ips", "192.168.50.4/32")
dropped("no endpoint", "tx_drop_no_endpoint", "no-route", lambda: say("192.168.50.4"), public=nobody.public)
dropped("a message to nowhere", "tx_drop_unaddressed", "no-route", lambda: wg("set", "wg0", "peer", b64(nobody.public), "persistent-keepalive", "3600"),
        public=nobody.public)
wg("set", "wg0", "peer", b64(nobody.public), "remove")


def down_and_up():
    run("ip", "-n", "dut", "link", "set", "wg0", "down")
    run("ip", "-n", "dut", "link", "set", "wg0", "up")


def say_other():
    with in_netns("dut"):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
    refused(lambda: sock.sendto(bytes(64), ("wg0", 0x88B5)))


dropped("something else than IP", "tx_drop_not_ip", None, say_other)
run("sh", "-c", """
set -e
ip netns add home; ip -n home link add wg1 type wireguard; ip -n home link set wg1 netns dut
ip -n dut address add 192.168.51.1/24 dev wg1; ip -n dut link set wg1 up; ip netns del home
""")
wg("set", "wg1", "private-key", "/proc/self/fd/0", "peer", b64(nobody.public), "endpoint", "10.9.0.2:9", "allowed-ips", "192.168.51.2/32",
   input=b64(Key().private).encode())
time.sleep(1)
dropped("the namespace of its sockets is gone", "tx_drop_closed", "no-route",
        lambda: wg("set", "wg1", "peer", b64(nobody.public), "persistent-keepalive", "3600"), link="wg1", public=nobody.public)
run("ip", "-n", "dut", "link", "del", "wg1")

down_and_up()
for _ in range(129):
    say()
time.sleep(1)
waits = listener.peers()[key.public]
checks.ok(waits["waiting"] == 129 and 900 <= waits["waiting-ms"] < 60_000, "packets that wait are told, and for how long",
          "%s for %s ms" % (waits["waiting"], waits["waiting-ms"]))
dropped("too many wait for a session", "tx_drop_staged_overflow", "staged-overflow", lambda: [say() for _ in range(7)], count=7)
dropped("no session comes", "tx_drop_no_session", "no-session", down_and_up, count=129)
session = handshake(peer, first)
first.send(session.data())


def many_in():
    with plugged("out", "outer"):
        burst(first, [session.data() for _ in range(2400)])


def messages():
    """How many data messages the peer has received from us, and we from it."""
    found = listener.peers()[key.public]
    return found["tx-packets"] - found["handshakes"]["initiations-sent"], found["path"]["received"]


unplanted = {"tx_drop_no_memory", "rx_drop_no_memory"}
if has_plug():
    _, before = messages()
    count = dropped("more data messages than can wait, in one go", "rx_drop_queue_full", "decryption-queue-full", many_in, count=None).get("rx_drop_queue_full", 0)
    # An instrumented kernel takes so long for each that they are not collected for a poll, and none waits.
    checks.ok((count or injection.available()) and count == 2400 - (messages()[1] - before), "the others were received",
              "%d dropped, %d received" % (count, messages()[1] - before))
else:
    checks.note("left out: messages in one go, as this kernel has no sch_plug")
    unplanted.add("rx_drop_queue_full")


def many_out():
    application.setsockopt(socket.SOL_SOCKET, 32, 4 << 20)  # SO_SNDBUFFORCE
    beside(lambda: application.sendto(bytes(1000), ("192.168.50.2", 9)), lambda: [say() for _ in range(1500)])


before, _ = messages()
with slow_to_leave("dut", "oifname under udp length 1000-1200"):
    count = dropped("more packets than can wait, behind one that takes long to leave", "tx_drop_queue_full", "encryption-queue-full", many_out, count=None).get("tx_drop_queue_full", 0)
checks.ok(0 < count == 1501 - (messages()[0] - before), "the others were sent", "%d dropped, %d sent" % (count, messages()[0] - before))

XMIT = TRACING + "/events/net/net_dev_start_xmit/"


def many_large():
    """Who sends the first packet finds twenty large ones in the queue when that has left. How many bytes the one sends, and all."""
    sender = []

    def small():
        sender.append(threading.get_native_id())
        application.sendto(bytes(1000), ("192.168.50.2", 9))

    def large():
        for _ in range(20):
            application.sendmsg([bytes(40 * 1300)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", 1300))], 0, ("192.168.50.2", 9))

    traced()
    write(XMIT + "filter", 'name == "under"')
    write(XMIT + "enable", "1")
    with slow_to_leave("dut", "oifname under udp length 1000-1200"):
        beside(small, large)
        time.sleep(2)
    write(XMIT + "enable", "0")
    with open(TRACING + "/trace", encoding="ascii") as file:
        sent = [(int(pid), int(size)) for pid, size in re.findall(r"-(\d+) .*net_dev_start_xmit: .* len=(\d+)", file.read())]
    return sum(size for pid, size in sent if pid == sender[0]), sum(size for _, size in sent)


count, all_bytes = many_large()
checks.ok(all_bytes > 20 * 40 * 1300, "large packets behind one that takes long to leave are all sent", "%d bytes" % all_bytes)
checks.ok(1000 < count <= 2 * 65536, "by who sends that one no more in a row than the largest packet has, and what was begun with", "%d bytes" % count)

QUEUE, LOAD = 4096, 512  # How many handshake messages can wait, and how many are load, of which the last does not wait.
strangers = [with_macs(struct.pack("<II", INITIATION, number) + os.urandom(108), device_key.public) for number in range(LOAD + 100)]
stranger = Peer(Key(), device_key.public)
with_cookie = 40


def crowd_of_strangers():
    """More messages than can wait: initiations until there is load, some that are answered with cookies, some that have one, and
    then cookie replies, for which there is no load: to nothing, of which none waits, and to a session. None is handled meanwhile."""
    with no_work_items():
        burst(first, [struct.pack("<II", COOKIE, session.remote_index ^ 1) + bytes(56)] * QUEUE)
        burst(second, strangers)
        # To wait would let others run.
        answer = next(message for message in (receive(second, 0) for _ in range(10_000)) if message[:1] == bytes([COOKIE]))
        number = struct.unpack_from("<I", answer, 4)[0]
        stranger.cookie = stranger.consume_cookie_reply(answer, strangers[number][-32:-16])[1]
        burst(second, [stranger.initiation() for _ in range(with_cookie)])
        burst(first, [struct.pack("<II", COOKIE, session.remote_index) + bytes(56)] * QUEUE)


begin = time.monotonic()
count = dropped("under load: without a cookie, with one too often, and more than can wait", {"rx_handshake_%s" % cause: None for cause in (
    "queue_full", "cookie_wanted", "rate_limited", "not_authentic", "unknown_index")}, None, crowd_of_strangers)
seconds = time.monotonic() - begin
full, wanted, limited, handled, unknown = (count.get("rx_handshake_%s" % cause, 0) for cause in (
    "queue_full", "cookie_wanted", "rate_limited", "not_authentic", "unknown_index"))
served = with_cookie - limited
replies = QUEUE - (LOAD - 1) - served
checks.ok(5 <= served <= 5 + 20 * seconds and limited > 0, "of those with a cookie five are served, and 20 a second", "%d served, in %.1f s" % (served, seconds))
# When the first 511 are handled there is load still, unless that takes long.
checks.ok(wanted >= 100 and wanted + handled == len(strangers) + served + replies, "those without one are wanted to have one", str(count))
checks.equal((full, unknown), (LOAD - 1 + served, QUEUE), "there is room for 4,096, and none for cookie replies to nothing")
checks.ok(ethtool()["under_load_ms"] > 0, "the time under load is told")
time.sleep(1.5)
dropped("a response to nothing", "rx_handshake_unknown_index", None, lambda: first.send(with_macs(struct.pack("<III", RESPONSE, 1, 2) + bytes(48), device_key.public)))


def down_amid_strangers():
    burst(second, strangers[:400])
    down_and_up()


count = dropped("handshakes wait when the link goes down", {"rx_drop_purged": None, "rx_handshake_not_authentic": None}, None, down_amid_strangers)
# With an instrumented kernel it takes so long to go down that all may be handled.
checks.ok(("rx_drop_purged" in count or injection.available()) and sum(count.values()) == 400, "some were handled before, and all are counted", str(count))


def set_key(private):
    with in_netns("dut"):
        WireGuard().call(SET, name("wg0"), attribute(D_PRIVATE, private))


def another_key():
    """The device gets another key while it is handling one of many initiations."""
    for _ in range(100):
        set_key(device_key.private)
        before = ethtool()["rx_handshake_too_late"]
        burst(first, [peer.initiation() for _ in range(20)])
        time.sleep(random.random() ** 4 * 0.2)
        set_key(other_key)
        time.sleep(0.5)
        if ethtool()["rx_handshake_too_late"] != before:
            break
    set_key(device_key.private)
    while receive(first, 0.5):
        pass


other_key = Key().private
count = dropped("another key while initiations are being handled", {"rx_handshake_%s" % cause: None for cause in (
    "too_late", "bad_mac1", "not_authentic", "refused")}, None, another_key)
checks.ok(1 <= count.get("rx_handshake_too_late", 0) <= os.cpu_count(), "those that were in hand are too late", str(count))
set_key(bytes(32))
dropped("an initiation to a device without a key", "rx_handshake_not_ready", None, lambda: first.send(peer.initiation()))
set_key(device_key.private)
if injection.available():
    session = handshake(peer, first)
    first.send(session.data(ipv4("192.168.50.2")))
    time.sleep(1)
    injection.confine(*injection.text())

    def without_memory(act):
        injection.begin(100)
        act()
        time.sleep(0.3)
        injection.end()

    dropped("no memory to encrypt", "tx_drop_no_memory", "no-memory", lambda: without_memory(
        lambda: application.sendmsg([bytes(40 * 1000)], [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("=H", 1000))], 0, ("192.168.50.2", 9))), count=40)
    _, before = messages()
    count = dropped("no memory to decrypt", "rx_drop_no_memory", "no-memory", lambda: without_memory(
        lambda: burst(first, [session.data(ipv4("192.168.50.2", payload=bytes(1000))) for _ in range(300)])), count=None).get("rx_drop_no_memory", 0)
    checks.ok(0 < count == 300 - (messages()[1] - before), "the others were received", "%d dropped, %d received" % (count, messages()[1] - before))
    wg("set", "wg0", "peer", b64(key.public), "persistent-keepalive", "1")
    count = dropped("no memory for a keepalive", "tx_drop_no_memory", "no-memory", lambda: without_memory(lambda: time.sleep(2.5)), count=None)
    checks.ok(count.get("tx_drop_no_memory", 0) >= 2, "of each second", str(count))
    while receive(first, 0):
        pass
    checks.equal(hear(first, DATA, 5)[:1], bytes([DATA]), "and the next is sent when there is some")
    wg("set", "wg0", "peer", b64(key.public), "persistent-keepalive", "off")
    dropped("no memory for a response", "tx_drop_no_memory", "no-memory", lambda: without_memory(lambda: first.send(peer.initiation())))
    down_and_up()
    dropped("no memory for an initiation", "tx_drop_no_memory", "no-memory", lambda: without_memory(say))
    checks.equal(hear(first, INITIATION, 8)[:1], bytes([INITIATION]), "it is sent when there is some")
    down_and_up()
    listener.news()
    unplanted -= {"tx_drop_no_memory", "rx_drop_no_memory"}
checks.equal({name for name in ethtool() if is_drop(name)} - planted, unplanted, "that were all causes" + (" but %s" % sorted(unplanted) if unplanted else ""))

traced()
session = handshake(peer, first)
first.send(session.data(ipv4("192.168.50.2")))
time.sleep(0.3)
say()
time.sleep(0.3)
ifindex = str(listener.device()["ifindex"])
number = str(listener.peers()[key.public]["id"])
events = traced()
for event, values in (("wg_handshake_received", {"type": "initiation", "len": "148"}), ("wg_handshake_sent", {"type": "response", "len": "92"}),
                      ("wg_session_begun", {"role": "responder"}), ("wg_batch_opened", {"packets": "1", "bytes": "32"}), ("wg_batch_sealed", {"packets": "1", "bytes": "64"})):
    found = [values2 for event2, values2 in events if event2 == event]
    checks.ok(sum({**values, "ifindex": ifindex, "peer": number}.items() <= values2.items() for values2 in found) == 1,
              "%s is traced once" % event, str(events))
down_and_up()
checks.ok("wg_session_ended" in [event for event, _ in traced()], "and wg_session_ended when it is over")
trace(False)
statistics = ethtool()
checks.ok(statistics["rx_jobs"] > 0 and statistics["rx_job_packets"] >= statistics["rx_jobs"] and statistics["tx_jobs"] > 0
          and statistics["rx_initiations"] > 0 and statistics["tx_responses"] > 0 and statistics["tx_initiations"] > 0,
          "jobs and handshake messages are counted", str(statistics))

# ---------------------------------------------------------------- the path

checks.chapter("The path")
session = handshake(peer, first)
before = listener.peers()[key.public]["path"]
sent = 3000
order = [number for number in range(sent) if number % 50]  # every fiftieth is lost
for number in range(100, len(order) - 1, 100):  # every hundredth overtakes the one before it
    order[number - 1], order[number] = order[number], order[number - 1]
for number in order:
    first.send(session.data(counter=number))
    if number % 200 == 1:
        first.send(session.data(counter=number))
for number in range(sent, sent + 1088):
    first.send(session.data(counter=number))
time.sleep(0.5)
after = listener.peers()[key.public]["path"]
checks.equal({name: after[name] - before[name] for name in ("received", "lost", "reordered", "duplicate")},
             {"received": len(order) + 1088, "lost": sent // 50, "reordered": len(range(100, len(order) - 1, 100)), "duplicate": sent // 200},
             "lost, reordered and duplicate messages are told as they were")

# ---------------------------------------------------------------- floods

checks.chapter("Floods")
first.send(session.data(counter=10**6))
session.counter = 10**6 + 1
listener.news(3)
begin = time.monotonic()
moves = 0
while time.monotonic() - begin < 3:
    (first, second)[moves % 2].send(session.data())
    moves += 1
flood = [when for name, _, when in listener.news(2.5) if name == "endpoint-ntf"]
seconds = time.monotonic() - begin
checks.ok(seconds / 2 - 1 <= len(flood) <= seconds, "an endpoint that moves all the time: one message a second, and no more", "%d messages for %d moves in %.1f s" % (len(flood), moves, seconds))
replay = session.data()
first.send(replay)
listener.news(3)
before = listener.peers()[key.public]["drops"]["replayed"]
begin = time.monotonic()
while time.monotonic() - begin < 2:
    second.send(replay)
time.sleep(0.5)
checks.equal(listener.news(1.5), [], "replayed messages are not told at all")
checks.ok(listener.peers()[key.public]["drops"]["replayed"] > before, "though they came")
begin = time.monotonic()
for number in range(60):
    wg("set", "wg0", "peer", b64(key.public), "persistent-keepalive", str(100 + number))
count = names(listener.news(2.5)).count("peer-set-ntf")
seconds = time.monotonic() - begin
checks.ok(1 <= count <= seconds, "a configuration that changes all the time: as seldom", "%d messages in %.1f s" % (count, seconds))

# ---------------------------------------------------------------- generations

def slab():
    """Bytes of the kernel's allocators that do not go when memory is short."""
    with open("/proc/meminfo", encoding="ascii") as file:
        return int(re.search(r"^SUnreclaim: +(\d+)", file.read(), re.M).group(1)) * 1024


# With instruments each takes 2 ms to be deleted, and the kernel complains of a link that takes longer than ten seconds.
has_instruments = "debug" in os.uname().release
crowd = 2_000 if has_instruments else 10_000
checks.chapter("Ten thousand peers")
keys = [os.urandom(32) for _ in range(crowd)]
quiet = Monitor("dut", listen=False)
listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
with open("/tmp/peers", "w", encoding="ascii") as file:
    file.writelines("[Peer]\nPublicKey = %s\n" % b64(public) for public in keys)
before = slab()
run("ip", "netns", "exec", "dut", "wg", "addconf", "wg0", "/tmp/peers")
each = (slab() - before) / crowd
if has_instruments:
    checks.note("an idle peer takes %d bytes, with what instruments put around" % each)
else:
    checks.ok(1000 < each < 2048, "an idle peer takes less than 2 KB: %d bytes" % each)
generation = quiet.device()["generation"]
checks.ok(listener.overflowed(), "a listener without room is told that it lost something")
listener.news(0.1)
begin = time.monotonic()
found = quiet.peers()
checks.note("%d peers dumped in %.2f s" % (crowd + 1, time.monotonic() - begin))
checks.equal(set(found), {*keys, key.public}, "and recovers by a dump: of all")
checks.equal(quiet.peers(generation=generation), {}, "none has changed since")
changed = keys[crowd // 20::crowd // 10]
for public in changed:
    wg("set", "wg0", "peer", b64(public), "persistent-keepalive", "77")
checks.equal(set(quiet.peers(generation=generation)), set(changed), "then ten are changed, and exactly these told")
checks.equal(set(quiet.peers(**{"public-key": keys[7]})), {keys[7]}, "one by its key")
checks.equal(quiet.error("peer-get", {"ifname": "wg0", "public-key": bytes(32)}, dump=True), errno.ENOENT, "and none by a key of nobody")
time.sleep(2.5)
listener.overflowed()
listener.news(0.1)
wg("set", "wg0", "peer", b64(changed[0]), "persistent-keepalive", "78")
told("after which it is told what comes", "peer-set-ntf", seconds=2.5)


def waits(*acts, before=lambda: None):
    """How many grace periods are waited for in the one of these that waits for the fewest: others wait for theirs meanwhile."""
    counts = []
    for act in acts:
        before()
        with Waits() as counted:
            act()
        counts.append(counted.count)
    checks.note("grace periods: %s" % counts)
    return min(counts)


def removal(some):
    """Removes peers by name in one message."""
    message = name("wg0") + nest(D_PEERS, *(nest(0, attribute(P_PUBLIC, public), u32(P_FLAGS, 1)) for public in some))

    def act():
        with in_netns("dut"):
            WireGuard().call(SET, message)
    return act


def down(link):
    return lambda: run("ip", "-n", "dut", "link", "set", link, "down")


def up(link):
    return lambda: run("ip", "-n", "dut", "link", "set", link, "up")


count = waits(*(removal(keys[at:at + 250]) for at in range(0, 1000, 250)))
checks.equal(count, 1, "for 250 peers that are removed in one message is waited for one grace period")
checks.equal(quiet.device()["peers"], crowd + 1 - 1000, "and they are gone")
run("ip", "-n", "dut", "link", "add", "other", "type", "dummy")
usual = waits(*[down("other")] * 3, before=up("other"))
run("ip", "-n", "dut", "link", "del", "other")
count = waits(*[down("wg0")] * 3, before=up("wg0"))
checks.ok(count <= usual + 1, "when the link goes down, for one more than with any link", "%d, any link %d" % (count, usual))
run("ip", "-n", "dut", "link", "set", "wg0", "up")
with in_netns("dut"):
    raw, index = Generic("wg-monitor"), socket.if_nametoindex("wg0")
checks.ok(not raw.end_dump(raw.begin_dump(PEER_GET, name("wg0"))), "a dump during which nothing changes is not flagged as inconsistent (NLM_F_DUMP_INTR)")
begun = raw.begin_dump(PEER_GET, name("wg0"))
run("ip", "netns", "exec", "dut", "wg", "setconf", "wg0", "/dev/null")
checks.equal(quiet.device()["peers"], 0, "all go")
checks.ok(raw.end_dump(begun), "one during which all go is, though nothing more is told")

# ---------------------------------------------------------------- who may ask, and what

checks.chapter("Who may ask, and what")


def without_rights():
    """A child with nobody's rights: the errors that it gets."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.setns(os.open("/run/netns/dut", os.O_RDONLY), os.CLONE_NEWNET)
            os.setgroups([])
            os.setresuid(65534, 65534, 65534)
            monitor = Monitor(listen=False)
            refusals = [monitor.error("device-get", {"ifname": "wg0"}), monitor.error("peer-get", {"ifname": "wg0"}, dump=True)]
            try:
                Monitor()
                refusals.append(0)
            except PermissionError as error:
                refusals.append(error.errno)
            print("# refused with", refusals, flush=True)
            status = 0 if refusals == [errno.EPERM] * 3 else 1
        except BaseException:  # pylint: disable=broad-exception-caught
            traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


checks.ok(without_rights(), "without CAP_NET_ADMIN nothing is told: no command, no group")
DUMP = NLM_F_DUMP | NLM_F_ACK
for words, command, flags, attrs, wanted in (
        ("no name of a device", DEVICE_GET, NLM_F_ACK, [], errno.EBADR),
        ("two names of a device", DEVICE_GET, NLM_F_ACK, [u32(1, index), name("wg0")], errno.EBADR),
        ("a device that is not there", DEVICE_GET, NLM_F_ACK, [name("wg7")], errno.ENODEV),
        ("one of another kind", DEVICE_GET, NLM_F_ACK, [name("lo")], errno.EOPNOTSUPP),
        ("a name without an end", DEVICE_GET, NLM_F_ACK, [attribute(2, b"wg0")], errno.EINVAL),
        ("a name that is too long", DEVICE_GET, NLM_F_ACK, [name("w" * 16)], errno.EINVAL),
        ("an index of two bytes", DEVICE_GET, NLM_F_ACK, [attribute(1, b"ab")], errno.EINVAL),
        ("an attribute that a request may not have", DEVICE_GET, NLM_F_ACK, [name("wg0"), u32(5, 1)], errno.EINVAL),
        ("an attribute that is not known", DEVICE_GET, NLM_F_ACK, [name("wg0"), u32(77, 1)], errno.EINVAL),
        ("a device as a dump", DEVICE_GET, DUMP, [name("wg0")], errno.EOPNOTSUPP),
        ("the peers without a dump", PEER_GET, NLM_F_ACK, [name("wg0")], errno.EOPNOTSUPP),
        ("the peers of no device", PEER_GET, DUMP, [], errno.EBADR),
        ("the peers of a device that is not there", PEER_GET, DUMP, [name("wg7")], errno.ENODEV),
        ("a key that is too short", PEER_GET, DUMP, [name("wg0"), attribute(5, bytes(31))], errno.ERANGE),
        ("a key that is too long", PEER_GET, DUMP, [name("wg0"), attribute(5, bytes(33))], errno.ERANGE),
        ("a generation of one byte", PEER_GET, DUMP, [name("wg0"), attribute(3, b"x")], errno.EINVAL),
        ("a notification as a request", 3, NLM_F_ACK, [name("wg0")], errno.EOPNOTSUPP),
        ("a command that is not known", 200, NLM_F_ACK, [], errno.EOPNOTSUPP)):
    checks.equal(errno.errorcode.get(raw.call(command, *attrs, flags=flags)[0]), errno.errorcode[wanted], words)
checks.equal(raw.call(DEVICE_GET, name("wg0"))[0], 0, "and what is right is answered")

random.seed(2)
run("ip", "netns", "exec", "dut", "wg", "set", "wg0", "peer", b64(key.public), "allowed-ips", "192.168.50.2/32")
good = [name("wg0"), u32(1, index), name("wg0") + u32(3, 1), u32(1, index) + attribute(3, struct.pack("=Q", 1)), name("wg0") + attribute(5, key.public)]
answers = {}
for _ in range(3000):
    noise = bytearray(random.choice(good))
    for _ in range(random.randrange(4)):
        at, how = random.randrange(len(noise)), random.randrange(4)
        if how == 0:
            noise[at] = random.randrange(256)
        elif how == 1:
            noise[at] ^= 1 << random.randrange(8)
        elif how == 2:
            noise = noise[:max(4, at)]
        else:
            noise += noise[at:at + 64]
    command, flags = random.choice(((DEVICE_GET, NLM_F_ACK), (PEER_GET, DUMP), (PEER_GET, DUMP), (random.randrange(256), random.choice((NLM_F_ACK, DUMP)))))
    error = raw.call(command, raw=bytes(noise), flags=flags)[0]
    answers[errno.errorcode.get(error, error)] = answers.get(errno.errorcode.get(error, error), 0) + 1
checks.note("answers: %s" % sorted(answers.items(), key=lambda item: -item[1]))
known = {0, *(errno.errorcode[number] for number in (errno.EINVAL, errno.ERANGE, errno.EBADR, errno.ENODEV, errno.ENOENT, errno.EOPNOTSUPP))}
checks.ok(set(answers) <= known and len(answers) >= 4, "3,000 good requests with bytes changed, cut, doubled: each is answered, with an error of these",
          str(answers))
checks.equal(set(quiet.peers()), {key.public}, "and then one that is good")

secrets = {"the device's private key": device_key.private, "the preshared key": PSK, "a key of the session": session.send_key}
for words, secret in secrets.items():
    checks.ok(all(secret not in monitor.raw for monitor in (listener, elsewhere, third, quiet)), "%s is in no message" % words)
checks.ok(key.public in listener.raw, "though a public key is")

run("ip", "-n", "dut", "link", "del", "wg0")
for namespace in ("dut", "out", "third"):
    run("ip", "netns", "del", namespace)
checks.quiet_kernel()
checks.finish()
