# SPDX-License-Identifier: GPL-2.0
"""Numbers, keys and events as people read them."""

import math


def short(public_key):
    return public_key[:8] + "…"


def plural(number, word):
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def amount(number, base, units):
    """Three digits at least, and a unit."""
    power = min(int(math.log(number, base)), len(units) - 1) if number >= 1 else 0
    return f"{number:.0f} {units[0]}" if power == 0 else f"{number / base**power:.{2 if number / base**power < 10 else 1}f} {units[power]}"


def size(number):
    return amount(number, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"))


def milliseconds(microseconds):
    return f"{microseconds / 1000:.1f} ms"


def duration(seconds):
    seconds = int(seconds)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return plural(seconds // length, unit)
    return plural(seconds, "second")


def percent(part, whole):
    """None if there is nothing of which it could be a part."""
    return 100 * part / whole if whole else None


def quality(path):
    """What the path did to the packets from the peer, in percent of those that were sent (lost) or came (the others)."""
    received, lost = path.get("received", 0), path.get("lost", 0)
    return {
        "lost_percent": percent(lost, received + lost),
        "reordered_percent": percent(path.get("reordered", 0), received),
        "duplicate_percent": percent(path.get("duplicate", 0), received),
    }


def preshared(told):
    return ", with a preshared key" if told.get("has_preshared_key") else ""


def session(told):
    # The time is that of the handshake only for who began it.
    rtt = told.get("path", {}).get("rtt_us")
    role = told.get("role")
    took = f", {milliseconds(rtt)}" if role == "initiator" and rtt is not None else ""
    # Without a role it was over before it could be told of.
    return f"session established{f' as {role}' if role else ', and over'}{took}, endpoint {told.get('endpoint', 'unknown')}{preshared(told)}"


def moved(told):
    before, now = told["old_endpoint"], told["endpoint"]
    return f"moved, and is back at {now}" if now == before else f"moved from {before} to {now}"


EVENTS = {
    "session": session,
    "session-expired": lambda told: "session expired, no other has taken its place",
    "handshake-failed": lambda told: f"no answer from {told.get('endpoint', 'nowhere')}, given up after {plural(told['attempts'], 'attempt')}",
    "endpoint": moved,
    "peer-new": lambda told: "peer added",
    "peer-set": lambda told: "peer configured anew",
    "peer-del": lambda told: "peer removed",
    # Those that watch makes itself.
    "changed": lambda told: f"changed meanwhile, endpoint {told.get('endpoint', 'unknown')}, {plural(told['handshakes']['sessions'], 'session')} so far",
    "removed": lambda told: "some peers were removed meanwhile",
    "overflow": lambda told: "events came faster than they were read, and some are lost; what changed follows",
}


def event(name, told):
    return EVENTS.get(name, lambda told: name)(told)
