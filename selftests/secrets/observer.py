#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Outside of the virtual machine of secrets.sh: the WireGuard peer at the other end of its cable, who looks into its memory.

observer.py FOLDER SCANNER: the folder has `cable` (a unix socket, made here), `memory` (the machine's) and `out`."""

import os
import select
import socket
import struct
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import wgpeer  # noqa: E402
from inet import checksum  # noqa: E402
from tap import Checks  # noqa: E402
from wgpeer import DATA, INITIATION, RESPONSE, Key, Peer  # noqa: E402

MASK = 0xA5
GRACE = 10  # seconds within which a key must be gone
HERE, THERE = ("10.9.0.2", 5000), ("10.9.0.1", 51820)


class Verdicts(Checks):
    """The kernel whose log counts is that of the virtual machine; scripts/vm reads it."""

    @staticmethod
    def kernel_lines():
        return []


class Stuck(Exception):
    """Nothing to go on with."""


class Machine:
    def __init__(self, folder, scanner):
        self.folder, self.scanner, self.commands = folder, scanner, 0
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(folder, "cable"))
        listener.listen()
        listener.settimeout(120)
        try:
            self.cable = listener.accept()[0]
        except TimeoutError:
            raise Stuck("the virtual machine did not start") from None
        self.buffer = b""

    def command(self, *words):
        self.commands += 1
        path = os.path.join(self.folder, "out", str(self.commands))
        with open(path + ".part", "w") as file:
            file.write("\n".join(words))
        os.rename(path + ".part", path)
        return path

    def end(self):
        self.command("end")

    def tell(self, *words, seconds=120):
        """A command for guest.py; its answer."""
        path = self.command(*words)
        until = time.monotonic() + seconds
        while not os.path.exists(path + ".done"):
            if time.monotonic() > until:
                raise Stuck("the virtual machine did not answer: %s" % words[0])
            self.receive(0.1)  # so that the cable does not fill up
        with open(path + ".done") as file:
            return file.read()

    def send(self, datagram):
        """A datagram from HERE to THERE, without a checksum of its own."""
        udp = struct.pack("!HHHH", HERE[1], THERE[1], 8 + len(datagram), 0) + datagram
        head = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, socket.inet_aton(HERE[0]), socket.inet_aton(THERE[0])))
        head[10:12] = struct.pack("!H", checksum(bytes(head)))
        frame = bytes.fromhex("020000000001020000000002") + b"\x08\0" + bytes(head) + udp
        self.cable.sendall(struct.pack("!I", len(frame)) + frame)

    def receive(self, seconds):
        """The next datagram from THERE to HERE, or None."""
        until = time.monotonic() + seconds
        while True:
            while len(self.buffer) >= 4:
                size = struct.unpack_from("!I", self.buffer)[0]
                if len(self.buffer) < 4 + size:
                    break
                frame, self.buffer = self.buffer[4:4 + size], self.buffer[4 + size:]
                if frame[12:14] == b"\x08\0" and frame[23] == 17 and struct.unpack_from("!HH", frame, 34) == (THERE[1], HERE[1]):
                    return frame[42:34 + struct.unpack_from("!H", frame, 38)[0]]
            if not select.select([self.cable], [], [], max(0, until - time.monotonic()))[0]:
                return None
            data = self.cable.recv(1 << 16)
            if not data:
                raise Stuck("the virtual machine has stopped")
            self.buffer += data

    def wait_for(self, kind, seconds=60):
        until = time.monotonic() + seconds
        while True:
            message = self.receive(max(0, until - time.monotonic()))
            if message is None:
                raise Stuck("no message of type %d came" % kind)
            if message[:4] == struct.pack("<I", kind):
                return message

    def memory(self):
        return os.path.join(self.folder, "memory")

    def find(self, secrets):
        """{name: [offsets]} of byte strings in the machine's memory."""
        lines = "".join("%s %s\n" % (name, value.hex()) for name, value in secrets.items())
        done = subprocess.run([self.scanner, self.memory()], input=lines, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Stuck(done.stderr.strip())
        found = {}
        for line in done.stdout.splitlines():
            name, offset = line.split()
            found.setdefault(name, []).append(int(offset))
        return found

    def around(self, offset, size):
        with open(self.memory(), "rb") as file:
            file.seek(max(0, offset - size))
            return file.read(2 * size)


class Trail:
    """Every key that our own end of a handshake derives: the other end has derived the same ones."""

    def __init__(self):
        self.original, self.keys = wgpeer.kdf, []
        wgpeer.kdf = self.kdf

    def kdf(self, key, data, count):
        out = self.original(key, data, count)
        self.keys += out
        return out

    def take(self):
        keys, self.keys = self.keys, []
        return keys


checks = Verdicts()


def clamped():
    private = bytearray(os.urandom(32))
    private[0] &= 248
    private[31] = private[31] & 127 | 64
    return Key(bytes(private))


def masked(secret):
    return bytes(byte ^ MASK for byte in secret).hex()


def present(machine, words, **secrets):
    """Whether all of these are in memory: that a scan finds what there is."""
    found = machine.find(secrets)
    missing = [name for name in secrets if name not in found]
    checks.ok(not missing, words, "not found: %s" % ", ".join(missing))
    return found


def absent(machine, words, **secrets):
    """Whether none is, after a while for grace periods."""
    start = time.monotonic()
    while True:
        time.sleep(1)
        found = machine.find(secrets)
        if not found or time.monotonic() - start > GRACE:
            break
    why = []
    for name, offsets in found.items():
        for offset in offsets[:4]:
            why.append("%s is at %#x, in a page with: %s" % (name, offset, machine.tell("page", str(offset // 4096))))
            if os.environ.get("VERBOSE"):
                data = machine.around(offset & ~7, 512)
                why += ["  %+5d: %s" % (at - 512, " ".join("%016x" % word for word in struct.unpack_from("<4Q", data, at))) for at in range(0, 1024, 32)]
    checks.ok(not found, words, "\n".join(why))


def ephemeral_private(machine, public, places):
    """The private key of a public one, somewhere near these places: 32 bytes that have its form and give it."""
    for place in places:
        data = machine.around(place, 1024)
        for at in range(len(data) - 31):
            candidate = data[at:at + 32]
            if not candidate[0] & 7 and candidate[31] & 0xC0 == 0x40 and len(set(candidate)) > 16 and Key(candidate).public == public:
                return candidate
    return None


def name_all(prefix, keys):
    return {"%s-%d" % (prefix, number): key for number, key in enumerate(keys)}


def look(machine):
    trail = Trail()
    ours, theirs = Key(), clamped()
    psk = os.urandom(32)
    public = ours.public.hex()
    checks.chapter("Keys are in memory for as long as they are needed")
    checks.note(machine.tell("scene"))
    # What it derives is of no more use when a handshake is over.
    transient = {}

    machine.tell("private", masked(theirs.private))
    machine.tell("peer", public, masked(psk), HERE[0], str(HERE[1]))
    machine.tell("sh", "wg set wg0 listen-port %d; ip link set wg0 up" % THERE[1])
    static = ours.shared(theirs.public)
    configured = present(machine, "the private and the preshared key of a device are found", private=theirs.private, psk=psk)

    # The device begins a handshake, and has no answer yet.
    peer = Peer(ours, theirs.public, psk)
    machine.tell("knock")
    message = machine.wait_for(INITIATION)
    trail.take()
    peer.consume_initiation(message)
    # The first key that a handshake derives is made of public values only.
    initiated = trail.take()[1:]
    transient.update(name_all("initiation", initiated), es=ours.shared(message[8:40]))
    found = present(machine, "the secret of both static keys and a handshake's chaining key are found while it waits for its answer",
                    static=static, chain=peer.chain)
    ephemeral = ephemeral_private(machine, message[8:40], found.get("static", []) + configured.get("psk", []) + found.get("chain", []))
    checks.ok(ephemeral, "so is the ephemeral private key: 32 bytes that give the initiation's public key")
    if ephemeral:
        transient["ephemeral"] = ephemeral

    # We answer: a first session.
    e = Key()
    ee, se = e.shared(message[8:40]), e.shared(theirs.public)
    answer, first = peer.response(ephemeral_public=e.public, ee=ee, se=se)
    keys = trail.take()
    transient.update(name_all("response", [key for key in keys if key not in (first.send_key, first.receive_key)]), ee=ee, se=se)
    machine.send(answer)
    while True:
        try:
            first.open(machine.wait_for(DATA))
            break
        except ValueError:
            pass
    present(machine, "both keys of the session that the device began are found", send=first.receive_key, receive=first.send_key)
    absent(machine, "nothing else of that handshake is: no ephemeral key, no secret of two keys, none of the %d keys in between" % len(transient), **transient)

    # Two more, that we begin.
    sessions = [first]
    for _ in range(2):
        time.sleep(0.1)
        trail.take()
        begun = peer.initiation()
        es = peer.ephemeral.shared(theirs.public)
        machine.send(begun)
        answer = machine.wait_for(RESPONSE)
        session = peer.consume_response(answer)
        keys = [key for key in trail.take()[1:] if key not in (session.send_key, session.receive_key)]
        transient.update(name_all("handshake%d" % len(sessions), keys), es2=es, ee2=peer.ephemeral.shared(answer[12:44]), se2=ours.shared(answer[12:44]))
        machine.send(session.data())
        sessions.append(session)
        machine.tell("sh", "true")
    present(machine, "after two more handshakes the last two sessions' keys are found",
            **{"send-%d" % n: s.receive_key for n, s in enumerate(sessions[1:])}, **{"receive-%d" % n: s.send_key for n, s in enumerate(sessions[1:])})
    absent(machine, "the first session's keys are not, nor anything else of %d keys of three handshakes" % len(transient),
           send=first.receive_key, receive=first.send_key, **transient)

    checks.chapter("And no longer")
    psk2, theirs2 = os.urandom(32), clamped()
    machine.tell("peer", public, masked(psk2))
    present(machine, "a new preshared key is found", psk=psk2)
    absent(machine, "the former one is not", psk=psk)
    live = {"%s-%d" % (way, n): key for n, s in enumerate(sessions[1:]) for way, key in (("send", s.receive_key), ("receive", s.send_key))}
    machine.tell("sh", "ip link set wg0 down")
    absent(machine, "with the link down the keys of no session are", **live)
    machine.tell("private", masked(theirs2.private))
    present(machine, "a new private key is found", private=theirs2.private)
    absent(machine, "the former one is not, nor the secret of both static keys", private=theirs.private, static=static)
    machine.tell("sh", "ip link set wg0 up")
    machine.tell("knock")
    peer = Peer(ours, theirs2.public, psk2)
    trail.take()
    message = machine.wait_for(INITIATION)
    peer.consume_initiation(message)
    last = dict(name_all("last", trail.take()[1:]), laststatic=ours.shared(theirs2.public), lastes=ours.shared(message[8:40]))
    found = present(machine, "in a last handshake its chaining key and the new secret of both static keys are found",
                    static=last["laststatic"], chain=peer.chain)
    ephemeral = ephemeral_private(machine, message[8:40], found.get("static", []) + found.get("chain", []))
    checks.ok(ephemeral, "and the ephemeral key")
    if ephemeral:
        last["lastephemeral"] = ephemeral
    machine.tell("sh", "ip link del wg0")
    everything = dict(transient, **last, **live, private=theirs.private, private2=theirs2.private, psk=psk, psk2=psk2, static=static,
                      send=first.receive_key, receive=first.send_key)
    absent(machine, "after `ip link del` none of all %d keys is anywhere in memory" % len(everything), **everything)


try:
    machine = Machine(*sys.argv[1:])
    try:
        look(machine)
    finally:
        machine.end()
except Stuck as error:
    checks.note(str(error))
    checks.ok(False, "the virtual machine and its peer get on with it")
checks.finish()
