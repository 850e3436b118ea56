"""Deadlines of many small waits, kept by one sweep of the node instead of a timer each."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

__all__ = ["STEP_S", "Deadlines"]

Item = TypeVar("Item")

STEP_S: Final = 0.05
"""A deadline is kept to this, never early."""


class Deadlines(Generic[Item]):
    """A wheel of buckets: adding and removing cost one operation on a dictionary."""

    def __init__(self) -> None:
        self._buckets: dict[int, dict[int, Item]] = {}

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._buckets)

    def add(self, item: Item, deadline: float) -> int:
        """Keep a deadline (in seconds of the clock given to :meth:`due`); return what removes it again."""
        bucket = int(deadline / STEP_S) + 1
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
        buckets = sorted(bucket for bucket in self._buckets if bucket <= now / STEP_S)
        return [item for bucket in buckets for item in self._buckets.pop(bucket).values()]
