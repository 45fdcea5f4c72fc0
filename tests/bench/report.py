#!/usr/bin/env python3
"""Turn measurements ("kind name unit value" lines) into a table and report.json.

    report.py RAW JSON

Each row: name, unit, the medians of ours, libreswan and strongSwan (null where not
measured), n (of the fewest); and in the table how many times better ours is than each.
"""
import json
import statistics
import sys

KINDS = ("ours", "libreswan", "strongswan")
# What ours is to reach, and what libreswan and strongSwan showed on the day that the
# targets were set. Machines differ and have noisy days, so a target is reached by the figure
# itself or by the same advance over libreswan as then, in the same run (over strongSwan where
# libreswan has no figure). The table says by which, where it is one of the two.
TARGETS = {
    "cpu-responder-200": (0.4, 1.63, 2.33), "cpu-responder-1000": (0.4, 4.26, 15.1),
    "cpu-responder-10000": (0.4, None, None),
    "cpu-responder-200-pairs": (0.4, 1.63, 2.33), "cpu-responder-1000-pairs": (0.4, 4.26, 15.1),
    "cpu-responder-10000-pairs": (0.4, None, None),
    "memory-responder-1000": (12, 72, 20), "memory-half-open": (6, 25.8, 11.2),
    "initiate-to-tunnel": (5, 82, 20), "load-10000-connections": (2, 14, 10.9),
    "add-one-to-10000": (5, 981, None), "status-of-1000-tunnels": (50, 230, 111),
    "start-to-listening": (20, 47, 20), "at-once-1000-retransmissions": (0, None, None),
    "ike-sa-init-answered": (8000, 2720, 1790), "cookies": (100000, 38700, 19400),
    "garbage": (200000, 53800, 36600),
    "cpu-rekey-initiator-1000": (0.3, 1.27, 1.03), "cpu-rekey-responder-1000": (0.3, 1.16, 0.92),
    "rekey-1000-children": (0.5, 2.9, 1.49), "spoofed-100000-client": (2, None, None),
    "spoofed-100000-cookies": (100000, None, None),
    # Eight times kernel-libipsec, which did 250 Mbit/s.
    "plane-tcp": (2000, None, 250),
    "plane-tcp-of-copy": (60, None, None), "plane-hop": (30, None, None),
    "plane-codec-seal-over-aead": (15, None, None), "plane-codec-open-over-aead": (15, None, None),
    "plane-memory-sa": (2048, None, None),
}
MORE_IS_BETTER = {"spoofed-100000-cookies", "ike-sa-init-answered", "cookies", "garbage",
                  "plane-tcp", "plane-tcp-of-copy", "plane-copy-tcp", "plane-copy-plainly-tcp"}


def rows(lines):
    """Medians by name, in the order of first appearance."""
    values, units = {}, {}
    for line in lines:
        parts = line.split()
        if len(parts) != 4:
            continue
        kind, name, unit, value = parts
        units[name] = unit
        values.setdefault(name, {}).setdefault(kind, []).append(float(value))
    for name, by_kind in values.items():
        row = {"name": name, "unit": units[name]}
        for kind in KINDS:
            row[kind] = round(statistics.median(by_kind[kind]), 3) if kind in by_kind else None
        row["n"] = min(len(v) for v in by_kind.values())
        yield row


def advance(name, ours, other):
    """How many times better ours is than the other."""
    if ours is None or other is None:
        return None
    if name in MORE_IS_BETTER:
        ours, other = other, ours
    return other / ours if ours else float("inf")


def target(row):
    """The target as text, and how ours reaches it."""
    name, ours = row["name"], row["ours"]
    if name not in TARGETS:
        return ""
    figure, *then = TARGETS[name]
    more = name in MORE_IS_BETTER
    text = f"{'>=' if more else '<='} {figure:g}"
    if ours is None:
        return text
    reached = {"figure": ours >= figure if more else ours <= figure}
    for kind, before in zip(KINDS[1:], then):
        if before is None or row[kind] is None:
            continue
        wanted = advance(name, figure, before)
        text += f" or {wanted:.1f}x {kind}"
        reached["ratio"] = advance(name, ours, row[kind]) >= wanted
        break
    if not any(reached.values()):
        return text + "  MISSED"
    if all(reached.values()):
        return text + "  reached"
    return text + "  reached by " + next(way for way, good in reached.items() if good)


def show(value):
    return "-" if value is None else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def times(value):
    return "" if value is None else f"{value:.1f}x"


def main():
    with open(sys.argv[1]) as raw:
        report = list(rows(raw))
    with open(sys.argv[2], "w") as out:
        json.dump(report, out, indent=1)
        out.write("\n")
    form = "{:32} {:>10} {:>10} {:>10} {:>10} {:>7} {:>7}  {:>2}  {}"
    print(form.format("", "unit", "ours", "libreswan", "strongswan", "vs lsw", "vs ssw", "n", "target").rstrip())
    for row in report:
        print(form.format(row["name"], row["unit"], *(show(row[k]) for k in KINDS),
                          times(advance(row["name"], row["ours"], row["libreswan"])),
                          times(advance(row["name"], row["ours"], row["strongswan"])), row["n"], target(row)).rstrip())


main()
