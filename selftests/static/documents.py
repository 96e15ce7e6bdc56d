#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""Whether the documents are true of the tree.

  documents.py --links   every relative link of every .md leads to a file, and its anchor to a headline there; every document
                         in Documentation/ can be reached from Documentation/README.md
  documents.py --tests   the table in selftests/README.md is selftests/: a line for each folder, with its tests in run's
                         catalogue; and the entry of a folder has its name
  documents.py --names   what names a file of the project (a document; of a test, any file) names one that there is
  documents.py --layers  the head of each layer in rust/ says in which context it may be used, and what it locks
  documents.py --items   each item of src/ and rust/ that other files see says what it is (a constant that is one of user
                         space's headers by its value need not)
  documents.py --prove   all of them find what is wrong in a tree made wrong on purpose

Prints a line for each thing that is wrong, and fails if there is one."""

import os
import re
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = {".git", "build", "target", "__pycache__"}
# What lies in selftests/ and is no folder of a proof.
LOOSE = {"README.md", "PACKAGES", "run", "run-debug", "run-guest", "lib"}
# Lists of other files, what bindgen makes, and names of older kernels.
NO_LAYERS = {"rust/net/mod.rs", "rust/bindings/mod.rs", "rust/compat.rs"}


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def files(root, suffix=""):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - SKIPPED)
        yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(suffix))


def without_code(text):
    """Code shows what a program prints or a file holds: no headlines and links of the document's own."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return re.sub(r"^(?: {4}|\t).*$", "", text, flags=re.M)


def anchors(text):
    """The names of its headlines, as Git forges make them."""
    found = []
    for line in re.findall(r"^#+ +(.*?)\s*$", without_code(text), re.M):
        line = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", line).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-")
        found.append(name if name not in found else "%s-%d" % (name, found.count(name)))
    return found


def targets(text):
    """What it links to; a word in backticks is no link."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", without_code(text)))


def links(root):
    reached, todo = set(), [os.path.join(root, "Documentation/README.md")]
    linked = {}
    for path in files(root, ".md"):
        linked[path] = set()
        for target in targets(read(path)):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            linked[path].add(file)
            if not os.path.exists(file):
                yield "%s: %s: there is no such file" % (os.path.relpath(path, root), target)
            elif anchor and (not file.endswith(".md") or anchor not in anchors(read(file))):
                yield "%s: %s: there is no such headline" % (os.path.relpath(path, root), target)
    while todo:
        path = todo.pop()
        if path in linked and path not in reached:
            reached.add(path)
            todo += linked[path]
    for path in files(os.path.join(root, "Documentation"), ".md"):
        if path not in reached:
            yield "%s: no way leads to it from Documentation/README.md" % os.path.relpath(path, root)


def tests(root):
    folder = os.path.join(root, "selftests")
    rows = {name: words.strip() for name, words in re.findall(r"^\| `([\w-]+)/` \|.*\|([^|]*)\|$", read(folder + "/README.md"), re.M)}
    catalogue = {}
    for name, command in re.findall(r"^([\w-]+)\|([^|]+)\|[^|]+\|[^|]+$", read(folder + "/run"), re.M):
        path = command.split()[0]
        if not os.access(os.path.join(folder, path), os.X_OK):
            yield "selftests/run: %s: %s is no program" % (name, path)
        catalogue.setdefault(path.partition("/")[0], []).append(name)
    for name in sorted(set(os.listdir(folder)) - LOOSE - SKIPPED):
        entries = [file for file in (name, name + ".sh", name + ".py") if os.access(os.path.join(folder, name, file), os.X_OK)]
        if not os.path.isdir(os.path.join(folder, name)):
            yield "selftests/%s: it lies outside of a folder" % name
        elif len(entries) != 1:
            yield "selftests/%s: it must have one program of its name (%s)" % (name, entries)
        elif name not in rows:
            yield "selftests/README.md: no line for %s/" % name
        elif not rows[name].startswith("(") and sorted(re.findall(r"[\w-]+", rows[name])) != sorted(catalogue.get(name, [])):
            yield "selftests/README.md: %s/: its tests are %s" % (name, ", ".join(catalogue.get(name, ["none"])))
    for name in sorted(set(rows) - set(os.listdir(folder))):
        yield "selftests/README.md: %s/: there is no such folder" % name


def names(root):
    """Where a file of the project is named, in a document or, of a test, anywhere, it is there."""
    for path in files(root):
        if not os.path.isfile(path) or os.path.samefile(path, __file__):
            continue
        try:
            text = read(path)
        except UnicodeDecodeError:
            continue
        folders = "selftests|scripts|src|rust" if path.endswith(".md") else "selftests"
        for name in re.findall(r"(?<![\w/.*-])(?:%s)/[\w/.-]*\w(?![\w*])" % folders, text):
            if not any(os.path.exists(os.path.join(folder, name)) for folder in (root, os.path.dirname(path))):
                yield "%s: %s: there is no such file" % (os.path.relpath(path, root), name)


def layers(root):
    """The head of each layer says in which context it may be used, or what it locks; the rest is for its items to say."""
    for path in files(os.path.join(root, "rust"), ".rs"):
        name = os.path.relpath(path, root)
        head = re.match(r"(// SPDX.*\n\n)?((//!.*\n)*)", read(path))[2]
        if name not in NO_LAYERS and not re.search(r"\b(Context|Locking): ", head):
            yield "%s: its head says nothing of context and locking" % name


def items(root):
    seen = r" *pub(?:\((?:crate|super)\))? (?:(?:const|unsafe) )*(?:fn|struct|enum|trait|const|static|type) (\w+)(.*(?:\n.*)?)"
    for path in [*files(os.path.join(root, "src"), ".rs"), *files(os.path.join(root, "rust"), ".rs")]:
        name = os.path.relpath(path, root)
        if name.startswith("src/tests/"):
            continue
        lines = read(path).split("\n")
        for number, line in enumerate(lines):
            found = re.match(seen, "\n".join(lines[number:number + 2]))
            if not found or re.search(r"= *\n? *wg\w+_WG\w+", found[2]):
                continue
            above = number - 1
            while re.match(r"\s*(?:#\[.*|[^/]*\)\])$", lines[above]):
                above -= 1
            if not re.match(r"\s*///", lines[above]):
                yield "%s:%d: %s says nothing about itself" % (name, number + 1, found[1])


def prove():
    """Each fault is found, and nothing where there is none."""
    good = {
        "Documentation/README.md": "# Way in\n[a](a.md#the-second-one) `[no](link.md)`\n\n    [no](link.md)\n",
        "Documentation/a.md": "# A `the`\n## The second, one\n[up](README.md#way-in) [self](#a-the) [far](https://example.org/x#y)\n",
        "selftests/README.md": "| `one/` | words | one, two |\n| `three/` | words | |\n",
        "selftests/run": "one|one/one.sh|here|words\ntwo|one/two|here|words\n",
        "selftests/one/one.sh": "", "selftests/one/two": "", "selftests/three/three": "# selftests/one/two\n",
    }
    faults = [
        ("links", {}, 0),
        ("links", {"Documentation/b.md": "# B\n"}, 1),
        ("links", {"Documentation/a.md": "# A\n"}, 1),
        ("links", {"README.md": "[x](Documentation/c.md) [y](Documentation/a.md#nowhere) [z](selftests/run#x)\n"}, 3),
        ("tests", {}, 0),
        ("tests", {"selftests/loose.sh": ""}, 1),
        ("tests", {"selftests/four/five.sh": ""}, 1),
        ("tests", {"selftests/four/four.sh": ""}, 1),
        ("tests", {"selftests/one/one": ""}, 1),
        ("tests", {"selftests/README.md": "| `one/` | words | one, nine |\n| `three/` | words | |\n| `six/` | words | |\n"}, 2),
        ("tests", {"selftests/run": "one|one/one.sh|here|words\ntwo|one/two|here|words\nnine|three/nine|here|words\n"}, 2),
        ("names", {}, 0),
        ("names", {"Makefile": "x:\n\tselftests/gone.sh src/gone.rs\n", "a.md": "`src/gone.rs`, build/src/x, src/*.rs, rust/*.rmeta\n"}, 2),
        ("layers", {"rust/net/mod.rs": "//! All\n", "rust/a.rs": "// SPDX\n\n//! A\n//!\n//! Context: any.\n"}, 0),
        ("layers", {"rust/a.rs": "//! A\n\n/// Context: any.\nfn f() {}\n"}, 1),
        ("items", {"src/a.rs": "/// A.\n#[inline]\npub(crate) fn a() {}\nfn b() {}\n"}, 0),
        ("items", {"src/a.rs": "pub(super) const A: u16 =\n    wgx_WGX_A_B as u16;\n"}, 0),
        ("items", {"src/a.rs": "// A.\n#[inline]\npub(crate) const fn a() {}\n", "rust/b.rs": "\npub(super) struct B;\n"}, 2),
    ]
    for number, (kind, changed, wanted) in enumerate(faults):
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**good, **changed}.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
                os.chmod(os.path.join(root, path), 0o755)
            found = list({"links": links, "tests": tests, "names": names, "layers": layers, "items": items}[kind](root))
        if len(found) != wanted:
            yield "tree %d: %d faults of %s wanted, found: %s" % (number, wanted, kind, found)


def main():
    kinds = {"--links": lambda: links(ROOT), "--tests": lambda: tests(ROOT), "--names": lambda: names(ROOT),
             "--layers": lambda: layers(ROOT), "--items": lambda: items(ROOT), "--prove": prove}
    if len(sys.argv) != 2 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    wrong = list(kinds[sys.argv[1]]())
    print("\n".join(wrong))
    sys.exit(bool(wrong))


main()
