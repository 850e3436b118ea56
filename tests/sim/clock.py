"""One virtual clock: a heap of what happens, ordered by time and then by number, so that a run repeats exactly."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from random import Random

__all__ = ["Clock"]

STEPS_MAX = 600_000
"""Far more than any test needs; an endless exchange of frames would take for ever."""


class Clock:
    """Time, chance, and what is to happen."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.now = 50_000.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self._count = 0
        self._steps = 0

    def at(self, when: float, call: Callable[..., None], *arguments: object) -> None:
        """Do something at a time."""
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, call, arguments))

    def later(self, delay: float, call: Callable[..., None], *arguments: object) -> None:
        """Do something after a while."""
        self.at(self.now + delay, call, *arguments)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._heap and self._heap[0][0] <= until:
            self._step()
        self.now = until

    def run_until(self, condition: Callable[[], bool], within: float, every: float = 0.0) -> float:
        """Let time pass until something holds, looked at after each event, or ``every`` so often.

        Returns how long it took, which must be less than ``within``.
        """
        begin = look = self.now
        while self.now < look or not condition():
            look = self.now + every if self.now >= look else look
            assert self._heap, "nothing will ever happen"
            assert self._heap[0][0] - begin < within, f"not within {within} s: {self}"
            self._step()
        return self.now - begin

    def _step(self) -> None:
        self._steps += 1
        assert self._steps < STEPS_MAX, "the world does not come to rest"
        when, _, call, arguments = heapq.heappop(self._heap)
        self.now = max(self.now, when)
        call(*arguments)
