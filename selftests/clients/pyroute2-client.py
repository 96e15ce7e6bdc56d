#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Drives WireGuard through the library pyroute2, on request. Reads commands, one a line, and answers each with "ok" or
"error ..." after what it has to tell:

  create NAME ADDRESS...   a link of the kind wireguard with these addresses, not yet up
  up NAME | down NAME | delete NAME
  set NAME JSON            the arguments of WireGuard.set()
  show NAME                what WireGuard.info() tells: port, mark, then a line for each peer
  kind NAME                the kind of a link, as IPRoute sees it
"""

import json
import sys

from pyroute2 import IPRoute, WireGuard

route, wireguard = IPRoute(), WireGuard()


def index(name):
    return route.link_lookup(ifname=name)[0]


def create(name, *addresses):
    route.link("add", ifname=name, kind="wireguard")
    for address in addresses:
        address, length = address.split("/")
        route.addr("add", index=index(name), address=address, prefixlen=int(length))


def state(name, new):
    route.link("set", index=index(name), state=new)


def set_(name, *words):
    wireguard.set(name, **json.loads(" ".join(words)))


def allowed(peer):
    return [entry["addr"] for entry in peer.get_attr("WGPEER_A_ALLOWEDIPS") or []]


def show(name):
    peers = {}
    for number, message in enumerate(wireguard.info(name)):
        if number == 0:
            print("port", message.get_attr("WGDEVICE_A_LISTEN_PORT"), "mark", message.get_attr("WGDEVICE_A_FWMARK"))
        for peer in message.get_attr("WGDEVICE_A_PEERS") or []:
            # What did not fit into a message follows in the next ones, with nothing but the peer's key.
            _, addresses = peers.setdefault(peer.get_attr("WGPEER_A_PUBLIC_KEY"), (peer, []))
            addresses += allowed(peer)
    for key, (peer, addresses) in peers.items():
        endpoint = peer.get_attr("WGPEER_A_ENDPOINT")
        print(
            key.decode(),
            f"{endpoint['addr']},{endpoint['port']}" if endpoint else "nowhere",
            ",".join(addresses) or "nothing",
            peer.get_attr("WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL"),
            "version", peer.get_attr("WGPEER_A_PROTOCOL_VERSION"),
            "received", peer.get_attr("WGPEER_A_RX_BYTES"),
            "sent", peer.get_attr("WGPEER_A_TX_BYTES"),
            "at", peer.get_attr("WGPEER_A_LAST_HANDSHAKE_TIME")["tv_sec"],
        )


def kind(name):
    print(route.get_links(index(name))[0].get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND"))


commands = {
    "create": create, "set": set_, "show": show, "kind": kind,
    "up": lambda name: state(name, "up"),
    "down": lambda name: state(name, "down"),
    "delete": lambda name: route.link("del", index=index(name)),
}
for line in sys.stdin:
    command, *arguments = line.split()
    try:
        commands[command](*arguments)
        print("ok", flush=True)
    except Exception as error:  # pylint: disable=broad-except # whatever it is, the test shall see it
        print("error", type(error).__name__, error, flush=True)
