"""Virtual time on an ordinary loop: when nothing is left to do now, the clock jumps to the next timer.

The loop stays the one that runs already; two of its functions are shadowed until the clock is taken off again: the
one that tells the time, and the one that waits for input. Everything that sleeps or has a deadline on this loop does
so in virtual time, whoever wrote it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

__all__ = ["VirtualClock"]

PATIENCE_S: Final = 1.0
"""How long, in real seconds, a thread may take while the clock stands still for it."""

LATE_S: Final = 1e-7
"""How late timers fire, as on every clock: in exact time a sum that lost its last bit would never be reached."""

TURNS_MAX: Final = 1_000_000
"""So many turns of the loop in one instant are a loop that waits for the clock, which waits for it."""


class VirtualClock:
    """A clock that shows 0 when it is put on a loop.

    Args:
        loop: runs, and is one of asyncio's own that are built on a selector.
        limit_s: the virtual second after which whatever still runs is taken for hanging.
        stuck: told why nothing more will come of this; returns whether it has ended what hangs. If not, the error
            leaves the loop itself.

    Raises:
        RuntimeError: the loop cannot be steered.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_s: float, stuck: Callable[[str], bool]) -> None:
        selector: Any = getattr(loop, "_selector", None)
        if selector is None or not hasattr(loop, "_scheduled"):
            kind = f"{type(loop).__module__}.{type(loop).__qualname__}"
            raise RuntimeError(
                f"virtual time needs asyncio's selector loop, and this is {kind}: run with asyncio.run(main()), or "
                "with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)"
            )
        if "time" in vars(loop):
            raise RuntimeError("this loop runs in virtual time already: one clock is enough")
        self._loop = loop
        self._selector = selector
        self._limit_s = limit_s
        self._stuck = stuck
        self._real_select: Callable[[float | None], list[Any]] = selector.select
        self._real_execute: Callable[..., asyncio.Future[Any]] = loop.run_in_executor
        self._now = 0.0
        self._turns = 0
        self._jobs = 0
        self._change: Callable[[], None] | None = None
        self._changed: asyncio.Future[None] = loop.create_future()

    def time(self) -> float:
        """Return the virtual seconds since the start."""
        return self._now

    async def start(self) -> None:
        """Put it on: timers that run keep what they have left."""
        vars(self._selector)["select"] = self._select
        await self._between_turns(self._put_on)

    async def stop(self) -> None:
        """Take it off: timers that run keep what they have left, now of real time."""
        await self._between_turns(self._take_off)

    async def _between_turns(self, change: Callable[[], None]) -> None:
        """Change the time while no callback runs, since the loop measures them; done even if this is cancelled."""
        self._change, self._changed = change, self._loop.create_future()
        await self._changed

    def _put_on(self) -> None:
        self._shift(-self._loop.time())
        vars(self._loop).update(time=self.time, run_in_executor=self._execute)

    def _take_off(self) -> None:
        del vars(self._selector)["select"]
        for name in ("time", "run_in_executor"):
            del vars(self._loop)[name]
        self._shift(self._loop.time() - self._now)

    @property
    def _timers(self) -> list[asyncio.TimerHandle]:
        timers: list[asyncio.TimerHandle] = vars(self._loop)["_scheduled"]  # at times it is another list
        return timers

    def _shift(self, seconds: float) -> None:
        for handle in self._timers:
            handle._when += seconds  # type: ignore[attr-defined]  # noqa: SLF001 - it has no door for this

    def _execute(self, *args: Any) -> asyncio.Future[Any]:
        future = self._real_execute(*args)
        self._jobs += 1
        future.add_done_callback(self._executed)
        return future

    def _executed(self, _future: asyncio.Future[Any]) -> None:
        self._jobs -= 1

    def _select(self, timeout: float | None = None) -> list[Any]:
        """Wait as the loop wants to, in virtual time."""
        events = self._real_select(0)
        if self._change is not None:
            self._change()
            self._change = None
            if not self._changed.done():
                self._changed.set_result(None)
            return events
        if not events and self._jobs and (timeout is None or timeout > 0):
            # A thread works for us: the clock waits for it, unless the thread itself may be waiting for the clock.
            events = self._real_select(None if timeout is None else max(timeout, PATIENCE_S))
        if events or (timeout is not None and timeout <= 0):
            self._turns += 1
            if self._turns > TURNS_MAX:
                self._turns = 0
                self._give_up(f"the loop turned {TURNS_MAX} times in one instant: something polls with sleep(0)")
            return events
        self._turns = 0
        if timeout is None:
            self._give_up("nothing is left that could ever happen: no task is ready, no timer runs")
        else:
            self._now = min(self._now + timeout, self._timers[0].when()) + LATE_S
            if self._now > self._limit_s:
                self._limit_s = self._now + self._limit_s
                self._give_up("what is waited for has not happened, and only the nodes' own timers run")
        return []

    def _give_up(self, reason: str) -> None:
        reason = f"at {self._now:.3f} s of virtual time: {reason}"
        if not self._stuck(reason):
            raise RuntimeError(reason)
