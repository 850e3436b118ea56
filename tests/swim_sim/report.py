"""The page ``docs/membership-simulation.md``: our figures beside the published ones, each with its seeds."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from statistics import mean, median

from .datagrams import LIFEGUARD, SWIM
from .joins import MODES, settled
from .published import Detection, false_suspicions, idle, spread_rounds, threshold
from .storms import OURS, Storms
from .tables import asked, percentile, seeds_text, short, table
from .targets import ROWS, SIZES, Row
from .watch import UNSEEN_S

__all__ = ["sections"]

BASELINE = "SWIM"
GRID = {f"Lifeguard, {alpha}, {beta}": (alpha, beta) for alpha, beta in product((2, 4, 5), (2, 4, 6))}
"""Alpha and beta of Table VII; the last is Lifeguard as such."""

PUBLISHED_DETECTION = {
    BASELINE: ("12.44", "16.96", "12.90", "16.93", "100", "100"),
    "Lifeguard, 2, 2": ("", "", "", "", "53.14", "76.20"),
    "Lifeguard, 2, 4": ("", "", "", "", "54.10", "75.11"),
    "Lifeguard, 2, 6": ("", "", "", "", "54.34", "78.58"),
    "Lifeguard, 4, 2": ("", "", "", "", "82.96", "92.17"),
    "Lifeguard, 4, 4": ("", "", "", "", "83.04", "95.14"),
    "Lifeguard, 4, 6": ("", "", "", "", "83.12", "92.71"),
    "Lifeguard, 5, 2": ("", "", "", "", "99.76", "107.64"),
    "Lifeguard, 5, 4": ("", "", "", "", "99.52", "107.93"),
    "Lifeguard, 5, 6": ("12.45", "17.90", "12.91", "18.05", "100.08", "107.49"),
}
"""Seconds of Table V, and percent of Table VII."""


def sections(scale: int = 1, largest: int = 1000) -> Iterator[list[str]]:
    """Yield the page, section by section, as lines.

    Args:
        scale: how many seeds for each cell of a storm; the other experiments have some multiple of it.
        largest: the most members in the experiments at rest and of gossip, up to 10,000.
    """
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield _HEAD.format(scale=scale, largest=largest).splitlines()
        yield _rest(pool, scale, largest)
        yield _loss(pool, scale)
        yield _joins(pool, 30 * scale)
        yield _detection(pool, 8 * scale)
        yield _targets(pool, 5 * scale)
        yield from Storms(pool, scale).sections()


_HEAD = """# Membership, simulated

Made by `python -m tests.swim_sim report {scale} {largest}`: the shipped membership machine (`cluster/swim`) on a
virtual clock. Nothing here is a model of it. Published figures are those of SWIM (DSN 2002) and Lifeguard
(arXiv 1707.00788); *papers' network* is datagrams among members who know each other, without links. Every run is
fixed by its seed."""


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
    loads, waits, spreads_to = zip(
        *((float(row[1]), float(row[2]), float(str(row[4])[:-2])) for row in rows), strict=True
    )
    note += asked(
        {
            "2.0 messages, 0.05 more or less": all(abs(load - 2) <= 0.05 for load in loads),
            "1.582 periods within 5 % from 32 members on": all(abs(wait / 1.582 - 1) <= 0.05 for wait in waits[1:]),
            "all but one member reached at least": all(
                spread >= 100 - 100 / size - 0.5 for spread, size in zip(spreads_to, sizes, strict=True)
            ),
        }
    )
    head = ("members", "messages", "periods to first probe", "rounds until all know", "reached")
    return table("At rest, and one rumour", note, head, rows)


def _loss(pool: ProcessPoolExecutor, scale: int) -> list[str]:
    cells = [(delivered, relays) for delivered in (0.9, 0.95) for relays in (1, 2, 3)]
    runs = [pool.submit(false_suspicions, 1, delivered=q, relays=k, periods=300 * scale) for q, k in cells]
    rows, worst = [], 0.0
    for (delivered, relays), run in zip(cells, runs, strict=True):
        failed, rounds = run.result()
        chance = (1 - delivered**2) * (1 - delivered**4) ** relays
        sigma = math.sqrt(rounds * chance * (1 - chance))
        off = (failed - rounds * chance) / sigma
        worst = max(worst, abs(off))
        rows.append((f"{delivered}, {relays}", rounds, f"{rounds * chance:.0f}", failed, f"{off:+.1f}"))
    note = (
        "Seed 1. Probe rounds of live members that fail: (1 - q^2)(1 - q^4)^k of them by SWIM's 3.1, all being alive."
    )
    note += asked({"within three standard deviations": worst <= 3})
    head = ("delivered q, relays k", "rounds", "expected", "ours", "standard deviations")
    return table("False suspicions under independent loss", note, head, rows)


def _joins(pool: ProcessPoolExecutor, seeds: int) -> list[str]:
    rows = []
    for mode, (*_, published) in MODES.items():
        sizes = sorted(pool.map(settled, range(seeds), [mode] * seeds))
        rows.append((mode, f"{median(sizes):.1f}", f"{sizes[0]:.1f} to {sizes[-1]:.1f}", published))
    note = (
        f"{seeds_text(seeds)}: 17 members join one after the other while a tenth of all messages is lost, and\n"
        "whoever is held for dead goes (SWIM, Fig. 4): the members that the members see when it has settled. A join\n"
        "every three periods, and 15 periods after the last, are ours; the paper does not say. Between the first two\n"
        "there is no difference here beyond chance."
    )
    basic, infection, suspicion = (float(row[1]) for row in rows)
    note += asked(
        {
            "with suspicion two thirds or more of all, else a third or less": suspicion >= 11
            and max(basic, infection) <= 6,
            "the order of all three": basic < infection < suspicion,
        }
    )
    return table("Joins under 10 % loss", note, ("", "ours, median", "from, to", "published"), rows)


def _detection(pool: ProcessPoolExecutor, seeds: int) -> list[str]:
    configurations = {
        BASELINE: SWIM,
        **{name: replace(LIFEGUARD, alpha=alpha, beta=beta) for name, (alpha, beta) in GRID.items()},
        "ours": OURS,
    }
    rows, found = [], {}
    for name, options in configurations.items():
        found[name] = all_of = Detection()
        for one in pool.map(threshold, range(seeds), [options] * seeds):
            all_of.first_s += one.first_s
            all_of.full_s += one.full_s
        base = found[BASELINE]
        figures = [percentile(values, at) for values in (all_of.first_s, all_of.full_s) for at in (50, 99)]
        shares = [
            100 * percentile(all_of.first_s, 50) / percentile(base.first_s, 50),
            100 * percentile(all_of.full_s, 99.9) / percentile(base.full_s, 99.9),
        ]
        texts = [*(f"{figure:.2f}" for figure in figures), *(f"{share:.1f}" for share in shares)]
        published = PUBLISHED_DETECTION.get(name, ("",) * 6)
        rows.append(
            (name, *(f"{ours} ({theirs})" if theirs else ours for ours, theirs in zip(texts, published, strict=True)))
        )
    note = (
        f"{seeds_text(seeds)}, papers' network, 128 members, 8 of them blocked for 32.768 s, and in brackets\n"
        "what is published: seconds from the block to the first, and to the last, healthy member that holds one for\n"
        "dead (Table V), then the median of the first and the 99.9th percentile of the last in percent of SWIM's\n"
        "(Table VII), by alpha and beta."
    )
    p50 = {name: percentile(one.first_s, 50) for name, one in found.items()}
    swim, lifeguard = p50[BASELINE], p50["Lifeguard, 5, 6"]
    note += asked(
        {
            "SWIM's p50 within 5 % and p99 within 10 %": abs(swim / 12.44 - 1) <= 0.05
            and abs(percentile(found[BASELINE].first_s, 99) / 16.96 - 1) <= 0.1,
            "Lifeguard no slower by more than 2 %": lifeguard <= 1.02 * swim,
            "medians of the grid within 5 points": all(
                abs(100 * p50[name] / swim - float(PUBLISHED_DETECTION[name][4])) <= 5 for name in GRID
            ),
            "ours within 45 % of SWIM": p50["ours"] <= 0.45 * swim,
        }
    )
    head = ("", "first p50", "first p99", "full p50", "full p99", "first p50, %", "full p99.9, %")
    return table("Detection", note, head, rows)


def _scenario(row: int, seed: int, size: int) -> dict[str, float]:
    return ROWS[row].run(seed, size)


def _targets(pool: ProcessPoolExecutor, seeds: int) -> list[str]:
    # One run of a scenario serves all rows that show a figure of it.
    first = {repr(row.run): number for number, row in reversed(list(enumerate(ROWS)))}
    jobs = {
        (run, size, seed): pool.submit(_scenario, number, seed, size)
        for run, number in first.items()
        for size in SIZES
        for seed in range(_seeds(ROWS[number], size, seeds))
    }

    def text(row: Row, at_size: int) -> str:
        size, most = SIZES[at_size], row.most[at_size]
        typical = math.inf if row.typical is None else row.typical[at_size]
        runs = [job.result() for (run, at, _), job in jobs.items() if run == repr(row.run) and at == size]
        if not runs:
            return "-"
        figures = sorted(run[row.figure] for run in runs)
        middle = short(median(figures)) + (f" ({short(typical)})" if typical < math.inf else "")
        worst = "never" if figures[-1] > UNSEEN_S / 2 else short(figures[-1])
        bound = f" ({short(most)})" if most < math.inf else ""
        missed = [figure for figure in figures if figure > most]
        verdict = f", **missed in {len(missed)} of {len(figures)}**" if missed else ""
        if median(figures) > typical:
            verdict += ", **median missed**"
        return f"{middle} / {worst}{bound}{verdict}"

    rows = [(f"{row.fault}{', ' + row.unit if row.unit else ''}", *(text(row, at) for at in range(4))) for row in ROWS]
    quick, slow = (seeds_text(number).lower() for number in (seeds, _seeds(ROWS[0], 100, seeds)))
    note = (
        f"A full mesh of links with our defaults: median / worst (what it must not exceed) of {quick},\n"
        f"and at 100 nodes of {slow}. What takes long (a virtual hour,\n"
        "two minutes in which many are stopped again and again, half of all links) has a fifth of the seeds, and is\n"
        "simulated at 100 nodes from two scales on. "
        "Every figure is met unless it says "
        "that it is missed."
    )
    return table("Our own targets", note, ("fault", *(f"{size} nodes" for size in SIZES)), rows)


def _seeds(row: Row, size: int, seeds: int) -> int:
    """Return how many seeds of a row are simulated at a size: the more nodes, and the longer, the fewer."""
    share = 5 if size > 20 else 1
    if row.largest < SIZES[-1]:
        share = 10 if size > row.largest else 5
        return seeds // share
    return max(1, seeds // share)
