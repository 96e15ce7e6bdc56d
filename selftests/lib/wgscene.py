# SPDX-License-Identifier: GPL-2.0
"""The scene of scenarios about time and floods: the device under test in a namespace of its own, and ends of tunnels
(wgpeer.py) outside of it that are ours to the message. What the device sends is noted with the time at which it came."""

import atexit
import select
import socket
import struct
import threading
import time
import traceback

from inet import b64, checksum
from netlink import Links, in_netns, run
from wgnetlink import WireGuard
from wgpeer import COOKIE, DATA, INITIATION, RESPONSE, InvalidTag, Key, Peer

DEVICE, HERE, OUT = "dut", "10.9.0.1", "out"
PORT = 51820
INITIATION_HEARD, RESPONSE_HEARD, COOKIE_HEARD = "initiation", "response", "cookie reply"
KEEPALIVE_HEARD, DATA_HEARD, OTHER_HEARD = "keepalive", "data", "unreadable data"


def ipv4(source, destination, protocol, payload=b"", tos=0):
    """An inner packet."""
    head = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, tos, 20 + len(payload), 0, 0, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(destination)))
    head[10:12] = struct.pack("!H", checksum(bytes(head)))
    return bytes(head) + payload


def unasked(source, destination, payload=b"data"):
    """An inner packet that nobody answers: an echo reply that nobody waits for."""
    body = struct.pack("!HH", 1, 1) + payload
    return ipv4(source, destination, 1, struct.pack("!BBH", 0, 0, checksum(bytes(4) + body)) + body)


def in_bounds(seconds, least, most, words=None):
    """The words if a duration lies in its bounds, else the duration. Timers expire a little late by their nature: the kernel's
    timer wheel is coarse for long delays (a quarter of a second at 10 seconds, 2 at 100, 16 at 540)."""
    if seconds is None:
        return "never"
    if least - 0.02 <= seconds <= most:
        return words or "%g to %g s" % (least, most)
    return "%.3f s" % seconds


_mine = threading.local()
_netlink = threading.Lock()


def see(key, value):
    """An observation of a part that runs together with others."""
    _mine.seen.append((key, value))


def together(observe, *parts):
    """Runs parts of a scenario at the same time, as they mostly wait; each has peers of its own. Then passes on what they saw,
    part by part."""
    seen = [[] for _ in parts]
    broken = []

    def play(number):
        _mine.seen = seen[number]
        try:
            parts[number]()
        except BaseException:  # whatever it is, the scenario has failed
            broken.append("%s: %s" % (parts[number].__name__, traceback.format_exc()))

    threads = [threading.Thread(target=play, args=(number,), daemon=True) for number in range(len(parts))]
    for thread in threads:
        thread.start()
        time.sleep(0.05)
    for thread in threads:
        thread.join()
    for part in seen:
        for key, value in part:
            observe(key, value)
    if broken:
        raise SystemExit("\n".join(broken))


class Event:
    def __init__(self, at, kind, plain=b"", message=b"", mac2=False):
        self.at, self.kind, self.plain, self.message, self.mac2 = at, kind, plain, message, mac2

    def __repr__(self):
        return "%s at %.3f" % (self.kind, self.at)


class Scene:
    def __init__(self, up=True):
        run("sh", "-c", "for n in dut out; do ip netns add $n || exit; ip -n $n link set lo up; "
            "ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0 net.ipv6.conf.default.mldv2_unsolicited_report_interval=0; done")
        atexit.register(self.clean)
        run("sh", "-c", """set -e
            ip link add name under netns dut type veth peer name outer netns out
            ip -n dut address add 10.9.0.1/16 dev under; ip -n dut address add fd09::1/48 dev under; ip -n dut link set under up
            ip -n out address add 10.9.0.2/16 dev outer; ip -n out address add fd09::2/48 dev outer; ip -n out link set outer up
            ip -n dut link add wg0 type wireguard
            ip netns exec dut sysctl -qw net.ipv6.conf.wg0.disable_ipv6=1
            ip -n dut address add 192.168.50.1/24 dev wg0""")
        self.key = Key()
        self.wg("set", "wg0", "listen-port", str(PORT), "private-key", "/proc/self/fd/0", input=b64(self.key.private).encode())
        with in_netns(DEVICE):
            self.links, self.netlink = Links(), WireGuard()
            self.inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)  # an application's
        if up:
            self.up()
        self.ends = 0

    @staticmethod
    def clean():
        for name in (DEVICE, OUT):
            run("ip", "netns", "del", name, check=False)

    @staticmethod
    def wg(*arguments, **more):
        return run("ip", "netns", "exec", DEVICE, "wg", *arguments, **more)

    @staticmethod
    def up():
        run("ip", "-n", DEVICE, "link", "set", "wg0", "up")

    @staticmethod
    def down():
        run("ip", "-n", DEVICE, "link", "set", "wg0", "down")

    def statistics(self):
        with _netlink:
            return self.links.statistics("wg0")

    def dropped(self):
        return self.statistics()["tx_dropped"]

    def send_inside(self, address, payload=b"data"):
        """An application on the device's side sends a datagram through the tunnel."""
        self.inside.sendto(payload, (address, 9))


def udp_socket(address, port, buffer=8 << 20):
    """A socket outside that talks to the device's."""
    with in_netns(OUT):
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((address, port))
        sock.setsockopt(socket.SOL_SOCKET, 33, buffer)  # SO_RCVBUFFORCE
        sock.connect(("fd09::1" if ":" in address else HERE, PORT))
        return sock


class End(Peer):
    """A peer of the device, with the sessions that it has had."""

    def __init__(self, scene, *options, port=None, address="10.9.0.2", endpoint=True, key=None):
        with _netlink:
            scene.ends += 1
            number = scene.ends
        self.scene = scene
        super().__init__(key or Key(), scene.key.public)
        # Both may begin a handshake at the same time: theirs has a state of its own.
        self.theirs = Peer(self.key, scene.key.public)
        self.address = address
        self.ip = "192.168.50.%d" % (number + 1)
        self.sock = udp_socket(address, port or 5000 + number)
        self.sessions = []
        self.origin = time.monotonic()
        self.silent = False
        self.response_mac1 = None
        words = ["set", "wg0", "peer", b64(self.key.public), "allowed-ips", self.ip + "/32"]
        if endpoint:
            name = self.sock.getsockname()
            words += ["endpoint", "%s:%d" % ("[%s]" % name[0] if ":" in name[0] else name[0], name[1])]
        scene.wg(*words, *options)

    @property
    def session(self):
        return self.sessions[-1]

    @property
    def remote_index(self):
        """Of the device's last initiation."""
        return self.theirs.remote_index

    def consume_initiation(self, message):
        return self.theirs.consume_initiation(message)

    def response(self, **how):
        return self.theirs.response(**how)

    def cookie_reply(self, mac1, cookie, **how):
        return self.theirs.cookie_reply(mac1, cookie, **how)

    def set(self, *options, **more):
        self.scene.wg("set", "wg0", "peer", b64(self.key.public), *options, **more)

    def start(self):
        """The clock of events begins here."""
        self.origin = time.monotonic()
        self.drain()

    def now(self):
        return time.monotonic() - self.origin

    def _event(self, message):
        at = self.now()
        kind = struct.unpack_from("<I", message)[0] if len(message) >= 4 else 0
        if kind == INITIATION:
            self.consume_initiation(message)
            return Event(at, INITIATION_HEARD, message=message, mac2=any(message[-16:]))
        if kind == RESPONSE:
            return Event(at, RESPONSE_HEARD, message=message, mac2=any(message[-16:]))
        if kind == COOKIE:
            return Event(at, COOKIE_HEARD, message=message)
        if kind == DATA:
            for session in reversed(self.sessions):
                try:
                    plain = session.open(message)
                except (ValueError, InvalidTag):
                    continue
                event = Event(at, DATA_HEARD if plain else KEEPALIVE_HEARD, plain, message)
                event.session = self.sessions.index(session)
                return event
        return Event(at, OTHER_HEARD, message=message)

    def receive(self, seconds):
        """The next message as an event, None after so many seconds without one."""
        until = time.monotonic() + seconds
        while True:
            if not select.select([self.sock], [], [], max(0, until - time.monotonic()))[0]:
                return None
            try:
                return self._event(self.sock.recv(65536))
            except ConnectionRefusedError:
                continue

    def wait_for(self, kind, seconds):
        """The next message of a kind, others are passed over."""
        until = time.monotonic() + seconds
        while True:
            event = self.receive(max(0, until - time.monotonic()))
            if event is None or event.kind == kind:
                return event

    def drain(self):
        out = []
        while True:
            event = self.receive(0)
            if event is None:
                return out
            out.append(event)

    def collect(self, seconds, until=None):
        """All events of so many seconds, or until the clock of events shows so much. Nothing is answered."""
        end = time.monotonic() + seconds if until is None else self.origin + until
        events = []
        while True:
            event = self.receive(max(0, end - time.monotonic()))
            if event is None:
                return events
            events.append(event)

    def sleep_until(self, at):
        """Like collect(), for whom the events are of no interest."""
        return self.collect(0, until=at)

    def send(self, message):
        try:
            self.sock.send(message)
        except ConnectionRefusedError:
            self.sock.send(message)

    def initiate(self, confirm=True, seconds=3.0, **how):
        """A handshake with us as the initiator; whether it was answered. Confirming it means a keepalive from us."""
        time.sleep(0.03)
        self.send(self.initiation(**how))
        event = self.wait_for(RESPONSE_HEARD, seconds)
        if event is None:
            return False
        self.response_mac1 = event.message[-32:-16]
        self.sessions.append(self.consume_response(event.message))
        if confirm:
            self.send(self.session.data())
            time.sleep(0.01)
        return True

    def respond(self, seconds=3.0, event=None):
        """Waits for an initiation and answers it; whether there was one."""
        event = event or self.wait_for(INITIATION_HEARD, seconds)
        if event is None:
            return False
        message, session = self.response()
        self.sessions.append(session)
        self.send(message)
        return True

    def be_initiated(self, payload=b"first"):
        """A handshake with the device as the initiator. What it sends to confirm is taken out."""
        self.scene.send_inside(self.ip, payload)
        if not self.respond():
            return False
        return self.wait_for(DATA_HEARD, 3) is not None

    def packet(self, payload=b"data"):
        return unasked(self.ip, "192.168.50.1", payload)

    def send_data(self, session=None, **how):
        self.send((session or self.session).data(self.packet(), **how))

    def arrives(self, session=None):
        """Sends an inner packet; whether the device takes it out of the tunnel (the peer's counter of bytes says so)."""
        before = self.numbers()["rx"]
        self.send_data(session)
        time.sleep(0.1)
        return "accepted" if self.numbers()["rx"] > before else "dropped"

    def numbers(self):
        with _netlink:
            return self.scene.netlink.peer("wg0", self.key.public)


def kinds(events):
    """What came, in words: "2 initiations" is shorter than a list."""
    out = []
    for event in events:
        if out and out[-1][0] == event.kind:
            out[-1][1] += 1
        else:
            out.append([event.kind, 1])
    return ", ".join("%s%s" % (kind, " x %d" % count if count > 1 else "") for kind, count in out) or "nothing"
