"""Random round-robin over the names of a roster, without a list of its own.

A round visits the numbers below a power of two in the order ``(step * i + offset) mod size``, which is a permutation
as ``step`` is odd; each round draws new ones. Every member is met once a round (time-bounded completeness: 2n - 1
periods in the worst case), and a newcomer, whose name stands at the end of the roster, falls at a random place of
the round. A name that is dropped from the roster moves others up, which may cost one of them its turn in that round.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

__all__ = ["Ring"]


class Ring:
    """Whose turn it is."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._size = self._step = self._offset = self._at = 0

    def next(self, names: Sequence[str], fits: Callable[[str], bool]) -> str | None:
        """Return the next name that fits, if any does in two rounds."""
        for _ in range(4 * len(names) + 4):
            if self._at >= self._size:
                self._shuffle(len(names))
            index = (self._step * self._at + self._offset) % self._size
            self._at += 1
            if index < len(names) and fits(names[index]):
                return names[index]
        return None

    def _shuffle(self, count: int) -> None:
        self._size = 1 << max(1, (count - 1).bit_length())
        self._step = self._rng.randrange(1, 2 * self._size, 2)
        self._offset = self._rng.randrange(self._size)
        self._at = 0
