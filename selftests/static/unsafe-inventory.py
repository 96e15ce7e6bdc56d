#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Reads the tree's Rust for `unsafe`.

  unsafe-inventory.py            prints the table that Documentation/unsafe.md holds
  unsafe-inventory.py --update   writes it there
  unsafe-inventory.py --check    prints a line for each thing that is not as it must be, and fails if there is one:
                                 an `unsafe` in src/, a file of src/ that does not forbid it, an `unsafe` in rust/ that
                                 does not say why it is sound, a table in Documentation/unsafe.md that is not this tree's
  unsafe-inventory.py --prove    shows on small wrong trees that --check finds each of these
"""

import os
import re
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCUMENT = "Documentation/unsafe.md"
BEGIN, END = "<!-- inventory: begin (selftests/static/unsafe-inventory.py --update) -->", "<!-- inventory: end -->"
KINDS = ("blocks", "impls", "functions", "traits")


def blank(text):
    """The code without what is in comments, strings and characters; every line stays where it was."""
    out, at, size = [], 0, len(text)

    def skip(to):
        nonlocal at
        out.append(re.sub(r"[^\n]", " ", text[at:to]))
        at = to

    while at < size:
        rest = text[at:at + 2]
        if rest == "//":
            end = text.find("\n", at)
            skip(size if end < 0 else end)
        elif rest == "/*":
            depth, end = 1, at + 2
            while end < size and depth:
                if text.startswith("/*", end):
                    depth, end = depth + 1, end + 2
                elif text.startswith("*/", end):
                    depth, end = depth - 1, end + 2
                else:
                    end += 1
            skip(end)
        elif raw := re.match(r'b?c?r(#*)"', text[at:at + 40]):
            if at and (text[at - 1].isalnum() or text[at - 1] == "_"):
                out.append(text[at])
                at += 1
                continue
            end = text.find('"' + raw[1], at + raw.end())
            skip(size if end < 0 else end + 1 + len(raw[1]))
        elif text[at] == '"':
            end = at + 1
            while end < size and text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            skip(min(size, end + 1))
        elif character := re.match(r"'(\\(x..|u\{[^}]*\}|.)|[^'\\\n])'", text[at:at + 14]):
            skip(at + character.end())
        else:
            out.append(text[at])
            at += 1
    return "".join(out)


def uses(text):
    """[(line number, kind)] of every `unsafe` of the code; a function pointer's type is none."""
    code = blank(text)
    found = []
    for match in re.finditer(r"\bunsafe\b", code):
        after = code[match.end():match.end() + 200]
        line = code.count("\n", 0, match.start()) + 1
        if re.match(r"\s*\(", after):
            kind = "attribute"
        elif re.match(r'\s*(extern\s*("\s*"|)\s*)?fn\s*\(', after):
            continue
        elif re.match(r"\s*(auto\s+)?trait\b", after):
            kind = "traits"
        elif re.match(r"\s*impl\b", after):
            kind = "impls"
        elif re.match(r"\s*(extern\b\s*(\s*)?(fn\b)|fn\b|(const|async)\s)", after):
            kind = "methods" if implements(code, match.start()) else "functions"
        else:
            kind = "blocks"
        found.append((line, kind))
    return found


def implements(code, at):
    """Whether that place is directly in an `impl Trait for Type`: the trait has said what its functions demand."""
    depth = 0
    while at > 0:
        at -= 1
        if code[at] == "}":
            depth += 1
        elif code[at] == "{":
            if depth == 0:
                head = re.split(r"[;{}]", code[:at])[-1]
                return bool(re.search(r"\bimpl\b.*\bfor\b", head, re.S))
            depth -= 1
    return False


def documented(lines, number, kind):
    """Whether the comment right above the statement of that line says why it is sound."""
    if "SAFETY:" in lines[number - 1]:
        return True
    at, safety, above = number - 2, re.compile(r"^\s*//[/!]?\s*(SAFETY:|# Safety)"), 0
    comment = False
    while at >= 0:
        line = lines[at].strip()
        if line.startswith("//"):
            comment = True
            if safety.match(line):
                return True
        elif comment:
            return False
        elif line.startswith("#[") or line.startswith("#!["):
            pass
        elif not line or line[-1] in ";{},":
            # Another statement, or the start of the block: no comment of ours beyond it.
            return False
        else:
            above += 1  # the statement began further up
            if above > 8:
                return False
        at -= 1
    return False


def files(root, folder):
    for where, folders, names in os.walk(os.path.join(root, folder)):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".rs"):
                path = os.path.join(where, name)
                with open(path) as file:
                    yield os.path.relpath(path, root), file.read()


def forbidding(sources):
    """The files of src/ in which `unsafe` is forbidden: by themselves, or by where their module is declared."""
    safe = {path for path, text in sources.items() if re.search(r"^\s*#!\[(?:forbid|deny)?forbid\([^)]*\bunsafe_code\b|^\s*#!\[forbid\([^)]*\bunsafe_code\b", blank(text), re.M)}
    changed = True
    while changed:
        changed = False
        for path, text in sources.items():
            folder = os.path.dirname(path) if os.path.basename(path) in ("mod.rs", "wireguard.rs", "lib.rs", "main.rs") else path[:-3]
            for match in re.finditer(r"((?:#\[[^\]]*\]\s*)*)(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;", blank(text)):
                if path not in safe and "forbid(unsafe_code)" not in match[1]:
                    continue
                for child in ("%s/%s.rs" % (folder, match[2]), "%s/%s/mod.rs" % (folder, match[2])):
                    if child in sources and child not in safe:
                        safe.add(child)
                        changed = True
    return safe


def table(root):
    rows, total = [], dict.fromkeys(KINDS, 0)
    for path, text in files(root, "rust"):
        counts = dict.fromkeys(KINDS, 0)
        for _, kind in uses(text):
            counts[{"attribute": "blocks", "methods": "functions"}.get(kind, kind)] += 1
        if not any(counts.values()):
            continue
        summary = []
        for line in text.splitlines():
            if line.startswith("//!") and line[3:].strip():
                summary.append(line[3:].strip())
            elif summary:
                break
        first = re.split(r"(?<=[.:;]) ", " ".join(summary) + " ")[0].strip().rstrip(".:;").replace("|", "\\|")
        rows.append("| `%s` | %s | %s |" % (path, first, " | ".join(str(counts[kind] or "") for kind in KINDS)))
        for kind in KINDS:
            total[kind] += counts[kind]
    head = ["| file | what for | blocks | impls | functions | traits |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    return "\n".join(head + rows + ["| **all** | | %s |" % " | ".join("**%d**" % total[kind] for kind in KINDS)])


def problems(root):
    out = []
    sources = dict(files(root, "src"))
    if not sources:
        out.append("src/: there is no Rust file here to look at")
    safe = forbidding(sources)
    for path, text in sources.items():
        out += ["%s:%d: unsafe: src/ must do without (put it behind a safe layer in rust/)" % (path, line) for line, _ in uses(text)]
        # The root cannot forbid it: rust/ is below it.
        if path in safe or os.path.basename(path) == "wireguard.rs":
            continue
        # The events' macro, which is one of rust/, allows its own.
        if path == "src/events.rs" and re.search(r"^#!\[deny\(unsafe_code\)\]", blank(text), re.M) and not re.search(r"\ballow\b", blank(text)):
            continue
        out.append("%s:1: not forbidden: add #![forbid(unsafe_code)]" % path)
    for path, text in files(root, "rust"):
        lines = text.splitlines()
        for line, kind in uses(text):
            if kind not in ("attribute", "methods") and not documented(lines, line, kind):
                out.append("%s:%d: undocumented: a comment right above must begin with %s" % (path, line, "/// # Safety" if kind in ("functions", "traits") else "// SAFETY:"))
    return out


def stale(root):
    path = os.path.join(root, DOCUMENT)
    if not os.path.exists(path):
        return ["%s: missing: run selftests/static/unsafe-inventory.py --update" % DOCUMENT]
    with open(path) as file:
        text = file.read()
    if BEGIN not in text or END not in text:
        return ["%s: has no place for the table: run selftests/static/unsafe-inventory.py --update" % DOCUMENT]
    if text.split(BEGIN)[1].split(END)[0].strip() != table(root).strip():
        return ["%s: stale: it is not this tree's table: run selftests/static/unsafe-inventory.py --update" % DOCUMENT]
    return []


def update(root):
    path = os.path.join(root, DOCUMENT)
    text = ""
    if os.path.exists(path):
        with open(path) as file:
            text = file.read()
    if BEGIN not in text:
        text = (text or "<!-- SPDX-License-Identifier: GPL-2.0 -->\n# Where `unsafe` is\n") + "\n%s\n%s\n" % (BEGIN, END)
    head, rest = text.split(BEGIN, 1)
    with open(path, "w") as file:
        file.write(head + BEGIN + "\n" + table(root) + "\n" + END + rest.split(END, 1)[1])


def prove():
    good = {
        "src/wireguard.rs": "//! The root.\n#[path = \"../rust/a.rs\"]\nmod a;\nmod b;\n#[forbid(unsafe_code)]\nmod c;\n",
        "src/b.rs": "//! unsafe in a comment\n#![forbid(unsafe_code)]\nmod d;\n/* unsafe /* unsafe */ unsafe */\nconst S: &str = \"unsafe { \\\" unsafe\"; const R: &str = r#\"unsafe \" {\"#; const C: char = '\"'; const L: &'static str = \"\";\n",
        "src/events.rs": "// SPDX\n#![deny(unsafe_code)]\n",
        "src/b/d.rs": "fn f() {}\n", "src/c.rs": "fn f<'a>(x: &'a u8) {}\n",
        "rust/a.rs": "//! A layer: it wraps.\n/// # Safety\n/// Do not.\n#[inline]\npub unsafe fn f() {\n    // SAFETY: it is,\n    // and how.\n    let a = g(\n        unsafe { h() });\n}\n"
                     "// SAFETY: all is well.\nunsafe impl Send for A {}\ntype T = Option<unsafe extern \"C\" fn(u8)>;\n/// # Safety\nunsafe trait U {}\n"
                     "impl U for A {\n    unsafe fn f() {}\n}\n",
    }
    wrong = [
        ("a block in src/", "src/b.rs", "fn g() { unsafe { h() } }\n", "src/b.rs:6: unsafe"),
        ("an unsafe function in src/", "src/c.rs", "unsafe fn g() {}\n", "src/c.rs:2: unsafe"),
        ("an unsafe impl in the root", "src/wireguard.rs", "unsafe impl Send for A {}\n", "src/wireguard.rs:7: unsafe"),
        ("a file that does not forbid it", "src/e.rs", "fn f() {}\n", "src/e.rs:1: not forbidden"),
        ("one that forbids it in a comment only", "src/e.rs", "// #![forbid(unsafe_code)]\nfn f() {}\n", "src/e.rs:1: not forbidden"),
        ("one that only denies it", "src/e.rs", "#![deny(unsafe_code)]\n", "src/e.rs:1: not forbidden"),
        ("one that may deny it but allows it", "src/events.rs", "#[allow(unsafe_code)]\nfn f() {}\n", "src/events.rs:1: not forbidden"),
        ("a block without SAFETY", "rust/a.rs", "fn z() {\n    let x = 1;\n    unsafe { h() }\n}\n", "rust/a.rs:21: undocumented"),
        ("a block whose comment says something else", "rust/a.rs", "fn z() {\n    // It is fine.\n    unsafe { h() }\n}\n", "rust/a.rs:21: undocumented"),
        ("two blocks under one comment", "rust/a.rs", "fn z() {\n    // SAFETY: yes.\n    unsafe { h() };\n    unsafe { h() }\n}\n", "rust/a.rs:22: undocumented"),
        ("an impl without SAFETY", "rust/a.rs", "unsafe impl Sync for A {}\n", "rust/a.rs:19: undocumented"),
        ("a function without Safety", "rust/a.rs", "pub unsafe fn y() {}\n", "rust/a.rs:19: undocumented"),
        ("a trait without Safety", "rust/b.rs", "//! B\npub unsafe trait V {}\n", "rust/b.rs:2: undocumented"),
    ]

    def tree(changes, action):
        with tempfile.TemporaryDirectory() as root:
            os.mkdir(root + "/Documentation")
            for path, text in changes.items():
                os.makedirs(os.path.dirname(root + "/" + path), exist_ok=True)
                with open(root + "/" + path, "w") as file:
                    file.write(text)
            return action(root)

    def aged(root):
        update(root)
        fresh = stale(root)
        with open(root + "/rust/a.rs", "a") as file:
            file.write("// SAFETY: new.\nunsafe impl Sync for A {}\n")
        return fresh, stale(root)

    failed = 0
    results = [("nothing in a tree where all is well", [], tree(good, problems))]
    for words, path, more, line in wrong:
        results.append((words, [line], [": ".join(p.split(": ")[:2]) for p in tree({**good, path: good.get(path, "") + more}, problems)]))
    fresh, old = tree(good, aged)
    results += [("that a table just written is good", [], fresh), ("that it is stale after a change", [DOCUMENT + ": stale"], [": ".join(p.split(": ")[:2]) for p in old]),
                ("that it is missing", [DOCUMENT + ": missing"], [": ".join(p.split(": ")[:2]) for p in tree(good, stale)])]
    for words, wanted, got in results:
        if got != wanted:
            failed = 1
            print("not found: %s: got %s, wanted %s" % (words, got, wanted))
        else:
            print("found: %s" % words)
    return failed


if __name__ == "__main__":
    option = sys.argv[1] if len(sys.argv) > 1 else ""
    if option == "--update":
        update(ROOT)
    elif option == "--check":
        found = problems(ROOT) if "table" not in sys.argv[2:] else []
        if not sys.argv[2:] or "table" in sys.argv[2:]:
            found += stale(ROOT)
        only = {"src": "src/", "rust": "rust/"}
        for word in sys.argv[2:]:
            if word in only:
                found = [line for line in found if line.startswith(only[word])]
        print("\n".join(found), end="\n" if found else "")
        sys.exit(1 if found else 0)
    elif option == "--prove":
        sys.exit(prove())
    elif option == "":
        print(table(ROOT))
    else:
        sys.exit(__doc__)
