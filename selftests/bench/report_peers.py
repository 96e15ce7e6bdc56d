# SPDX-License-Identifier: GPL-2.0
"""What peers cost that nothing is said to, and how long they and their links take to go and to be listed."""

from statistics import median

from report_lib import NAMES, mean, only, spread, values_of

MANY = 10000  # With fewer, what else happens in the machine is too much of a peer's share.


def peers(rows):
    columns = sorted({(row["module"], row["peers"]) for row in rows})
    of = {column: only(rows, module=column[0], peers=column[1]) for column in columns}
    print("\nIdle peers, two processors, real time; ours: the mean of the repetitions, and the widest spread of many peers\n")
    print(f"{'':40}" + "".join(f"{NAMES[module]:>12}" for module, _ in columns) + f"{'ours/C':>9}{'spread':>9}")
    figures = [{"module": module, "peers": count} for module, count in columns]

    def line(key, words, value, form, comparable=True):
        cells = [[value(row) for row in of[column]] for column in columns]
        means = dict(zip(columns, map(mean, cells)))
        for one, of_column in zip(figures, means.values()):
            one[key] = of_column
        # With the same number of peers.
        ratios = [f"{means['ours', count] / means['c', count]:.3f}" for module, count in columns
                  if comparable and module == "c" and ("ours", count) in means and means["c", count] > 0]
        wide = [spread(cell) for cell, (module, count) in zip(cells, columns)
                if comparable and module == "ours" and count >= MANY and len(cell) > 1 and mean(cell) > 0]
        print(f"{words:40}" + "".join(f"{form(one):>12}" for one in means.values()) + f"{ratios[0] if ratios else '':>9}"
              f"{f'{max(wide):.1%}' if wide else '':>9}".rstrip())

    line("peers", "peers", lambda row: row["peers"], lambda v: f"{v:,.0f}", False)
    line("memory", "memory of a peer", lambda row: row["memory"]["counted"], lambda v: f"{v:,.0f} B")
    for kind, words in (("slab", "slab"), ("percpu", "per CPU"), ("vmalloc", "vmalloc, with the stacks of threads")):
        line(kind, f"  {words}", lambda row, kind=kind: row["memory"][kind], lambda v: f"{v:,.0f} B", False)
    line("available", "less available to the system", lambda row: row["memory"]["available"], lambda v: f"{v:,.0f} B")
    line("threads", "kernel threads per peer", lambda row: row["threads"] / row["peers"], lambda v: f"{v:.4f}", False)
    line("add", "adding one (wg setconf)", lambda row: row["add"] / row["peers"] * 1e6, lambda v: f"{v:,.0f} us")
    line("delete", "deleting one, with its link", lambda row: row["delete"] / row["peers"] * 1e6, lambda v: f"{v:,.0f} us")
    line("remove", "removing one (wg setconf)", lambda row: row["remove"] / row["removed"] * 1e6, lambda v: f"{v:,.0f} us")
    line("delete_all", "deleting all of them, with the link", lambda row: row["delete"], lambda v: f"{v:,.2f} s", False)
    line("removed", "removed by wg setconf, peers", lambda row: row["removed"], lambda v: f"{v:,.0f}", False)
    line("remove_all", "  in", lambda row: row["remove"], lambda v: f"{v:,.2f} s", False)
    return figures, wanted(only(rows, module="ours"))


def wanted(rows):
    verdicts = []
    if some := only(rows, peers=MANY):
        worst = max(max(row["delete"], row["remove"]) for row in some)
        verdicts.append((worst < 2, f"{MANY:,} peers deleted in {worst:.2f} s at most, wanted less than 2"))
    if rows:
        # A thread for the device, or for each processor, is no thread for a peer.
        worst = max(rows, key=lambda row: (row["threads"], row["peers"]))
        verdicts.append((worst["threads"] <= 4, f"{worst['threads']} kernel threads for {worst['peers']:,} peers, wanted none per peer"))
    if some := [row for row in rows if row["peers"] >= MANY]:
        worst = max(max(row["memory"]["counted"], row["memory"]["available"]) for row in some)
        verdicts.append((worst < 2048, f"an idle peer takes {worst:,.0f} bytes, wanted less than 2,048"))
    return verdicts


def peer_get(rows):
    print("\nThe dump peer-get; seconds, median (least to most)\n")
    for words, kind in (("all peers", "whole"), ("ten that changed", "changed"), ("none that changed", "none")):
        took = sorted(row[kind] for row in rows)
        print(f"{words + ' of ' + format(rows[0]['peers'], ','):40}{median(took):>10.3f} ({took[0]:.3f} to {took[-1]:.3f})")
    print(f"{'bytes for a peer':40}{rows[0]['bytes'] / rows[0]['peers']:>10.0f}")
    return None, []


def removal(rows):
    print("\nPeers removed by name with one wg syncconf, the link being up; median (least to most)\n")
    print(f"{'':10}{'peers':>8}{'seconds':>26}{'a peer':>12}{'grace periods':>18}")
    for module in values_of(rows, "module"):
        some = only(rows, module=module)
        took = sorted(row["took"] for row in some)
        print(f"{NAMES[module]:10}{some[0]['peers']:>8,}{f'{median(took):.2f} ({took[0]:.2f} to {took[-1]:.2f})':>26}"
              f"{median(took) / some[0]['peers'] * 1e6:>9,.0f} us{median([row['waits'] for row in some]):>18,.0f}")
    return None, []


def deletion(rows):
    print("\nAn idle link deleted on a busy machine, then a dummy; the longest wait of others for the RTNL in a turn; in ms, median (most)\n")
    print(f"{'':10}{'deletion':>16}{'wait for RTNL':>16}{'dummy deleted':>16}{'wait for RTNL':>16}  turns")
    for module in values_of(rows, "module"):
        some = only(rows, module=module)
        cells = ""
        for kind in ("wireguard", "dummy"):
            for values in ([one for row in some for one in row[kind]["took"]], [row[kind]["waited"] for row in some]):
                cells += f"{f'{median(values) * 1e3:,.0f} ({max(values) * 1e3:,.0f})':>16}"
        print(f"{NAMES[module]:10}{cells}{len(some):>7}")
    return None, []
