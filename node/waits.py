"""How anything here waits: for a change, with a deadline that one sweep keeps, and for a turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from .deadlines import STEP_S, Deadlines

__all__ = ["FOREVER_S", "Room", "Signal", "Sweep", "Turn"]

TURN_BYTES: Final = 64 * 1024
"""What one turn of the loop may publish before it gives way."""

FOREVER_S: Final = 1e9
"""Thirty years: a longer deadline is none, and fits into no frame."""

Item = TypeVar("Item")


class Signal:
    """Wakes everyone who waits for something to change; each then looks for itself."""

    def __init__(self) -> None:
        self._waiters: dict[asyncio.Future[None], None] = {}  # in order, so that a run can be repeated

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiters)

    def notify(self) -> None:
        """Something has changed."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def until(self, condition: Callable[[], bool], deadline: float | None = None) -> bool:
        """Wait until a condition holds, looked at after each change; return whether it does.

        Args:
            condition: quick, and without effects.
            deadline: in seconds of the loop's clock; None waits for ever.
        """
        try:
            async with asyncio.timeout_at(deadline):
                while not condition():
                    await self._change()
        except TimeoutError:
            return condition()
        return True

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            await waiter
        finally:
            self._waiters.pop(waiter, None)


class Sweep(Generic[Item]):
    """Deadlines of many small waits, looked at by one timer that runs only while there are any.

    Args:
        expire: called with each item whose time is up.
    """

    def __init__(self, expire: Callable[[Item], None]) -> None:
        self._deadlines: Deadlines[Item] = Deadlines()
        self._expire = expire
        self._timer: asyncio.TimerHandle | None = None

    def add(self, item: Item, timeout_s: float) -> int:
        """Keep a deadline; return what :meth:`remove` wants."""
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(STEP_S, self._look)
        return self._deadlines.add(item, loop.time() + min(timeout_s, FOREVER_S))

    def remove(self, item: Item, bucket: int) -> None:
        """Forget an item that is done."""
        self._deadlines.remove(item, bucket)

    def close(self) -> None:
        """Expire everything now."""
        if self._timer is not None:
            self._timer.cancel()
        for item in self._deadlines.due(float("inf")):
            self._expire(item)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        for item in self._deadlines.due(loop.time()):
            self._expire(item)
        if self._deadlines and self._timer is None:
            self._timer = loop.call_later(STEP_S, self._look)


class Room:
    """Whoever waits until there is room somewhere."""

    def __init__(self) -> None:
        self._callbacks: dict[Callable[[], None], None] = {}  # in order, so that a run can be repeated

    def notify(self) -> None:
        """There may be room: whoever waits looks again."""
        callbacks, self._callbacks = self._callbacks, {}
        for callback in callbacks:
            callback()

    def then(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, the next time."""
        self._callbacks[callback] = None

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, looked at each time."""
        while not condition():
            room = asyncio.Event()
            self._callbacks[room.set] = None
            try:
                await room.wait()
            finally:
                self._callbacks.pop(room.set, None)


class Turn:
    """Makes whoever does much in one turn of the loop give way to the others once in a while.

    A frozen peer's lane must not cost a turn for each publish, which a lane that is crowded would otherwise.
    """

    def __init__(self) -> None:
        self._bytes = 0

    async def give_way(self, size: int) -> None:
        """Count bytes; wait for the next turn when this one has seen many."""
        if not self._bytes:
            asyncio.get_running_loop().call_soon(self._over)
        self._bytes += size
        if self._bytes > TURN_BYTES:
            await asyncio.sleep(0)

    def _over(self) -> None:
        self._bytes = 0
