"""The processes of a run: each is started fresh, speaks JSON lines on its standard output, and is ended by its id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any

__all__ = ["Role", "Roles", "free_ports", "loop_run", "now", "roles", "say"]

ROOT = Path(__file__).resolve().parent.parent
LINE_S = 60.0
END_S = 5.0


class Role:
    """One process of a run."""

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name

    @property
    def cpu(self) -> float:
        """The seconds of CPU that it has used so far, all threads; by the clock that Linux keeps for each process."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    async def line(self) -> dict[str, Any]:
        """Return the next thing it says.

        Raises:
            RuntimeError: it ended instead.
            TimeoutError: it said nothing for a minute.
        """
        assert self.process.stdout is not None
        async with asyncio.timeout(LINE_S):
            text = await self.process.stdout.readline()
        if not text:
            raise RuntimeError(f"{self.name} ended with code {await self.process.wait()}")
        said: dict[str, Any] = json.loads(text)
        return said

    async def end(self) -> None:
        """End it: kindly, then surely."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                async with asyncio.timeout(END_S):
                    await self.process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    self.process.kill()
                await self.process.wait()


class Roles:
    """All processes of one run."""

    def __init__(self) -> None:
        self._running: list[Role] = []

    async def python(self, module: str, *arguments: object) -> Role:
        """Start ``python -m module arguments``."""
        command = [sys.executable, "-m", module, *map(str, arguments)]
        return self._add(await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=PIPE), str(arguments[0]))

    async def program(self, *command: str) -> Role:
        """Start a program that says nothing we read."""
        process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL, stderr=DEVNULL)
        return self._add(process, Path(command[0]).name)

    def cpu(self) -> dict[str, float]:
        """Return the seconds of CPU of each by name, to be compared with an earlier reading."""
        return {role.name: role.cpu for role in self._running}

    def _add(self, process: Process, name: str) -> Role:
        same = sum(1 for role in self._running if role.name.split(" ")[0] == name)
        role = Role(process, f"{name} {same + 1}" if same else name)
        self._running.append(role)
        return role

    async def end(self) -> None:
        """End all of them, the last one first."""
        for role in reversed(self._running):
            await role.end()


@contextlib.asynccontextmanager
async def roles() -> AsyncIterator[Roles]:
    """The processes of one run, which end with the block."""
    running = Roles()
    try:
        yield running
    finally:
        await running.end()


def free_ports(count: int) -> list[int]:
    """Find TCP ports of loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def say(**facts: object) -> None:
    """Say something to the parent, from within a role."""
    print(json.dumps(facts), flush=True)


def loop_run(main: Coroutine[Any, Any, None]) -> None:
    """Run a role's main coroutine on uvloop, as every contender does."""
    import uvloop

    uvloop.run(main)


def now() -> float:
    """Read the clock that all processes of this machine share."""
    return time.monotonic()
