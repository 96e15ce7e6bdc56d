# SPDX-License-Identifier: GPL-2.0
"""watch: what happens to peers, an event a line."""

import contextlib
import datetime
import json
import select

from tunnels import Events, Gone, Tunnels
from words import event, short


def show_text(now, name, told):
    where = [told["ifname"]] if "ifname" in told else []
    who = [short(told["public_key"])] if "public_key" in told else []
    print(now.isoformat(" ", "milliseconds"), *where, *who, event(name, told), flush=True)


def show_json(now, name, told):
    print(json.dumps({"time": now.astimezone().isoformat(timespec="milliseconds"), "event": name} | told), flush=True)


class Watch:
    def __init__(self, device, show):
        self._wanted = device
        self._show = show
        self._tunnels = Tunnels()
        self._events = Events()
        # The generations of the devices when all was known that had happened, and since then those of what was told of peers:
        # not all that has a smaller generation comes earlier.
        self._generations = {each["ifindex"]: each["generation"] for each in self._tunnels.devices(device)}
        self._told = {}

    def tell(self, name, told):
        self._show(datetime.datetime.now(), name, told)

    def run(self):
        overflown = False
        while True:
            # What was in the buffer when it overflowed is older than what was lost.
            if overflown and not select.select([self._events], [], [], 0)[0]:
                self.catch_up()
                overflown = False
            try:
                events = self._events.read()
            except OverflowError:
                self.tell("overflow", {})
                overflown = True
                continue
            for name, told in events:
                if self._wanted in (None, told["ifname"]):
                    self._told[told["ifindex"], told["public_key"]] = told["generation"]
                    self.tell(name, told)

    def catch_up(self):
        """Tells what changed and was not told."""
        before, self._generations = self._generations, {}
        already, self._told = self._told, {}
        for device in self._tunnels.devices(self._wanted):
            index = device["ifindex"]
            known = before.get(index, 0)
            self._generations[index] = device["generation"]
            if device["removal_generation"] > known:
                self.tell("removed", {name: device[name] for name in ("ifindex", "ifname", "generation")})
            # It may have been deleted since.
            with contextlib.suppress(Gone):
                for peer in self._tunnels.peers(device, known):
                    if peer["generation"] > already.get((index, peer["public_key"]), 0):
                        self.tell("changed", peer)


def run(arguments):
    Watch(arguments.device, show_json if arguments.json else show_text).run()
