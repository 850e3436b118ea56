"""Looks at the age of what waits for peers that take nothing; only while there is something to look at.

A peer for which more waits than can be kept loses its session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from .link import Link, MeshBus

__all__ = ["LaneWatch"]

WATCH_S: Final = 0.1
"""How often."""


class LaneWatch:
    """The one timer for all lanes of a node.

    Args:
        loop: the running loop.
        links: the links of the node, by the peer's name.
        bus: is told when a lane that was crowded is not any more.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, links: Mapping[str, Link], bus: MeshBus) -> None:
        self._loop = loop
        self._links = links
        self._bus = bus
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Watch, until nothing waits any more."""
        if self._timer is None:
            self._timer = self._loop.call_later(WATCH_S, self._look)

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        now, waiting = self._loop.time(), False
        for link in self._links.values():
            if link.lane.hopeless:
                link.wire.abort("the peer does not read")
            crowded = link.lane.crowded
            link.lane.age(now)
            waiting = waiting or bool(link.lane)
            if crowded and not link.lane.crowded:
                self._bus.lane_room()
        if waiting:
            self.start()
