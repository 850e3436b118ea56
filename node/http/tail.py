"""``GET /api/v1/events``: what happened at the node, and for who asks so, what happens next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from .. import status
from ..units import parse_duration

if TYPE_CHECKING:
    from ..runtime import Runtime

__all__ = ["EventTail"]

WAIT_MAX_S: Final = 5.0
"""How long an answer may be held back: less than a request may take."""

WAITING_MAX: Final = 16
"""How many may wait at once: they have connections that others need, who ask for the node's health."""


class EventTail:
    """Answers with events.

    Args:
        run: the node.
    """

    def __init__(self, run: Runtime) -> None:
        self._run = run
        self._waiting = 0
        self._closed = False

    async def read(self, after: str, wait: str) -> status.Document:
        """Return what came after an event; if there is nothing, wait for it for some time.

        Args:
            after: an event's ``id``, or "" for all that is kept.
            wait: for how long, such as ``5s``, or "" for not at all. If too many wait already, nobody else does.

        Raises:
            ValueError: one of them is none.
        """
        document = status.events(self._run, after)
        if not wait:
            return document
        span = min(parse_duration(wait), WAIT_MAX_S)
        if document["events"] or self._waiting >= WAITING_MAX:
            return document
        self._waiting += 1
        try:
            hub, last = self._run.hub, document["last"]
            deadline = asyncio.get_running_loop().time() + span
            await hub.noted.until(lambda: self._closed or hub.events.last != last, deadline)
        finally:
            self._waiting -= 1
        return status.events(self._run, after)

    def close(self) -> None:
        """Let nobody wait any more, since the node stops."""
        self._closed = True
        self._run.hub.noted.notify()
