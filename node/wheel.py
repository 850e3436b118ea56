"""A timing wheel: which of many things are due, and when somebody has to look next.

Items are kept in buckets of time, so that adding and removing one costs an operation on a dictionary, however many
there are (Varghese and Lauck, "Hashed and hierarchical timing wheels", 1987, scheme 6). Whoever drives it needs one
timer, and wakes only when a bucket is full of something: an item that may be late by a while shares its bucket with
others (as timers of Linux do, by their slack), so that a thousand of them are one wake-up.
"""

from __future__ import annotations

import math
from typing import Final, Generic, TypeVar

__all__ = ["STEP_S", "Wheel"]

Item = TypeVar("Item")

STEP_S: Final = 0.05
"""A deadline is kept to this, never early, unless it may be late by more."""


class Wheel(Generic[Item]):
    """Items by their deadlines, in seconds of a clock that its driver reads."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[int, Item]] = {}

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._buckets)

    def add(self, item: Item, deadline: float, slack_s: float = 0.0) -> int:
        """Keep a deadline; return what removes it again.

        Args:
            item: is due then. It may have several deadlines.
            deadline: never before this.
            slack_s: by how much it may be late, so that it shares its moment with others.
        """
        width = max(1, int(slack_s / STEP_S))
        bucket = -(-(int(deadline / STEP_S) + 1) // width) * width
        self._buckets.setdefault(bucket, {})[id(item)] = item
        return bucket

    def remove(self, item: Item, bucket: int) -> None:
        """Forget an item that is done; nothing happens when its deadline has passed."""
        entries = self._buckets.get(bucket)
        if entries is not None:
            entries.pop(id(item), None)
            if not entries:
                del self._buckets[bucket]

    def due(self, now: float) -> list[Item]:
        """Remove and return everything whose deadline has passed, the earliest first."""
        buckets = sorted(bucket for bucket in self._buckets if bucket * STEP_S <= now)
        return [item for bucket in buckets for item in self._buckets.pop(bucket).values()]

    @property
    def next_at(self) -> float:
        """When something is due next; infinity when nothing waits."""
        return min(self._buckets) * STEP_S if self._buckets else math.inf
