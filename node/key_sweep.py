"""Forgets the keys whose window is over: one timer of the node, which runs only while there are any to forget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from .dedup import Dedup
from .lines import write_line

__all__ = ["KeySweep"]

log = logging.getLogger("liminal.node")

SWEEP_S: Final = 1.0
"""The least time between two sweeps, unless one had too much to do."""

SWEEP_KEYS: Final = 2000
"""How many keys one sweep forgets at most: a millisecond or two."""


class KeySweep:
    """The sweep of one node.

    Args:
        dedup: what is swept.
        clock: its clock, in seconds.
    """

    def __init__(self, dedup: Dedup, clock: Callable[[], float]) -> None:
        self._dedup = dedup
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._when = 0.0
        dedup.due = self._due

    def close(self) -> None:
        """Sweep no more."""
        self._dedup.due = lambda _: None
        self._stop()

    def _due(self, when: float) -> None:
        now = self._clock()
        when = max(when, now + SWEEP_S)
        if self._timer is None or when < self._when:
            self._stop()
            self._when = when
            self._timer = asyncio.get_running_loop().call_later(when - now, self._sweep)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = None
        report, due = self._dedup.sweep(self._clock(), SWEEP_KEYS)
        write_line(log, logging.DEBUG, "keys_swept", report._asdict())
        if report.expired >= SWEEP_KEYS:
            self._timer = asyncio.get_running_loop().call_later(0, self._sweep)
        elif due is not None:
            self._due(due)
