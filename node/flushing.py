"""Waits until everything that a node has accepted by now has left it: to the clients it is for, and to its peers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from liminal_mesh.cluster import Wire

from .acks import check_timeout
from .errors import DeadlineExceeded

if TYPE_CHECKING:
    from .hub import Hub
    from .server import Server

__all__ = ["Flush", "flush"]


class Flush:
    """What is on its way at one moment, over many connections.

    Args:
        changed: called when all of it is written, or the connections are gone that it was for.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._waiting: dict[str, Callable[[], None]] = {}

    @property
    def over(self) -> bool:
        """Whether nothing of it is on its way any more."""
        return not self._waiting

    @property
    def missing(self) -> list[str]:
        """Who has not got all of it, sorted."""
        return sorted(self._waiting)

    def add(self, name: str, wire: Wire, taken: Callable[[], bool]) -> None:
        """Wait for what goes to somebody: until ``taken`` holds, and the system has what was sent by then."""
        self._waiting[name] = wire.when_written(taken, partial(self._written, name))

    def close(self) -> None:
        """Wait no longer."""
        for forget in self._waiting.values():
            forget()

    def _written(self, name: str) -> None:
        del self._waiting[name]
        if self.over:
            self._changed()


async def flush(hub: Hub, timeout_s: float, server: Server | None = None) -> None:
    """Wait until everything that was accepted before this call is with the system's sockets.

    A connection or a session that ends meanwhile is not waited for.

    Args:
        hub: of the node; what it has for its peers is waited for.
        timeout_s: for how long.
        server: whose clients are waited for, too, if there is one.

    Raises:
        DeadlineExceeded: ``missing`` names who has not taken it in time: peers by their names, clients by their pids.
    """
    deadline = hub.loop.time() + check_timeout(timeout_s)
    await asyncio.sleep(0)  # publishes of one turn are handed over at its end
    under_way = Flush(hub.changed)
    try:
        if server is not None:
            _add_clients(under_way, server)
        _add_peers(under_way, hub)
        if not await hub.until(lambda: under_way.over, deadline):
            raise DeadlineExceeded("flush", node=hub.me.name, missing=under_way.missing)
    finally:
        under_way.close()


def _add_clients(under_way: Flush, server: Server) -> None:
    for one in server.connections.values():
        if one.deliveries.waiting or one.wire.queued_bytes:
            under_way.add(str(one.pid), one.wire, one.deliveries.mark())


def _add_peers(under_way: Flush, hub: Hub) -> None:
    for link in hub.mesh.links.values() if hub.mesh is not None else ():
        if link.lane or link.wire.queued_bytes:
            under_way.add(link.peer.name, link.wire, link.lane.mark())
