"""A watcher of one group: a snapshot of its members, then each change, as an async stream."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from .values import GroupSnapshot, Joined, Left

__all__ = ["GroupWatch"]


class GroupWatch:
    """The members of a group as they change: ``async for event in bus.watch_group(...)``. Node and client fill in how.

    The first event is a ``GroupSnapshot``, then come ``Joined`` and ``Left``. A watcher that falls behind gets a new
    snapshot instead of the changes that it missed. It ends with its bus, with :meth:`aclose`, by leaving its
    ``async with``, or by being dropped. An opening that failed leaves nothing behind, and can be tried again.

    Args:
        group: the name.
        scope: ``channel``, ``subject``, ``consumer`` or ``group``.
        iterated: the bus's watches that a task waits for; this one is in it while that is so, since the bus does not
            hold it otherwise, and the loop does not hold the task.
    """

    def __init__(self, group: str, scope: str, iterated: set[GroupWatch]) -> None:
        self.group = group
        self.scope = scope
        self._iterated = iterated
        self._waiter: asyncio.Future[None] | None = None
        self._opened = False
        self._ended = False
        self._error: Exception | None = None

    async def _open(self) -> None:
        """Begin to watch."""
        raise NotImplementedError

    def _close(self) -> None:
        """Watch no more; called once for each opening, also for one that failed."""
        raise NotImplementedError

    def _next(self) -> GroupSnapshot | Joined | Left | None:
        """Return the next event, if there is one."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        if not self._opened and not self._ended:
            self._opened = True
            try:
                await self._open()
            except BaseException:
                if not self._ended:
                    self._opened = False
                    self._close()
                    self.wake()  # another task may wait for what this one began to watch: it tries itself
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> GroupSnapshot | Joined | Left:
        while True:
            await self.__aenter__()
            if self._ended:
                raise self._error or StopAsyncIteration
            event = self._next()
            if event is not None:
                return event
            await self._wait()

    async def aclose(self) -> None:
        """Watch no more; whoever iterates comes to the end."""
        self.end()

    def end(self, error: Exception | None = None) -> None:
        """Watch no more (also called by the bus); whoever iterates gets ``error``, or comes to the end."""
        if not self._ended:
            self._ended, self._error = True, error
            if self._opened:
                self._close()
            self.wake()

    def wake(self) -> None:
        """Something may have come (called by the bus)."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError(f"two tasks iterate over the watch of {self.group!r}: open one for each")
        self._waiter = asyncio.get_running_loop().create_future()
        self._iterated.add(self)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._iterated.discard(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.scope} {self.group!r}>"
