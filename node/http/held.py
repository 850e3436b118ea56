"""Answers that are held back until there is news, for whoever follows a node: ``?after=...&wait=5s``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..units import parse_duration

if TYPE_CHECKING:
    from ..waits import Signal

__all__ = ["Held"]

WAIT_MAX_S: Final = 5.0
"""How long an answer may be held back: less than a request may take."""


class Held:
    """The requests of one server that wait for news.

    Args:
        waiting_max: how many may wait at once: they have connections that others need, who ask for the node's health.
    """

    def __init__(self, waiting_max: int) -> None:
        self._waiting_max = waiting_max
        self._waiting: dict[Signal, int] = {}
        self._closed = False

    async def until(self, signal: Signal, news: Callable[[], bool], wait: str) -> None:
        """Wait for news, unless it is there already.

        Args:
            signal: is notified when there may be some.
            news: whether there is.
            wait: for how long, such as ``5s``, or "" for not at all. If too many wait already, nobody else does.

        Raises:
            ValueError: that is no time.
        """
        span = min(parse_duration(wait), WAIT_MAX_S) if wait else 0.0
        if not span or news() or sum(self._waiting.values()) >= self._waiting_max:
            return
        self._waiting[signal] = self._waiting.get(signal, 0) + 1
        try:
            await signal.until(lambda: self._closed or news(), asyncio.get_running_loop().time() + span)
        finally:
            self._waiting[signal] -= 1

    def close(self) -> None:
        """Let nobody wait any more, since the node stops."""
        self._closed = True
        for signal in self._waiting:
            signal.notify()
