"""How anything here waits: for a change, with a deadline that one sweep keeps, and for a turn of the loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from .wheel import STEP_S, Wheel

__all__ = ["FOREVER_S", "TURN_PUBLISHES", "Alarm", "Room", "Signal", "Sweep", "Turn"]

TURN_BYTES: Final = 64 * 1024
"""What one turn of the loop may publish before it gives way."""

LOOK_S: Final = 0.5
"""How often who waits for room looks whether that is in vain."""

TURN_PUBLISHES: Final = 2048
"""After so many publishes others get a turn of the loop, even if nobody is interested in any of them."""

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


class Alarm:
    """The one timer of something that knows when it has to look next.

    Args:
        look: called when the moment has come; returns the next one, infinity for none.
    """

    def __init__(self, look: Callable[[], float]) -> None:
        self._look = look
        self._at = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, at: float) -> None:
        """Look at this moment of the loop's clock, or earlier if that was said before."""
        if at < self._at:
            self.close()
            self._at = at
            self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def close(self) -> None:
        """Look no more."""
        self._at = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring(self) -> None:
        self._at, self._timer = math.inf, None
        self.set(self._look())


class Sweep(Generic[Item]):
    """Deadlines of many small waits, looked at by one timer that runs only while there are any.

    Args:
        expire: called with each item whose time is up.
    """

    def __init__(self, expire: Callable[[Item], None]) -> None:
        self._wheel: Wheel[Item] = Wheel()
        self._expire = expire
        self._alarm = Alarm(self._look)

    def add(self, item: Item, timeout_s: float) -> int:
        """Keep a deadline; return what :meth:`remove` wants."""
        bucket = self._wheel.add(item, asyncio.get_running_loop().time() + min(timeout_s, FOREVER_S))
        self._alarm.set(bucket * STEP_S)
        return bucket

    def remove(self, item: Item, bucket: int) -> None:
        """Forget an item that is done."""
        self._wheel.remove(item, bucket)

    def close(self) -> None:
        """Expire everything now."""
        self._alarm.close()
        for item in self._wheel.due(math.inf):
            self._expire(item)

    def _look(self) -> float:
        for item in self._wheel.due(asyncio.get_running_loop().time()):
            self._expire(item)
        return self._wheel.next_at


class Room:
    """Whoever waits until there is room somewhere.

    Args:
        look: called each half a second while anybody waits, before they look again: is there still hope?
    """

    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._callbacks: dict[Callable[[], None], None] = {}  # in order, so that a run can be repeated
        self._timer: asyncio.TimerHandle | None = None

    def notify(self) -> None:
        """There may be room: whoever waits looks again."""
        callbacks, self._callbacks = self._callbacks, {}
        for callback in callbacks:
            callback()

    def then(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, the next time."""
        self._callbacks[callback] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._tick)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, looked at each time."""
        while not condition():
            room = asyncio.Event()
            self.then(room.set)
            try:
                await room.wait()
            finally:
                self._callbacks.pop(room.set, None)

    def _tick(self) -> None:
        self._timer = None
        if self._callbacks:
            self._look()
            self.notify()


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
