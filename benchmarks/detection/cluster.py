"""A mesh under test: its processes, what they say, and what is done to them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..roles import ROOT, Role, now
from .book import Key
from .contenders import Contender
from .places import Place
from .said import Sighting
from .views import Views

__all__ = ["Mesh", "Node"]

SEEDS = 2
"""Every process is told the addresses of so many; the first ones."""
START_S = 30.0
WHOLE_S = 60.0
TAIL_LINES = 15


class Node:
    """One process: its number, its name, and the epoch and the start of its present run."""

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.epoch = 0
        self.listening_at = 0.0
        self.role: Role | None = None
        self.reading: asyncio.Task[None] | None = None
        self.expected_end = False

    @property
    def pid(self) -> int:
        """The id of its process."""
        assert self.role is not None, f"{self.name} does not run"
        return self.role.process.pid


class Mesh:
    """The processes of one contender in one place, which end with the block.

    Args:
        contender: what runs.
        place: where.
        size: how many are started by :meth:`start_all`.
        overrides: of a node's name, the addresses at which it shall dial others, by their names.
    """

    def __init__(
        self,
        contender: Contender,
        place: Place,
        size: int,
        overrides: Callable[[str], Mapping[str, str]] | None = None,
    ) -> None:
        self.contender = contender
        self.place = place
        self.size = size
        self.views = Views()
        self.nodes: dict[int, Node] = {}
        self._overrides = overrides
        self._changed = asyncio.Event()
        self._failure: str | None = None
        self._stack = AsyncExitStack()
        self._key = base64.b64encode(secrets.token_bytes(32)).decode()

    async def __aenter__(self) -> Self:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="detection-")))
        cookie = self._folder / "cookie"
        cookie.touch(mode=0o600)
        cookie.write_text(secrets.token_hex(32))
        self._stack.push_async_callback(self._end)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def key(self, measure: str) -> Key:
        """Return the series of a measure of this mesh."""
        return Key(measure, self.size, self.contender.name)

    # --- who runs ---

    @property
    def running(self) -> list[Node]:
        """The nodes whose processes run; stopped ones too."""
        return [node for node in self.nodes.values() if node.role is not None]

    def runs(self) -> dict[str, int]:
        """Return the epochs of all running nodes by name."""
        return {node.name: node.epoch for node in self.running}

    def others(self, *nodes: Node) -> list[str]:
        """Return the names of all running nodes but these."""
        return [node.name for node in self.running if node not in nodes]

    def names(self, numbers: Iterable[int]) -> list[str]:
        """Return the names of nodes."""
        return [self.nodes[number].name for number in numbers]

    # --- what is done to them ---

    async def start_all(self) -> float:
        """Start as many as the mesh has, all at once; return the seconds from the last one's listening on to the whole.

        Raises:
            TimeoutError: they have not found one another within a minute.
        """
        nodes = await asyncio.gather(*(self.start(number) for number in range(1, self.size + 1)))
        return await self.become_whole(max(node.listening_at for node in nodes))

    async def become_whole(self, since: float) -> float:
        """Wait until all see all in their present runs; return the seconds since ``since`` that it took.

        Raises:
            TimeoutError: they do not within a minute.
        """
        took = await self.until(lambda: self.views.whole(self.runs(), since), WHOLE_S)
        if took is None:
            raise TimeoutError(f"{self.contender.name}: not whole after {WHOLE_S:.0f} s; {self.story(since)}")
        return took - since

    async def start(self, number: int, name: str = "") -> Node:
        """Start a process, and wait until it listens; without a name it has that of its number."""
        former = self.nodes.get(number)
        assert former is None or former.role is None, f"{former} runs already"
        node = self.nodes[number] = Node(number, name or f"n{number}")
        self.views.begin(node.name)
        module = f"benchmarks.detection.{self.contender.module}"
        with self._log(node).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.place.prefix(number), sys.executable, "-m", module, json.dumps(self._orders(node)),
                cwd=ROOT, stdin=PIPE, stdout=PIPE, stderr=log,
            )  # fmt: skip
        node.role = Role(process, node.name)
        async with asyncio.timeout(START_S):
            said = await self._said(node)
            if said is None:
                raise RuntimeError(f"{self.contender.name}: {node.name} did not start:\n{self._tail(node)}")
        node.epoch, node.listening_at = said["epoch"], said["at"]
        node.reading = asyncio.create_task(self._read(node))
        return node

    async def kill(self, node: Node) -> float:
        """Send SIGKILL, and wait for the end; return when it was sent."""
        at = self._signal(node, signal.SIGKILL)
        await self._gone(node)
        return at

    async def leave(self, node: Node) -> float:
        """Send SIGTERM, and wait for the end; return when it was sent."""
        at = self._signal(node, signal.SIGTERM)
        await self._gone(node)
        return at

    def stop(self, node: Node) -> float:
        """Send SIGSTOP; return when."""
        return self._signal(node, signal.SIGSTOP)

    def resume(self, node: Node) -> float:
        """Send SIGCONT; return when."""
        return self._signal(node, signal.SIGCONT)

    # --- what they say ---

    async def until(self, when: Callable[[], float | None], within: float) -> float | None:
        """Wait until ``when`` gives a time; return it, or None when it has not ``within`` seconds."""
        try:
            async with asyncio.timeout(within):
                while (at := when()) is None:
                    self._check()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return None
        return at

    def story(self, since: float, most: int = 60) -> str:
        """Return what was said from a time on, to be read by people."""
        lines = [
            f"{seen.sighting.at - since:+8.3f} {seen.observer} holds {seen.sighting.name} for {seen.sighting.state}"
            f"{'' if seen.sighting.reachable else ', unreachable'}"
            f" (epoch {seen.sighting.epoch}, incarnation {seen.sighting.incarnation})"
            for seen in self.views.story(since)
        ]
        return "\n".join([f"{len(lines)} sightings:", *lines[:most]])

    # --- parts ---

    def _orders(self, node: Node) -> dict[str, Any]:
        seeds = [self.place.address(number) for number in range(1, min(SEEDS, self.size) + 1)]
        overrides = dict(self._overrides(node.name)) if self._overrides is not None else {}
        if overrides:
            # Whoever is behind a proxy knows its seeds there too.
            seeds = [overrides.get(f"n{number + 1}", seed) for number, seed in enumerate(seeds)]
        return {
            "name": node.name,
            "address": self.place.address(node.number),
            "seeds": seeds,
            "overrides": overrides,
            "cookie_file": str(self._folder / "cookie"),
            "key": self._key,
        }

    def _signal(self, node: Node, number: signal.Signals) -> float:
        node.expected_end = node.expected_end or number in {signal.SIGKILL, signal.SIGTERM}
        at = now()
        os.kill(node.pid, number)
        return at

    async def _gone(self, node: Node) -> None:
        assert node.role is not None
        assert node.reading is not None
        async with asyncio.timeout(START_S):
            await node.role.process.wait()
            await node.reading
        node.role = None

    async def _read(self, node: Node) -> None:
        while (said := await self._said(node)) is not None:
            self.views.add(node.name, Sighting(**{name: fact for name, fact in said.items() if name != "said"}))
            self._changed.set()
        if not node.expected_end:
            self._failure = f"{self.contender.name}: {node.name} ended by itself:\n{self._tail(node)}"
            self._changed.set()

    async def _said(self, node: Node) -> dict[str, Any] | None:
        assert node.role is not None
        assert node.role.process.stdout is not None
        line = await node.role.process.stdout.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def _check(self) -> None:
        if self._failure is not None:
            raise RuntimeError(self._failure)

    def _log(self, node: Node) -> Path:
        return self._folder / f"{node.name}.log"

    def _tail(self, node: Node) -> str:
        return "\n".join(self._log(node).read_text(errors="replace").splitlines()[-TAIL_LINES:])

    async def _end(self) -> None:
        for node in self.running:
            self._signal(node, signal.SIGKILL)
        for node in self.running:
            if node.reading is not None:
                await self._gone(node)
            else:
                assert node.role is not None
                await node.role.process.wait()
