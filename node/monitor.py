"""A monitor: one process of the mesh is watched, and its end is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from liminal_mesh.cluster import Pid

from .acks import check_timeout
from .errors import DeadlineExceeded
from .names import check_pid
from .values import Down

__all__ = ["Monitor"]


class Monitor:
    """Watches a process, in ``async with``. Node and client fill in how.

    Args:
        pid: the process; it may be over already.
        monotonic: the clock by which its end is told.

    Raises:
        ValueError: there can be no such process.
    """

    def __init__(self, pid: Pid, monotonic: Callable[[], float]) -> None:
        self.pid = check_pid(pid)
        self._monotonic = monotonic
        self._down: Down | None = None
        self._entered = False
        self._left = False
        self._told = asyncio.Event()

    async def _open(self) -> None:
        """Begin to watch."""
        raise NotImplementedError

    def _close(self) -> None:
        """Watch no more; called once, and not after :meth:`fired`."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError(f"the monitor of {self.pid} was entered already: open another one")
        self._entered = True
        try:
            await self._open()
        except BaseException:
            self._entered = False  # nothing was left behind, so it can be tried again
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._down is None:
            self._left = True
            self._close()
            self._told.set()

    async def down(self, timeout: float | None = None) -> Down:
        """Wait for the end of the process; whoever asks later gets the same answer.

        Args:
            timeout: for how long, in seconds; None waits as long as it lives.

        Raises:
            DeadlineExceeded: it lives still.
            RuntimeError: the monitor was not entered, or was left before that.
        """
        if not self._entered:
            raise RuntimeError(f"the monitor of {self.pid} is not entered: use it within 'async with'")
        try:
            async with asyncio.timeout(None if timeout is None else check_timeout(timeout)):
                await self._told.wait()
        except TimeoutError:
            if self._down is None:
                raise DeadlineExceeded("monitor", node=self.pid.node) from None
        if self._down is None:
            raise RuntimeError(f"the monitor of {self.pid} is waited for within 'async with', which was left")
        return self._down

    def fired(self, reason: str) -> None:
        """The process is over (called by the bus, once)."""
        if self._down is None and not self._left:
            self._down = Down(self.pid, reason, self._monotonic())
            self._told.set()

    def __repr__(self) -> str:
        return f"<Monitor {self.pid} {self._down.reason if self._down else 'alive'}>"
