"""Our own target table: which figure of which run must not exceed what, in meshes of 3, 5, 20 and 100 nodes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from .lives import blocked, clock, join, kill, stalled, starved, stop
from .scenarios import deaf, flip, half, half_mesh, hole, hour, lifted, pair, proxy, rest, unplugged

__all__ = ["ROWS", "SIZES", "Row"]

SIZES = (3, 5, 20, 100)
Most = tuple[float, float, float, float]


@dataclass(frozen=True)
class Row:
    """One line of the target table: a figure of a scenario, and what it must not exceed at each of ``SIZES``.

    ``typical`` bounds the median. A virtual hour of many nodes takes long: ``largest`` is the largest mesh that is
    simulated for the page at once, and ``largest_quick`` for the tests.
    """

    fault: str
    run: Callable[[int, int], dict[str, float]]
    figure: str
    most: Most
    unit: str = "s"
    typical: Most | None = None
    largest: int = 100
    largest_quick: int = 20


NONE = (0, 0, 0, 0)
DEAD = (4.5, 4.5, 5.5, 7.5)
"""A silent node, at the rest."""
HEAL = (3.5, 3.5, 4, 7)
HEAL_PROXY = (2.5, 2.5, 3, 6)


def _count(fault: str, run: Callable[[int, int], dict[str, float]], figure: str = "false", most: Most = NONE) -> Row:
    return Row(fault, run, figure, most, unit="")


def _stalls(fault: str, figure: str, *, most_s: float) -> Row:
    return Row(fault, partial(stalled, most_s=most_s), figure, NONE, unit="", largest=20, largest_quick=5)


def _hour(fault: str, most: Most, *, seeds_across: bool) -> Row:
    return Row(fault, partial(hour, seeds_across=seeds_across), "heal", most, largest=20, largest_quick=3)


ROWS = (
    Row("kill -9, unreachable at all", kill, "unreachable", (0.03, 0.03, 0.06, 0.3)),
    Row("kill -9, dead at all", kill, "dead", (0.6, 0.6, 0.8, 1.5), typical=(0.3, 0.3, 0.4, 0.8)),
    Row("SIGSTOP, dead at all", stop, "dead", DEAD, typical=(3.2, 3.2, 3.8, 5.2)),
    Row("SIGCONT, alive at all", stop, "alive", (0.05, 0.05, 0.1, 0.5)),
    _count("false deaths by the resumed", stop),
    Row("sends and reads blocked 30 s, dead at all", blocked, "dead", DEAD),
    Row("unblocked, alive at all", blocked, "alive", (0.05, 0.05, 0.1, 0.5)),
    _count("false deaths by the unblocked", blocked),
    _stalls("a quarter stopped 0.2 to 2.5 s again and again, others dead by mistake", "false", most_s=2.5),
    _stalls("the same up to 1.5 s, any deaths", "deaths", most_s=1.5),
    _count("a tenth reads 0.5 to 2.5 s late, others dead by mistake", starved),
    _count("the same, deaths of those that read late", starved, "deaths", (math.inf,) * 4),
    Row("black hole, last death on the larger side", hole, "majority", (4.5, 6.5, 8, 12)),
    Row("black hole, last death on the smaller side", hole, "minority", (18, 12, 8, 12)),
    Row("black hole lifted after 10, 30 or 60 s, all see all", partial(lifted, cut=False), "heal", HEAL),
    Row("proxy off, last death on the larger side", proxy, "majority", (1, 1, 1.5, 3)),
    Row("proxy on after 10, 30 or 60 s, all see all", partial(lifted, cut=True), "heal", HEAL_PROXY),
    _hour("black hole lifted after 1 h, no seed across", (21, 21, 21, 24), seeds_across=False),
    _hour("the same, seeds across", (9, 9, 9, 12), seeds_across=True),
    _count("a pair in a black hole 60 s, suspicions by others", partial(pair, cut=False), "suspected"),
    _count("the same, deaths", partial(pair, cut=False)),
    _count("a pair cut by a proxy 60 s, suspicions by others", partial(pair, cut=True), "suspected"),
    _count("the same, deaths", partial(pair, cut=True)),
    _count("a node in a black hole from half of the others 60 s, deaths", partial(half, cut=False)),
    _count("a node cut by a proxy from half of the others 60 s, deaths", partial(half, cut=True)),
    Row("half of all pairs in black holes 60 s, deaths", partial(half_mesh, cut=False), "false", NONE, "", largest=20),
    Row("half of all pairs cut by proxies 60 s, deaths", partial(half_mesh, cut=True), "false", NONE, "", largest=20),
    Row("one node deaf, dead at the rest", partial(deaf, mute=False), "dead", DEAD),
    _count("the same, others dead by mistake", partial(deaf, mute=False)),
    Row("one node mute, dead at the rest", partial(deaf, mute=True), "dead", DEAD),
    _count("the same, others dead by mistake", partial(deaf, mute=True)),
    Row("one node without a network (ENETUNREACH), dead at the rest", unplugged, "dead", DEAD),
    _count("the same, whom it holds for alive after 60 s", unplugged, "believed"),
    _count("flip-flop 20/20 s, one way, others dead by mistake", flip),
    Row("bulk start, all see all", join, "bulk", (1, 1, 1.5, 5)),
    Row("one joins, all see all", join, "join", (0.1, 0.1, 0.3, 1)),
    Row("restart at another address, all see all", join, "restart", (0.5, 0.5, 1, 2)),
    Row("restart with a clock that is behind, all see all", clock, "again", (0.5, 0.5, 1, 2)),
    Row("leave, left at all", join, "left", (0.1, 0.1, 0.3, 1)),
    Row("idle application bytes a node and second", partial(rest, loss=0), "bytes", (250, 250, 250, 300), unit="B"),
    _count("5 % loss, false deaths in a minute", partial(rest, loss=0.05)),
    _count("30 % loss, false deaths in a minute", partial(rest, loss=0.3)),
)
