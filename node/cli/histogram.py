"""Many durations in little memory: counted in buckets whose width is under one percent of what they hold."""

from __future__ import annotations

from collections import Counter
from typing import Final

__all__ = ["Histogram"]

_BITS: Final = 7
"""How many bits below the highest are kept: 128 buckets for each doubling."""


class Histogram:
    """Counts whole numbers; gives percentiles."""

    def __init__(self) -> None:
        self.count = 0
        self.largest = 0
        self._buckets: Counter[tuple[int, int]] = Counter()

    def add(self, value: int) -> None:
        """Count a value of at least 0."""
        shift = max(0, value.bit_length() - 1 - _BITS)
        self._buckets[shift, value >> shift] += 1
        self.count += 1
        if value > self.largest:
            self.largest = value

    def percentile(self, percent: float) -> int:
        """Return the value that so many percent do not exceed, to within one percent; 0 when there are none."""
        left = self.count * percent / 100
        for shift, rest in sorted(self._buckets, key=lambda bucket: bucket[1] << bucket[0]):
            left -= self._buckets[shift, rest]
            if left <= 0:
                return min(((rest + 1) << shift) - 1, self.largest)
        return self.largest
