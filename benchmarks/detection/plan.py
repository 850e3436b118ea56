"""Which faults are measured, in meshes of which sizes, and how often."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from . import crashes, cuts, quiet
from .book import Book
from .cluster import Mesh
from .contenders import Contender, ours
from .proxied import Proxies, disabled_pair, slow

__all__ = [
    "BULK_SHARE", "BULK_SIZES", "IDLE_SIZES", "MANY", "MANY_SHARE", "PROXIED", "PROXIED_SHARE", "PROXIED_SIZES",
    "QUIET", "TIMED", "Fault", "Plan", "Proxied", "Quiet",
]  # fmt: skip

Fault = Callable[[Mesh, int, Book], Awaitable[None]]
Quiet = Callable[[Mesh, float, Book], Awaitable[None]]
Proxied = Callable[[Mesh, Proxies, float, Book], Awaitable[None]]

TIMED: list[tuple[str, Fault, tuple[int, ...], float]] = [
    ("kill", crashes.kill, (3, 5, 20), 1.0),
    ("stop", crashes.stop, (3, 5, 20), 1.0),
    ("hole", cuts.hole, (5,), 1.0),
    ("hole", cuts.shorter_hole, (3, 6, 20), 0.2),
    ("one-way", cuts.one_way, (3, 5, 20), 0.2),
    ("restart", crashes.restart, (3, 5, 20), 1.0),
    ("join", crashes.join, (3, 5, 20), 1.0),
]
"""Faults by name, the sizes of mesh, and the share of all turns; at least one turn is made."""

MANY = 8
MANY_SHARE = 0.5
"""Meshes of more than so many are measured one after the other, and half as often."""
IDLE_SIZES = (3, 5, 20)

PROXIED_SIZES = (3, 5, 20)
PROXIED_SHARE = 0.2
BULK_SHARE = 0.2
BULK_SIZES = (3, 5, 20)
QUIET: list[tuple[str, Quiet, int]] = [
    ("pair", quiet.pair, 3),
    ("pair", quiet.pair, 5),
    ("flip-flop", quiet.flip_flop, 5),
    ("loss 5", quiet.loss_5, 5),
    ("loss 30", quiet.loss_30, 5),
    ("starved", quiet.starved, 5),
    ("stalls", quiet.stalls, 20),
]
PROXIED: list[tuple[str, Proxied, int]] = [
    ("proxied pair", disabled_pair, 3),
    ("proxied pair", disabled_pair, 5),
    ("slow", slow, 5),
]
"""What goes on for a while and must go unnoticed."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Args:
        turns: how often the main faults are repeated.
        quiet_s: for how long a fault goes on that must go unnoticed.
        only: words of which one must be in the name of a fault; none: all.
        sizes: of the meshes; none: all.
        rival: what is measured beside us, if anything.
        without_us: leave ourselves out.
    """

    turns: int
    quiet_s: float
    only: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    rival: Contender | None = None
    without_us: bool = False

    def wants(self, name: str, size: int) -> bool:
        """Whether a fault is asked for at that size."""
        return (not self.sizes or size in self.sizes) and (not self.only or any(word in name for word in self.only))

    def contenders(self, size: int) -> list[Contender]:
        """Return what is measured at that size."""
        return [*([] if self.without_us else [ours(size)]), *([self.rival] if self.rival is not None else [])]
