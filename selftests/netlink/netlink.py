#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""The netlink family `wireguard` under wrong, odd and huge messages, packed by hand (lib/netlink.py). What each must
answer stands in the table: the error number, and where something must have changed or stayed, the dump afterwards.
The numbers were read off the kernel's C driver, whose interface this is."""

import errno
import os
import random
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from netlink import NLM_F_ACK, NLM_F_DUMP, Links, attribute, in_netns, nest, run  # noqa: E402
from tap import Checks  # noqa: E402
from wgnetlink import *  # noqa: E402,F403
from wgpeer import Key  # noqa: E402

run("sh", "-c", "[ -d /sys/module/wireguard ] || modprobe wireguard")
checks = Checks()
random.seed(2)
OK = 0
errors = {0: "success"}
errors.update(errno.errorcode)

run("sh", "-c", """
set -e
for n in dut far; do ip netns add $n; ip -n $n link set lo up; ip netns exec $n sysctl -qw net.ipv6.conf.default.accept_dad=0; done
ip link add name eth0 netns dut type veth peer name eth0 netns far
ip -n dut address add 10.1.0.1/24 dev eth0; ip -n dut link set eth0 up
ip -n far address add 10.1.0.2/24 dev eth0; ip -n far link set eth0 up
for n in wg0 tunnel; do ip -n dut link add $n type wireguard; done
ip -n far link add tunnel type wireguard
ip -n dut address add 10.2.0.1/24 dev tunnel; ip -n far address add 10.2.0.2/24 dev tunnel
""")

with in_netns("dut"):
    wg, links = WireGuard(), Links()
with in_netns("far"):
    far = WireGuard()

key, key2 = Key().private, Key().private
own = Key(key).public
peers = [os.urandom(32) for _ in range(100)]
P, Q = peers[0], peers[1]
DEV = name("wg0")
IDX = u32(D_IFINDEX, links.index("wg0"))


def peer(*inside, public=P):
    return nest(0, attribute(P_PUBLIC, public), *inside)


def peers_(*inside):
    return nest(D_PEERS, *inside)


def ip(family, data, cidr, *more):
    return nest(0, u16(A_FAMILY, family), attribute(A_IP, data), u8(A_CIDR, cidr), *more)


def ips(*inside):
    return nest(P_IPS, *inside)


V4, V6 = socket.AF_INET, socket.AF_INET6


def ip4(text, cidr=32, *more):
    return ip(V4, socket.inet_aton(text), cidr, *more)


def ip6(text, cidr=128, *more):
    return ip(V6, socket.inet_pton(V6, text), cidr, *more)


def setup_tunnel():
    a, b = Key(), Key()
    for socket_, mine, other, address, where, port in ((wg, a, b, "10.2.0.2", "10.1.0.2", 7001), (far, b, a, "10.2.0.1", "10.1.0.1", 7002)):
        there = 7002 if port == 7001 else 7001
        error = socket_.call(SET, name("tunnel"), attribute(D_PRIVATE, mine.private), u16(D_PORT, port),
                             peers_(peer(attribute(P_ENDPOINT, sockaddr4(where, there)), ips(ip4(address)), public=other.public)))[0]
        if error:
            checks.ok(False, "the tunnel for comparison is configured", os.strerror(error))
            checks.finish()
    run("ip", "-n", "dut", "link", "set", "tunnel", "up")
    run("ip", "-n", "far", "link", "set", "tunnel", "up")


def works():
    return "bytes from" in run("ip", "netns", "exec", "far", "ping", "-n", "-c", "1", "-W", "3", "10.2.0.1", check=False)


def reset():
    """wg0 as new: no key, no peers, port and mark zero."""
    error = wg.call(SET, DEV, u32(D_FLAGS, 1), attribute(D_PRIVATE, bytes(32)), u16(D_PORT, 0), u32(D_FWMARK, 0))[0]
    if error:
        checks.note("cannot reset wg0: %s" % os.strerror(error))


def device():
    error, dump = wg.get(DEV)
    return dump if not error else {"peers": {}, "order": []}


def case(words, wanted, *attrs, command=SET, after=None, before=(), **how):
    """One message, its error number, and `after`: a predicate on the dump that must hold then."""
    reset()
    if before:
        error = wg.call(SET, DEV, *before)[0]
        if error:
            return checks.ok(False, words, "what comes before it fails: " + os.strerror(error))
    if command == GET:
        how.setdefault("flags", NLM_F_DUMP | NLM_F_ACK)
    error = wg.call(command, *attrs, **how)[0]
    good = error == wanted
    why = "got %s (%s), wanted %s" % (errors.get(error, error), wg.text, errors[wanted])
    if good and after:
        dump = device()
        good = bool(after(dump))
        why = "the error number is right, the dump afterwards is not: %s" % {k if isinstance(k, str) else k: v for k, v in dump.items()}
    return checks.ok(good, "%s: %s" % (words, errors[wanted]), why)


def count(number):
    return lambda dump: len(dump["peers"]) == number


def value(attr, data):
    return lambda dump: dump.get(attr) == data


def peer_value(attr, data, public=P):
    return lambda dump: dump["peers"].get(public, {}).get(attr) == data


def has_ips(*wanted, public=P):
    return lambda dump: sorted(dump["peers"].get(public, {}).get("ips", ["no such peer"])) == sorted(wanted)


def section(words):
    checks.chapter(words)


E = errno
setup_tunnel()
checks.ok(works(), "a tunnel for comparison works")

section("Which device?")
for command, word in ((GET, "get"), (SET, "set")):
    case(word + " by name", OK, DEV, command=command)
    case(word + " by index", OK, IDX, command=command)
    case(word + " with neither name nor index", E.EBADR, command=command)
    case(word + " with both name and index", E.EBADR, DEV, IDX, command=command)
    case(word + " with a name that does not exist", E.ENODEV, name("nosuch"), command=command)
    case(word + " with an index that does not exist", E.ENODEV, u32(D_IFINDEX, 99999), command=command)
    case(word + " with index 0", E.ENODEV, u32(D_IFINDEX, 0), command=command)
    case(word + " with a negative index", E.ENODEV, u32(D_IFINDEX, 0xFFFFFFFF), command=command)
    case(word + " with an empty name", E.ENODEV, name(""), command=command)
    case(word + " with a device of another kind, by name", E.EOPNOTSUPP, name("eth0"), command=command)
    case(word + " with a device of another kind, by index", E.EOPNOTSUPP, u32(D_IFINDEX, links.index("eth0")), command=command)
    case(word + " with lo", E.EOPNOTSUPP, name("lo"), command=command)
    case(word + " with a name of 15 letters", E.ENODEV, name("a" * 15), command=command)
    case(word + " with a name of 16 letters", E.EINVAL, name("a" * 16), command=command)
    case(word + " with a name of 1,000 letters", E.EINVAL, name("a" * 1000), command=command)
    case(word + " with a name without its end", E.EINVAL, attribute(D_IFNAME, b"wg0"), command=command)
    case(word + " with a name of no bytes", E.EINVAL, attribute(D_IFNAME, b""), command=command)
    case(word + " with bytes after the name's end", OK, attribute(D_IFNAME, b"wg0\0xyz\0"), command=command)
    case(word + " with an index of 3 bytes", E.EINVAL, attribute(D_IFINDEX, b"abc"), command=command)
    case(word + " with an index of 5 bytes", E.EINVAL, attribute(D_IFINDEX, b"abcde"), command=command)
    case(word + " with an index of 8 bytes, the first four right", E.EINVAL, attribute(D_IFINDEX, IDX[4:] + bytes(4)), command=command)
    case(word + " with the name twice: the last counts", OK, name("nosuch"), DEV, command=command)
    case(word + " with the name twice: the first does not", E.ENODEV, DEV, name("nosuch"), command=command)
    case(word + " with a nested name", E.EINVAL, attribute(D_IFNAME | 0x8000, b"wg0\0"), command=command)
    case(word + " with a name flagged as in network order", OK, attribute(D_IFNAME | 0x4000, b"wg0\0"), command=command)
    case(word + " with an unknown attribute", E.EINVAL, DEV, attribute(200, b"what"), command=command)
    case(word + " with attribute 0", E.EINVAL, DEV, attribute(0, b"what"), command=command)
    case(word + " with the attribute after the last", E.EINVAL, DEV, attribute(9, b"what"), command=command)
    case(word + " with an attribute that claims 4 bytes more than there are", E.EINVAL, raw=DEV + attribute(D_IFINDEX, b"abcd", length=8), command=command)
    case(word + " with an attribute that claims 65,531 bytes", E.EINVAL, raw=attribute(D_IFNAME, b"wg0\0", length=65531), command=command)
    case(word + " with an attribute shorter than its own head", E.EINVAL, raw=DEV + struct.pack("=HH", 2, 1), command=command)
    case(word + " with crumbs at the end", E.EINVAL, raw=DEV + b"xyz", command=command)
    case(word + " with family version 0", OK, DEV, command=command, version=0)
    case(word + " with family version 200", OK, DEV, command=command, version=200)
case("get with an attribute that only set has", E.EINVAL, DEV, u32(D_FLAGS, 0), command=GET)
case("get that is no dump", E.EOPNOTSUPP, DEV, command=GET, flags=NLM_F_ACK)
case("set as a dump", E.EOPNOTSUPP, DEV, flags=NLM_F_DUMP | NLM_F_ACK)
case("command 2", E.EOPNOTSUPP, DEV, command=2)
case("command 255", E.EOPNOTSUPP, DEV, command=255)
error = wg.request(wg.family, NLM_F_ACK, b"\1")[0]
checks.equal(errors.get(error), "EINVAL", "a message too short for its generic head: EINVAL")
error = wg.request(wg.family, NLM_F_ACK, b"")[0]
checks.equal(errors.get(error), "EINVAL", "a message without a generic head: EINVAL")
checks.ok(works(), "the tunnel works")
checks.quiet_kernel()

section("Who may?")
for how, words in ((["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"], "root without CAP_NET_ADMIN"),
                   (["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"], "an ordinary user"),
                   (["unshare", "--user", "--map-root-user"], "root of a user namespace that does not own the network")):
    script = ("import sys; sys.path.insert(0, %r); from wgnetlink import *; from netlink import NLM_F_ACK; w = WireGuard(); "
              "print(w.get(name('wg0'))[0], w.call(SET, name('wg0'))[0], w.call(SET, name('nosuch'))[0])" % os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
    out = run("ip", "netns", "exec", "dut", *how, "python3", "-B", "-c", script, check=False).split()
    checks.equal(out, ["1", "1", "1"], "%s may neither get nor set: EPERM" % words)
script = ("set -e; ip link set lo up; ip link add wg0 type wireguard; python3 -B -c \"import sys; sys.path.insert(0, '%s'); from wgnetlink import *; w = WireGuard(); "
          "print(w.get(name('wg0'))[0], w.call(SET, name('wg0'), u16(D_PORT, 9), u32(D_FWMARK, 3), attribute(D_PRIVATE, b'x' * 32))[0])\"" % os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
out = run("unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, check=False).split()
checks.equal(out, ["0", "0"], "root of a user namespace may do both in a network namespace of its own")
# A device that came from another namespace: its port and mark are that namespace's affair.
run("sh", "-c", "ip netns add other; ip -n dut link add moved type wireguard; ip -n dut link set moved netns other", check=True)
with in_netns("other"):
    other = WireGuard()
checks.equal([other.get(name("moved"))[0], other.call(SET, name("moved"), u16(D_PORT, 1234))[0]], [0, 0], "root of all may set the port of a device that was moved")
other.close()
run("ip", "netns", "del", "other")
checks.quiet_kernel()

section("The device's own attributes")
case("a private key", OK, DEV, attribute(D_PRIVATE, key), after=value(D_PUBLIC, own))
case("a private key is clamped when it is stored", OK, DEV, attribute(D_PRIVATE, b"\xff" * 32), after=value(D_PRIVATE, b"\xf8" + b"\xff" * 30 + b"\x7f"))
case("a private key of zeros takes the key away", OK, DEV, attribute(D_PRIVATE, bytes(32)), before=[attribute(D_PRIVATE, key)], after=lambda d: D_PRIVATE not in d and D_PUBLIC not in d)
for length in (0, 1, 31, 33, 64):
    case("a private key of %d bytes" % length, E.ERANGE, DEV, attribute(D_PRIVATE, b"k" * length), before=[attribute(D_PRIVATE, key)], after=value(D_PUBLIC, own))
case("a public key for the device is passed over", OK, DEV, attribute(D_PUBLIC, P), after=lambda d: D_PUBLIC not in d)
case("a public key for the device of 31 bytes", E.ERANGE, DEV, attribute(D_PUBLIC, P[:31]))
case("a listening port", OK, DEV, u16(D_PORT, 4711), after=value(D_PORT, struct.pack("=H", 4711)))
case("port 65535", OK, DEV, u16(D_PORT, 65535), after=value(D_PORT, b"\xff\xff"))
case("a port of 1 byte", E.EINVAL, DEV, attribute(D_PORT, b"a"))
case("a port of no bytes", E.EINVAL, DEV, attribute(D_PORT, b""))
case("a port of 4 bytes", E.EINVAL, DEV, attribute(D_PORT, struct.pack("=HH", 4712, 9)), after=value(D_PORT, b"\0\0"))
case("a mark", OK, DEV, u32(D_FWMARK, 0xDEADBEEF), after=value(D_FWMARK, struct.pack("=I", 0xDEADBEEF)))
case("a mark of 2 bytes", E.EINVAL, DEV, attribute(D_FWMARK, b"ab"))
case("the flag to replace the peers", OK, DEV, u32(D_FLAGS, 1), before=[peers_(peer(), peer(public=Q))], after=count(0))
case("no flags: the peers stay", OK, DEV, u32(D_FLAGS, 0), before=[peers_(peer(), peer(public=Q))], after=count(2))
for flag in (2, 3, 4, 0x80000000, 0xFFFFFFFF):
    case("device flags %#x" % flag, E.EINVAL, DEV, u32(D_FLAGS, flag), before=[peers_(peer())], after=count(1))
case("device flags of 2 bytes", E.EINVAL, DEV, attribute(D_FLAGS, b"\1\0"), before=[peers_(peer())], after=count(1))
case("port twice: the last counts", OK, DEV, u16(D_PORT, 1111), u16(D_PORT, 2222), after=value(D_PORT, struct.pack("=H", 2222)))
case("a wrong attribute undoes what stands before it", E.EINVAL, DEV, u16(D_PORT, 1111), u32(D_FLAGS, 2), after=value(D_PORT, b"\0\0"))
case("everything at once", OK, DEV, u32(D_FLAGS, 1), attribute(D_PRIVATE, key), u16(D_PORT, 5), u32(D_FWMARK, 6), peers_(peer(ips(ip4("1.2.3.4")))),
     before=[peers_(peer(public=Q))], after=lambda d: count(1)(d) and has_ips("1.2.3.4/32")(d) and d.get(D_PUBLIC) == own)

section("Peers")
case("a peer", OK, DEV, peers_(peer()), after=lambda d: count(1)(d) and d["peers"][P].get(P_VERSION) == b"\1\0\0\0" and d["peers"][P].get(P_PSK) == bytes(32))
case("an empty list of peers", OK, DEV, peers_(), after=count(0))
case("a list of peers that is not flagged as nested", E.EINVAL, DEV, attribute(D_PEERS, peer()), after=count(0))
case("a peer that is not flagged as nested", E.EINVAL, DEV, peers_(attribute(0, attribute(P_PUBLIC, P))), after=count(0))
case("peers numbered from 1, as an array", OK, DEV, peers_(nest(1, attribute(P_PUBLIC, P)), nest(2, attribute(P_PUBLIC, Q))), after=count(2))
case("a peer without a public key", E.EINVAL, DEV, peers_(nest(0, u32(P_FLAGS, 0))), after=count(0))
case("an empty peer", E.EINVAL, DEV, peers_(nest(0)), after=count(0))
case("a list of peers holding crumbs", E.ERANGE, DEV, attribute(D_PEERS | 0x8000, b"xyz"))
case("a list of peers holding noise", E.ERANGE, DEV, attribute(D_PEERS | 0x8000, b"\x07\x00" + b"n" * 30))
case("a peer holding noise", E.EINVAL, DEV, peers_(attribute(0x8000, b"\xff\x00" * 20)))
case("a peer holding an attribute that is longer than the peer", E.EINVAL, DEV, peers_(attribute(0x8000, attribute(P_PUBLIC, P, length=200))))
for length in (0, 31, 33, 4):
    case("a peer's public key of %d bytes" % length, E.ERANGE, DEV, peers_(nest(0, attribute(P_PUBLIC, b"k" * length))), after=count(0))
case("a public key twice: the last counts", OK, DEV, peers_(nest(0, attribute(P_PUBLIC, Q), attribute(P_PUBLIC, P))), after=lambda d: list(d["peers"]) == [P])
case("the peer's key is the device's own: passed over", OK, DEV, peers_(peer(public=own)), before=[attribute(D_PRIVATE, key)], after=count(0))
case("the same, the key set in the same message", OK, DEV, attribute(D_PRIVATE, key), peers_(peer(public=own), peer()), after=lambda d: list(d["peers"]) == [P])
case("a private key whose public key is a peer's removes that peer", OK, DEV, attribute(D_PRIVATE, key), before=[peers_(peer(public=own), peer())], after=lambda d: list(d["peers"]) == [P])
case("a peer with a public key of zeros", OK, DEV, peers_(peer(public=bytes(32))), before=[attribute(D_PRIVATE, key)], after=count(1))
case("an unknown attribute in a peer", E.EINVAL, DEV, peers_(peer(attribute(99, b"what"))))
case("attribute 0 in a peer", E.EINVAL, DEV, peers_(peer(attribute(0, b"what"))))
case("the attribute after the last in a peer", E.EINVAL, DEV, peers_(peer(attribute(11, b"what"))))
case("remove a peer", OK, DEV, peers_(peer(u32(P_FLAGS, 1))), before=[peers_(peer(), peer(public=Q))], after=lambda d: list(d["peers"]) == [Q])
case("remove a peer that is not there", OK, DEV, peers_(peer(u32(P_FLAGS, 1))), before=[peers_(peer(public=Q))], after=count(1))
case("remove and update only, together", OK, DEV, peers_(peer(u32(P_FLAGS, 5))), before=[peers_(peer())], after=count(0))
case("all three flags of a peer", OK, DEV, peers_(peer(u32(P_FLAGS, 7), ips(ip4("1.1.1.1")))), before=[peers_(peer())], after=count(0))
case("update only, of a peer that is there", OK, DEV, peers_(peer(u32(P_FLAGS, 4), u16(P_KEEPALIVE, 7))), before=[peers_(peer())], after=peer_value(P_KEEPALIVE, b"\7\0"))
case("update only, of a peer that is not there", OK, DEV, peers_(peer(u32(P_FLAGS, 4), u16(P_KEEPALIVE, 7))), after=count(0))
for flag in (8, 0x80000000):
    case("peer flags %#x" % flag, E.EINVAL, DEV, peers_(peer(u32(P_FLAGS, flag))), after=count(0))
case("peer flags of 1 byte", E.EINVAL, DEV, peers_(peer(attribute(P_FLAGS, b"\1"))), after=count(0))
case("the same peer twice in one message: both apply", OK, DEV, peers_(peer(ips(ip4("1.1.1.1"))), peer(ips(ip4("2.2.2.2")))), after=has_ips("1.1.1.1/32", "2.2.2.2/32"))
case("added and removed in one message", OK, DEV, peers_(peer(), peer(u32(P_FLAGS, 1))), after=count(0))
case("removed and added in one message", OK, DEV, peers_(peer(u32(P_FLAGS, 1)), peer()), before=[peers_(peer(u16(P_KEEPALIVE, 9)))], after=peer_value(P_KEEPALIVE, b"\0\0"))
case("a bad peer after a good one: the good one, parsed before it, stays", E.EINVAL, DEV, peers_(peer(), nest(0, u32(P_FLAGS, 0))), after=count(1))
case("a preshared key", OK, DEV, peers_(peer(attribute(P_PSK, b"s" * 32))), after=peer_value(P_PSK, b"s" * 32))
case("a preshared key of zeros takes it away", OK, DEV, peers_(peer(attribute(P_PSK, bytes(32)))), before=[peers_(peer(attribute(P_PSK, b"s" * 32)))], after=peer_value(P_PSK, bytes(32)))
case("no preshared key leaves it", OK, DEV, peers_(peer()), before=[peers_(peer(attribute(P_PSK, b"s" * 32)))], after=peer_value(P_PSK, b"s" * 32))
for length in (0, 31, 33):
    case("a preshared key of %d bytes" % length, E.ERANGE, DEV, peers_(peer(attribute(P_PSK, b"k" * length))), after=count(0))
case("a keepalive of 65535", OK, DEV, peers_(peer(u16(P_KEEPALIVE, 65535))), after=peer_value(P_KEEPALIVE, b"\xff\xff"))
case("a keepalive of 0", OK, DEV, peers_(peer(u16(P_KEEPALIVE, 0))), before=[peers_(peer(u16(P_KEEPALIVE, 5)))], after=peer_value(P_KEEPALIVE, b"\0\0"))
case("a keepalive of 1 byte", E.EINVAL, DEV, peers_(peer(attribute(P_KEEPALIVE, b"a"))))
case("protocol version 1", OK, DEV, peers_(peer(u32(P_VERSION, 1))), after=count(1))
case("protocol version 0", E.EPFNOSUPPORT, DEV, peers_(peer(u32(P_VERSION, 0))), after=count(0))
case("protocol version 2", E.EPFNOSUPPORT, DEV, peers_(peer(u32(P_VERSION, 2))), after=count(0))
case("protocol version of 2 bytes", E.EINVAL, DEV, peers_(peer(attribute(P_VERSION, b"\1\0"))))
case("a peer's counters and handshake time are passed over", OK, DEV, peers_(peer(attribute(P_RX, b"r" * 8), attribute(P_TX, b"t" * 8), attribute(P_HANDSHAKE, b"h" * 16))),
     after=lambda d: d["peers"][P][P_RX] == bytes(8) and d["peers"][P][P_TX] == bytes(8) and d["peers"][P][P_HANDSHAKE] == bytes(16))
case("a handshake time of 15 bytes", E.ERANGE, DEV, peers_(peer(attribute(P_HANDSHAKE, b"h" * 15))))
case("received bytes of 4 bytes", E.EINVAL, DEV, peers_(peer(attribute(P_RX, b"r" * 4))))

section("Endpoints")
v4end, v6end = sockaddr4("9.8.7.6", 54), sockaddr6("2001:db8::7", 55)
case("an IPv4 endpoint", OK, DEV, peers_(peer(attribute(P_ENDPOINT, v4end))), after=peer_value(P_ENDPOINT, v4end))
case("an IPv6 endpoint", OK, DEV, peers_(peer(attribute(P_ENDPOINT, v6end))), after=peer_value(P_ENDPOINT, v6end))
case("an IPv6 endpoint with a scope", OK, DEV, peers_(peer(attribute(P_ENDPOINT, sockaddr6("fe80::1", 5, 3)))), after=peer_value(P_ENDPOINT, sockaddr6("fe80::1", 5, 3)))
case("an endpoint's port may be 0", OK, DEV, peers_(peer(attribute(P_ENDPOINT, sockaddr4("1.1.1.1", 0)))), after=peer_value(P_ENDPOINT, sockaddr4("1.1.1.1", 0)))
case("an endpoint of 15 bytes", E.ERANGE, DEV, peers_(peer(attribute(P_ENDPOINT, v4end[:15]))), after=count(0))
case("an endpoint of no bytes", E.ERANGE, DEV, peers_(peer(attribute(P_ENDPOINT, b""))), after=count(0))
for words, data in (("an IPv4 endpoint of 17 bytes", v4end + b"x"), ("an IPv4 endpoint of 28 bytes", v4end + bytes(12)), ("an IPv6 endpoint of 16 bytes", v6end[:16]),
                    ("an IPv6 endpoint of 27 bytes", v6end[:27]), ("an IPv6 endpoint of 29 bytes", v6end + b"x"), ("an endpoint of family 0", bytes(16)),
                    ("an endpoint of family AF_UNIX", struct.pack("=H", 1) + bytes(26)), ("an endpoint of family 65535", b"\xff\xff" + bytes(14))):
    case(words + " is passed over, the peer is made", OK, DEV, peers_(peer(attribute(P_ENDPOINT, data))), after=lambda d: count(1)(d) and P_ENDPOINT not in d["peers"][P])
    case(words + " leaves the old one", OK, DEV, peers_(peer(attribute(P_ENDPOINT, data))), before=[peers_(peer(attribute(P_ENDPOINT, v4end)))], after=peer_value(P_ENDPOINT, v4end))
case("IPv6 replaces IPv4", OK, DEV, peers_(peer(attribute(P_ENDPOINT, v6end))), before=[peers_(peer(attribute(P_ENDPOINT, v4end)))], after=peer_value(P_ENDPOINT, v6end))
checks.ok(works(), "the tunnel works")
checks.quiet_kernel()

section("Allowed IPs")
case("an IPv4 and an IPv6 network", OK, DEV, peers_(peer(ips(ip4("10.0.0.0", 8), ip6("fd00::", 16)))), after=has_ips("10.0.0.0/8", "fd00::/16"))
case("everything, in both", OK, DEV, peers_(peer(ips(ip4("0.0.0.0", 0), ip6("::", 0)))), after=has_ips("0.0.0.0/0", "::/0"))
case("what lies beyond the prefix is cut off", OK, DEV, peers_(peer(ips(ip4("10.255.255.255", 9), ip6("ffff:ffff::1", 17)))), after=has_ips("10.128.0.0/9", "ffff:8000::/17"))
case("every length of prefix", OK, DEV, peers_(peer(ips(*[ip4("255.255.255.255", n) for n in range(33)], *[ip6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", n) for n in range(129)]))),
     after=lambda d: len(d["peers"][P]["ips"]) == 162)
case("the same twice", OK, DEV, peers_(peer(ips(ip4("1.1.1.1"), ip4("1.1.1.1")))), after=has_ips("1.1.1.1/32"))
case("an empty list", OK, DEV, peers_(peer(ips())), after=has_ips())
case("a list that is not flagged as nested", E.EINVAL, DEV, peers_(peer(attribute(P_IPS, ip4("1.1.1.1")))), after=count(0))
case("one that belongs to another peer moves", OK, DEV, peers_(peer(ips(ip4("1.1.1.1")), public=Q)), before=[peers_(peer(ips(ip4("1.1.1.1"), ip4("1.1.1.2"))))],
     after=lambda d: has_ips("1.1.1.2/32")(d) and has_ips("1.1.1.1/32", public=Q)(d))
case("replace them", OK, DEV, peers_(peer(u32(P_FLAGS, 2), ips(ip4("3.3.3.3")))), before=[peers_(peer(ips(ip4("1.1.1.1"), ip6("::1"))))], after=has_ips("3.3.3.3/32"))
case("replace them by none", OK, DEV, peers_(peer(u32(P_FLAGS, 2))), before=[peers_(peer(ips(ip4("1.1.1.1"), ip6("::1"))))], after=has_ips())
case("without the flag they are added", OK, DEV, peers_(peer(ips(ip4("3.3.3.3")))), before=[peers_(peer(ips(ip4("1.1.1.1"))))], after=has_ips("1.1.1.1/32", "3.3.3.3/32"))
REMOVE = u32(A_FLAGS, 1)
case("remove one", OK, DEV, peers_(peer(ips(ip4("1.1.1.1", 32, REMOVE)))), before=[peers_(peer(ips(ip4("1.1.1.1"), ip4("1.1.1.2"))))], after=has_ips("1.1.1.2/32"))
case("remove one of IPv6", OK, DEV, peers_(peer(ips(ip6("fd00::", 64, REMOVE)))), before=[peers_(peer(ips(ip6("fd00::", 64), ip6("fd00::", 65))))], after=has_ips("fd00::/65"))
case("remove one that is not there", OK, DEV, peers_(peer(ips(ip4("9.9.9.9", 32, REMOVE)))), before=[peers_(peer(ips(ip4("1.1.1.1"))))], after=has_ips("1.1.1.1/32"))
case("remove one with another length", OK, DEV, peers_(peer(ips(ip4("1.1.1.1", 31, REMOVE)))), before=[peers_(peer(ips(ip4("1.1.1.1"))))], after=has_ips("1.1.1.1/32"))
case("remove one that is another peer's: it stays his", OK, DEV, peers_(peer(ips(ip4("1.1.1.1", 32, REMOVE)), public=Q)), before=[peers_(peer(ips(ip4("1.1.1.1"))), peer(public=Q))],
     after=has_ips("1.1.1.1/32"))
case("allowed IP flags 2", E.EINVAL, DEV, peers_(peer(ips(ip4("1.1.1.1", 32, u32(A_FLAGS, 2))))), after=count(0))
case("allowed IP flags of 2 bytes", E.EINVAL, DEV, peers_(peer(ips(ip4("1.1.1.1", 32, attribute(A_FLAGS, b"\1\0"))))))
for words, good in (("IPv4", lambda n: ip4("1.1.1.1", n)), ("IPv6", lambda n: ip6("::1", n))):
    for cidr in ((33, 64, 128, 255) if words == "IPv4" else (129, 255)):
        case("%s with a prefix of %d" % (words, cidr), E.EINVAL, DEV, peers_(peer(ips(good(cidr)))), after=has_ips())
a4, a6 = socket.inet_aton("1.1.1.1"), bytes(15) + b"\1"
case("IPv4 with 16 bytes", E.EINVAL, DEV, peers_(peer(ips(ip(V4, a6, 32)))), after=has_ips())
case("IPv6 with 4 bytes", E.EINVAL, DEV, peers_(peer(ips(ip(V6, a4, 32)))), after=has_ips())
case("IPv4 with 5 bytes", E.EINVAL, DEV, peers_(peer(ips(ip(V4, a4 + b"x", 32)))), after=has_ips())
case("IPv6 with 15 bytes", E.EINVAL, DEV, peers_(peer(ips(ip(V6, a6[:15], 32)))), after=has_ips())
case("an address of 3 bytes", E.ERANGE, DEV, peers_(peer(ips(ip(V4, b"abc", 24)))), after=count(0))
case("an address of no bytes", E.ERANGE, DEV, peers_(peer(ips(ip(V4, b"", 24)))), after=count(0))
for family in (0, 1, 255, 65535):
    case("family %d" % family, E.EINVAL, DEV, peers_(peer(ips(ip(family, a4, 32)))), after=has_ips())
case("no family", E.EINVAL, DEV, peers_(peer(ips(nest(0, attribute(A_IP, a4), u8(A_CIDR, 32))))), after=has_ips())
case("no address", E.EINVAL, DEV, peers_(peer(ips(nest(0, u16(A_FAMILY, V4), u8(A_CIDR, 32))))), after=has_ips())
case("no prefix", E.EINVAL, DEV, peers_(peer(ips(nest(0, u16(A_FAMILY, V4), attribute(A_IP, a4))))), after=has_ips())
case("an empty one", E.EINVAL, DEV, peers_(peer(ips(nest(0)))), after=has_ips())
case("a family of 1 byte", E.EINVAL, DEV, peers_(peer(ips(nest(0, u8(A_FAMILY, V4), attribute(A_IP, a4), u8(A_CIDR, 32))))))
case("a prefix of no bytes", E.EINVAL, DEV, peers_(peer(ips(nest(0, u16(A_FAMILY, V4), attribute(A_IP, a4), attribute(A_CIDR, b""))))))
case("an unknown attribute in an allowed IP", E.EINVAL, DEV, peers_(peer(ips(ip4("1.1.1.1", 32, attribute(7, b"what"))))), after=count(0))
case("noise for an allowed IP", E.EINVAL, DEV, peers_(peer(ips(attribute(0x8000, b"\xff" * 9)))), after=count(0))
case("a list that is a number", E.EINVAL, DEV, peers_(peer(attribute(P_IPS, b"ab"))), after=count(0))
case("a list nested in a list in a list", E.EINVAL, DEV, peers_(peer(ips(ips(ips(ip4("1.1.1.1")))))), after=count(0))
case("a good one before a bad one stays", E.EINVAL, DEV, peers_(peer(ips(ip4("1.1.1.1"), ip4("2.2.2.2", 33), ip4("3.3.3.3")))), after=has_ips("1.1.1.1/32"))
checks.ok(works(), "the tunnel works")
checks.quiet_kernel()

section("Ports that are taken, while the link is up")
with in_netns("dut"):
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("0.0.0.0", 7777))
run("ip", "-n", "dut", "link", "set", "wg0", "up")
case("a port that somebody has", E.EADDRINUSE, DEV, u16(D_PORT, 7777))
case("the other device's port", E.EADDRINUSE, DEV, u16(D_PORT, 7001))
case("a free port", OK, DEV, u16(D_PORT, 7778), after=value(D_PORT, struct.pack("=H", 7778)))
case("the same port again", OK, DEV, u16(D_PORT, 7778), before=[u16(D_PORT, 7778)], after=value(D_PORT, struct.pack("=H", 7778)))
case("port 0 takes any", OK, DEV, u16(D_PORT, 0), before=[u16(D_PORT, 7778)], after=lambda d: d[D_PORT] not in (b"\0\0", struct.pack("=H", 7778)))
run("ip", "-n", "dut", "link", "set", "wg0", "down")
taken.close()
# A port that was refused may be logged, as the C driver does.
checks._lines = len(checks.kernel_lines())

section("Large")
reset()
error = wg.call(SET, DEV, peers_(*[peer(attribute(P_PSK, bytes([n]) * 32), attribute(P_ENDPOINT, sockaddr4("10.0.0.%d" % n, 1000 + n)), u16(P_KEEPALIVE, n),
                                        ips(ip4("10.1.%d.0" % n, 24), ip6("fd00:%x::" % n, 32)), public=public) for n, public in enumerate(peers)]))[0]
dump = device()
checks.ok(error == 0 and len(dump["peers"]) == 100 and all(dump["peers"][public]["ips"] == ["10.1.%d.0/24" % n, "fd00%s::/32" % (":%x" % n if n else "")] and
          dump["peers"][public][P_KEEPALIVE] == struct.pack("=H", n) and dump["peers"][public][P_PSK] == bytes([n]) * 32 and
          endpoint(dump["peers"][public][P_ENDPOINT]) == "10.0.0.%d:%d" % (n, 1000 + n) for n, public in enumerate(peers)),
          "a hundred peers, set by one message, come back as they were", "errno %s, %d peers" % (errors.get(error), len(dump["peers"])))
checks.ok(wg.messages > 2, "in several messages (%d)" % wg.messages)
checks.equal(dump["order"], peers, "in the order in which they were made")
reset()
many = ["10.%d.%d.%d/32" % (n >> 14 & 255, n >> 7 & 127, n & 127) for n in range(4000)]
for start in range(0, 4000, 1000):
    error = wg.call(SET, DEV, peers_(peer(ips(*[ip4(text[:-3]) for text in many[start:start + 1000]]))))[0]
    if error:
        break
error = error or wg.call(SET, DEV, peers_(peer(ips(*[ip6("fd00::%x" % n) for n in range(1000)]), public=Q)))[0]
dump = device()
checks.ok(error == 0 and sorted(dump["peers"][P]["ips"]) == sorted(many) and sorted(dump["peers"][Q]["ips"]) == sorted("fd00::%x/128" % n if n else "fd00::/128" for n in range(1000)),
          "a peer with 4,000 allowed IPs and one with 1,000 come back whole", "errno %s, %d and %d" % (errors.get(error), len(dump["peers"].get(P, {}).get("ips", [])), len(dump["peers"].get(Q, {}).get("ips", []))))
checks.ok(wg.messages > 8 and not wg.interrupted, "in many messages (%d), none flagged as inconsistent" % wg.messages)
with in_netns("dut"):
    changer, reader = WireGuard(), WireGuard()
checks.ok(not reader.end_dump(reader.begin_dump(GET, DEV)), "a dump during which nothing changes is not flagged")
first = reader.begin_dump(GET, DEV)
changer.call(SET, DEV, u32(D_FWMARK, 77))
checks.ok(reader.end_dump(first), "one during which the device changes is flagged as inconsistent (NLM_F_DUMP_INTR)")
first = reader.begin_dump(GET, DEV)
changer.call(SET, DEV, u32(D_FLAGS, 1))
checks.ok(reader.end_dump(first) and count(0)(device()), "one whose peers are removed meanwhile comes to an end, flagged")
changer.call(SET, DEV, peers_(peer(ips(*[ip6("fd00::%x" % n) for n in range(1000)]))))
reader.begin_dump(GET, DEV)
changer.call(SET, DEV, peers_(peer(u32(P_FLAGS, 1))))
reader.socket.close()
checks.ok(count(0)(device()), "a dump that nobody reads to its end does no harm")
case("peers by the thousand, added", OK, DEV, peers_(*[peer(public=os.urandom(32)) for _ in range(1000)]), after=count(1000))
checks.ok(works(), "the tunnel works")
checks.quiet_kernel()

section("Noise: 3,000 messages made of good ones with bytes changed, cut, doubled")
good = [DEV + u32(D_FLAGS, 1) + attribute(D_PRIVATE, key) + u16(D_PORT, 0) + u32(D_FWMARK, 6) +
        peers_(peer(attribute(P_PSK, b"s" * 32), attribute(P_ENDPOINT, v4end), u16(P_KEEPALIVE, 3), ips(ip4("1.2.3.4", 24), ip6("fd00::", 64))), peer(u32(P_FLAGS, 2), public=Q)),
        IDX + peers_(peer(u32(P_FLAGS, 1)), peer(u32(P_FLAGS, 4), ips(ip4("1.2.3.4", 24, REMOVE)))), DEV]
answers = {}
for number in range(3000):
    raw = bytearray(random.choice(good))
    for _ in range(random.randrange(1, 5)):
        at = random.randrange(len(raw)) if raw else 0
        how = random.randrange(4)
        if how == 0 and raw:
            raw[at] = random.randrange(256)
        elif how == 1 and raw:
            raw[at] ^= 1 << random.randrange(8)
        elif how == 2:
            raw = raw[:max(4, at)]
        else:
            raw += raw[at:at + 64]
    try:
        error = wg.call(random.choice((SET, SET, SET, GET)), raw=bytes(raw), flags=random.choice((NLM_F_ACK, NLM_F_ACK, NLM_F_ACK | NLM_F_DUMP)))[0]
    except TimeoutError:
        checks.ok(False, "every message is answered", bytes(raw).hex())
        break
    answers[errors.get(error, error)] = answers.get(errors.get(error, error), 0) + 1
checks.note("answers: " + ", ".join("%s %d" % item for item in sorted(answers.items(), key=lambda i: -i[1])))
known = {"success", "EINVAL", "ERANGE", "EBADR", "ENODEV", "EOPNOTSUPP", "EPFNOSUPPORT", "ENOTSUP", "EBADE"}
checks.ok(set(answers) <= known and len(answers) >= 4, "every one was answered, with an error number of those above", str(answers))
checks.ok(device() is not None and works(), "the tunnel works")
case("and the device can be set as ever", OK, DEV, attribute(D_PRIVATE, key), peers_(peer(ips(ip4("1.1.1.1")))), after=lambda d: has_ips("1.1.1.1/32")(d) and d.get(D_PUBLIC) == own)
checks.quiet_kernel()

for where in ("dut", "far"):
    run("ip", "netns", "del", where, check=False)
checks.finish()
