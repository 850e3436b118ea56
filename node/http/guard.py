"""The deadline of an HTTP connection: aiohttp bounds what a request may weigh, but not how long it may take to come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

__all__ = ["Guard"]


class Guard(asyncio.Protocol):
    """Stands between a transport and the protocol that serves it, and ends the connection when a phase takes too long.

    A phase ends with :meth:`rearm`: when a request has come, and when its answer is ready. So the head of a request,
    its handling, and the writing of the answer with the pause after it have as much time each.

    Args:
        inner: serves the connection.
        timeout_s: how long a phase may take.
        gone: called once, when the connection is.
    """

    def __init__(self, inner: asyncio.Protocol, timeout_s: float, gone: Callable[[Guard], None]) -> None:
        self._inner = inner
        self._timeout_s = timeout_s
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def rearm(self) -> None:
        """Begin the next phase."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._transport.abort)

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    # --- called by the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the first request's head."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it
        self.rearm()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand data on."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand the other side's end on."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Hand it on that the other side does not read."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Hand it on that it reads again."""
        self._inner.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        """Hand the end on."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._inner.connection_lost(error)
        self._gone(self)
