"""Processes of ``worker.py``, as objects: commands are awaited calls, signals are methods."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Fleet", "Refused", "Worker", "free_port"]

ROOT = Path(__file__).parents[3]
START_S = 60.0
"""Far more than ten times what a process takes to start, on a machine that has other things to do."""

ANSWER_S = 100.0


class Refused(Exception):
    """A command failed in the process; its text begins with the error's name."""


class Worker:
    """A running process with a node or a client in it; ``module`` is what it runs."""

    def __init__(self, name: str, told: dict[str, Any], module: str = "worker") -> None:
        self.name = name
        self.module = module
        self.told = told
        self.addresses: dict[str, str] = {}
        self.epoch = 0
        self._process: asyncio.subprocess.Process | None = None
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> Self:
        """Start it, and wait until it serves; if it does not, it says where it stands, and ends."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"tests.live.faults.{self.module}", json.dumps(self.told),
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
        )  # fmt: skip
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            self._signal(signal.SIGABRT)
            raise AssertionError(f"{self.name} has not started within {START_S:g} s: see its stacks above") from None
        assert line, f"{self.name} did not start"
        hello = json.loads(line)
        self.addresses, self.epoch = hello["addresses"], hello["epoch"]
        self._reading = asyncio.create_task(self._read(self._process.stdout))
        return self

    def begin(self, verb: str, **fields: Any) -> asyncio.Future[Any]:
        """Send a command; return its answer to come."""
        assert self._process is not None
        assert self._process.stdin is not None
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(json.dumps({"number": number, "verb": verb, **fields}).encode() + b"\n")
        return answer

    async def call(self, verb: str, **fields: Any) -> Any:
        """Send a command, and return its answer.

        Raises:
            Refused: it failed.
        """
        async with asyncio.timeout(ANSWER_S):
            return await self.begin(verb, **fields)

    async def linked(self, *names: str, within: float = 20.0) -> None:
        """Wait until the node is linked with these peers and no others, and knows their groups."""
        await self.call("linked", names=list(names), timeout=within)

    async def sees(self, within: float = 20.0, **states: str) -> None:
        """Wait until these are the node's members, with these states."""
        await self.call("sees", states=states, timeout=within)

    async def until(self, key: str, total: int, within: float = 30.0) -> dict[str, Any]:
        """Wait until a subscription has seen so many, delivered or lost; return its books."""
        books: dict[str, Any] = await self.call("until", key=key, total=total, timeout=within)
        assert not books["problems"], books
        assert books["delivered"] + books["missed"] == total, books
        return books

    def freeze(self) -> None:
        """Stop it where it stands."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    async def kill(self) -> None:
        """End it without a word."""
        self._signal(signal.SIGKILL)
        await self.exit_code()

    async def exit_code(self) -> int:
        """Wait for its end; return its exit code."""
        assert self._process is not None
        async with asyncio.timeout(ANSWER_S):
            return await self._process.wait()

    async def close(self) -> None:
        """End it if it runs."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        if self._reading is not None:
            await asyncio.wait([self._reading])
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            answer = json.loads(line)
            future = self._answers.pop(answer["number"])
            if future.done():
                continue
            if "error" in answer:
                future.set_exception(Refused(f"{answer['error']}: {answer['text']}"))
            else:
                future.set_result(answer["result"])
        for future in self._answers.values():
            future.cancel()


class Fleet:
    """Nodes and clients of one test, each a process; ended with it."""

    def __init__(self, folder: Path) -> None:
        self.cookie = folder / "cookie"
        self.cookie.write_text(secrets.token_hex(32))
        self.cookie.chmod(0o600)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def config(
        self,
        name: str,
        seeds: Sequence[str] = (),
        *,
        mesh: str = "127.0.0.1:0",
        client: str = "127.0.0.1:0",
        inbox: dict[str, Any] | None = None,
        limits: dict[str, Any] | None = None,
        channels: Sequence[dict[str, Any]] = (),
        **cluster: Any,
    ) -> dict[str, Any]:
        """Return a node's configuration: a family ``t.>`` of channels, with the inbox that is given."""
        return {
            "name": name,
            "client": {"listen": client},
            "http": {"listen": "127.0.0.1:0"},
            "cluster": {"listen": mesh, "seeds": list(seeds), "cookie_file": str(self.cookie), **cluster},
            "channels": [{"name": "t.>", "inbox": inbox or {}}, *channels],
            "limits": limits or {},
        }

    async def node(self, name: str, seeds: Sequence[str] = (), *, uvloop: bool = False, **options: Any) -> Worker:
        """Start a node."""
        return await self.start(name, {"node": self.config(name, seeds, **options), "uvloop": uvloop})

    async def mesh(self, *names: str, **options: Any) -> list[Worker]:
        """Start nodes that are linked all with all; the first is the seed."""
        first = await self.node(names[0], **options)
        rest = await asyncio.gather(*(self.node(name, [first.addresses["mesh"]], **options) for name in names[1:]))
        nodes = [first, *rest]
        await asyncio.gather(*(node.linked(*(other.name for other in nodes if other is not node)) for node in nodes))
        return nodes

    async def client(self, *nodes: Worker) -> Worker:
        """Start a client."""
        addresses = ",".join(node.addresses["client"] for node in nodes)
        return await self.start("client", {"client": f"liminal://{addresses}"})

    async def start(self, name: str, told: dict[str, Any], module: str = "worker") -> Worker:
        """Start a process that is told this."""
        worker = Worker(name, told, module)
        self._stack.push_async_callback(worker.close)
        return await worker.start()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
