"""What was measured: series of numbers by measure, size and contender, and what was seen that should not have been."""

from __future__ import annotations

import math
import statistics
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass

__all__ = ["NEVER", "Book", "Key", "Series"]

NEVER = math.inf
"""The seconds of what was waited for in vain."""


@dataclass(frozen=True, slots=True)
class Key:
    """A series: what was measured, in a mesh of how many, of which contender."""

    measure: str
    size: int
    contender: str


@dataclass(frozen=True, slots=True)
class Series:
    """The numbers of one series."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def most(self) -> float:
        """The largest."""
        return max(self.values)

    @property
    def total(self) -> float:
        """All together."""
        return sum(self.values)


class Book:
    """All series of a run, and its notes."""

    def __init__(self) -> None:
        self._values: dict[Key, list[float]] = defaultdict(list)
        self.notes: list[str] = []
        self.broken: Counter[str] = Counter()
        """How many meshes of each contender did not come back."""

    def add(self, key: Key, value: float | None) -> None:
        """Note a number; None stands for what did not happen in time."""
        self._values[key].append(NEVER if value is None else value)

    def note(self, text: str) -> None:
        """Note something that should not have been, with its evidence; it is shown at once, too."""
        self.notes.append(text)
        print(text, file=sys.stderr, flush=True)

    def broke(self, contender: str, size: int, name: str, why: str) -> None:
        """Note that a mesh did not come back from a fault, or did not start."""
        self.broken[contender] += 1
        self.note(f"{contender}, {size} nodes, {name}: {why}")

    def series(self, key: Key) -> Series | None:
        """Return a series, if there is one."""
        values = self._values.get(key)
        return Series(tuple(values)) if values else None

    @property
    def keys(self) -> list[Key]:
        """Which series there are."""
        return list(self._values)
