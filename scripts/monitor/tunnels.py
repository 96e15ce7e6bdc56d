# SPDX-License-Identifier: GPL-2.0
"""What the module tells of its devices and peers, as dictionaries; an endpoint is a string, as wg(8) shows it."""

import contextlib
import errno
import os
import socket

from pyroute2 import IPRoute
from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.exceptions import NetlinkDumpInterrupted, NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket
from pyroute2.netlink.nlsocket import NetlinkSocket

from spec import Spec

SPEC = Spec(os.path.join(os.path.dirname(os.path.realpath(__file__)), "wg-monitor.yaml"))


class Trouble(Exception):
    """What the user is told in one line."""


class Gone(Trouble):
    """A device is not there, or another one has its name."""


class Socket(GenericNetlinkSocket):
    # What is wrong is said once, and not by pyroute2.
    module_err_level = "debug"

    def __init__(self, set_name):
        super().__init__()
        self.set_name = set_name
        try:
            self.bind(SPEC.name, SPEC.message(set_name))
        except NetlinkError as error:
            if error.code != errno.ENOENT:
                raise
            raise Trouble(no_family()) from None

    def request(self, command, flags, attributes):
        """What is answered, one after the other."""
        message = self.marshal.msg_map[self.prid]()
        message["cmd"] = SPEC.commands[command]
        message["version"] = 1
        message["attrs"] = list(attributes.items())
        # GenericNetlinkSocket's would keep all of a dump.
        for answer in NetlinkSocket.nlm_request(self, message, self.prid, NLM_F_REQUEST | flags):
            yield self.plain(answer)

    def plain(self, message):
        told = SPEC.plain(self.set_name, message)
        for name in ("endpoint", "old_endpoint"):
            if name in told:
                told[name] = endpoint(**told[name])
        return told


def no_family():
    if os.path.isdir("/sys/module/wireguard"):
        return "the module wireguard that is loaded is the C driver, or too old: it does not tell what its tunnels do"
    return "the module wireguard is not loaded: modprobe wireguard"


def endpoint(addr, port, scope_id=0):
    if scope_id:
        with contextlib.suppress(OSError):
            scope_id = socket.if_indextoname(scope_id)
        addr = f"{addr}%{scope_id}"
    return f"[{addr}]:{port}" if ":" in addr else f"{addr}:{port}"


@contextlib.contextmanager
def errors_in_words(device):
    try:
        yield
    except NetlinkError as error:
        match error.code:
            case errno.ENODEV:
                raise Gone(f"there is no device {device}") from None
            case errno.EOPNOTSUPP:
                raise Gone(f"{device} is not a WireGuard device") from None
            case errno.EPERM:
                words = "this needs root (CAP_NET_ADMIN in the network namespace)"
            case _:
                words = f"{device}: {os.strerror(error.code)}"
        raise Trouble(words) from None


class Tunnels:
    def __init__(self):
        self._devices, self._peers = Socket("device"), Socket("peer")

    def device(self, name):
        with errors_in_words(name):
            (device,) = self._devices.request("device-get", 0, {"ifname": name})
            return device

    def devices(self, name=None):
        """The device of this name, or all."""
        if name is not None:
            return [self.device(name)]
        with IPRoute() as route:
            names = [link.get_attr("IFLA_IFNAME") for link in route.get_links(kind="wireguard")]
        out = []
        for each in names:
            # It may have been deleted or renamed since.
            with contextlib.suppress(Gone):
                out.append(self.device(each))
        return out

    def peers(self, device, generation=0):
        """The peers of a device: all, or those that changed after a generation."""
        wanted = {"ifindex": device["ifindex"]} | ({"generation": generation} if generation else {})
        peers = []
        # Of peers that come and go meanwhile those are told that were there when it was their turn.
        with errors_in_words(device["ifname"]), contextlib.suppress(NetlinkDumpInterrupted):
            for peer in self._peers.request("peer-get", NLM_F_DUMP, wanted):
                peers.append(peer)
        return peers

    def everything(self, name=None):
        """The device of this name, or all, each with its peers in place of their number."""
        out = []
        for device in self.devices(name):
            # Of all devices one may be deleted before it is its turn.
            with contextlib.suppress(*([Gone] if name is None else [])):
                out.append(device | {"peers": self.peers(device)})
        return out


class Events(Socket):
    """The notifications: read() waits for some."""

    def __init__(self):
        super().__init__("peer")
        try:
            self.add_membership("peers")
        except PermissionError:
            raise Trouble("this needs root (CAP_NET_ADMIN in the network namespace)") from None

    def read(self):
        """Names of events, each with what it tells; raises OverflowError when messages were lost."""
        try:
            messages = self.get()
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            raise OverflowError from None
        return [(SPEC.command_names[each["cmd"]].removesuffix("-ntf"), self.plain(each)) for each in messages if each["cmd"] in SPEC.command_names]
