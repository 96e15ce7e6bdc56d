#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""chart.py FIGURES.json OUT.svg: draws what report.py wrote: our instructions as a share of the C driver's, and what either carries in
real time. The same figures give the same bytes. (OUT.png gives a PNG.)"""

import json
import sys

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams.update({"svg.hashsalt": "performance", "svg.fonttype": "path", "font.family": "DejaVu Sans", "font.size": 12})
from matplotlib import pyplot  # noqa: E402

# Blue and a light grey differ for every eye, also in lightness. The paper is white in dark mode, too.
OURS, C, INK, PALE = "#0072b2", "#adadad", "#222222", "#595959"
TITLE = "This module and the C driver: instructions, and TCP in real time"
ROWS = {
    "tcp": "TCP bulk", "reverse": "TCP, the other way", "tcp6": "TCP over IPv6", "tcp8": "TCP, 8 streams", "card-tcp": "TCP, as through a network card",
    "gateway-up": "gateway, up", "gateway-down": "gateway, down", "gateway-down8": "gateway, down, 8 streams", "travellers": "traveller to traveller",
    "udp64": "UDP, 64 bytes", "udp64x64": "UDP, 64 bytes, 64 flows", "card-udp64": "UDP, 64 bytes, as through a card", "udp1372": "UDP, 1,372 bytes",
    "ping": "ping", "handshake": "handshake",
}
LOADS = {"tcp": "1 stream", "tcp4": "4 streams", "reverse": "1, back"}


def plain(axes):
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, colors=INK)


def instructions(axes, measured):
    rows = [(words, measured[name]["ratio"]) for name, words in ROWS.items() if measured.get(name, {}).get("ratio")]
    places = range(len(rows))[::-1]
    axes.barh(places, [ratio for _, ratio in rows], height=0.66, color=OURS)
    for place, (_, ratio) in zip(places, rows):
        axes.text(ratio + 0.01, place, f"{ratio:.2f}", va="center", color=INK)
    axes.axvline(1, color=INK, linewidth=1.5)
    axes.text(1, len(rows) - 0.35, "C driver = 1", ha="center", va="bottom", color=INK)
    axes.set_yticks(list(places), [words for words, _ in rows])
    axes.set_xlim(0, max(1.12, *(ratio + 0.1 for _, ratio in rows)))
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xticks([])


def real_time(axes, medians, processors_of_host):
    rates = {(one["processors"], one["load"], one["module"]): one["rate"] for one in medians}
    groups = sorted({one["processors"] for one in medians})
    top = max(rates.values())
    for group, processors in enumerate(groups):
        for index, load in enumerate(LOADS):
            middle = group * 3.6 + index
            for module, colour, shift in (("c", C, -0.2), ("ours", OURS, 0.2)):
                rate = rates.get((processors, load, module))
                if rate is not None:
                    axes.bar(middle + shift, rate, width=0.38, color=colour)
                    axes.text(middle + shift, rate + top * 0.015, f"{rate:.0f}", ha="center", va="bottom", color=INK, fontsize=10)
            axes.text(middle, -top * 0.03, LOADS[load], ha="center", va="top", color=INK, fontsize=10.5)
        words = f"{processors} CPU{'s' * (processors > 1)}"
        if processors > processors_of_host:
            words += f", on a host of {processors_of_host}"
        axes.text(group * 3.6 + 1, -top * 0.13, words, ha="center", va="top", color=INK, fontweight="bold")
    axes.set_xlim(-0.6, len(groups) * 3.6 - 1)
    axes.set_ylim(0, top * 1.08)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.axhline(0, color=PALE, linewidth=1, clip_on=False)
    handles = [matplotlib.patches.Patch(color=C, label="C driver"), matplotlib.patches.Patch(color=OURS, label="this module")]
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1.03), ncols=2, frameon=False, fontsize=12, labelcolor=INK)


def draw(figures, out):
    packets = figures["parts"].get("packets", {}).get("table") or {}
    medians = figures["parts"].get("real-time", {}).get("table") or []
    if not any(measured["ratio"] for measured in packets.values()) or not medians:
        sys.exit("chart.py: error: packets and real-time, of both modules, are what is drawn")
    picture, (upper, lower) = pyplot.subplots(2, 1, figsize=(10, 10.4), height_ratios=(1.55, 1), facecolor="white")
    for axes in (upper, lower):
        plain(axes)
    instructions(upper, packets)
    real_time(lower, medians, figures["processors"])
    picture.text(0.02, 0.014, f"Both in turn in virtual machines (make bench), version {figures['version']}. "
                 "What it means: Documentation/performance.md", color=PALE, fontsize=10)
    picture.subplots_adjust(left=0.335, right=0.98, top=0.93, bottom=0.115, hspace=0.3)
    # The lower one has no names at its left.
    box = lower.get_position()
    lower.set_position([0.02, box.y0, 0.96, box.height])
    for axes, words in ((upper, "Instructions, of the C driver's (less is better)"), (lower, "TCP in real time, Mbit/s (more is better)")):
        picture.text(0.02, axes.get_position().y1 + 0.025, words, color=INK, fontsize=14, fontweight="bold")
    picture.savefig(out, metadata={"Date": None, "Creator": None, "Title": TITLE} if out.endswith(".svg") else {"Software": None})


def main():
    figures, out = sys.argv[1:]
    with open(figures) as file:
        draw(json.load(file), out)
    if out.endswith(".svg"):
        with open(out) as file:
            head, rest = file.read().split("\n", 1)
        with open(out, "w") as file:
            file.write(f"{head}\n<!-- SPDX-License-Identifier: GPL-2.0 -->\n{rest}")


main()
