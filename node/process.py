"""A process that a program spawned: an async function with an identity, a mailbox, and links."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from liminal_mesh.cluster import Pid

from .lines import write_line
from .mailbox import Mailbox
from .names import check_pid
from .processes import NORMAL
from .reasons import REASON_CHARS_MAX, error_reason

__all__ = ["CLEANUP_S", "Process", "ProcessFunction", "ProcessKeeper", "Spawner", "check_function"]

log = logging.getLogger("liminal.process")

KILLED: Final = "killed"
"""The reason of a process whose task was cancelled by its program."""

CLEANUP_S: Final = 5.0
"""How long cancelled functions may take to clean up after themselves before their bus waits no longer."""


class ProcessKeeper(Protocol):
    """What a process asks of the bus that it lives on."""

    def link(self, pid: Pid, other: Pid) -> None:
        """Link two processes."""

    def unlink(self, pid: Pid, other: Pid) -> None:
        """End their link."""

    def exit(self, pid: Pid, reason: str) -> None:
        """End a process; nothing happens if it is over already."""


class Process:
    """A process of the bus. It is made by ``bus.spawn``, which hands it to the function that it runs.

    It ends when the function returns (``normal``) or raises (``error: ...``), when :meth:`exit` is called, when a
    linked process ends otherwise than ``normal``, and with its bus (``shutdown``; on a client ``noconnection`` when the
    connection is lost). Then it leaves its groups, and its links and monitors are told, in that moment.
    """

    def __init__(self, pid: Pid, mailbox: Mailbox, keeper: ProcessKeeper) -> None:
        self._pid = pid
        self._mailbox = mailbox
        self._keeper = keeper
        self._reason: str | None = None
        self._over = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> Pid:
        """Its name in the mesh; no other process ever bears it."""
        return self._pid

    @property
    def mailbox(self) -> Mailbox:
        """What is sent to its groups: ``async for item in process.mailbox`` gives each ``Message`` or ``Gap``."""
        return self._mailbox

    def link(self, pid: Pid) -> None:
        """Link with another process, anywhere in the mesh: each gets the other's exit.

        This process ends, too, when that one ends for another reason than ``normal``; at once, if it is over already
        or its node is not linked. Linking twice is once.

        Raises:
            LimitExceeded: there are too many links (embedded node; a client's process ends with that reason).
            NotAuthorized: it may not (likewise).
            ValueError: there can be no such process.
        """
        check_pid(pid)
        if self._reason is None:
            self._keeper.link(self._pid, pid)

    def unlink(self, pid: Pid) -> None:
        """End the link with another process: its exit means nothing to this one from here on.

        Raises:
            ValueError: there can be no such process.
        """
        check_pid(pid)
        if self._reason is None:
            self._keeper.unlink(self._pid, pid)

    def exit(self, reason: str = NORMAL) -> None:
        """End it, with a reason: ``normal``, ``shutdown``, ``killed``, or a text that says why.

        All that follows from it happens at once. The function is cancelled: it runs on until its next ``await``.

        Raises:
            ValueError: the reason is empty, or longer than 1,000 characters.
        """
        if not 0 < len(reason) <= REASON_CHARS_MAX:
            raise ValueError(f"a reason has 1 to {REASON_CHARS_MAX} characters, not {len(reason)}")
        if self._reason is None:
            self._keeper.exit(self._pid, reason)

    async def wait(self) -> str:
        """Wait for its end, and return the reason."""
        await self._over.wait()
        assert self._reason is not None
        return self._reason

    def exited(self, reason: str) -> None:
        """It is over (called by the bus, once)."""
        self._reason = reason
        self._over.set()
        self._mailbox.end(None)
        if self.task is not None and not self.task.done():
            self.task.cancel()

    def __repr__(self) -> str:
        return f"<Process {self._pid} {self._reason or 'running'}>"


ProcessFunction = Callable[[Process], Awaitable[object]]
"""What ``spawn`` runs: ``async def function(me: Process)``."""


def check_function(function: ProcessFunction) -> None:
    """Check that a function can be spawned.

    Raises:
        TypeError: it is not an async function.
    """
    called = getattr(function, "__call__", None)  # noqa: B004 - an object whose call is async will do
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)):
        raise TypeError(f"spawn runs an async function, 'async def f(me)', and not {function!r}")


class Spawner:
    """Owns the tasks of the processes that a program spawned on one bus."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, process: Process, function: ProcessFunction) -> None:
        """Run a process's function."""
        task = process.task = asyncio.create_task(self._run(process, function), name=f"process-{process.pid}")
        self._tasks.add(task)

        def over(_: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            # Unless its exit is what cancelled it. Not within the task, which may be cancelled before it has begun.
            process.exit(KILLED)

        task.add_done_callback(over)

    async def close(self, timeout_s: float) -> bool:
        """Cancel what still runs, and wait for it so many seconds; return whether all of it has ended.

        What does not heed that is logged, and left. A process that ends its own bus is not waited for in its own task.
        """
        others = self._tasks - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if not others:
            return True
        _, deaf = await asyncio.wait(others, timeout=timeout_s)
        for task in deaf:
            write_line(log, logging.ERROR, "process_not_cancelled", {"task": task.get_name()})
        return not deaf

    async def _run(self, process: Process, function: ProcessFunction) -> None:
        try:
            await function(process)
        except Exception as error:  # noqa: BLE001 - whatever it was, it is the end of the process, and its reason
            write_line(log, logging.ERROR, "process_crashed", {"pid": str(process.pid)}, error)
            process.exit(error_reason(error))
        else:
            process.exit(NORMAL)
