"""The page ``docs/membership-simulation.md``: our figures beside the published ones, each with its seeds."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from statistics import mean, median

from liminal_mesh.cluster.swim import SwimOptions

from .datagrams import LIFEGUARD, SWIM
from .published import Detection, Storm, false_suspicions, idle, interval, spread_rounds, threshold
from .scenarios import ROWS, SIZES, UNSEEN_S, Row

__all__ = ["sections"]

OURS = replace(LIFEGUARD, probe_s=0.5, timeout_s=0.25, alpha=4.0, mesh=True, isolation_hold=True)
"""Our defaults, in the papers' network: no evidence of links, nothing known of the block, and gossip above 64."""

CONFIGURATIONS: dict[str, SwimOptions] = {
    "SWIM": SWIM,
    "LHA-Probe": replace(SWIM, health_max=8),
    "LHA-Suspicion": replace(SWIM, beta=6.0),
    "Buddy System": replace(SWIM, buddy=True),
    "Lifeguard": LIFEGUARD,
    "ours": OURS,
}
PUBLISHED_STORM = {
    "SWIM": ("100", "100", "100", "100"),
    "LHA-Probe": ("67.72", "32.88", "98.46", "90.03"),
    "LHA-Suspicion": ("3.00", "6.71", "111.31", "106.52"),
    "Buddy System": ("94.08", "44.57", "100.07", "99.01"),
    "Lifeguard": ("1.53", "1.89", "110.59", "97.97"),
    "ours": ("-", "-", "-", "-"),
}
PUBLISHED_DETECTION = {
    "SWIM": ("12.44", "16.96", "12.90", "16.93"),
    "Lifeguard": ("12.45", "17.90", "12.91", "18.05"),
    "Lifeguard, alpha 4": ("83.12 % of SWIM", "", "", ""),
    "Lifeguard, alpha 2": ("54.34 % of SWIM", "", "", ""),
    "ours": ("-", "-", "-", "-"),
}
CELLS = tuple(product((4, 16, 32), (16.384, 32.768), (0.001,)))
"""The members blocked, for how long, and the pause between two blocks."""


def sections(scale: int = 1, largest: int = 1000) -> Iterator[list[str]]:
    """Yield the page, section by section, as lines.

    Args:
        scale: how many seeds for each cell of a storm; the other experiments have some multiple of it.
        largest: the most members in the experiments at rest and of gossip, up to 10,000.
    """
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        yield _HEAD.format(scale=scale, largest=largest).splitlines()
        yield _rest(pool, scale, largest)
        yield _loss(pool, scale)
        yield _detection(pool, 8 * scale)
        yield _targets(pool, 5 * scale)
        yield _storms(pool, scale)


_HEAD = """# Membership, simulated

Made by `python -m tests.swim_sim report {scale} {largest}`: the shipped membership machine (`cluster/swim`) on a
virtual clock. Nothing here is a model of it. Published figures are those of SWIM (DSN 2002) and Lifeguard
(arXiv 1707.00788); *papers' network* is datagrams among members who know each other, without links. Every run is
fixed by its seed."""


def _table(title: str, note: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = ["", f"## {title}", "", note, "", f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    return lines + [f"| {' | '.join(map(str, row))} |" for row in rows]


def _rest(pool: ProcessPoolExecutor, scale: int, largest: int) -> list[str]:
    sizes = [size for size in (8, 32, 128, 1000, 10_000) if size <= largest]
    rows = []
    for size in sizes:
        seeds = range(scale if size > 1000 else 3 * scale)
        runs = list(pool.map(idle, seeds, [size] * len(seeds), [40 if size <= 1000 else 12] * len(seeds)))
        spreads = list(pool.map(spread_rounds, seeds, [size] * len(seeds)))
        periods = mean(wait for run in runs for wait in run.periods_to_probe)
        rounds, reached = mean(rounds for rounds, _ in spreads), min(share for _, share in spreads)
        load = mean(run.load for run in runs)
        rows.append((size, f"{load:.2f}", f"{periods:.3f}", f"{rounds:.1f}", f"{100 * reached:.0f} %"))
    note = (
        f"Seeds 0 to {3 * scale - 1}, at 10,000 members to {scale - 1}. Published: 2.0 messages "
        "a member and period (SWIM, Fig. 2); e / (e - 1) = 1.582 "
        "periods\nto the first probe of a dead member, whatever the size (Fig. 3a);\n"
        "rounds of gossip that grow with log n (4.1)."
    )
    head = ("members", "messages", "periods to first probe", "rounds until all know", "reached")
    return _table("At rest, and one rumour", note, head, rows)


def _loss(pool: ProcessPoolExecutor, scale: int) -> list[str]:
    cells = [(delivered, relays) for delivered in (0.9, 0.95) for relays in (1, 2, 3)]
    runs = [pool.submit(false_suspicions, 1, delivered=q, relays=k, periods=300 * scale) for q, k in cells]
    rows = []
    for (delivered, relays), run in zip(cells, runs, strict=True):
        failed, rounds = run.result()
        chance = (1 - delivered**2) * (1 - delivered**4) ** relays
        sigma = math.sqrt(rounds * chance * (1 - chance))
        off = (failed - rounds * chance) / sigma
        rows.append((f"{delivered}, {relays}", rounds, f"{rounds * chance:.0f}", failed, f"{off:+.1f}"))
    note = (
        "Seed 1. Probe rounds of live members that fail: (1 - q^2)(1 - q^4)^k of them by SWIM's 3.1, all being alive."
    )
    head = ("delivered q, relays k", "rounds", "expected", "ours", "standard deviations")
    return _table("False suspicions under independent loss", note, head, rows)


def _detection(pool: ProcessPoolExecutor, seeds: int) -> list[str]:
    configurations = {
        "SWIM": SWIM,
        "Lifeguard": LIFEGUARD,
        "Lifeguard, alpha 4": replace(LIFEGUARD, alpha=4.0),
        "Lifeguard, alpha 2": replace(LIFEGUARD, alpha=2.0),
        "ours": OURS,
    }
    rows, base = [], 0.0
    for name, options in configurations.items():
        all_of = Detection()
        for found in pool.map(threshold, range(seeds), [options] * seeds):
            all_of.first_s += found.first_s
            all_of.full_s += found.full_s
        base = base or median(all_of.first_s)
        figures = [_at(all_of.first_s, 50), _at(all_of.first_s, 99), _at(all_of.full_s, 50), _at(all_of.full_s, 99)]
        share = f"{100 * median(all_of.first_s) / base:.1f} %"
        rows.append((name, *(f"{figure:.2f}" for figure in figures), share, *PUBLISHED_DETECTION[name]))
    note = (
        f"Seeds 0 to {seeds - 1}, papers' network, 128 members, 8 of them blocked for 32.768 s.\n"
        "Seconds from the block to the first, and to the last, healthy member that holds one for dead\n"
        "(Table V; medians of Table VII)."
    )
    ours = ("first p50", "p99", "full p50", "p99", "of SWIM")
    return _table("Detection", note, ("", *ours, *(f"published {one}" for one in ours[:4])), rows)


def _storms(pool: ProcessPoolExecutor, seeds: int) -> list[str]:
    jobs = {
        (name, cell, seed): pool.submit(interval, seed, options, blocked=cell[0], block_s=cell[1], pause_s=cell[2])
        for name, options in CONFIGURATIONS.items()
        for cell in CELLS
        for seed in range(seeds)
    }
    rows, base = [], Storm()
    for name in CONFIGURATIONS:
        total = Storm()
        for (configuration, _, _), job in jobs.items():
            if configuration == name:
                total.add(job.result())
        base = total if name == "SWIM" else base
        shares = [
            f"{100 * mine / max(1, theirs):.2f}"
            for mine, theirs in (
                (total.false, base.false),
                (total.false_at_healthy, base.false_at_healthy),
                (total.frames, base.frames),
                (total.sent_bytes, base.sent_bytes),
            )
        ]
        rows.append((name, total.false, total.false_at_healthy, *shares, *PUBLISHED_STORM[name]))
    note = (
        f"Seeds 0 to {seeds - 1} in each of {len(CELLS)} cells (4, 16, 32 members blocked for 16.384 or\n"
        "32.768 s, 1 ms apart, for two minutes), papers' network, 128 members: "
        "deaths of members that were never blocked\n"
        "(FP), those reported by such members (FP-), and what was sent, in percent of SWIM\n"
        "(Tables IV and VI; the paper sums 432 cells)."
    )
    share = ("FP %", "FP- %", "messages %", "bytes %")
    return _table(
        "False deaths in storms", note, ("", "FP", "FP-", *share, *(f"published {one}" for one in share)), rows
    )


def _scenario(row: int, seed: int, size: int) -> dict[str, float]:
    return ROWS[row].run(seed, size)


def _targets(pool: ProcessPoolExecutor, seeds: int) -> list[str]:
    # One run of a scenario serves all rows that show a figure of it.
    first = {repr(row.run): number for number, row in reversed(list(enumerate(ROWS)))}
    jobs = {
        (run, size, seed): pool.submit(_scenario, number, seed, size)
        for run, number in first.items()
        for size in SIZES
        for seed in range(seeds if size <= 20 else max(1, seeds // 5))
        if size <= ROWS[number].largest
    }

    def text(row: Row, size: int, most: float) -> str:
        runs = [job.result() for (run, at, _), job in jobs.items() if run == repr(row.run) and at == size]
        if not runs:
            return "-"
        figures = sorted(run[row.figure] for run in runs)
        worst = "never" if figures[-1] > UNSEEN_S / 2 else _short(figures[-1])
        return f"{_short(median(figures))} / {worst} ({_short(most)}{', **missed**' if figures[-1] > most else ''})"

    rows = []
    for row in ROWS:
        texts = [text(row, size, most) for size, most in zip(SIZES, row.most, strict=True)]
        rows.append((f"{row.fault}{', ' + row.unit if row.unit else ''}", *texts))
    note = (
        f"A full mesh of links with our defaults: median / worst (what it must not exceed) of seeds 0 to {seeds - 1},\n"
        "and of a fifth of them at 100 nodes. A virtual hour is simulated up to 5 nodes."
    )
    return _table("Our own targets", note, ("fault", *(f"{size} nodes" for size in SIZES)), rows)


def _at(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else math.nan


def _short(figure: float) -> str:
    return f"{figure:.0f}" if figure == int(figure) or figure >= 100 else f"{figure:.3g}"
