# SPDX-License-Identifier: GPL-2.0
"""pyroute2's classes for a family of generic netlink, made of the family's specification (YAML, in the kernel's format), so
that no number is written down twice."""

import base64
import functools
import ipaddress

import yaml
from pyroute2.netlink import genlmsg, nla

# The types of the specification, and pyroute2's names for them.
TYPES = {"binary": "cdata", "string": "asciiz", "u8": "uint8", "u16": "uint16", "u32": "uint32", "u64": "uint64", "uint": "uint"}


def numbered(entries, first):
    """The numbers of attributes or operations, each the next one unless it states its own."""
    out, number = {}, first
    for entry in entries:
        number = entry.get("value", number)
        out[entry["name"]] = number
        number += 1
    return out


def uint(_parent, value=None, data=None, offset=0):
    """An integer of 4 or 8 bytes: as it came, or as large as it must be."""
    wide = value >> 32 if data is None else int.from_bytes(data[offset : offset + 2], "little") == 12
    return nla.uint64 if wide else nla.uint32


class Spec:
    def __init__(self, path):
        with open(path, encoding="utf-8") as file:
            spec = yaml.safe_load(file)
        self.name = spec["name"]
        self.commands = numbered(spec["operations"]["list"], 1)
        self.command_names = {number: name for name, number in self.commands.items()}
        # By the name of the set, and then that of the attribute.
        self._sets = {each["name"]: {it["name"]: it for it in each["attributes"]} for each in spec["attribute-sets"]}
        self._enums = {each["name"]: each["entries"] for each in spec["definitions"] if each["type"] == "enum"}

    def message(self, set_name):
        """The class of messages with attributes of this set."""
        return type(set_name, (genlmsg,), self._members(set_name))

    def _members(self, set_name):
        attributes = self._sets[set_name].values()
        numbers = numbered(attributes, 1)
        members, nla_map = {"uint": staticmethod(uint)}, []
        for attribute in attributes:
            kind = TYPES.get(attribute["type"])
            if attribute["type"] == "nest":
                kind = attribute["nested-attributes"]
                members[kind] = type(kind, (nla,), self._members(kind))
            elif attribute.get("byte-order") == "big-endian":
                kind = "be" + kind.removeprefix("uint")
            nla_map.append((numbers[attribute["name"]], attribute["name"], kind))
        return members | {"nla_map": tuple(nla_map)}

    def plain(self, set_name, message):
        """A message as a dictionary. Its keys are the names of the specification, with underscores; bytes are in base64."""
        attributes = self._sets[set_name]
        # What a later module may tell is passed over.
        return {key(each.name): self._value(attributes[each.name], each.value) for each in message["attrs"] if each.name in attributes}

    def _value(self, attribute, raw):
        if attribute["type"] == "nest":
            return self.plain(attribute["nested-attributes"], raw)
        if "enum" in attribute:
            return self._enums[attribute["enum"]][raw]
        if attribute.get("display-hint") == "ipv4-or-v6":
            return str(ipaddress.ip_address(raw))
        if attribute["type"] == "binary":
            return base64.b64encode(raw).decode()
        return raw


@functools.cache
def key(name):
    return name.replace("-", "_")
