"""Something that is watched: a snapshot of it, then each change, as an async stream."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Generic, Self, TypeAlias, TypeVar

from liminal_mesh.cluster import MemberChanged

from .values import GroupSnapshot, Joined, Left, MembersSnapshot

__all__ = ["GroupWatch", "MemberWatch", "Watch"]

Snapshot = TypeVar("Snapshot")
Change = TypeVar("Change")


class Watch(Generic[Snapshot, Change]):
    """A state as it changes: ``async for event in bus.watch_group(...)``. Node and client fill in how.

    The first event is a snapshot, then come the changes. A watcher that falls behind gets a new snapshot instead of the
    changes that it missed. It ends with its bus, with :meth:`aclose`, by leaving its ``async with``, or by being
    dropped. An opening that failed leaves nothing behind, and can be tried again.

    Args:
        what: is watched, for humans.
        iterated: the bus's watches that a task waits for; this one is in it while that is so, since the bus does not
            hold it otherwise, and the loop does not hold the task.
    """

    def __init__(self, what: str, iterated: set[Watch[Any, Any]]) -> None:
        self._what = what
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

    def _next(self) -> Snapshot | Change | None:
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

    async def __anext__(self) -> Snapshot | Change:
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
            raise RuntimeError(f"two tasks iterate over the watch of {self._what}: open one for each")
        self._waiter = asyncio.get_running_loop().create_future()
        self._iterated.add(self)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._iterated.discard(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._what}>"


GroupWatch: TypeAlias = Watch[GroupSnapshot, Joined | Left]
"""The members of a group: a ``GroupSnapshot``, then ``Joined`` and ``Left``."""

MemberWatch: TypeAlias = Watch[MembersSnapshot, MemberChanged]
"""The nodes of the mesh: a ``MembersSnapshot``, then ``MemberChanged``."""
