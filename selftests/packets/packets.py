#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Everything that can arrive at the UDP port and should not: sent by a peer of our own making (lib/wgpeer.py), which can
also do everything right, in both roles. Each block checks the exact answer (mostly: silence), the counters, that new
handshakes and an established tunnel still work, and that the kernel says nothing."""

import contextlib
import mmap
import os
import random
import select
import socket
import struct
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from inet import b64, checksum  # noqa: E402
import wgnetlink  # noqa: E402
from netlink import Links, attribute, in_netns, run  # noqa: E402
from tap import Checks  # noqa: E402
from wgnetlink import WireGuard  # noqa: E402
from wgpeer import *  # noqa: E402,F403

PORT = 51820
run("sh", "-c", "[ -d /sys/module/wireguard ] || modprobe wireguard")  # its greeting belongs to no block
checks = Checks()
# The C driver is part of the kernel's tree.
with open("/proc/modules") as modules:
    IS_OURS = any(line.startswith("wireguard ") and "(O" in line for line in modules)
seed = int(os.environ.get("SEED", "20261122"))
random.seed(seed)


# ---------------------------------------------------------------- the inner packets

def ipv4(source, destination, protocol, payload, **wrong):
    head = bytearray(struct.pack("!BBHHHBBH4s4s", wrong.get("version", 4) << 4 | 5, wrong.get("tos", 0), wrong.get("length", 20 + len(payload)),
                                 random.randrange(65536), 0, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(destination)))
    head[10:12] = struct.pack("!H", checksum(bytes(head)))
    return bytes(head) + payload


def ipv6(source, destination, protocol, payload, **wrong):
    return struct.pack("!IHBB16s16s", wrong.get("version", 6) << 28, wrong.get("length", len(payload)), protocol, 64,
                       socket.inet_pton(socket.AF_INET6, source), socket.inet_pton(socket.AF_INET6, destination)) + payload


def echo4(source, number, payload=b"", identity=0x5747, **wrong):
    body = struct.pack("!HH", identity, number) + payload
    return ipv4(source, "192.168.50.1", 1, struct.pack("!BBH", 8, 0, checksum(b"\x08\0\0\0" + body)) + body, **wrong)


def echo6(source, number, payload=b"", identity=0x5747, **wrong):
    body = struct.pack("!HH", identity, number) + payload
    pseudo = struct.pack("!16s16sII", socket.inet_pton(socket.AF_INET6, source), socket.inet_pton(socket.AF_INET6, "fd50::1"), 4 + len(body), 58)
    return ipv6(source, "fd50::1", 58, struct.pack("!BBH", 128, 0, checksum(pseudo + b"\x80\0\0\0" + body)) + body, **wrong)


def echo_number(plain):
    """The sequence number of an echo reply, None for anything else."""
    if plain[:1] and plain[0] >> 4 == 4 and plain[9] == 1 and plain[20] == 0:
        return struct.unpack_from("!H", plain, 26)[0]
    if plain[:1] and plain[0] >> 4 == 6 and plain[6] == 58 and plain[40] == 129:
        return struct.unpack_from("!H", plain, 46)[0]
    return None


# ---------------------------------------------------------------- the scene: a device under test, a friend, and us

run("sh", "-c", """
set -e
for n in dut out; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0; done
ip netns exec dut sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0 net.ipv6.conf.all.keep_addr_on_down=1
ip link add name under netns dut type veth peer name outer netns out
ip -n dut address add 10.9.0.1/24 dev under; ip -n dut address add fd09::1/64 dev under; ip -n dut link set under up
ip -n out address add 10.9.0.2/24 dev outer; ip -n out address add fd09::2/64 dev outer; ip -n out address add 10.9.0.3/24 dev outer; ip -n out link set outer up
ip -n dut link add wg0 type wireguard
ip -n dut address add 192.168.50.1/24 dev wg0; ip -n dut address add fd50::1/64 dev wg0
ip -n out link add wg9 type wireguard
ip -n out address add 192.168.50.9/24 dev wg9
""")


def cleanup():
    for name in ("dut", "out"):
        run("ip", "netns", "del", name, check=False)


device_key, main_key, psk_key, beat_key, friend_key = Key(), Key(), Key(), Key(), Key()
PSK = os.urandom(32)


def wg(*arguments, where="dut", **more):
    return run("ip", "netns", "exec", where, "wg", *arguments, **more)


wg("set", "wg0", "listen-port", str(PORT), "private-key", "/proc/self/fd/0", input=b64(device_key.private).encode())
wg("set", "wg0", "peer", b64(beat_key.public), "allowed-ips", "192.168.50.4/32")
wg("set", "wg0", "peer", b64(friend_key.public), "allowed-ips", "192.168.50.9/32")
wg("set", "wg9", "private-key", "/proc/self/fd/0", where="out", input=b64(friend_key.private).encode())
wg("set", "wg9", "peer", b64(device_key.public), "allowed-ips", "192.168.50.1/32", "endpoint", "10.9.0.1:%d" % PORT, where="out")
run("ip", "-n", "dut", "link", "set", "wg0", "up")
run("ip", "-n", "out", "link", "set", "wg9", "up")

with in_netns("dut"):
    links, netlink = Links(), WireGuard()
    inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # an application that sends through wg0
    inside.bind(("192.168.50.1", 0))


def udp(address, port=0):
    with in_netns("out"):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, port))
        # 33 is SO_RCVBUFFORCE, for which Python has no name
        sock.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
        sock.connect(("fd09::1" if ":" in address else "10.9.0.1", PORT))
        return sock


main4, main6, beat, stranger, stranger6 = udp("10.9.0.2", 5000), udp("fd09::2", 5000), udp("10.9.0.2", 5001), udp("10.9.0.3", 5002), udp("fd09::2", 5003)


def receive(sock, seconds=3.0, wanted=lambda message: True):
    """The next message that is wanted; the driver's own keepalives and retries in between are passed over."""
    until = time.monotonic() + seconds
    while True:
        if not select.select([sock], [], [], max(0, until - time.monotonic()))[0]:
            return None
        try:
            message = sock.recv(65536)
        except ConnectionRefusedError:
            continue
        if wanted(message):
            return message


def drain(sock):
    out = []
    while True:
        message = receive(sock, 0)
        if message is None:
            return out
        out.append(message)


def kind(number):
    return lambda message: message[:4] == struct.pack("<I", number)


def send_all(sock, messages, pause=0.0):
    for number, message in enumerate(messages):
        try:
            sock.send(message)
        except ConnectionRefusedError:
            pass
        if pause:
            time.sleep(pause)
        elif number % 16 == 15:
            time.sleep(0.002)


def pour(sock, messages):
    """Messages of one length, faster than they can be handled even by a machine that is slow at everything: 64 in one go."""
    for at in range(0, len(messages), 64):
        try:
            sock.sendmsg([b"".join(messages[at:at + 64])], [(17, 103, struct.pack("=H", len(messages[0])))])  # UDP_SEGMENT
        except (ConnectionRefusedError, BlockingIOError):
            pass


# ---------------------------------------------------------------- the peer under our control

def polls(act):
    """How often NAPI polls the device under test while something is done."""
    def write(name, words):
        with open("/sys/kernel/tracing/" + name, "w") as file:
            file.write(words)
    write("events/napi/napi_poll/filter", 'dev_name == "wg0"')
    write("trace", "")
    write("events/napi/napi_poll/enable", "1")
    act()
    time.sleep(0.2)
    write("events/napi/napi_poll/enable", "0")
    with open("/sys/kernel/tracing/trace") as file:
        return sum("napi_poll" in line for line in file if not line.startswith("#"))


@contextlib.contextmanager
def before_work_items():
    """Meanwhile no work item runs but those that are bound to another processor."""
    where = "/sys/devices/virtual/workqueue/cpumask"
    with open(where) as file:
        usual = file.read()
    processors = os.sched_getaffinity(0)
    one = min(processors)
    with open(where, "w") as file:
        file.write("%x" % (1 << one))
    os.sched_setaffinity(0, {one})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, processors)
        with open(where, "w") as file:
            file.write(usual)


def add_peer(key, ips, psk=None, endpoint=None):
    arguments = ["set", "wg0", "peer", b64(key.public), "allowed-ips", ips]
    if endpoint:
        arguments += ["endpoint", endpoint]
    if psk:
        arguments += ["preshared-key", "/proc/self/fd/0"]
    wg(*arguments, input=b64(psk).encode() if psk else b"")


def remove_peer(key):
    wg("set", "wg0", "peer", b64(key.public), "remove")


def shake(peer, sock, **how):
    """Handshake with us as initiator: a Session, or None."""
    time.sleep(0.03)
    drain(sock)
    sock.send(peer.initiation(**how))
    # An answer to another peer's may come late to the same socket.
    answer = receive(sock, wanted=lambda message: kind(RESPONSE)(message) and message[8:12] == struct.pack("<I", peer.index))
    return peer.consume_response(answer) if answer else None


def echo(session, sock, number, packet=None):
    """Whether the echo request `number` is answered through the tunnel, properly padded."""
    sock.send(session.data(packet or echo4("192.168.50.2", number)))
    return hears(session, sock, number)


def hears(session, sock, number, seconds=3.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        message = receive(sock, until - time.monotonic(), kind(DATA))
        if message is None:
            return False
        try:
            plain = session.open(message)
        except (ValueError, InvalidTag):
            continue
        if echo_number(plain) == number:
            return True
    return False


beat_peer = Peer(beat_key, device_key.public)


def heartbeat():
    """A handshake of another peer; all that was queued before it has been dealt with when it is answered."""
    session = None
    for _ in range(2):
        session = session or shake(beat_peer, beat)
    if session:
        beat.send(session.data())
    time.sleep(0.05)
    return bool(session)


def friend():
    return "bytes from" in run("ip", "netns", "exec", "out", "ping", "-n", "-c", "1", "-W", "3", "192.168.50.1", check=False)


main = Peer(main_key, device_key.public)
MAIN_IPS = "192.168.50.2/32,fd50::2/128"


def friend_sent():
    """How many packets the friend has sent: a keepalive comes ten seconds after it was last answered."""
    return int(run("ip", "netns", "exec", "out", "cat", "/sys/class/net/wg9/statistics/tx_packets"))


def counters():
    stats = links.statistics("wg0")
    peers = netlink.get(wgnetlink.name("wg0"))[1]["peers"]
    stats["peer_rx"] = struct.unpack("=Q", peers[main_key.public][7])[0] if main_key.public in peers else 0
    return stats


def at_rest():
    """The counters, and how many packets the friend has sent: read twice, as a keepalive of the friend's may come in between."""
    last, now = None, (counters(), friend_sent())
    while now != last:
        last, now = now, (counters(), friend_sent())
    return now


@contextlib.contextmanager
def block(words, endpoint=True, **moved):
    """Runs hostile things; then: the stranger heard nothing, the counters moved by exactly `moved`, all goes on working."""
    drain(stranger)
    drain(stranger6)
    before = counters()
    where = netlink.peer("wg0", main_key.public)["endpoint"] if endpoint else None
    expected = dict(moved)
    yield expected
    allowed = expected.pop("answers", 0)
    alive = heartbeat()
    after = counters()
    heard = drain(stranger) + drain(stranger6)
    checks.ok(len(heard) == allowed, "%s: %s" % (words, "silence" if not allowed else "%d answers" % allowed),
              "%d answers, wanted %d, the first: %s" % (len(heard), allowed, heard[0].hex() if heard else ""))
    names = [n for n in ("rx_errors", "rx_length_errors", "rx_frame_errors", "rx_dropped", "rx_crc_errors", "tx_errors", "tx_dropped", "peer_rx")
             if expected.get(n, 0) is not None]
    got = {name: after[name] - before[name] for name in names if after[name] - before[name] != expected.get(name, 0)}
    checks.ok(not got, "%s: the counters moved as they must" % words, "moved by %s, wanted %s" % (got, {n: expected.get(n, 0) for n in got}))
    if endpoint:
        checks.equal(netlink.peer("wg0", main_key.public)["endpoint"], where, "%s: the peer's endpoint stayed" % words)
    checks.ok(alive and friend(), "%s: handshakes and the established tunnel still work" % words,
              "handshake %s" % ("answered" if alive else "not answered"))
    checks.quiet_kernel("%s: no kernel message" % words)


# ---------------------------------------------------------------- blocks

def known_answers():
    checks.chapter("Right messages get right answers (our peer against the driver, both roles)")
    checks.equal(hchacha20(bytes(range(32)), bytes.fromhex("000000090000004a0000000031415927")).hex(),
                 "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc", "our own HChaCha20 gives the published value")
    checks.ok(friend(), "two devices of the driver talk to each other")
    number = 0
    for words, psk in (("without a preshared key", bytes(32)), ("with a preshared key", PSK)):
        for sock, version in ((main4, "IPv4"), (main6, "IPv6")):
            add_peer(main_key, MAIN_IPS, psk)
            peer = Peer(main_key, device_key.public, psk)
            session = shake(peer, sock)
            checks.ok(session, "the driver answers our initiation %s over %s" % (words, version))
            number += 2
            checks.ok(session and echo(session, sock, number), "IPv4 echo through that session")
            checks.ok(session and echo(session, sock, number + 1, echo6("fd50::2", number + 1)), "IPv6 echo through that session")
            remove_peer(main_key)

            add_peer(main_key, MAIN_IPS, psk, ("[fd09::2]:5000" if sock is main6 else "10.9.0.2:5000"))
            peer = Peer(main_key, device_key.public, psk)
            drain(sock)
            inside.sendto(b"knock", ("192.168.50.2", 9))
            message = receive(sock, wanted=kind(INITIATION))
            try:
                stamp = peer.consume_initiation(message)
                good = abs(struct.unpack(">Q", stamp[:8])[0] - 2**62 - 10 - time.time()) < 5
            except Exception as error:  # noqa: BLE001 whatever is wrong with it
                stamp, good = None, False
                checks.note(repr(error))
            checks.ok(good, "the driver initiates %s over %s: our key, a true timestamp" % (words, version))
            checks.ok(stamp and struct.unpack(">I", stamp[8:])[0] % 2**20 < 2**20 and peer.received_mac2 == bytes(16), "its mac2 is zero, as there is no cookie")
            if stamp:
                answer, session = peer.response()
                sock.send(answer)
                first = receive(sock, wanted=kind(DATA))
                plain = b""
                try:
                    plain = session.open(first)
                except Exception as error:  # noqa: BLE001
                    checks.note(repr(error))
                checks.ok(plain[:20][12:20] == socket.inet_aton("192.168.50.1") + socket.inet_aton("192.168.50.2") and b"knock" in plain,
                          "it accepts our response and sends the packet that had waited")
                checks.ok(first and struct.unpack_from("<Q", first, 8)[0] == 0, "whose counter is 0")
                checks.ok(len(plain) % 16 == 0 and not any(plain[33:]), "padded with zeros to a multiple of 16")
                checks.ok(echo(session, sock, number + 7), "echo through that session")
            else:
                for _ in range(4):
                    checks.ok(False, "the session that the driver initiates")
            remove_peer(main_key)
    add_peer(main_key, MAIN_IPS, PSK)
    peer = Peer(main_key, device_key.public, bytes(32))
    time.sleep(0.03)
    main4.send(peer.initiation())
    answer = receive(main4, wanted=kind(RESPONSE))
    try:
        peer.consume_response(answer)
        checks.ok(False, "with the wrong preshared key there is no session")
    except InvalidTag:
        checks.ok(True, "with the wrong preshared key there is no session")
    remove_peer(main_key)
    add_peer(main_key, MAIN_IPS)
    checks.quiet_kernel()


def all_works(session, number):
    """After a chapter: an echo in this session, another tunnel, the device's heartbeat, a quiet kernel."""
    checks.ok(echo(session, main4, number) and friend() and heartbeat(), "everything still works")
    checks.quiet_kernel()


def established():
    session = shake(main, main4)
    if not session or not echo(session, main4, 1):
        checks.ok(False, "a session to work with")
        checks.finish()
    return session


def initiations():
    checks.chapter("Initiations that are not quite")
    established()
    base = main.initiation()

    def cut(message):
        """Every shorter length, as it is, and with a mac1 that is right for the shorter length."""
        out = [message[:length] for length in range(len(message))]
        return out + [with_macs(message[:length - 32], device_key.public) for length in range(36, len(message))]

    with block("an initiation cut to every shorter length, also with its mac1 made right"):
        send_all(stranger, cut(base))
    with block("an initiation that is too long by 1 to 33, 100 and 1000 bytes, also with its mac1 made right"):
        for more in [*range(1, 34), 100, 1000]:
            send_all(stranger, [base + os.urandom(more), with_macs(base[:-32] + bytes(more), device_key.public)], 0.001)
    with block("an initiation with one bit flipped, at every byte before mac2"):
        send_all(stranger, [flipped(base, at) for at in range(132)])
    with block("the same with its mac1 made right again, at every byte that is signed"):
        send_all(stranger, [remac(flipped(base, at), device_key.public) for at in range(116) if not 4 <= at < 8], 0.002)
    with block("an initiation with a reserved byte that is not zero, and mac1 right"):
        send_all(stranger, [remac(bytes([1]) + reserved + base[4:], device_key.public)
                            for reserved in (b"\x01\0\0", b"\0\x01\0", b"\0\0\x01", b"\xff\xff\xff", b"\0\0\x80")], 0.002)
    with block("an initiation with its mac1 made for another key"):
        send_all(stranger, [remac(base, beat_key.public), remac(base, bytes(32)), base[:116] + bytes(32)], 0.002)
    with block("every other message type, of every length that some type has"):
        send_all(stranger, [struct.pack("<I", number) + os.urandom(length - 4)
                            for number in [0, *range(5, 256), 0x100, 0x101, 0x104, 0x80000004, 0xFFFFFFFF] for length in (32, 64, 92, 148)])
    time.sleep(0.03)
    drain(main4)
    main4.send(base)
    answer = receive(main4, wanted=kind(RESPONSE))
    session = main.consume_response(answer) if answer else None
    checks.ok(session and echo(session, main4, 2), "the very message from which all those were made is answered when it comes whole")

    with block("that initiation again, and an older one"):
        old = Peer(main_key, device_key.public).initiation(tai64n(time.time() - 100))
        send_all(stranger, [base, base, old], 0.03)
    checks.ok(session and echo(session, main4, 3), "the session is still the same")

    for at in (132, 139, 147):
        time.sleep(0.03)
        message = flipped(main.initiation(), at)
        drain(main4)
        main4.send(message)
        answer = receive(main4, wanted=kind(RESPONSE))
        checks.ok(answer and main.consume_response(answer), "mac2 is of no interest while there is no load (byte %d flipped)" % at)
    time.sleep(0.03)
    message = remac(flipped(main.initiation(), 5), device_key.public)
    main4.send(message)
    answer = receive(main4, wanted=kind(RESPONSE))
    checks.ok(answer and answer[8:12] == message[4:8], "the response repeats the index that the initiation names")

    # At most one in 20 ms: ten at once, each with a later timestamp. If they took so long that ten were right, once more.
    for _ in range(10):
        time.sleep(0.05)
        drain(main4)
        start = time.time()
        burst = [main.initiation(tai64n(start + n / 1000)) for n in range(10)]
        begin = time.monotonic()
        for message in burst:
            main4.send(message)
        answers = 0
        last = begin
        while receive(main4, 0.5, kind(RESPONSE)):
            answers += 1
            last = time.monotonic()
        most = 1 + int((last - begin) / 0.020)
        if not 1 <= answers <= most or most < 10:
            break
    checks.ok(1 <= answers <= most and answers < 10, "ten initiations at once: one answer every 20 ms at most (%d in %.0f ms)" % (answers, (last - begin) * 1000),
              "%d answers, at most %d" % (answers, most))

    with block("initiations with an ephemeral key of small order, all else right", peer_rx=0):
        send_all(stranger, [main.initiation(ephemeral_public=point, es=bytes(32), timestamp=tai64n(time.time() + 1)) for point in LOW_ORDER], 0.025)
    with block("initiations of a peer that the device does not know"):
        send_all(stranger, [Peer(Key(), device_key.public).initiation() for _ in range(5)], 0.025)
    # Timestamps ahead of ours were accepted above: start the peer afresh.
    remove_peer(main_key)
    add_peer(main_key, MAIN_IPS)


def knock(peer, sock, retrigger=False):
    """Makes the driver initiate towards us; the message, consumed."""
    drain(sock)
    if retrigger:
        run("ip", "-n", "dut", "link", "set", "wg0", "down")
        # The last one may have been sent again until then.
        drain(sock)
        run("ip", "-n", "dut", "link", "set", "wg0", "up")
    inside.sendto(b"knock", ("192.168.50.2", 9))
    message = receive(sock, 4, kind(INITIATION))
    if message:
        peer.consume_initiation(message)
    return message


def fresh():
    """The peer without any session, its endpoint ours; the driver's initiation."""
    remove_peer(main_key)
    add_peer(main_key, MAIN_IPS, None, "10.9.0.2:5000")
    peer = Peer(main_key, device_key.public)
    if not knock(peer, main4):
        checks.ok(False, "the driver initiates when an application sends")
        checks.finish()
    return peer


def responses():
    checks.chapter("Responses that are not quite")
    # An initiation lives 5 seconds before its retry replaces it, so each block begins with a new one, and once more if that
    # came first. What proves that the message was good is that it works, unchanged, after its damaged copies did not.
    def attempt(words, make, pause=0.0005):
        for _ in range(5):
            peer = fresh()
            answer, session = peer.response()
            messages = make(peer, answer)
            with block(words, endpoint=False):
                send_all(stranger, messages, pause)
            if not any(map(kind(INITIATION), drain(main4))):
                break
            checks.note("the driver's retry came first")
        main4.send(answer)
        first = receive(main4, 2, kind(DATA))
        try:
            good = b"knock" in session.open(first)
        except Exception:  # noqa: BLE001
            good = False
        checks.ok(good and echo(session, main4, 11), "%s: the whole one then works" % words)
        return session, answer

    attempt("a response cut to every shorter length, also with its mac1 made right",
            lambda peer, m: [m[:n] for n in range(92)] + [with_macs(m[:n - 32], device_key.public) for n in range(36, 92)])
    attempt("a response that is too long, also with its mac1 made right",
            lambda peer, m: [m + bytes(n) for n in (1, 4, 16, 32, 56, 1000)] + [with_macs(m[:-32] + bytes(n), device_key.public) for n in (1, 4, 16, 32, 56, 1000)])
    attempt("a response with one bit flipped, at every byte before mac2", lambda peer, m: [flipped(m, n) for n in range(76)])
    attempt("the same with its mac1 made right again, at every byte that is signed",
            lambda peer, m: [remac(flipped(m, n), device_key.public) for n in range(60) if not 4 <= n < 8], 0.001)
    attempt("responses to handshakes that nobody began",
            lambda peer, m: [remac(m[:8] + os.urandom(4) + m[12:], device_key.public) for _ in range(20)], 0.001)
    attempt("responses with an ephemeral key of small order, all else right",
            lambda peer, m: [peer.response(ephemeral_public=point, ee=bytes(32), se=bytes(32))[0] for point in LOW_ORDER], 0.002)
    session, answer = attempt("a response made with another preshared key",
                              lambda peer, m: [_with_psk(peer, os.urandom(32)).response()[0]], 0.002)
    with block("the response that made the session, again", endpoint=True):
        send_all(stranger, [answer] * 3, 0.01)
    checks.ok(echo(session, main4, 12), "the session is still the same")
    remove_peer(main_key)
    wg("set", "wg0", "peer", b64(LOW_ORDER[3]), "allowed-ips", MAIN_IPS, "endpoint", "10.9.0.2:5000")
    drain(main4)
    inside.sendto(b"knock", ("192.168.50.2", 9))
    checks.ok(receive(main4, 1.0) is None, "to a peer whose public key is of small order nothing is ever sent")
    wg("set", "wg0", "peer", b64(LOW_ORDER[3]), "remove")
    add_peer(main_key, MAIN_IPS)
    checks.quiet_kernel()


def _with_psk(peer, psk):
    other = Peer(peer.key, peer.remote_public, psk)
    other.__dict__.update({n: v for n, v in peer.__dict__.items() if n != "psk"})
    return other


def cookies():
    checks.chapter("Cookie replies that are not quite")
    peer = fresh()
    cookie = os.urandom(16)
    good = peer.cookie_reply(peer.received_mac1, cookie)
    forged = [good[:n] for n in range(64)] + [good + bytes(n) for n in (1, 16, 28, 84)]
    forged += [flipped(good, n) for n in range(64)]
    forged += [peer.cookie_reply(peer.received_mac1, cookie, index=random.getrandbits(32)) for _ in range(8)]
    forged += [peer.cookie_reply(peer.received_mac1, cookie, key=os.urandom(32)), peer.cookie_reply(bytes(16), cookie),
               peer.cookie_reply(os.urandom(16), cookie), peer.cookie_reply(peer.received_mac1, cookie, key=hash_(b"cookie--", device_key.public))]
    with block("a cookie reply cut to every length, too long, with a bit flipped at every byte, for other indices, with other keys", endpoint=False, tx_dropped=None):
        send_all(stranger, forged)
    message = knock(peer, main4, retrigger=True)
    checks.ok(message and peer.received_mac2 == bytes(16), "the next initiation carries no cookie: none of these was taken")
    if message:
        main4.send(peer.cookie_reply(peer.received_mac1, cookie))
        time.sleep(0.2)
        message = knock(peer, main4, retrigger=True)
    checks.ok(message and peer.received_mac2 == mac(cookie, message[:-16]), "a true cookie reply is: the next initiation's mac2 is made with it")
    if message:
        other = os.urandom(16)
        send_all(stranger, [peer.cookie_reply(peer.received_mac1, other)] + [peer.cookie_reply(os.urandom(16), other)] * 3)
        time.sleep(0.2)
        message = knock(peer, main4, retrigger=True)
        checks.ok(message and peer.received_mac2 == mac(other, message[:-16]), "and a later one replaces it")
    remove_peer(main_key)
    add_peer(main_key, MAIN_IPS)
    # The link went down and up: the friend must shake hands again.
    run("ip", "-n", "out", "link", "set", "wg9", "down")
    run("ip", "-n", "out", "link", "set", "wg9", "up")
    checks.ok(friend(), "the other tunnel comes back after the link was down")
    checks.quiet_kernel()


def under_load():
    checks.chapter("Under a flood of initiations")
    if os.path.exists("/sys/kernel/debug/kmemleak"):
        checks.note("left out: on the instrumented kernel a message takes longer to arrive than to be handled, so none ever waits")
        return
    remove_peer(main_key)
    add_peer(main_key, MAIN_IPS)
    before = counters()
    drain(stranger)
    strangers = [struct.pack("<II", COOKIE, random.getrandbits(32)) + os.urandom(56) for _ in range(3000)]
    first = Peer(main_key, device_key.public).initiation()
    with before_work_items():
        pour(stranger, strangers)
        main4.send(first)
    checks.ok(receive(main4, 5, kind(RESPONSE)), "cookie replies to nobody, 3,000 of them, are no load: an initiation is answered with a response")
    remove_peer(main_key)
    add_peer(main_key, MAIN_IPS)
    # The body is noise but mac1 is right, so each costs the driver a Diffie-Hellman: its queue fills.
    flood = [with_macs(struct.pack("<II", INITIATION, n) + os.urandom(108), device_key.public) for n in range(3000)]
    begin = time.monotonic()
    pour(stranger, flood)
    took = time.monotonic() - begin
    drain(main4)
    peer = Peer(main_key, device_key.public)
    first = peer.initiation()
    main4.send(first)
    answer = receive(main4, 5)
    cookie = None
    try:
        index, cookie = peer.consume_cookie_reply(answer)
    except Exception as error:  # noqa: BLE001
        checks.note("%r to %s" % (error, answer.hex() if answer else "silence"))
    checks.ok(cookie and index == peer.index, "after %d initiations in %.1f s a good one is answered with a cookie, not with a response" % (len(flood), took))
    pour(stranger, flood)
    peer.cookie = cookie
    answered = cookie and shake(peer, main4)
    checks.ok(answered, "with that cookie in mac2 the next is answered with a response")
    elsewhere = udp("10.9.0.3", 5009)
    pour(stranger, flood)
    time.sleep(0.03)
    elsewhere.send(peer.initiation())
    answer = receive(elsewhere, 5)
    checks.ok(answer and kind(COOKIE)(answer), "from another address the same cookie is worth nothing")
    if answer and kind(COOKIE)(answer):
        mine = peer.consume_cookie_reply(answer)[1]
        checks.ok(mine != cookie, "and the cookie for there is another")
    replies = drain(stranger)
    indices = {struct.unpack_from("<I", message, 4)[0] for message in replies}
    checks.ok(replies and all(kind(COOKIE)(m) and len(m) == 64 for m in replies) and indices <= set(range(3000)),
              "the flood itself got cookie replies only (%d), with the senders' indices" % len(replies))
    # Not one for all: what is beyond the queue is dropped.
    garbage = [m[:-32] + bytes(16) + m[-16:] for m in flood[:200]]
    heartbeat_until = time.monotonic() + 10
    alive = False
    time.sleep(1.5)  # the state ends a second after the queue has emptied
    while not alive and time.monotonic() < heartbeat_until:
        time.sleep(0.1)
        alive = heartbeat()
    checks.ok(alive, "a second after it has ended, a handshake needs no cookie any more")
    drain(stranger)
    send_all(stranger, garbage)
    time.sleep(0.2)
    checks.ok(not drain(stranger), "without a right mac1 there is no cookie reply")
    after = counters()
    checks.ok(after["rx_errors"] == before["rx_errors"], "the device counts none of it as received errors")
    checks.ok(friend(), "an established tunnel came through it")
    checks.quiet_kernel()


def data():
    checks.chapter("Data that is not quite")
    session = established()
    base = session.data(echo4("192.168.50.2", 100, b"x" * 52))
    with block("a data message cut to every shorter length"):
        send_all(stranger, [base[:length] for length in range(len(base))])
    with block("a data message that is too long"):
        send_all(stranger, [base + bytes(n) for n in [*range(1, 34), 100, 1000, 20000]])
    with block("a data message with one bit flipped, at every byte"):
        send_all(stranger, [flipped(base, at) for at in range(len(base))])
    with block("a data message with reserved bytes that are not zero"):
        send_all(stranger, [b"\x04" + reserved + base[4:] for reserved in (b"\x01\0\0", b"\0\x01\0", b"\0\0\x80", b"\xff\xff\xff")])
    with block("a data message for 300 other receivers"):
        send_all(stranger, [base[:4] + os.urandom(4) + base[8:] for _ in range(300)])
    with block("a data message under other keys"):
        send_all(stranger, [Session(os.urandom(32), os.urandom(32), 0, session.remote_index).data(echo4("192.168.50.2", n), n) for n in range(1000, 1050)])
    main4.send(base)
    checks.ok(hears(session, main4, 100), "the very message from which all those were made is accepted when it comes whole")
    # The C driver does not count them.
    with block("that message again, five times", rx_dropped=5 if IS_OURS else 0):
        send_all(stranger, [base] * 5)
    if IS_OURS:
        refused_at_once(session, base)

    checks.chapter("What a peer may not say, though it holds the keys")
    v4 = "192.168.50.2"
    error = len(base)
    cases = [
        ("an inner source that is another peer's", echo4("192.168.50.9", 1), "frame"),
        ("an inner source that is nobody's", echo4("10.1.2.3", 1), "frame"),
        ("an inner source that is our own", echo4("192.168.50.1", 1), "frame"),
        ("an inner IPv6 source that is nobody's", echo6("fd50::3", 1), "frame"),
        ("IP version 0", echo4(v4, 1, version=0), "frame"), ("IP version 5", echo4(v4, 1, version=5), "frame"),
        ("IP version 7", echo4(v4, 1, version=7), "frame"), ("IP version 15", echo4(v4, 1, version=15), "frame"),
        ("IPv4 longer than the packet", echo4(v4, 1, b"x" * 30, length=200), "length"),
        ("IPv4 with a length of 65535", echo4(v4, 1, length=65535), "length"),
        ("IPv4 with a length under 20", echo4(v4, 1, length=19), "length"), ("IPv4 with a length of 0", echo4(v4, 1, length=0), "length"),
        ("IPv6 longer than the packet", echo6("fd50::2", 1, length=500), "length"),
        ("an IPv6 header cut short", echo6("fd50::2", 1)[:36], "frame"), ("20 bytes of IPv6", echo6("fd50::2", 1)[:20], "frame"),
        ("an IPv4 header cut short", echo4(v4, 1)[:19], "frame"), ("one byte", b"\x45", "frame"), ("one zero byte", b"\0", "frame"),
        ("sixteen zero bytes", bytes(16), "frame"), ("1400 zero bytes", bytes(1400), "frame"), ("noise", b"\x93" + os.urandom(200), "frame"),
    ]
    def counted(message):
        """How the counters move by a message; what the friend sends meanwhile is not meant."""
        before, others = at_rest()
        main4.send(message)
        time.sleep(0.02)
        for _ in range(100):
            now = counters()
            if (now["rx_errors"], now["peer_rx"]) != (before["rx_errors"], before["peer_rx"]):
                break
            time.sleep(0.01)
        after, sent = at_rest()
        moved = {n: after[n] - before[n] for n in ("rx_errors", "rx_frame_errors", "rx_length_errors", "rx_dropped", "rx_packets", "peer_rx")}
        moved["rx_packets"] -= sent - others
        return moved

    for words, packet, column in cases:
        moved = counted(session.data(packet, pad=False))
        wanted = dict.fromkeys(moved, 0, )
        wanted.update({"rx_errors": 1, "rx_%s_errors" % column: 1})
        checks.equal(moved, wanted, "%s: dropped and counted as a %s error" % (words, column))
    checks.ok(all(echo_number(session.open(m)) is None for m in drain(main4) if kind(DATA)(m)), "none of them was answered")
    for words, packet, number in (("shorter than its padding", echo4(v4, 201) + bytes(900), 201), ("without any padding", None, 202), ("of IPv6 with bytes after its end", echo6("fd50::2", 203) + b"junk" * 9, 203)):
        main4.send(session.data(packet or echo4(v4, 202, b"odd"), pad=packet is not None))
        checks.ok(hears(session, main4, number), "a packet %s is accepted" % words)
    big = echo4(v4, 204, os.urandom(2900))
    message = session.data(big)
    checks.equal(counted(message)["peer_rx"], len(message), "a packet of 2900 bytes, in several IP fragments outside, is accepted")
    moved = counted(session.data())
    checks.equal((moved["peer_rx"], moved["rx_packets"], moved["rx_errors"]), (32, 1, 0), "a keepalive counts 32 bytes, one packet, no error")
    checks.quiet_kernel()
    checks.ok(friend(), "the other tunnel still works")


def refused_at_once(session, accepted):
    """A stranger's messages, however many, do not have those that follow handled as a peer's that come in numbers."""
    run("sh", "-c", "mountpoint -q /sys/kernel/tracing || mount -t tracefs tracefs /sys/kernel/tracing")

    def burst(sock, messages):
        sock.sendmsg([b"".join(messages)], [(17, 103, struct.pack("=H", len(messages[0])))])

    for words, message in (("not authentic", flipped(accepted, 40)), ("played back", accepted)):
        count = polls(lambda message=message: burst(stranger, [message] * 60))
        checks.equal(count, 0, "60 messages at once, %s: each is refused where it comes in, without a poll" % words)
    if os.path.exists("/sys/kernel/debug/kmemleak"):
        checks.note("left out: on the instrumented kernel each message takes so long that they do not come in numbers")
        return
    count = polls(lambda: burst(main4, [session.data() for _ in range(60)]))
    checks.ok(count > 0, "of 60 of the peer's own the last are collected for one", "%d polls" % count)

    def now_and_then():
        for _ in range(20):
            burst(main4, [session.data() for _ in range(12)])
            time.sleep(0.02)

    count = polls(now_and_then)
    checks.ok(count >= 15, "buffers of twelve, 20 ms apart, are taken whole, each for a poll", "%d polls" % count)


def offload():
    """What a sender with UDP GSO hands over in one piece (103 is UDP_SEGMENT)."""
    checks.chapter("Batches: many messages in one UDP GSO packet")
    session = established()
    good = [session.data(echo4("192.168.50.2", 300 + n, b"y" * 100)) for n in range(20)]
    size = len(good[0])
    batch = good[:]
    batch[3] = flipped(good[3], 40)      # damaged
    batch[7] = good[6]                   # replayed
    batch[11] = good[11][:4] + os.urandom(4) + good[11][8:]  # somebody else's
    batch[15] = os.urandom(size)         # noise
    last = good[19][:-5]                 # cut short
    drain(main4)
    before = counters()
    main4.sendmsg([b"".join(batch[:19]) + last], [(17, 103, struct.pack("=H", size))])
    wanted = {300 + n for n in range(20) if n not in (3, 7, 11, 15, 19)}
    heard = []
    while True:
        message = receive(main4, 1.0, kind(DATA))
        if message is None:
            break
        number = echo_number(session.open(message))
        if number is not None:
            heard.append(number)
    checks.equal(sorted(heard), sorted(wanted), "of 20 messages the 15 good ones are answered, each once")
    checks.equal(counters()["peer_rx"] - before["peer_rx"], 15 * size, "and counted")
    main4.sendmsg([b"".join(good[n] for n in (3, 7, 11, 15, 19))], [(17, 103, struct.pack("=H", size))])
    heard = [echo_number(session.open(m)) for m in iter(lambda: receive(main4, 1.0, kind(DATA)), None)]
    checks.equal(sorted(n for n in heard if n is not None), [303, 307, 311, 315, 319], "the five that were damaged come later, whole")
    before = counters()
    noise = [os.urandom(900) for _ in range(40)]
    stranger.sendmsg([b"".join(noise)], [(17, 103, struct.pack("=H", 900))])
    mixed = good[0] + bytes(3) + good[1][:size - 3]
    stranger.sendmsg([mixed], [(17, 103, struct.pack("=H", size))])
    stranger.sendmsg([b"".join(m[:1] + bytes(3) + m[4:] for m in noise[:2])], [(17, 103, struct.pack("=H", 16))])
    time.sleep(0.2)
    after = counters()
    checks.equal((after["peer_rx"] - before["peer_rx"], after["rx_errors"] - before["rx_errors"]), (0, 0), "batches of noise, of messages out of step and of crumbs change nothing")
    checks.ok(not drain(stranger), "and are met with silence")
    # Handshake messages among others: one that is none, data for nobody, noise, and an initiation twice.
    time.sleep(0.05)
    initiation = main.initiation()
    junk = [b"\1\0\0\0" + os.urandom(144), b"\4\0\0\0" + os.urandom(144), os.urandom(148)]
    main4.sendmsg([b"".join((junk[1], junk[0], initiation, junk[2], initiation))], [(17, 103, struct.pack("=H", 148))])
    response = receive(main4, 5.0, kind(RESPONSE))
    fresh = response and main.consume_response(response)
    checks.ok(fresh and echo(fresh, main4, 319), "an initiation in the middle of a batch is answered, and the session that it begins works")
    checks.ok(receive(main4, 0.5, kind(RESPONSE)) is None, "its repetition in the same batch is not")
    session = fresh or session
    # What is last in a buffer begins more than 64 KiB behind the start of its memory.
    run("ip", "-n", "out", "link", "set", "outer", "gso_max_size", "100000")
    pour(main6, [session.data() for _ in range(192)])
    far = session.data(echo4("192.168.50.2", 323))
    main6.sendmsg([b"".join(b"\xff" + os.urandom(1038) for _ in range(63)) + far], [(17, 103, struct.pack("=H", 1039))])
    checks.ok(hears(session, main6, 323), "an echo request behind 65,457 bytes of junk in one buffer is answered")
    run("ip", "-n", "out", "link", "set", "outer", "gso_max_size", "65536")
    # Keepalives are no data, which an answer would be due to after ten seconds.
    checks.ok(echo(session, main4, 322), "an echo through that session")
    before = counters()
    main4.sendmsg([session.data() + session.data()], [(17, 103, struct.pack("=H", 32))])
    checks.ok(receive(main4, 11.5, kind(DATA)) is None, "two keepalives in one batch are not answered")
    checks.equal(counters()["peer_rx"] - before["peer_rx"], 64, "but counted")
    all_works(session, 320)


class Flow:
    """A TCP flow through the tunnel to an address where nobody is, in segments that fit behind each other."""

    SIZE = 500

    def __init__(self, port, ipv6=False):
        self.port, self.is_v6, self.next, self.number = port, ipv6, random.randrange(2**32), random.randrange(65536)
        self.sent = {}

    def segment(self, size=SIZE, flags=0x10, **wrong):
        payload = os.urandom(size)
        tcp = bytearray(struct.pack("!HHIIBBHHH", self.port, 80, self.next, 7, 0x50, flags, 500, 0, 0))
        if self.is_v6:
            ends = socket.inet_pton(socket.AF_INET6, "fd50::2") + socket.inet_pton(socket.AF_INET6, "fd50::77")
            head = struct.pack("!IHBB", 6 << 28, 20 + size, 6, wrong.get("ttl", 64)) + ends
        else:
            ends = socket.inet_aton("192.168.50.2") + socket.inet_aton("192.168.50.77")
            head = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 40 + size, self.number, 0x4000, wrong.get("ttl", 64), 6, 0) + ends)
            head[10:12] = struct.pack("!H", checksum(bytes(head)) ^ wrong.get("sum", 0))
        tcp[16:18] = struct.pack("!H", checksum(ends + struct.pack("!HH", 6, 20 + size) + bytes(tcp) + payload))
        self.sent[self.next] = payload
        self.next = (self.next + size) % 2**32
        self.number = (self.number + 1) % 65536
        return bytes(head) + bytes(tcp) + payload


def merged():
    """Segments of TCP flows in a row, which a receiver may merge: nothing is lost, doubled or mixed up by that."""
    checks.chapter("Segments that may be merged")
    session = established()
    with in_netns("dut"):
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        tap.bind(("wg0", 3))
        tap.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
    longest = 0

    def burst(messages):
        main4.sendmsg([b"".join(messages)], [(17, 103, struct.pack("=H", len(messages[0])))])

    def arrives(words, flows, make, keepalives=0):
        """Sends what `make` makes, between two bursts of other segments; what comes out must be what the flows sent."""
        nonlocal longest
        before, others = at_rest()
        around = Flow(9)
        # Many, as more than 32 must come through within one of the driver's periods, even on a machine that has much else to do.
        leads = [[session.data(around.segment()) for _ in range(60)] for _ in range(3)]
        messages = make()
        for lead in leads:
            burst(lead)
        for part in messages if isinstance(messages[0], list) else [messages]:
            burst(part)
        until = time.monotonic() + 5
        wanted = {flow.port: sum(map(len, flow.sent.values())) for flow in flows}
        pieces = {flow.port: [] for flow in flows}
        right = True
        while time.monotonic() < until and any(sum(len(data) for _, data in pieces[port]) < wanted[port] for port in wanted):
            if not select.select([tap], [], [], 0.2)[0]:
                continue
            packet = tap.recv(70000)
            ends = 20 if packet[0] >> 4 == 4 else 40
            port, _, sequence = struct.unpack_from("!HHI", packet, ends)
            length = struct.unpack_from("!H", packet, 2)[0] if ends == 20 else 40 + struct.unpack_from("!H", packet, 4)[0]
            right &= length == len(packet) and (ends == 40 or checksum(packet[:20]) == 0)
            if port in pieces:
                pieces[port].append((sequence, packet[ends + 20:]))
                longest = max(longest, length)
        time.sleep(0.05)
        for flow in flows:
            got = {}
            for sequence, data in pieces[flow.port]:
                while data:
                    size = len(flow.sent.get(sequence, b"")) or len(data)
                    got.setdefault(sequence, []).append(data[:size])
                    sequence, data = (sequence + size) % 2**32, data[size:]
            right &= got == {sequence: [payload] for sequence, payload in flow.sent.items()}
        after, sent = at_rest()
        others = sent - others
        checks.ok(right, "%s: each segment comes out once, as it was" % words, "%s" % {port: [(n, len(d)) for n, d in got] for port, got in pieces.items()})
        checks.equal(after["rx_packets"] - before["rx_packets"] - others, sum(map(len, leads)) + keepalives + sum(len(flow.sent) for flow in flows), "%s: and is counted" % words)
        checks.equal(after["rx_errors"] - before["rx_errors"], 0, "%s: no error is" % words)

    def of(flow, count):
        return [session.data(flow.segment()) for _ in range(count)]

    for ipv6 in (False, True):
        flow = Flow(1000, ipv6)
        arrives("60 in a row, %s" % ("IPv6" if ipv6 else "IPv4"), [flow], lambda: of(flow, 60))
    flow = Flow(1001)
    arrives("the last one short, and pushed", [flow], lambda: of(flow, 20) + [session.data(flow.segment(17, 0x18))])
    flow = Flow(1010)
    arrives("a keepalive behind them", [flow], lambda: of(flow, 20) + [session.data()], 1)
    flow = Flow(1002)
    arrives("pushed in the middle", [flow], lambda: of(flow, 9) + [session.data(flow.segment(flags=0x18))] + of(flow, 9))
    flow, other = Flow(1003), Flow(1004, True)
    arrives("two flows by turns", [flow, other], lambda: [m for _ in range(15) for m in (session.data(flow.segment()), session.data(other.segment(Flow.SIZE - 20)))])
    flow = Flow(1005)
    arrives("another TTL in the middle", [flow], lambda: of(flow, 9) + [session.data(flow.segment(ttl=63))] + of(flow, 9))

    def replayed():
        messages = of(flow, 20)
        return messages[:7] + messages[3:5] + messages[7:] + messages[:1]
    flow = Flow(1006)
    arrives("with replays among them", [flow], replayed)

    def early():
        messages = of(flow, 20)
        return [messages[5:6], messages[11:13], messages]
    flow = Flow(1007)
    arrives("of which three have come before", [flow], early)

    def late():
        messages = of(flow, 30)
        return [messages[:4] + messages[10:], messages[2:20]]
    flow = Flow(1008)
    arrives("some late, and some again", [flow], late)

    def forged():
        messages = of(flow, 21)
        for at in (0, 8, 9, 20):
            messages.insert(at, flipped(messages[at], 60))
        return messages
    flow = Flow(1009)
    arrives("with forged ones among them", [flow], forged)

    def elsewhere():
        messages = of(flow, 16)
        messages[4:4] = [messages[4][:4] + os.urandom(4) + messages[4][8:], b"\1\0\0\0" + messages[0][4:]]
        return messages
    flow = Flow(1010)
    arrives("with messages for nobody among them", [flow], elsewhere)
    flow = Flow(1011)
    arrives("with keepalives between bursts", [flow], lambda: [of(flow, 12), [session.data()], of(flow, 12)], 1)
    hog = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    hog.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
    hog.bind(("127.0.0.1", 0))
    with open("/proc/sys/net/ipv4/udp_mem", "r+") as limits:
        usual = limits.read()
        for _ in range(200):
            hog.sendto(bytes(60000), hog.getsockname())
        os.pwrite(limits.fileno(), b"0 0 0", 0)
        try:
            flow = Flow(1014)
            arrives("while all memory for UDP sockets is used up", [flow], lambda: of(flow, 60))
        finally:
            os.pwrite(limits.fileno(), usual.encode(), 0)
            hog.close()
    flow = Flow(1013)

    def wrong_sums():
        with open("/proc/net/netstat") as file:
            names, values = [line.split() for line in file if line.startswith("IpExt:")]
        return int(values[names.index("InCsumErrors")])
    with in_netns("dut"):
        before = wrong_sums()
        burst([session.data(flow.segment(sum=1)) for _ in range(60)])
        until = time.monotonic() + 5
        while wrong_sums() - before < 60 and time.monotonic() < until:
            time.sleep(0.1)
        while select.select([tap], [], [], 0.2)[0]:
            tap.recv(70000)
        checks.equal(wrong_sums() - before, 60, "60 in a row with wrong IPv4 checksums: none is made right by merging")
    # One with instruments is so slow that datagrams never come in numbers.
    if "debug" not in os.uname().release:
        checks.ok(longest > 10 * Flow.SIZE, "and some were merged (the longest packet has %d bytes)" % longest)
    run("ip", "netns", "exec", "dut", "ethtool", "-K", "wg0", "gro", "off")
    longest = 0
    flow = Flow(1012)
    arrives("60 in a row without GRO", [flow], lambda: of(flow, 60))
    checks.equal(longest, 40 + Flow.SIZE, "and none is merged")
    run("ip", "netns", "exec", "dut", "ethtool", "-K", "wg0", "gro", "on")
    tap.close()
    all_works(session, 321)


def changing():
    """Messages in pages that their sender goes on changing: what comes out is what was sealed, or nothing."""
    checks.chapter("Pages that somebody else writes to")
    session = established()
    with in_netns("dut"):
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
        tap.bind(("wg0", 3))
        tap.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
        under = run("ip", "netns", "exec", "dut", "cat", "/sys/class/net/under/address")

    def changed(memory, at):
        """A process that changes the byte at a place and puts it back, for ever."""
        child = os.fork()
        if child:
            return child
        try:
            while True:
                good = memory[at]
                for _ in range(50):
                    memory[at] = good ^ 255
                    memory[at] = good
                time.sleep(0)
        finally:
            os._exit(0)

    def spliced(file, memory, start):
        def send(message):
            memory[start:start + len(message)] = message
            os.sendfile(main4.fileno(), file, start, len(message))
        return send

    def not_copied(_, memory, start):
        main4.setsockopt(socket.SOL_SOCKET, 60, 1)  # SO_ZEROCOPY

        def send(message):
            memory[start:start + len(message)] = message
            main4.send(memoryview(memory)[start:start + len(message)], 0x4000000)  # MSG_ZEROCOPY
        return send

    def arrives(words, way, memory, file=None, start=256):
        """Sends 400 messages, a byte of each of which is changed and put back meanwhile."""
        send = way(file, memory, start)
        child = changed(memory, start + 700)
        sent, wrong, right = set(), 0, 0
        for _ in range(400):
            packet = ipv4("192.168.50.2", "192.168.50.77", 17, os.urandom(1300))
            sent.add(packet)
            message = session.data(packet)
            try:
                send(message)
            except OSError as error:
                checks.ok(False, "%s: they can be sent" % words, str(error))
                break
            while select.select([tap], [], [], 0)[0]:
                packet = tap.recv(70000)
                if packet[12:20] == socket.inet_aton("192.168.50.2") + socket.inet_aton("192.168.50.77"):
                    right, wrong = right + (packet in sent), wrong + (packet not in sent)
        os.kill(child, 9)
        os.waitpid(child, 0)
        time.sleep(0.2)
        same = sum(a == b for a, b in zip(memory[start:start + len(message)], message))
        checks.ok(same >= len(message) - 1, "%s: they are as their sender left them" % words, "%d bytes of %d" % (same, len(message)))
        checks.equal(wrong, 0, "%s: none comes out that was not sealed" % words)
        checks.ok(right, "%s: some come out (%d of 400)" % (words, right))

    file = os.memfd_create("pages")
    os.ftruncate(file, 8192)
    arrives("of a file, spliced", spliced, mmap.mmap(file, 8192), file)
    arrives("sent with MSG_ZEROCOPY", not_copied, mmap.mmap(-1, 8192))
    main4.setsockopt(socket.SOL_SOCKET, 60, 0)
    with contextlib.suppress(BlockingIOError):
        while True:  # what says that they have left would make the socket look readable
            main4.recvmsg(1, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
    with in_netns("out"):
        ring = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        ring.bind(("outer", 0))
        ring.setsockopt(263, 13, struct.pack("=IIII", 4096, 1, 4096, 1))  # SOL_PACKET, PACKET_TX_RING
        outer = run("ip", "netns", "exec", "out", "cat", "/sys/class/net/outer/address")

    def of_a_ring(_, memory, start):
        ethernet = b"".join(bytes.fromhex(address.strip().replace(":", "")) for address in (under, outer)) + b"\x08\x00"

        def send(message):
            datagram = struct.pack("!HHHH", 5000, PORT, 8 + len(message), 0) + message
            frame = ethernet + ipv4("10.9.0.2", "10.9.0.1", 17, datagram)
            while struct.unpack_from("=Q", memory, 0)[0] != 0:
                time.sleep(0)
            memory[start - 42:start - 42 + len(frame)] = frame
            struct.pack_into("=QI", memory, 0, 1, len(frame))  # TP_STATUS_SEND_REQUEST
            ring.send(b"")
            while struct.unpack_from("=Q", memory, 0)[0] != 0:
                time.sleep(0)
        return send
    arrives("of a packet socket's ring", of_a_ring, mmap.mmap(ring.fileno(), 4096), start=74)
    for sock in (tap, ring):
        sock.close()
    all_works(session, 323)


def window():
    checks.chapter("Replay window: 8,128 packets")
    session = established()

    def sent(numbers):
        """Sends keepalives with these counters; how many were accepted (each counts 32 bytes)."""
        numbers = list(numbers)
        messages = [session.data(b"", n) for n in numbers]
        before = netlink.peer("wg0", main_key.public)["rx"]
        for start in range(0, len(messages), 256):
            for message in messages[start:start + 256]:
                main4.send(message)
            # The driver's queues hold 1,024: wait till these are through, or no more come.
            last, still = None, 0
            while still < 3:
                now = netlink.peer("wg0", main_key.public)["rx"]
                if len(messages) <= 256 or now != last:
                    still = 0 if now != last else still + 1
                else:
                    still += 1
                last = now
                time.sleep(0.01)
        return (netlink.peer("wg0", main_key.public)["rx"] - before) // 32

    top = 20000
    checks.equal(sent([top]), 1, "a counter far ahead is accepted")
    checks.equal(sent([top]), 0, "but once")
    checks.equal(sent([top - WINDOW - 1, top - WINDOW - 2, top - WINDOW - 64, 0, 5]), 0, "what is older than the window is refused")
    checks.equal(sent([top - WINDOW]), 1, "the oldest in the window is accepted")
    checks.equal(sent([top - WINDOW]), 0, "but once")
    inside_ = list(range(top - WINDOW + 1, top))
    random.shuffle(inside_)
    checks.equal(sent(inside_), WINDOW - 1, "all the others of the window, in a random order (seed %d), are accepted" % seed)
    again = random.sample(inside_, 1500) + [top, top - WINDOW]
    checks.equal(sent(again), 0, "and none of 1,502 of them a second time")
    checks.equal(sent([top + 1]), 1, "one step ahead is accepted")
    checks.equal(sent([top - WINDOW, top - WINDOW + 1]), 0, "which the oldest have now left, or been in")
    far = top + 3 * 8192 + 17
    checks.equal(sent([far]), 1, "a jump of more than three windows is accepted")
    spread = [far - step for step in (1, 63, 64, 65, 127, 128, 4095, 4096, 8063, 8064, 8065, 8127, 8128)]
    checks.equal(sent(spread), len(spread), "and leaves an empty window behind it: its words are clear at every edge")
    checks.equal(sent(spread), 0, "each once")
    checks.equal(sent([far - 8129, far - 8191, far - 8192, far - 8193, far - 16384]), 0, "and nothing beyond it")
    step = far
    taken = 0
    for jump in (1, 63, 64, 65, 128, 4096, 8127, 8128, 8129, 8191, 8192, 8193):
        step += jump
        taken += sent([step])
        taken -= 2 * sent([step])
    checks.equal(taken, 12, "jumps of 1, 63, 64, 65 ... 8193: each new one once")
    checks.equal(sent([2**60, 2**60 - 1, 2**60]), 2, "at 2^60")
    checks.equal(sent([2**63, 2**63 - 8128, 2**63 - 8129, 2**63 + 1]), 3, "across the sign of 64 bits")
    checks.equal(sent([REJECT_AFTER_MESSAGES, REJECT_AFTER_MESSAGES + 1, 2**64 - 1]), 0, "the counters from 2^64 - 8,130 on are refused")
    checks.equal(sent([REJECT_AFTER_MESSAGES - 1]), 1, "the last before them is accepted")
    checks.equal(sent([REJECT_AFTER_MESSAGES - 1, REJECT_AFTER_MESSAGES - 2, REJECT_AFTER_MESSAGES, 5]), 0, "and ends the session")
    session = shake(main, main4)
    checks.ok(session and echo(session, main4, 400), "a new handshake begins a new one")
    checks.quiet_kernel()


def floods():
    checks.chapter("Noise")
    # Its session has been ended at our end, with the device's key. If it is two minutes old, both begin a new one at once, which
    # takes five seconds.
    run("ip", "-n", "out", "link", "set", "wg9", "down")
    run("ip", "-n", "out", "link", "set", "wg9", "up")
    checks.ok(friend(), "the other tunnel has a new session")
    session = established()
    with block("4,000 datagrams of noise of all lengths, half of them with a valid first word"):
        for number in range(4000):
            head = struct.pack("<I", random.randrange(1, 5)) if number % 2 else b""
            length = random.choice((random.randrange(0, 200), random.randrange(0, 1473)))
            stranger.send((head + os.urandom(max(0, length - len(head))))[:length])
    with block("500 of them over IPv6"):
        for number in range(500):
            stranger6.send(struct.pack("<I", random.randrange(1, 5)) + os.urandom(random.choice((28, 60, 88, 144))))
    checks.ok(echo(session, main4, 500), "the session we had before the noise still works")
    session6 = shake(main, main6)
    checks.ok(session6 and echo(session6, main6, 501), "and roams to IPv6 when we call from there")
    checks.equal(netlink.peer("wg0", main_key.public)["endpoint"], "[fd09::2]:5000", "which the device shows as the endpoint")
    checks.ok(echo(session6, main4, 502) and netlink.peer("wg0", main_key.public)["endpoint"] == "10.9.0.2:5000", "one data packet from IPv4 brings it back")


def key_changes():
    checks.chapter("The device's key changes while initiations are handled")
    callers = [Key() for _ in range(12)]
    for number, caller in enumerate(callers):
        add_peer(caller, "192.168.60.%d/32" % number)
    sock, keys, rounds, lost = udp("10.9.0.2", 5004), [device_key, Key()], 16, []
    for number in range(rounds):
        old, new = keys[number % 2], keys[1 - number % 2]
        initiations = [Peer(caller, old.public).initiation(tai64n(time.time() + n / 1000)) for n in range(8) for caller in callers]
        # Beside us, so that some of them are being handled when the key changes.
        sender = threading.Thread(target=send_all, args=(sock, initiations, 0.0002))
        sender.start()
        time.sleep(random.uniform(0.002, 0.02))
        netlink.call(wgnetlink.SET, wgnetlink.name("wg0"), attribute(wgnetlink.D_PRIVATE, new.private))
        sender.join()
        time.sleep(0.1)
        # Nothing that was computed with the old key may be left.
        lost += ["round %d, caller %d" % (number, index) for index, caller in enumerate(callers) if not shake(Peer(caller, new.public), sock)]
    checks.equal(lost, [], "%d times: all callers can shake hands with the new key" % rounds)
    for caller in callers:
        remove_peer(caller)
    checks.ok(heartbeat(), "and others, with the first key")
    checks.quiet_kernel("no kernel message")


BLOCKS = [known_answers, initiations, responses, cookies, under_load, data, offload, merged, changing, window, key_changes, floods]
try:
    wanted = sys.argv[1:] or [function.__name__ for function in BLOCKS]
    add_peer(main_key, MAIN_IPS)
    friend()
    for function in BLOCKS:
        if function.__name__ in wanted:
            try:
                function()
            except Exception:  # noqa: BLE001 one block's trouble must not hide the next block's
                checks.ok(False, "the block `%s` runs to its end" % function.__name__, traceback.format_exc())
                remove_peer(main_key)
                add_peer(main_key, MAIN_IPS)
finally:
    cleanup()
checks.finish()
