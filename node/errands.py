"""What one client has asked of its node by name, and whatever of its requests takes a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import msgspec

from liminal_mesh.cluster import ClientFrame, Reply, Request
from liminal_mesh.storage import LiminalError

from .errors import LimitExceeded

__all__ = ["Errands"]


class Errands:
    """The errands of one connection: what takes a while is a task of its own, and ends with the connection.

    Args:
        ask: answers a request by its verb and its arguments; the answer may be awaitable.
        send: sends a control frame to the client.
        fail: tells the client that a request of this number ended with an error.
        broken: hears of a defect of ours that ended an errand.
        waits_max: how many may be under way.
    """

    def __init__(
        self,
        ask: Callable[[str, bytes], object],
        send: Callable[[ClientFrame], None],
        fail: Callable[[int, LiminalError], None],
        broken: Callable[[Exception], None],
        waits_max: int,
    ) -> None:
        self._ask = ask
        self._send = send
        self._fail = fail
        self._broken = broken
        self._waits_max = waits_max
        self._waits: set[asyncio.Task[None]] = set()

    def check(self) -> None:
        """Check that one more may be under way.

        Raises:
            LimitExceeded: there are too many.
        """
        if len(self._waits) >= self._waits_max:
            raise LimitExceeded("waits_per_connection", self._waits_max)

    def run(self, waiting: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run something until it or the connection ends; :meth:`check` comes before it."""
        task = asyncio.get_running_loop().create_task(waiting)
        self._waits.add(task)
        task.add_done_callback(self._done)
        return task

    def request(self, frame: Request) -> None:
        """Answer a request, now or later."""
        try:
            result = self._ask(frame.verb, frame.arguments)
            if isinstance(result, Coroutine):
                self.reply_later(frame.ref, result)
            else:
                self._send(Reply(frame.ref, msgspec.msgpack.encode(result)))
        except LiminalError as error:
            self._fail(frame.ref, error)

    def reply_later(self, ref: int, result: Coroutine[None, None, object]) -> None:
        """Answer a request of this number when the result is there.

        Raises:
            LimitExceeded: too many requests wait.
        """
        try:
            self.check()
        except LimitExceeded:
            result.close()
            raise
        # Closed in any case: the connection may end before the task has begun, and nobody would ever await it.
        self.run(self._reply(ref, result)).add_done_callback(lambda _: result.close())

    def close(self) -> None:
        """The connection is over: nobody waits for an answer any more."""
        for task in self._waits:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._waits.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._broken(error)

    async def _reply(self, ref: int, result: Coroutine[None, None, object]) -> None:
        try:
            answer = await result
        except LiminalError as error:
            self._fail(ref, error)
        else:
            self._send(Reply(ref, msgspec.msgpack.encode(answer)))
