#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: packets that stand for many (GSO) of TCP and UDP: how they are cut, their lengths and checksums, inside and on the wire; broken ones
# cost: slow
# limit: 900
"""Packets that stand for many: of UDP (UDP_SEGMENT), of TCP, and made by hand (AF_PACKET with a virtio header) so that they can be broken.
Observed: every packet inside the messages on the wire: its lengths, numbers, flags and checksums; what is counted."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0])
from lib import finish, observe  # noqa: E402
from packets_scene import *  # noqa: E402,F403

UDP_SEGMENT, PACKET_VNET_HDR = 103, 15
scene = Scene()
scene.udp()


def fresh():
    """A new session: what its age would do does not come in between."""
    global session
    session = scene.shake()
    scene.fence(session)


def plains():
    """What comes out on the wire, until an echo that is sent now is answered: (outer, what is in it) of each message."""
    opened = [(packet, scene.open(session, packet)) for packet in scene.fence(session)]
    return [(packet, plain) for packet, plain in opened if plain]


def faults(plain):
    """What is wrong with a packet; its bytes without padding."""
    wrong = []
    if plain[0] >> 4 == 4:
        length, head, protocol = struct.unpack_from("!H", plain, 2)[0], (plain[0] & 15) * 4, plain[9]
        source, destination = (socket.inet_ntop(socket.AF_INET, plain[n:n + 4]) for n in (12, 16))
        if checksum(plain[:head]):
            wrong.append("header checksum")
        fragment = struct.unpack_from("!H", plain, 6)[0] & 0x3FFF
    else:
        length, head, protocol, fragment = 40 + struct.unpack_from("!H", plain, 4)[0], 40, plain[6], 0
        source, destination = (socket.inet_ntop(socket.AF_INET6, plain[n:n + 16]) for n in (8, 24))
        if protocol == 44:
            fragment, protocol = 1, plain[40]
    if length > len(plain):
        return ["length"], plain
    if any(plain[length:]):
        wrong.append("padding")
    data = plain[head:length]
    if not fragment and protocol in (6, 17) and checksum(pseudo(source, destination, protocol, len(data)) + data):
        wrong.append("checksum")
    if not fragment and protocol == 17 and struct.unpack_from("!H", data, 4)[0] != len(data):
        wrong.append("UDP length")
    return wrong, plain[:length]


def describe(got):
    """All messages, in runs of what is alike."""
    out, wrong = [], set()
    for packet, plain in got:
        bad, plain = faults(plain)
        wrong.update(bad)
        if plain[0] >> 4 == 4:
            head, protocol = (plain[0] & 15) * 4, plain[9]
            flags = "%s%s%s" % (" DF" if plain[6] & 0x40 else "", " MF" if plain[6] & 0x20 else "", " at %d" % ((struct.unpack_from("!H", plain, 6)[0] & 0x1FFF) * 8) if plain[6] & 0x1F or plain[7] else "")
            flags += " ECN %d" % (plain[1] & 3)
        else:
            head, protocol, flags = 40, plain[6], " ECN %d" % (plain[1] >> 4 & 3)
        if protocol == 6:
            flags += " TCP flags %#x" % plain[head + 13]
        line = "%d in %d%s" % (len(plain), len(packet.payload), flags)
        if out and out[-1][0] == line:
            out[-1][1] += 1
        else:
            out.append([line, 1])
    return "%s%s" % (", ".join("%dx %s" % (n, line) for line, n in out) or "nothing", "; WRONG: " + " ".join(sorted(wrong)) if wrong else "")


def numbers(got):
    """How the messages and the packets in them are numbered."""
    counters = [struct.unpack_from("<Q", packet.payload, 8)[0] for packet, _ in got]
    idents = [struct.unpack_from("!H", plain, 4)[0] for _, plain in got if plain[0] >> 4 == 4]

    def steps(values):
        return "of one" if len(values) < 2 else "+1" if all((b - a) & 0xFFFF == 1 for a, b in zip(values, values[1:])) else "all alike" if len(set(values)) == 1 else "other"
    return "counters %s, identifications %s" % (steps(counters), steps(idents))


# ---------------------------------------------------------------- UDP
for family, to in ((4, scene.PEER4), (6, scene.PEER6)):
    fresh()
    sock = scene.app(family)
    for size, count, rest in ((1, 3, 0), (100, 10, 0), (100, 10, 37), (500, 20, 1), (1000, 60, 999), (1372 if family == 6 else 1392, 40, 100), (1372 if family == 6 else 1392, 2, 0), (1393, 3, 0), (1480, 3, 0)):
        data = b"".join(bytes([n & 255]) * size for n in range(count)) + b"\xee" * rest
        before = scene.counters()
        scene.heard()
        said = lib.attempt(sock.sendmsg, [data], [(17, UDP_SEGMENT, struct.pack("=H", size))], 0, (to, 99))
        got = plains()
        words = "UDP over IPv%d, %d segments of %d bytes and %d" % (family, count, size, rest)
        observe(words, "errno %s; %s" % (said, describe(got)))
        observe("%s: numbers" % words, numbers(got))
        head = 28 if family == 4 else 48
        observe("%s: contents" % words, "as sent" if b"".join(faults(p)[1][head:] for _, p in got) == data else "nothing" if not got else "other")
        observe("%s: counted, with an echo and its answer" % words, scene.moved(before))
    # Marks and lifetimes are those of the socket in each of them.
    sock.setsockopt(*((socket.IPPROTO_IP, socket.IP_TOS, 0xBA) if family == 4 else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 0xBA)))
    sock.setsockopt(*((socket.IPPROTO_IP, socket.IP_TTL, 9) if family == 4 else (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 9)))
    sock.sendmsg([b"m" * 5000], [(17, UDP_SEGMENT, struct.pack("=H", 1000))], 0, (to, 99))
    got = plains()
    observe("UDP over IPv%d, marked" % family, "outer DS fields %s, inner hop limits %s" % (sorted({hex(p.tos) for p, _ in got}), sorted({i[8] if family == 4 else i[7] for _, i in got})))
    # In fragments.
    big = scene.app(family)
    big.setsockopt(*((socket.IPPROTO_IP, 10, 0) if family == 4 else (socket.IPPROTO_IPV6, 23, 0)))
    for size in (1393, 3000, 20000):
        scene.heard()
        big.sendto(b"f" * size, (to, 99))
        observe("UDP over IPv%d, %d bytes in fragments" % (family, size), describe(plains()))

# ---------------------------------------------------------------- TCP: an application connects to us, and we speak just enough TCP
scene.sh("sysctl -qw net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0 net.ipv4.tcp_ecn=0 net.ipv4.tcp_no_metrics_save=1 net.ipv4.tcp_early_retrans=0")


def tcp_packet(source, destination, sport, dport, seq, ack, flags, options=b""):
    head = struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, (5 + len(options) // 4) << 4, flags, 65535, 0, 0) + options
    total = checksum(pseudo(source, destination, 6, len(head)) + head)
    return ip_packet(source, destination, 6, head[:16] + struct.pack("!H", total) + head[18:])


for family, ours, theirs in ((4, scene.PEER4, scene.IN4), (6, scene.PEER6, scene.IN6)):
    for mss, amount in ((1380 if family == 4 else 1360, 100000), (536, 30000), (1000, 1), (1380 if family == 4 else 1360, 5000)):
        fresh()
        sock = scene.app(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, 32, 1 << 20)  # SO_SNDBUFFORCE: all of it at once, and nobody waits
        sock.setblocking(False)
        scene.heard()
        before = scene.counters()
        sock.connect_ex((ours, 99))
        head = 20 if family == 4 else 40
        state, pieces, wrong, syn, written, finished = {}, {}, set(), 0, 0, False
        until = time.monotonic() + 60
        data = bytes(n * 7 & 255 for n in range(amount))
        while time.monotonic() < until and not finished:
            packet = scene.hear(0.2, lambda p: p.kind == "data")
            plain = scene.open(session, packet) if packet else None
            if not plain or (plain[9] if family == 4 else plain[6]) != 6:
                continue
            bad, plain = faults(plain)
            wrong.update(bad)
            sport, dport, seq, ack, offset, flags = struct.unpack_from("!HHIIBB", plain, head)
            if sport == 22:
                continue
            body = plain[head + (offset >> 4) * 4:]
            if flags & 2:
                syn, port = seq, sport
                scene.say(session.data(tcp_packet(ours, theirs, 99, sport, 5000, seq + 1, 0x12, struct.pack("!BBHBBBB", 2, 4, mss, 1, 3, 3, 7))))
                continue
            if not body and not written:
                # Connected.
                written = sock.send(data)
                continue
            if body:
                at = (seq - syn - 1) & 0xFFFFFFFF
                pieces.setdefault(at, (len(body), len(plain), len(packet.payload), data[at:at + len(body)] == body))
                have = 0
                while have in pieces:
                    have += pieces[have][0]
                scene.say(session.data(tcp_packet(ours, theirs, 99, port, 5001, syn + 1 + have, 0x10)))
                finished = have == amount
        sizes = [pieces[at][1:3] for at in sorted(pieces)]
        words = "TCP over IPv%d, %d bytes, MSS %d" % (family, amount, mss)
        observe(words, "%s; contents %s%s" % (", ".join("%dx %d in %d" % (sizes.count(s), *s) for s in sorted(set(sizes))), "as sent" if finished and all(p[3] for p in pieces.values()) else "OTHER", "; WRONG: " + " ".join(sorted(wrong)) if wrong else ""))
        # Away with it: a reset.
        scene.say(session.data(tcp_packet(ours, theirs, 99, port, 5001, 0, 0x04)))
        sock.close()

# ---------------------------------------------------------------- by hand
with in_netns("dut"):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.setsockopt(263, PACKET_VNET_HDR, 1)
    raw.bind(("wg0", 0))
TCP4, UFO, TCP6, UDP_L4, ECN = 1, 3, 4, 5, 0x80


def hand(words, packet, gso=0, size=0, head=0, start=0, offset=0, needs_csum=1):
    before = scene.counters()
    scene.heard()
    said = lib.attempt(raw.sendto, struct.pack("=BBHHHH", needs_csum, gso, head, size, start, offset) + packet, ("wg0", 0x0800 if packet[0] >> 4 == 4 else 0x86DD))
    got = plains()
    observe("by hand: %s" % words, "errno %s; %s; %s" % (said, describe(got), scene.moved(before)))


def partial(source, destination, protocol, segment):
    """A packet whose checksum is yet to be finished: its field holds the sum of the pseudo header."""
    at = 16 if protocol == 6 else 6
    total = ~checksum(pseudo(source, destination, protocol, len(segment))) & 0xFFFF
    return ip_packet(source, destination, protocol, segment[:at] + struct.pack("!H", total) + segment[at + 2:], flags=2 if "." in source else 0)


def tcp(length, flags=0x18, offset=5):
    return struct.pack("!HHIIBBHHH", 7, 8, 100, 0, offset << 4, flags, 1000, 0, 0) + bytes(n & 255 for n in range(length))


def udp(length, says=None):
    return struct.pack("!HHHH", 7, 8, (8 + length) & 0xFFFF if says is None else says, 0) + bytes(n & 255 for n in range(length))


fresh()
a4, b4, a6, b6 = scene.IN4, scene.PEER4, scene.IN6, scene.PEER6
for flags, words in ((0x18, "PSH ACK"), (0x19, "FIN PSH ACK"), (0x90, "CWR ACK"), (0x50, "ECE ACK"), (0x30, "URG ACK")):
    hand("TCP %s, 4 segments" % words, partial(a4, b4, 6, tcp(3500, flags)), TCP4, 1000, 40, 20, 16)
    hand("TCP %s, 4 segments, IPv6" % words, partial(a6, b6, 6, tcp(3500, flags)), TCP6, 1000, 60, 40, 16)
hand("TCP CWR with the mark of ECN", partial(a4, b4, 6, tcp(3500, 0x90)), TCP4 | ECN, 1000, 40, 20, 16)
hand("UDP, 4 segments", partial(a4, b4, 17, udp(3500)), UDP_L4, 1000, 28, 20, 6)
hand("UDP, 4 segments, IPv6", partial(a6, b6, 17, udp(3500)), UDP_L4, 1000, 48, 40, 6)
hand("UDP, to be fragmented", partial(a4, b4, 17, udp(3500)), UFO, 1000, 28, 20, 6)
hand("UDP, to be fragmented, IPv6", partial(a6, b6, 17, udp(3500)), UFO, 1000, 48, 40, 6)
hand("TCP, one segment", partial(a4, b4, 6, tcp(900)), TCP4, 1000, 40, 20, 16)
hand("TCP, only its checksum missing", partial(a4, b4, 6, tcp(900)), 0, 0, 40, 20, 16)
hand("UDP, only its checksum missing", partial(a4, b4, 17, udp(900)), 0, 0, 28, 20, 6)
hand("UDP, only its checksum missing, IPv6", partial(a6, b6, 17, udp(900)), 0, 0, 48, 40, 6)
hand("TCP, segments larger than the MTU", partial(a4, b4, 6, tcp(5000)), TCP4, 2000, 40, 20, 16)
hand("TCP, 64 KB", partial(a4, b4, 6, tcp(65000)), TCP4, 1380, 40, 20, 16)
hand("TCP, segments of 100 bytes", partial(a4, b4, 6, tcp(20000)), TCP4, 100, 40, 20, 16)
hand("TCP whose header is too short", partial(a4, b4, 6, tcp(3500, offset=3)), TCP4, 1000, 40, 20, 16)
hand("TCP whose header is longer than the packet says", partial(a4, b4, 6, tcp(3500, offset=15)), TCP4, 1000, 40, 20, 16)
hand("TCP over IPv6 that says it is IPv4", partial(a6, b6, 6, tcp(3500)), TCP4, 1000, 60, 40, 16)
hand("UDP that says it is TCP", partial(a4, b4, 17, udp(3500)), TCP4, 1000, 28, 20, 6)
hand("TCP that says it is UDP", partial(a4, b4, 6, tcp(3500)), UDP_L4, 1000, 40, 20, 16)
hand("UDP with a length that lies", partial(a4, b4, 17, udp(3500, says=100)), UDP_L4, 1000, 28, 20, 6)
hand("IPv4 with a length that lies, TCP", (lambda p: p[:2] + struct.pack("!H", 100) + p[4:])(partial(a4, b4, 6, tcp(3500))), TCP4, 1000, 40, 20, 16)
hand("IPv4 with a header of four words, TCP", (lambda p: b"\x44" + p[1:])(partial(a4, b4, 6, tcp(3500))), TCP4, 1000, 40, 20, 16)
hand("IPv4 with a header of fifteen words, TCP", (lambda p: b"\x4f" + p[1:])(partial(a4, b4, 6, tcp(3500))), TCP4, 1000, 40, 20, 16)
hand("a fragment with TCP segments", (lambda p: p[:6] + b"\x20\x00" + p[8:])(partial(a4, b4, 6, tcp(3500))), TCP4, 1000, 40, 20, 16)
hand("a checksum to be put beyond the packet", partial(a4, b4, 17, udp(100)), 0, 0, 28, 120, 16)
hand("a checksum to be put at its end", partial(a4, b4, 17, udp(100)), 0, 0, 28, 20, 107)
hand("a checksum to be put into the IP header", partial(a4, b4, 17, udp(100)), 0, 0, 28, 0, 10)
hand("to no peer", partial(a4, "192.168.50.9", 6, tcp(3500)), TCP4, 1000, 40, 20, 16)
hand("to no peer, IPv6", partial(a6, "fd50::9", 6, tcp(3500)), TCP6, 1000, 60, 40, 16)
scene.end()
finish()
