"""What is wanted: a row for each measure, with its bounds by the size of the mesh."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from .book import Series

__all__ = ["ROWS", "Bound", "Row"]

Statistic = Literal["median", "most", "total"]


@dataclass(frozen=True, slots=True)
class Bound:
    """A statistic of a series, and the most that it may be."""

    statistic: Statistic
    most: float

    def met(self, series: Series) -> bool:
        """Whether a series keeps it."""
        value: float = getattr(series, self.statistic)
        return value <= self.most


@dataclass(frozen=True, slots=True)
class Row:
    """One measure.

    Args:
        measure: its key in the book.
        title: what it is, for people.
        unit: of its numbers.
        bounds: by size; a size without any is shown all the same, when it was measured.
    """

    measure: str
    title: str
    unit: str
    bounds: dict[int, tuple[Bound, ...]] = field(default_factory=dict)


def _most(three: float, five: float, twenty: float) -> dict[int, tuple[Bound, ...]]:
    return {size: (Bound("most", bound),) for size, bound in ((3, three), (5, five), (20, twenty))}


def _both(*pairs: tuple[float, float]) -> dict[int, tuple[Bound, ...]]:
    return {
        size: (Bound("median", middle), Bound("most", worst))
        for size, (middle, worst) in zip((3, 5, 20), pairs, strict=True)
    }


def _none(*sizes: int) -> dict[int, tuple[Bound, ...]]:
    return {size: (Bound("total", 0),) for size in sizes}


ROWS = [
    Row("kill unreachable", "kill -9: unreachable at all", "s", _most(0.03, 0.03, 0.06)),
    Row("kill dead", "kill -9: dead at all", "s", _both((0.3, 0.6), (0.3, 0.6), (0.4, 0.8))),
    Row("kill false", "kill -9: deaths of others", "", _none(3, 5, 20)),
    Row("kill back", "the killed started again, all see all", "s"),
    Row("stop dead", "SIGSTOP: dead at all", "s", _both((3.2, 4.5), (3.2, 4.5), (3.8, 5.5))),
    Row("stop alive", "SIGCONT after 6 or 12 s: alive at all", "s", _most(0.05, 0.05, 0.1)),
    Row("stop whole", "SIGCONT: all see all, and are linked", "s"),
    Row("stop false", "SIGSTOP, SIGCONT: deaths of others", "", _none(3, 5, 20)),
    Row(
        "hole larger", "black hole: last death on the larger side, or of halves", "s",
        {**_most(4.5, 6.5, 8.0), 6: (Bound("most", 8.0),)},
    ),
    Row("hole smaller", "black hole: last death on the smaller side", "s", _most(18.0, 12.0, 8.0)),
    Row("hole heal", "black hole of 10 to 60 s lifted: all see all", "s", _most(3.5, 3.5, 4.0)),
    Row("hole false", "black hole: deaths on one's own side", "", _none(3, 5, 6, 20)),
    Row("proxy larger", "proxies off: last death on the larger side", "s", _most(1.0, 1.0, 1.5)),
    Row("proxy smaller", "proxies off: last death on the smaller side", "s", _most(18.0, 12.0, 8.0)),
    Row("proxy heal", "proxies of 10 to 60 s on again: all see all", "s", _most(2.5, 2.5, 3.0)),
    Row("deaf dead", "one node deaf: dead at the rest", "s", _most(4.5, 4.5, 5.5)),
    Row("mute dead", "one node mute: dead at the rest", "s", _most(4.5, 4.5, 5.5)),
    Row("one-way heal", "the same lifted: all see all", "s"),
    Row("one-way false", "the same: deaths of others at the rest", "", _none(3, 5, 20)),
    Row("join", "one joins: all see all", "s", _most(0.1, 0.1, 0.3)),
    Row("leave", "one leaves: left at all", "s"),
    Row("bulk", "all start at once: all see all, from the last one's start", "s", _most(1.0, 1.0, 1.5)),
    Row("restart", "kill -9 and started again at once: the new run known by all", "s", _most(0.5, 0.5, 1.0)),
    Row("pair suspects", "one pair cut: suspicions by others", "", _none(3, 5)),
    Row("pair deaths", "one pair cut: deaths", "", _none(3, 5)),
    Row("proxied pair suspects", "one pair cut by its proxies: suspicions by others", "", _none(3, 5)),
    Row("proxied pair deaths", "one pair cut by its proxies: deaths", "", _none(3, 5)),
    Row("flip-flop false", "one node cut off 20 s in 40: deaths of others at the rest", "", _none(5)),
    Row("loss 5 deaths", "5 % of packets lost: deaths", "", _none(5)),
    Row("loss 30 deaths", "30 % of packets lost: deaths", ""),
    Row("loss 30 refuted", "30 % lost: longest until a death was refuted", "s", {5: (Bound("most", 10.0),)}),
    Row("slow deaths", "links with 200 to 600 ms: deaths", "", _none(5)),
    Row("starved false", "one node with 5 % of a core: deaths of others", "", _none(5)),
    Row("starved deaths", "the same: deaths of that node", ""),
    Row("stalls false", "2, then 5 of 20 stopped for 0.2 to 2.5 s: deaths of others", "", _none(20)),
    Row("stalls deaths", "the same: deaths of those, by stops below 1.5 s", "", _none(20)),
    Row("idle bytes", "idle: application bytes a node and second", "B", _most(250, 250, 250)),
    Row("idle wire", "idle: bytes of IP packets a node and second", "B"),
    Row("idle cpu", "idle: CPU of a node, of one core", "%", _most(0.5, 0.5, 0.6)),
]  # fmt: skip
"""Every row of the table, in its order."""
