"""The bounds of an HTTP connection that aiohttp does not keep: how long a request lasts, and what comes behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

__all__ = ["Guard"]


class Guard(asyncio.Protocol):
    """Stands between a transport and the protocol that serves it, and ends the connection when a phase takes too long.

    A connection waits for a request, is served, and waits again. So the head of a request, its handling, and the
    writing of the answer with the pause after it have as much time each. What comes while it is served waits: aiohttp
    would read it, and keep whatever is wrong with it, a thousand times if need be.

    Args:
        inner: serves the connection.
        timeout_s: how long a phase may take.
        waits: called when it begins to wait for a request.
        served: called when a request has come.
        gone: called once, when the connection is.
    """

    def __init__(
        self,
        inner: asyncio.Protocol,
        timeout_s: float,
        waits: Callable[[Guard], None],
        served: Callable[[Guard], None],
        gone: Callable[[Guard], None],
    ) -> None:
        self._inner = inner
        self._timeout_s = timeout_s
        self._waits = waits
        self._served = served
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._serving = False
        self._early = b""
        """What came meanwhile; nothing more is read then."""

    @property
    def host(self) -> str:
        """The address of the machine at the other end."""
        peer = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(peer[0]) if peer else ""

    def serve(self) -> None:
        """A request has come: begin to serve."""
        if self._rearm():
            self._serving = True
            self._served(self)

    def wait(self) -> None:
        """An answer is ready: begin to wait for the next request."""
        if self._rearm():
            self._serving = False
            self._waits(self)
            if self._early:
                asyncio.get_running_loop().call_soon(self._catch_up)

    def abort(self) -> None:
        """End the connection at once."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _rearm(self) -> bool:
        """Begin the next phase; return whether the connection stands."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is None:
            return False
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self.abort)
        return True

    def _catch_up(self) -> None:
        if self._early and not self._serving and self._transport is not None:
            early, self._early = self._early, b""
            self._transport.resume_reading()
            self._inner.data_received(early)

    # --- called by the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the first request's head."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it
        self.wait()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hand data on, unless a request is served."""
        if not self._serving:
            self._inner.data_received(data)
        elif self._transport is not None:
            self._early += data
            self._transport.pause_reading()

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
