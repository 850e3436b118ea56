"""Who has connected and has not said yet who it is; and which of them makes room when others wait.

A place for a newcomer is meant for milliseconds. While there is room each has its full time; when there is none, and
somebody waits, the source that holds the most places gives up its oldest, once that had ``patience_s``. So whoever
takes places and says nothing keeps others out for that long, and no newcomer that gets on with it is put out, however
many come at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import NamedTuple

__all__ = ["Newcomers", "Yielding"]


class Yielding(NamedTuple):
    """The newcomer that makes room next, and from when on, in seconds of the caller's clock."""

    key: int
    since: float


class Newcomers:
    """The newcomers of one listener.

    Args:
        patience_s: what each may take although others wait.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._held: dict[int, tuple[Hashable, float]] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._held)

    def came(self, key: int, source: Hashable, now: float) -> None:
        """Note a newcomer, by a number that no other one has, and where it comes from: a fact, and nothing it says."""
        assert key not in self._held
        self._held[key] = source, now

    def gone(self, key: int) -> bool:
        """Note that one has said who it is, or is gone; return whether it was still a newcomer."""
        return self._held.pop(key, None) is not None

    def next(self) -> Yielding | None:
        """Return who makes room next, None when there is nobody."""
        held = Counter(source for source, _ in self._held.values())
        most = max(held.values(), default=0)
        for key, (source, came) in self._held.items():  # in the order in which they came
            if held[source] == most:
                return Yielding(key, came + self._patience_s)
        return None
