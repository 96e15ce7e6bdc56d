#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Reads which file of src/ uses which.

  imports.py           prints a line for each import that goes upwards from one room to another, and for each circle among
                       files, and fails if there is one
  imports.py --dot     prints a drawing for Graphviz
  imports.py --prove   shows on small wrong trees that it finds each of these
"""

import os
import re
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The rooms: each may use those before it. What stands above all of them, and beside them, is not looked at.
ROOMS = ("protocol", "queueing", "events", "device", "data", "handshake", "control")


def code_of(text):
    """Without comments and strings."""
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"', "", text, flags=re.S)


def files_of(src):
    """The files of the rooms by the paths of their modules."""
    found = {}
    for room in ROOMS:
        if os.path.exists(f"{src}/{room}.rs"):
            found[(room,)] = f"{room}.rs"
        for folder, _, names in os.walk(f"{src}/{room}"):
            for name in names:
                if name.endswith(".rs"):
                    path = os.path.relpath(f"{folder}/{name}", src)
                    found[tuple(path[:-3].split(os.sep))] = path
    return found


def paths_in(tree, prefix=()):
    """What a `use` names: `a::{b, c::{d, self}}` is a::b, a::c::d, a::c."""
    tree = tree.strip()
    at = tree.find("{")
    if at < 0:
        names = re.sub(r"\s+as\s+\w+$", "", tree).split("::")
        yield prefix + tuple(name.strip() for name in names if name.strip() not in ("self", ""))
        return
    prefix += tuple(name.strip() for name in tree[:at].split("::") if name.strip())
    depth, start = 0, at + 1
    for end in range(at + 1, len(tree)):
        depth += {"{": 1, "}": -1}.get(tree[end], 0)
        if depth < 0 or depth == 0 and tree[end] == ",":
            if tree[start:end].strip():
                yield from paths_in(tree[start:end], prefix)
            start = end + 1


def uses_of(module, text):
    """What a module names that is in this crate, as paths from its root."""
    code = code_of(text)
    for statement in re.findall(r"\buse\s+([^;]+);", code):
        for path in paths_in(statement):
            yield from resolved(module, path)
    for path in re.findall(r"\b(?:crate|super)(?:\s*::\s*\w+)+", re.sub(r"\buse\s+[^;]+;", "", code)):
        yield from resolved(module, tuple(re.split(r"\s*::\s*", path)))


def resolved(module, path):
    at = None
    while path and path[0] in ("crate", "super", "self"):
        at = {"crate": (), "super": (at if at is not None else module)[:-1], "self": module}[path[0]]
        path = path[1:]
    if at is not None:
        yield at + path
    elif len(module) == 1 and path and path[0] not in ("core", "kernel", "std", "alloc"):
        # A room names its own files.
        yield module + path


def graph_of(src):
    """The files that each file uses. A room's own file names what is in it, which is no use."""
    files = files_of(src)
    graph = {module: set() for module in files}
    for module, path in files.items():
        with open(f"{src}/{path}", encoding="utf-8") as file:
            for used in uses_of(module, file.read()):
                while used and used not in files:
                    used = used[:-1]
                if used and used != module and used[: len(module)] != module:
                    graph[module].add(used)
    return graph


def circles_in(graph):
    """The strongly connected parts of more than one (Tarjan)."""
    number, low, stack, found = {}, {}, [], []

    def visit(node):
        number[node] = low[node] = len(number)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in number:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == number[node]:
            part = []
            while not part or part[-1] != node:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(sorted(part))

    for node in sorted(graph):
        if node not in number:
            visit(node)
    return found


def complaints_about(src):
    graph = graph_of(src)
    for module, used in sorted(graph.items()):
        for other in sorted(used):
            if ROOMS.index(other[0]) > ROOMS.index(module[0]):
                yield f"{'::'.join(module)} uses {'::'.join(other)}, which is in a room above"
            if other == module[:-1]:
                yield f"{'::'.join(module)} uses its room's own file, which is for other rooms"
    for circle in circles_in(graph):
        yield "a circle: " + ", ".join("::".join(module) for module in circle)


def prove():
    good = {
        "protocol.rs": "pub(crate) mod a;\nmod b;\npub(crate) use a::A;\n",
        "protocol/a.rs": "use crate::rcu;\nstruct A;\n",
        "protocol/b.rs": "use crate::protocol::{a::{A as B, self}};\n",
        "device.rs": "mod c;\n",
        "device/c.rs": "// use crate::control::d::D;\nuse crate::{protocol::A, device};\n",
        "control/d.rs": "use super::e;\nfn f() { crate::device::c::g(\"crate::x\") }\n",
        "control/e.rs": "",
    }
    good["device/c.rs"] = good["device/c.rs"].replace(", device", "")
    wrong = (
        ("nothing", "control/e.rs", "", None),
        ("a use upwards", "protocol/a.rs", "use crate::{device::{c::C}};", "protocol::a uses device::c, which is in a room above"),
        ("a path upwards", "protocol/a.rs", "fn f() { crate::control::e::E; }", "protocol::a uses control::e, which is in a room above"),
        ("a circle of two", "control/e.rs", "use super::d::{self};", "a circle: control::d, control::e"),
        ("a circle of paths", "protocol/a.rs", "fn f() { super::b::g() }", "a circle: protocol::a, protocol::b"),
        ("a use of the room's own file", "protocol/b.rs", "use crate::protocol::C;", "protocol::b uses its room's own file, which is for other rooms"),
    )
    failed = False
    for what, file, text, expected in wrong:
        with tempfile.TemporaryDirectory() as src:
            for name, content in good.items():
                os.makedirs(os.path.dirname(f"{src}/{name}"), exist_ok=True)
                with open(f"{src}/{name}", "w", encoding="utf-8") as out:
                    out.write(content + (text if name == file else ""))
            found = list(complaints_about(src))
        if found != ([expected] if expected else []):
            print(f"{what}: found {found}, not {expected}")
            failed = True
    return failed


def main():
    if sys.argv[1:] == ["--prove"]:
        return prove()
    if sys.argv[1:] == ["--dot"]:
        print("digraph imports {\n\trankdir = BT;")
        graph = graph_of(f"{ROOT}/src")
        for room in ROOMS:
            inside = " ".join(f'"{"::".join(module)}";' for module in sorted(graph) if module[0] == room)
            print(f"\tsubgraph cluster_{room} {{ label = {room}; {inside} }}")
        for module, used in sorted(graph.items()):
            for other in sorted(used):
                print(f'\t"{"::".join(module)}" -> "{"::".join(other)}";')
        print("}")
        return False
    found = list(complaints_about(f"{ROOT}/src"))
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


sys.exit(main())
