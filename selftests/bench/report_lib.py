# SPDX-License-Identifier: GPL-2.0
"""What the parts of the report share. A part gets its rows, prints its table, and returns what the table says, for programs, and verdicts:
(whether a figure is as wanted, the figure in words)."""

NAMES = {"c": "C", "ours": "ours", "older": "older"}


def number(value):
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def mean(values):
    return sum(values) / len(values)


def spread(values):
    return (max(values) - min(values)) / mean(values)


def values_of(rows, key):
    """The different values of a key, in the rows' order."""
    return list(dict.fromkeys(row[key] for row in rows))


def only(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]
