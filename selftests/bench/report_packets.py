# SPDX-License-Identifier: GPL-2.0
"""What packets cost, and what a listener to events adds."""

from report_lib import mean, number, only, spread, values_of

WORDS = {"tcp": "TCP bulk, per byte, both ends", "reverse": "  the other way", "tcp6": "  IPv6 in the tunnel", "tcp8": "  8 streams",
         "card-tcp": "  as through a network card", "gateway-up": "  through a gateway, up", "gateway-down": "  through a gateway, down",
         "gateway-down8": "  through a gateway, down, 8 streams", "travellers": "  from traveller to traveller, by a gateway",
         "udp64": "UDP, 64 bytes, per delivered packet", "udp64x64": "  64 flows", "card-udp64": "  as through a network card",
         "udp1372": "UDP, 1,372 bytes, per delivered packet", "ping": "ping round trip, minimum", "handshake": "handshake, both ends, median"}
COLUMNS = {"none": "no tunnel", "c": "C", "ours": "ours", "wireguard-go": "wireguard-go", "boringtun-cli": "boringtun"}
# At most so much of the C driver's.
WANTED = {"tcp": 0.56, "reverse": 0.56, "tcp6": 0.56, "tcp8": 0.56, "card-tcp": 0.66, "gateway-up": 0.62, "gateway-down": 0.62,
          "gateway-down8": 0.62, "travellers": 0.62, "udp64": 0.65, "udp64x64": 0.65, "card-udp64": 0.75, "udp1372": 0.75, "ping": 0.42}


def notes(module, some):
    lost = max((row.get("lost", 0) for row in some), default=0)
    idle = max((row.get("idle", 0) for row in some), default=0)
    if lost > 0.001:
        yield f"{module} lost {lost:.1%}"
    # The run lasts a second. What the start of the programs waits is within the rest.
    if idle > 0.1:
        yield f"{module} idle for up to {idle:.2f} s"


def packets(rows):
    rows = [row for row in rows if row["module"] in COLUMNS]
    measured = {module: words for module, words in COLUMNS.items() if any(row["module"] == module for row in rows)}
    print("\nGuest instructions, one processor for both ends; the mean of the repetitions\n")
    print(f"{'':44}" + "".join(f"{words:>13}" for words in measured.values()) + f"{'ours/C':>8}{'spread':>8}  losses, idle")
    figures, verdicts, group = {}, [], ""
    for name, words in WORDS.items():
        group = group if words.startswith(" ") else words.split(", per")[0]
        of = {module: only(rows, name=name, module=module) for module in measured}
        costs = {module: [row["cost"] for row in some] for module, some in of.items() if some}
        if not costs:
            continue
        means = {module: mean(some) for module, some in costs.items()}
        cells = "".join(f"{number(means[m]) if m in means else '':>13}" for m in measured)
        ratio = means["ours"] / means["c"] if "c" in means and "ours" in means else None
        # Of those that are compared. Programs in user space rest as it comes.
        repeated = [some for module, some in costs.items() if module in ("none", "c", "ours") and len(some) > 1]
        wide = max(map(spread, repeated), default=None)
        beside = ", ".join(note for module, some in of.items() for note in notes(module, some))
        print(f"{words:44}{cells}{f'{ratio:.3f}' if ratio else '':>8}{f'{wide:.2%}' if wide is not None else '':>8}  {beside}".rstrip())
        figures[name] = {"means": means, "ratio": ratio, "spread": wide}
        if name in WANTED and ratio:
            whole = words if group == words.split(", per")[0] else f"{group}, {words.strip()}"
            verdicts.append((ratio <= WANTED[name], f"{whole}: {ratio:.3f} of the C driver's, wanted at most {WANTED[name]:.2f}"))
    return figures, verdicts


def listener(rows):
    """Of rows like those of packets: what a listener costs, and what the module costs when there is none."""
    print("\nGuest instructions, one processor for both ends; the mean of the repetitions, and the spread of the widest\n")
    print(f"{'':40}{'older':>11}{'ours':>11}{'ours/older':>12}{'listener':>11}{'to ours':>9}{'spread':>8}")
    figures, verdicts = {}, []
    for name in values_of(rows, "name"):
        costs = {module: [row["cost"] for row in only(rows, name=name, module=module)] for module in values_of(only(rows, name=name), "module")}
        means = {module: mean(some) for module, some in costs.items()}
        grown = means["ours"] / means["older"] if "older" in means else None
        listened = means["listened"] / means["ours"]
        print(f"{WORDS[name]:40}{number(means['older']) if grown else '':>11}{number(means['ours']):>11}{f'{grown:.4f}' if grown else '':>12}"
              f"{number(means['listened']):>11}{listened:>9.4f}{max(map(spread, costs.values())):>8.2%}")
        if grown:
            verdicts.append((grown <= 1.003, f"{WORDS[name]}, if nobody listens: {grown:.4f} of the older module's, wanted at most 1.003"))
        verdicts.append((listened <= 1.01, f"{WORDS[name]}, with a listener: {listened:.4f}, wanted at most 1.01"))
        figures[name] = {"means": means, "grown": grown, "listened": listened}
    return figures, verdicts
