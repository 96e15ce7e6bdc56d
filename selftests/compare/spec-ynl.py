#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
# what: the kernel's YAML description of the family, read by the kernel's own client (pyynl): get, set, policies, errors
# cost: slow
"""Documentation/netlink/specs/wireguard.yaml and tools/net/ynl/pyynl of the source of the kernel under test, as they are."""

import glob
import os
import platform
import pprint
import socket
import struct
import subprocess
import sys

import lib
from lib import observe
from netlink import Links, in_netns, run

KEY, PEER, SECOND = b"\x10" * 31 + b"\x40", b"peer".ljust(32, b"p"), b"second".ljust(32, b"s")
V4END = struct.pack("=H", socket.AF_INET) + struct.pack("!H", 1234) + socket.inet_aton("192.0.2.1") + bytes(8)


def source():
    """The kernel's source tree."""
    build = os.path.join(os.path.dirname(lib.SELFTESTS), "build/kernel")
    for folder in [os.path.join(build, platform.release(), "source"), *sorted(glob.glob(build + "/*/source"))]:
        if os.path.exists(folder + "/tools/net/ynl/pyynl/cli.py"):
            return folder
    return lib.die("the kernel's source is not unpacked in build/kernel: run make setup")


def flat(words, value):
    """A tree of dictionaries and lists as observations."""
    if isinstance(value, dict) and value:
        for key, inside in value.items():
            flat("%s: %s" % (words, key), inside)
    elif isinstance(value, (list, tuple)) and value:
        for number, inside in enumerate(value):
            flat("%s %d" % (words, number), inside)
    else:
        observe(words, value.hex() if isinstance(value, bytes) else pprint.pformat(value))


def main():
    tree = source()
    spec = tree + "/Documentation/netlink/specs/wireguard.yaml"
    sys.path.insert(1, tree + "/tools/net/ynl/pyynl")
    sys.dont_write_bytecode = True
    # The other module of that name is ours, and already has all it gives.
    del sys.modules["lib"]
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.realpath(__file__))]
    from lib import NlError, YnlFamily  # pylint: disable=import-outside-toplevel,no-name-in-module

    run("ip", "netns", "add", "n")
    for link, kind in (("wg0", "wireguard"), ("dum0", "dummy")):
        run("ip", "-n", "n", "link", "add", link, "type", kind)

    with in_netns("n"):
        family = YnlFamily(spec, schema="")
        index = Links().index("wg0")

        def attempt(words, function, *arguments):
            try:
                answer = function(*arguments)
            except NlError as error:
                observe(words, "%s (%d)" % (error, error.error))
                return None
            except Exception as error:  # pylint: disable=broad-except
                observe(words, "%s: %s" % (type(error).__name__, error))
                return None
            if answer is None:
                observe(words, "success")
            return answer

        def get(words):
            answer = attempt(words, family.dump, "get-device", {"ifname": "wg0"})
            for part in answer or ():
                part.pop("ifindex", None)
            if answer:
                flat(words, answer)

        for operation, mode in (("get-device", "dump"), ("get-device", "do"), ("set-device", "do"), ("set-device", "dump")):
            policy = attempt("policy of %s, %s: asked for" % (operation, mode), family.get_policy, operation, mode)
            if policy is not None:
                flat("policy of %s, %s" % (operation, mode), policy.to_dict())
        get("a new device")
        settings = (
            ("a key", {"ifname": "wg0", "private-key": KEY.hex()}),
            ("by its index", {"ifindex": index, "fwmark": 5}),
            ("a port and a mark", {"ifname": "wg0", "listen-port": 5555, "fwmark": 0xFFFFFFFF}),
            ("a peer", {"ifname": "wg0", "peers": [{"public-key": PEER.hex(), "preshared-key": ("70" * 32), "endpoint": V4END.hex(), "persistent-keepalive-interval": 25,
                                                    "allowedips": [{"family": socket.AF_INET, "ipaddr": "10.0.0.0", "cidr-mask": 8}, {"family": socket.AF_INET6, "ipaddr": "fd00::", "cidr-mask": 16}]}]}),
            ("two peers, one of them known", {"ifname": "wg0", "peers": [{"public-key": SECOND.hex(), "protocol-version": 1, "allowedips": [{"family": 2, "ipaddr": "192.168.0.0", "cidr-mask": 16}]},
                                                                         {"public-key": PEER.hex(), "flags": ["update-only"], "allowedips": [{"family": 2, "ipaddr": "172.16.0.0", "cidr-mask": 12}]}]}),
            ("an allowed IP removed", {"ifname": "wg0", "peers": [{"public-key": PEER.hex(), "allowedips": [{"family": 2, "ipaddr": "10.0.0.0", "cidr-mask": 8, "flags": ["remove-me"]}]}]}),
            ("its allowed IPs replaced", {"ifname": "wg0", "peers": [{"public-key": PEER.hex(), "flags": ["replace-allowedips"], "allowedips": [{"family": 2, "ipaddr": "1.0.0.0", "cidr-mask": 8}]}]}),
            ("a peer removed", {"ifname": "wg0", "peers": [{"public-key": SECOND.hex(), "flags": ["remove-me"]}]}),
            ("all peers replaced by none", {"ifname": "wg0", "flags": ["replace-peers"]}),
            ("no name", {"fwmark": 1}), ("both names", {"ifname": "wg0", "ifindex": index}), ("nobody", {"ifname": "nobody"}), ("another kind", {"ifname": "dum0"}),
            ("a name that is too long", {"ifname": "x" * 20}), ("a key that is too short", {"ifname": "wg0", "private-key": "0102"}),
            ("a peer without a key", {"ifname": "wg0", "peers": [{"persistent-keepalive-interval": 5}]}),
            ("a peer with a short key", {"ifname": "wg0", "peers": [{"public-key": PEER.hex()}, {"public-key": "0102"}]}),
            ("a peer with a short endpoint", {"ifname": "wg0", "peers": [{"public-key": PEER.hex(), "endpoint": "0200"}]}),
            ("another version", {"ifname": "wg0", "peers": [{"public-key": PEER.hex(), "protocol-version": 2}]}),
            ("a prefix that is too long", {"ifname": "wg0", "peers": [{"public-key": PEER.hex(), "allowedips": [{"family": 2, "ipaddr": "1.0.0.0", "cidr-mask": 33}]}]}),
            ("a family that does not fit", {"ifname": "wg0", "peers": [{"public-key": PEER.hex(), "allowedips": [{"family": 10, "ipaddr": "1.0.0.0", "cidr-mask": 8}]}]}),
            ("flags that are none", {"ifname": "wg0", "flags": 6}),
        )
        for words, values in settings:
            attempt("set: %s" % words, family.do, "set-device", values)
            get("set: %s: the device then" % words)
        for words, values in (("no name", {}), ("both names", {"ifname": "wg0", "ifindex": index}), ("nobody", {"ifname": "nobody"}), ("another kind", {"ifname": "dum0"}), ("an attribute of set", {"ifname": "wg0", "fwmark": 1})):
            attempt("get: %s" % words, family.dump, "get-device", values)
        attempt("get: not as a dump", family.do, "get-device", {"ifname": "wg0"})
        attempt("set: as a dump", family.dump, "set-device", {"ifname": "wg0"})
        # As a person would.
        done = subprocess.run(["python3", "-B", tree + "/tools/net/ynl/pyynl/cli.py", "--spec", spec, "--no-schema", "--output-json", "--dump", "get-device", "--json", '{"ifname": "wg0"}'],
                              capture_output=True, text=True, check=False)
        observe("cli.py", "exit %d: %s%s" % (done.returncode, done.stdout.replace('"ifindex": %d' % index, '"ifindex": INDEX'), done.stderr))
    run("ip", "netns", "del", "n")
    lib.finish()


main()
