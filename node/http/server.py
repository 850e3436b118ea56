"""The listener for HTTP: who is connected, and for how long."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from liminal_mesh.cluster import Listener

from ..metrics import Metrics
from .app import make_app
from .guard import Guard

if TYPE_CHECKING:
    from ..runtime import Runtime

__all__ = ["HttpServer"]

TIMEOUT_S: Final = 10.0
"""How long each part of a request may take."""

STOP_S: Final = 1.0
"""How long requests under way may take at the end."""

LINE_MAX: Final = 8190
"""The longest line of a request's head."""

HEADERS_MAX: Final = 64
"""The most headers of a request."""


class HttpServer:
    """Serves HTTP.

    Connections hold the listener's permits until they end, so that there are never more of them than that. Each ends
    when it is idle for ``timeout_s``, or makes room for others before that, while it waits for a request.

    Args:
        run: the node.
        listener: open.
        timeout_s: how long each part of a request may take.
    """

    def __init__(self, run: Runtime, listener: Listener, timeout_s: float = TIMEOUT_S) -> None:
        self.metrics = Metrics(run)
        self._listener = listener
        self._noticed = run.hub.events.notice
        self._timeout_s = timeout_s
        self._guards: dict[Guard, int] = {}
        """The connections, and their numbers."""
        self._numbers = count(1)
        self._runner = web.AppRunner(
            make_app(run, self.metrics, lambda: listener.crowded),
            access_log=None,
            # Of bytes that are no HTTP there is nothing to tell, unless somebody looks for it.
            logger=_Quiet(logging.getLogger("liminal.http")),
            keepalive_timeout=timeout_s,
            lingering_time=STOP_S,
            shutdown_timeout=STOP_S,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
            max_headers=HEADERS_MAX,
            auto_decompress=False,
        )

    async def run(self) -> None:
        """Serve until cancelled; requests under way may end within a second."""
        await self._runner.setup()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.metrics.run(), name="event-loop-lag")
                await self._listener.run(self._accepted, self._noticed)
        finally:
            self._listener.close()
            await self._runner.cleanup()
            for guard in tuple(self._guards):
                guard.abort()

    def _accepted(self) -> Guard:
        assert self._runner.server is not None
        guard = Guard(self._runner.server(), self._timeout_s, self._waits, self._served, self._ended)
        self._guards[guard] = next(self._numbers)
        return guard

    def _waits(self, guard: Guard) -> None:
        self._listener.hold(self._guards[guard], guard.host, guard.abort)

    def _served(self, guard: Guard) -> None:
        self._listener.serve(self._guards[guard])

    def _ended(self, guard: Guard) -> None:
        self._listener.release(self._guards.pop(guard))


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """Whatever is logged, is for debugging."""

    def log(self, level: int, msg: object, *args: object, **options: Any) -> None:
        del level
        super().log(logging.DEBUG, msg, *args, **options)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs
