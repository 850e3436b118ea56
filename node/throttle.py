"""The throttle of a channel: publishers at this node wait for their turn, to keep to a part of the rate they had.

Whoever publishes takes its share of the time, and holds the others back for so long. Those who wait go on in the order
in which they came, one at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from .pressure import Pace

if TYPE_CHECKING:
    from .channel import Channel

__all__ = ["Throttle"]

HOLD_S: Final = 0.002
"""For less than this nobody is held back: a timer is not that exact."""


class Throttle:
    """Holds publishers on one channel back.

    Args:
        loop: the running loop.
        channel: it says whether they are ``slowed``, and whether they are ``held`` back now.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: Channel) -> None:
        self.factor = 1.0
        """They are held to one so-manieth of their rate."""
        self._loop = loop
        self._channel = channel
        self._pace = Pace()
        self._gate: asyncio.Handle | None = None
        """Opens, while publishers wait or may have to."""
        self._queue: dict[Callable[[], None], None] = {}
        """In the order in which they came."""

    def count(self, count: int, now: float) -> None:
        """So many were published at this node, at a time in seconds of the loop."""
        self._pace.count(count, now)
        if self._channel.slowed:
            self._hold(now)

    def slow(self, factor: float) -> None:
        """Hold publishers to one ``factor``-th of their rate; 1 holds nobody back any more."""
        now = self._loop.time()
        self.factor = factor
        self._pace.slow(factor, now)
        self._channel.slowed = factor > 1.0
        if self._gate is not None:  # it was set for the factor before
            self._gate.cancel()
            self._gate = None
            self._channel.held = False
            self._hold(now)
            self._open_soon()

    @property
    def wait_s(self) -> float:
        """For how long a publisher should wait now, in seconds."""
        return self._pace.wait(self._loop.time())

    def queue_up(self, go_on: Callable[[], None]) -> None:
        """Call ``go_on`` once, when it is its turn."""
        self._queue[go_on] = None
        self._open_soon()

    def leave(self, go_on: Callable[[], None]) -> None:
        """It waits no longer; nothing happens if it has had its turn."""
        self._queue.pop(go_on, None)

    def _hold(self, now: float) -> None:
        """Let publishers wait until what was published had its time."""
        wait_s = self._pace.wait(now)
        if wait_s >= HOLD_S:
            self._channel.held = True
            if self._gate is None:
                self._gate = self._loop.call_later(wait_s, self._open)

    def _open_soon(self) -> None:
        if self._queue and self._gate is None:
            self._gate = self._loop.call_soon(self._open)

    def _open(self) -> None:
        """Let the next publisher go on; what it publishes holds the others back again."""
        self._gate = None
        self._hold(self._loop.time())
        if self._gate is not None:
            return
        self._channel.held = False
        if self._queue:
            go_on = next(iter(self._queue))
            del self._queue[go_on]
            try:
                go_on()
            finally:
                self._open_soon()  # whoever it was has this turn of the loop
