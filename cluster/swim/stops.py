"""Whether this node was stopped: then nobody is to blame for what was due meanwhile, and the node itself is.

All deadlines that were set before are moved by the time for which it stood still, with the first input after it,
whatever that is: what comes afterwards is not excused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from .board import Board

__all__ = ["Deadlines", "Stops"]


class Deadlines(Protocol):
    """A part of the machine whose deadlines lie ahead when they are set: one that is missed by far shows a stop."""

    def next_due(self) -> float:
        """Return the first of them."""

    def excuse(self, lateness: float) -> None:
        """Move all of them."""


class Stops:
    """The watch over the deadlines of some parts."""

    def __init__(self, board: Board, parts: Sequence[Deadlines], now: float) -> None:
        self._board = board
        self._parts = parts
        self._planned = now
        """When we were to be woken, as far as was asked: no deadline was earlier then, and looking is cheap."""

    def notice(self, now: float) -> bool:
        """Move all deadlines if we were stopped; returns whether we were."""
        options = self._board.options
        bearable = max(options.late_s, options.probe_s / 2)
        if now - self._planned <= bearable or (late := now - self.next_due()) <= bearable:
            return False
        for part in self._parts:
            part.excuse(late)
        self._board.health.worse(math.ceil(late / options.probe_s))
        return True

    def next_due(self) -> float:
        """Return the next deadline of all parts."""
        self._planned = min(part.next_due() for part in self._parts)
        return self._planned
