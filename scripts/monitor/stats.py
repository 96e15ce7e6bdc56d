# SPDX-License-Identifier: GPL-2.0
"""stats: all counters, of every peer."""

import json
import time

from tunnels import Tunnels
from words import duration, milliseconds, plural, preshared, quality, size


def counted(counters):
    """Those that are not zero, in words."""
    return ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in counters.items() if number)


def last_session(peer):
    if not peer["last_handshake"]:
        return "never"
    return f"{duration(max(0, time.time() - peer['last_handshake'] / 1e9))} ago{preshared(peer)}"


def path(told):
    if not told["received"] + told["lost"]:
        return "nothing came yet"
    share = quality(told)
    words = [f"received {told['received']}"]
    for name in ("lost", "reordered", "duplicate"):
        number = told[name]
        shown = share[f"{name}_percent"]
        words.append(f"{name} {number} ({shown:.2f}%)" if number and shown is not None else f"{name} {number}")
    return ", ".join(words)


def lines(peer):
    """What is told of a peer: a name and its words each."""
    yield "endpoint", peer.get("endpoint", "unknown")
    yield "last session", last_session(peer)
    yield "received", f"{size(peer['rx_bytes'])} in {plural(peer['rx_packets'], 'packet')}"
    yield "sent", f"{size(peer['tx_bytes'])} in {plural(peer['tx_packets'], 'packet')}"
    yield "handshakes", counted(peer["handshakes"]) or "none"
    yield "path", path(peer["path"])
    if "rtt_us" in peer["path"]:
        yield "round trip", milliseconds(peer["path"]["rtt_us"])
    if peer["waiting"]:
        yield "waiting", f"{plural(peer['waiting'], 'packet')}, the oldest for {peer['waiting_ms']} ms"
    yield "dropped", counted(peer["drops"]) or "nothing"


def show_text(devices):
    for number, device in enumerate(devices):
        print(*[""] * (number > 0), f"{device['ifname']}: {plural(len(device['peers']), 'peer')}", sep="\n")
        for peer in device["peers"]:
            print(f"\npeer {peer['id']}: {peer['public_key']}")
            for name, words in lines(peer):
                print(f"  {name + ':':<14}{words}")


def run(arguments):
    devices = Tunnels().everything(arguments.device)
    if arguments.json:
        for peer in (peer for device in devices for peer in device["peers"]):
            peer["path"] |= quality(peer["path"])
        print(json.dumps(devices, indent="\t"))
    else:
        show_text(devices)
