"""What a client asks of its node and awaits the answer to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from liminal_mesh.cluster import ClientFrame, Reply, Request

from .client_sinks import Call
from .errors import DeadlineExceeded, NoConnection
from .ledger import Ledger
from .waits import Sweep

__all__ = ["REQUEST_S", "Requests"]

GRACE_S: Final = 2.0
"""How much longer than the node we wait for its answer."""

REQUEST_S: Final = 5.0
"""How long a question to the node may take."""


class Requests:
    """The requests of one client.

    Args:
        ledger: numbers them, and knows who asked.
        send: sends a control frame; False when no connection stands.
        check: raises when the client is not open.
        where: the node's addresses, for errors.
    """

    def __init__(
        self, ledger: Ledger, send: Callable[[ClientFrame], bool], check: Callable[[], None], where: str
    ) -> None:
        self._ledger = ledger
        self._send = send
        self._check = check
        self._where = where
        self._calls: Sweep[Call] = Sweep(self._expire)

    async def ask(self, call: Call, make: Callable[[int], ClientFrame], timeout_s: float = REQUEST_S) -> ClientFrame:
        """Send what ``make`` returns for a request's number, and return the answer.

        Args:
            call: awaits it, and says in an error what for.
            make: returns the request.
            timeout_s: how long the node may take, in seconds.

        Raises:
            DeadlineExceeded: the node did not answer within the time, and a bit.
            LiminalError: it refused.
            NoConnection: no connection stands.
        """
        ref = self._ledger.request(call)
        if not self._send(make(ref)):
            self._ledger.fail([ref], NoConnection(self._where, "the connection was lost and is being made again"))
        return await self.answer(call, timeout_s)

    async def by_name(self, verb: str, arguments: object, timeout_s: float = REQUEST_S) -> bytes:
        """Ask for something that has a name and no frame of its own; return the answer as msgpack.

        Raises:
            LiminalError: as :meth:`ask`; the client is not open.
        """
        self._check()
        packed = msgspec.msgpack.encode(arguments)
        frame = await self.ask(Call(verb), lambda ref: Request(ref, verb, packed), timeout_s)
        assert isinstance(frame, Reply)
        return frame.result

    async def answer(self, call: Call, timeout_s: float) -> ClientFrame:
        """Wait for the answer to what was asked; see :meth:`ask`. The node keeps the time, unless it is gone."""
        bucket = self._calls.add(call, timeout_s + GRACE_S)
        try:
            return await call.future
        finally:
            self._calls.remove(call, bucket)

    def close(self) -> None:
        """Wait for nothing any more."""
        self._calls.close()

    def _expire(self, call: Call) -> None:
        call.failed(DeadlineExceeded(call.phase, node=self._where), 1)
