# SPDX-License-Identifier: GPL-2.0
"""top: the peers in a table that is renewed all the time, those with the most traffic first."""

import collections
import curses
import locale
import signal
import sys
import time

from tunnels import Trouble, Tunnels
from words import amount, percent, plural, short

# For how long a session may be used (REJECT_AFTER_TIME of the protocol), in seconds.
SESSION_LIFE = 180
# Over how many seconds the loss is counted: over less, a packet would be too large a part of it.
LOSS_OVER = 30

ORDERS = {
    "t": ("traffic", lambda row: row.received + row.sent),
    "l": ("loss", lambda row: row.loss or 0),
    "d": ("drops", lambda row: row.drops),
    "s": ("state", lambda row: list(STATES).index(row.state)),
}
# From what needs attention least to what needs it most.
STATES = {"up": curses.A_NORMAL, "idle": curses.A_DIM, "never": curses.A_DIM, "waits": curses.A_BOLD}

Row = collections.namedtuple("Row", "device key endpoint state received sent loss rtt drops")


def state(peer, age):
    if peer["waiting"]:
        return "waits"
    if age is None:
        return "never"
    return "up" if age < SESSION_LIFE else "idle"


class Rates:
    """What changed from one look to the next."""

    def __init__(self):
        # Looks of the last seconds: when, and the peers by device and key.
        self._looks = collections.deque()

    def rows(self, devices):
        now = time.monotonic()
        peers = {(device["ifname"], peer["public_key"]): peer for device in devices for peer in device["peers"]}
        self._looks.append((now, {who: (peer["path"]["received"], peer["path"]["lost"], peer["rx_bytes"], peer["tx_bytes"], sum(peer["drops"].values())) for who, peer in peers.items()}))
        while now - self._looks[0][0] > LOSS_OVER:
            self._looks.popleft()
        return [self._row(who, peer) for who, peer in peers.items()]

    def _row(self, who, peer):
        now, seen = self._looks[-1]
        before, seen_before = self._looks[max(len(self._looks) - 2, 0)]
        received, lost, rx, tx, drops = seen[who]
        _, _, rx_before, tx_before, drops_before = seen_before.get(who, seen[who])
        first_received, first_lost, *_ = next((look[who] for _, look in self._looks if who in look), seen[who])
        span = max(now - before, 0.001)
        lost -= first_lost
        age = max(0, time.time() - peer["last_handshake"] / 1e9) if peer["last_handshake"] else None
        return Row(
            *who,
            peer.get("endpoint", "unknown"),
            state(peer, age),
            (rx - rx_before) / span,
            (tx - tx_before) / span,
            percent(lost, received - first_received + lost),
            peer["path"].get("rtt_us"),
            (drops - drops_before) / span,
        )


def fit(text, width):
    return text if len(text) <= width else text[: width - 1] + "…"


def rate(number):
    return amount(number, 1000, ("B", "kB", "MB", "GB")).replace(" ", "")


def columns(endpoint_width, *fields):
    device, key, endpoint, *rest = fields
    return f"{fit(device, 6):<6} {key:<9} {fit(endpoint, endpoint_width):<{endpoint_width}} " + "{:<5} {:>7} {:>7} {:>5} {:>5} {:>5}".format(*rest)


# The width of a line but for the endpoint.
REST = len(columns(0, *[""] * 9))


def line(row, endpoint_width):
    loss = "" if row.loss is None else f"{row.loss:.1f}"
    rtt = "" if row.rtt is None else f"{row.rtt / 1000:.0f}"
    return columns(endpoint_width, row.device, short(row.key), row.endpoint, row.state, rate(row.received), rate(row.sent), loss, rtt, f"{row.drops:.0f}")


def draw(screen, rows, order):
    height, width = screen.getmaxyx()
    endpoint_width = min(max(width - 1 - REST, 8), 47)
    title = columns(endpoint_width, "DEVICE", "PEER", "ENDPOINT", "STATE", "RECV/s", "SENT/s", "LOSS%", "RTTms", "DROPS")
    up = sum(row.state == "up" for row in rows)
    lines = [
        (f"{plural(len(rows), 'peer')}, {up} up; by {ORDERS[order][0]}: t traffic, l loss, d drops, s state; q ends", curses.A_NORMAL),
        (title, curses.A_REVERSE),
    ]
    lines += [(line(row, endpoint_width), STATES[row.state]) for row in sorted(rows, key=ORDERS[order][1], reverse=True)[: height - 2]]
    screen.erase()
    for y, (text, attribute) in enumerate(lines[:height]):
        # Not the last column: writing the last cell of all would scroll.
        screen.addnstr(y, 0, text.ljust(width - 1), width - 1, attribute)
    screen.refresh()


def loop(screen, arguments, tunnels):
    curses.curs_set(0)
    rates, order, rows, due = Rates(), "t", [], 0
    while True:
        if time.monotonic() >= due:
            rows = rates.rows(tunnels.everything(arguments.device))
            due = time.monotonic() + arguments.interval
        draw(screen, rows, order)
        screen.timeout(max(0, int((due - time.monotonic()) * 1000)))
        pressed = screen.getch()
        if pressed == ord("q"):
            return
        if 0 <= pressed < 128 and chr(pressed) in ORDERS:
            order = chr(pressed)


def leave(number, _frame):
    """By a signal, but after the terminal was set back."""
    sys.exit(128 + number)


def run(arguments):
    # What is wrong is said before the screen changes.
    tunnels = Tunnels()
    tunnels.devices(arguments.device)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Trouble("top needs a terminal: wg-monitor stats prints the same figures once")
    locale.setlocale(locale.LC_ALL, "")
    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)
    try:
        curses.wrapper(loop, arguments, tunnels)
    except curses.error as error:
        raise Trouble(f"the terminal cannot show a table ({error}): is TERM right?") from None
