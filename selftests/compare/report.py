#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""report.py [--tap] [--broken] [--only=NAME] OUTPUTS DIFFERENCES SCENARIO...: what two modules' outputs have in common; a table of the rest.

OUTPUTS holds SCENARIO.c and SCENARIO.ours (and .failed, if one did not come to its end), DIFFERENCES is the Markdown file
with the table of what differs on purpose. Fails on an unlisted difference, on a scenario that failed, and on a line of
that table which nothing matches any more; with --broken, because a machine did not end well. With --only there is but one
output of each, which has to be complete. With --prove, shows on outputs made for it that it finds all that."""

import os
import re
import sys
import tempfile
import textwrap

ABSENT = "(nothing)"
MODULES = {"c": "C module", "ours": "ours"}
# So many rows of one scenario are shown; the files have all.
ROWS = 40
WIDTHS = {"scenario": 18, "what": 48, "C module": 32, "ours": 32}


class Bad(Exception):
    pass


def read(path):
    """The observations of one run, in order."""
    failed = path + ".failed"
    if os.path.exists(failed):
        with open(failed) as file:
            raise Bad(file.read().strip())
    if not os.path.exists(path):
        raise Bad("it did not run")
    seen, planned = {}, None
    with open(path, errors="replace") as file:
        for line in file:
            line = line.rstrip("\n")
            if not line.strip() or line.startswith("#"):
                continue
            if planned is not None:
                raise Bad("something follows its last line: %s" % line)
            key, middle, value = line.partition(" = ")
            if not middle:
                # An empty value may have lost the space behind the sign.
                key, middle, value = line.removesuffix(" ="), line.endswith(" ="), ""
            if not middle:
                raise Bad("a line that is no `KEY = VALUE`: %s" % line)
            if key == "observations":
                planned = int(value)
            elif key in seen:
                raise Bad("the key '%s' is observed twice" % key)
            else:
                seen[key] = value
    if planned is None:
        raise Bad("it ended early (its last line must be `observations = N`)")
    if planned != len(seen) or not seen:
        raise Bad("it has %d observations, and counted %d" % (len(seen), planned))
    return seen


class Listed:
    """One line of Documentation/differences.md. In each cell * stands for anything."""

    def __init__(self, cells):
        self.cells = cells
        self.patterns = [re.compile(".*".join(re.escape(part) for part in cell.split("*")), re.DOTALL) for cell in cells]
        self.used = False

    def __str__(self):
        return "%s | %s" % tuple(self.cells[:2])

    def matches(self, row):
        return all(pattern.fullmatch(cell) for pattern, cell in zip(self.patterns, row))


def listed(path):
    out = []
    with open(path) as file:
        for line in file:
            line = line.strip()
            if not line.startswith("|"):
                continue
            cells = [cell.strip().strip("`").replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
            if cells[0] in ("scenario", "") or set(cells[0]) <= set("-: "):
                continue
            if len(cells) != 5 or not all(cells):
                raise SystemExit("report: error: %s: a difference has five cells, none of them empty: %s" % (path, line))
            out.append(Listed(cells[:4]))
    return out


def excerpt(one, other, width):
    """As much of both as shows where they part."""
    at = next((n for n, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
    start = max(0, at - width // 3) if max(len(one), len(other)) > 3 * width else 0
    return tuple(("…" if start else "") + text[start:start + 3 * width] + ("…" if len(text) > start + 3 * width else "") for text in (one, other))


def table(rows):
    """Lines of a table whose cells are wrapped."""
    def line(cells):
        columns = [textwrap.wrap(cell, width, break_on_hyphens=False) or [""] for cell, width in zip(cells, WIDTHS.values())]
        for n in range(max(map(len, columns))):
            yield "  ".join("%-*s" % (width, column[n] if n < len(column) else "") for column, width in zip(columns, WIDTHS.values())).rstrip()
    yield from line(WIDTHS)
    yield "  ".join("-" * width for width in WIDTHS.values())
    for scenario, what, c, ours, mark in rows:
        c, ours = excerpt(c, ours, WIDTHS["ours"])
        yield from line((scenario, what + mark, c, ours))


def few(rows):
    """The rows without those that are too many of a scenario."""
    count, out = {}, []
    for row in rows:
        count[row[0]] = count.get(row[0], 0) + 1
        if count[row[0]] <= ROWS:
            out.append(row)
    return out + [(name, "and %d more: compare %s.c with %s.ours in build/test-logs/compare" % (number - ROWS, name, name), "", "", "") for name, number in count.items() if number > ROWS]


class Comparison:
    def __init__(self, folder, differences, names, labels=tuple(MODULES)):
        self.labels = labels
        self.agree, self.rows, self.failures, self.verdicts = 0, [], [], []
        entries = listed(differences)
        for name in names:
            self.scenario(folder, name, entries)
        complete = {name for name in names if not any(name == failed for failed, _ in self.failures)}
        self.stale = [entry for entry in entries if len(labels) == 2 and not entry.used and any(entry.patterns[0].fullmatch(name) for name in complete)]
        self.listed = sum(1 for row in self.rows if row[4])
        self.unlisted = len(self.rows) - self.listed

    def scenario(self, folder, name, entries):
        runs, why = [], []
        for label in self.labels:
            try:
                runs.append(read(os.path.join(folder, "%s.%s" % (name, label))))
            except Bad as error:
                why.append("%s: %s" % (MODULES[label], error))
        if why:
            self.failures.append((name, "; ".join(why)))
            self.verdicts.append((name, False, "\n".join(why)))
            return
        c, ours = runs[0], runs[-1]
        rows, agree = [], 0
        for key in list(c) + [key for key in ours if key not in c]:
            row = (name, key, c.get(key, ABSENT), ours.get(key, ABSENT))
            if row[2] == row[3]:
                agree += 1
                continue
            entry = next((entry for entry in entries if entry.matches(row)), None)
            if entry:
                entry.used = True
            rows.append(row + (" [listed]" if entry else "",))
        self.agree += agree
        self.rows += rows
        new = [row for row in rows if not row[4]]
        self.verdicts.append((name, not new, "%d observations agree, %d are listed as different" % (agree, len(rows) - len(new)) if not new else "\n".join(table(few(new)))))

    def good(self):
        return not (self.unlisted or self.failures or self.stale) and self.agree > 0

    def show(self):
        if self.rows:
            print("\n" + "\n".join(table(few(self.rows))) + "\n")
        for name, why in self.failures:
            print("failed: %s: %s" % (name, why))
        for entry in self.stale:
            print("stale: Documentation/differences.md lists %s, which does not differ (so)" % entry)
        what = "%d observations agree, %d listed differences, %d unlisted" % (self.agree, self.listed, self.unlisted)
        if len(self.labels) == 1:
            what = "%d observations of %s, compared with nothing" % (self.agree, MODULES[self.labels[0]])
        print("%s%s%s" % (
            what,
            ", %d scenarios failed" % len(self.failures) if self.failures else "", ", %d lines of the list are stale" % len(self.stale) if self.stale else ""))

    def tap(self, broken):
        what = "both modules ran it to its end, and agree" if len(self.labels) == 2 else "it runs to its end"
        checks = [(good, "%s: %s" % (name, what), words) for name, good, words in self.verdicts]
        if len(self.labels) == 2:
            checks.append((not self.stale, "everything that Documentation/differences.md lists still differs", "\n".join(map(str, self.stale))))
        checks.append((not broken, "every machine ended well, without a complaint of its kernel", ""))
        for number, (good, words, more) in enumerate(checks, 1):
            for line in more.splitlines():
                print("#   " + line)
            print("%s %d - %s" % ("ok" if good else "not ok", number, words))
        print("1..%d" % len(checks))


def prove():
    """Shows on outputs made for it that every kind of trouble is found."""
    header = "| scenario | what | C module | this module | why |\n|---|---|---|---|---|\n"
    base = "# a note\na = 1\nb: c = x = y\nempty =\nobservations = 3\n"
    cases = (
        ("the same", base, base, "", True),
        ("notes may differ", base, base.replace("# a note", "# another"), "", True),
        ("another value", base, base.replace("a = 1", "a = 2"), "", False),
        ("a value with a sign in it", base, base.replace("x = y", "x = z"), "", False),
        ("another key", base, base.replace("a = 1", "d = 1"), "", False),
        ("one more", base, base.replace("observations = 3", "d = 1\nobservations = 4"), "", False),
        ("no end", base, base.replace("observations = 3\n", ""), "", False),
        ("fewer than counted", base.replace("a = 1\n", ""), base.replace("a = 1\n", ""), "", False),
        ("nothing at all", "observations = 0\n", "observations = 0\n", "", False),
        ("a key twice", base.replace("empty =", "a = 1"), base.replace("empty =", "a = 1"), "", False),
        ("a line that is none", base.replace("empty =", "empty"), base.replace("empty =", "empty"), "", False),
        ("a line behind the end", base + "z = 1\n", base + "z = 1\n", "", False),
        ("listed", base, base.replace("a = 1", "a = 2"), "| s | a | 1 | 2 | why |\n", True),
        ("listed with stars", base, base.replace("x = y", "x = z"), "| s* | b:* | `x = *` | `* = z` | why |\n", True),
        ("listed with another value", base, base.replace("a = 1", "a = 3"), "| s | a | 1 | 2 | why |\n", False),
        ("listed, and gone", base, base, "| s | a | 1 | 2 | why |\n", False),
        ("listed, of a scenario that did not run", base, base, "| t | a | 1 | 2 | why |\n", True),
        ("not run", base, None, "", False),
    )
    with tempfile.TemporaryDirectory() as folder:
        for words, c, ours, lines, wanted in cases:
            for label, text in (("c", c), ("ours", ours)):
                path = os.path.join(folder, "s." + label)
                if text is None:
                    os.unlink(path)
                else:
                    with open(path, "w") as file:
                        file.write(text)
            with open(os.path.join(folder, "list"), "w") as file:
                file.write(header + lines)
            if Comparison(folder, os.path.join(folder, "list"), ["s"]).good() != wanted:
                raise SystemExit("report: error: taken for %s: %s" % ("different" if wanted else "good", words))


def main():
    arguments = sys.argv[1:]
    if arguments == ["--prove"]:
        return prove()
    options = {word for word in arguments if word.startswith("--")}
    folder, differences, *names = [word for word in arguments if word not in options]
    labels = [word.removeprefix("--only=") for word in options if word.startswith("--only=")] or tuple(MODULES)
    comparison, broken = Comparison(folder, differences, names, labels), "--broken" in options
    if "--tap" in options:
        comparison.tap(broken)
    else:
        comparison.show()
        if broken:
            print("failed: a machine did not end well, or its kernel complained (see above)")
    return sys.exit(0 if comparison.good() and not broken else 1)


main()
