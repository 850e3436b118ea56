"""The traffic of the demo: a publisher at the first node, and a subscriber at each of the others, that all count."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from contextlib import AsyncExitStack, suppress
from importlib.resources import files
from itertools import cycle
from typing import TYPE_CHECKING, Final

from liminal_mesh.storage import LiminalError

from ..client import Client
from ..values import Gap
from .demo_nodes import CHANNEL, DemoNode

if TYPE_CHECKING:
    from liminal_mesh.cluster import Member

    from ..message import Message

__all__ = ["Rate", "Reader", "Traffic", "poem"]

RATE_S: Final = 2.0
"""Over how long a rate is measured."""

DRAIN_S: Final = 5.0
"""How long the last lines may be on their way."""


def poem() -> list[str]:
    """Return the lines of the text, without the empty ones."""
    text = files(__package__).joinpath("demo.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]


class Rate:
    """How many a second, over the last seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def of(self, count: int) -> float:
        """Return the rate at which ``count`` grows now."""
        now = time.monotonic()
        self._marks.append((now, count))
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_S:
            self._marks.popleft()
        span = now - self._marks[0][0]
        return (count - self._marks[0][1]) / span if span else 0.0


class Reader:
    """The client at one node, and what its subscriber got of our publisher, and of others who have joined in."""

    def __init__(self, node: DemoNode) -> None:
        self.node = node
        self.client = Client(node.url, name=f"demo-reader-{node.name}")
        self.received = 0
        self.missed = 0
        self.others = 0
        self.rate = Rate()
        self.last = ""
        self.members: tuple[Member, ...] = ()

    def take(self, item: Message | Gap, publisher: object) -> None:
        """Count one item."""
        if isinstance(item, Gap):
            self.missed += item.count
        elif item.publisher == publisher:
            self.received += 1
            self.last = str(item.payload)
        else:
            self.others += 1
            self.last = f"{item.payload} (from {item.publisher})"

    async def look(self) -> None:
        """Ask the node who is in the mesh; a node that does not answer sees nobody."""
        try:
            self.members = await self.client.members()
        except LiminalError:
            self.members = ()

    def sees(self) -> int:
        """Return how many nodes this one is linked with, itself included."""
        return sum(1 for one in self.members if one.state == "alive" and one.reachable)


class Traffic:
    """All clients of the demo: the first node's publishes, those of the others subscribe."""

    def __init__(self, rate: float) -> None:
        self.readers: list[Reader] = []
        self.published = 0
        self._pause_s = 1 / rate
        self._clients = AsyncExitStack()
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._came = asyncio.Event()

    async def connect(self, node: DemoNode) -> Reader:
        """Connect to a node."""
        reader = Reader(node)
        await self._clients.enter_async_context(reader.client)
        self.readers.append(reader)
        self.readers.sort(key=lambda one: int(one.node.name.rpartition("-")[2]))
        return reader

    async def start(self) -> None:
        """Subscribe everywhere, and when the whole mesh knows of that, publish."""
        for reader in self.readers[1:]:
            standing = asyncio.Event()
            task = asyncio.create_task(self._subscribe(reader, standing), name=f"reader-{reader.node.name}")
            self._tasks.append(task)
            waiter = asyncio.create_task(standing.wait())
            await asyncio.wait({waiter, task}, return_when=asyncio.FIRST_COMPLETED)
            waiter.cancel()
            if task.done():
                task.result()
        self._tasks.insert(0, asyncio.create_task(self._publish(), name="publisher"))

    def failure(self) -> BaseException | None:
        """Return what ended the publisher or a subscriber, if something did."""
        ended = (task for task in self._tasks if task.done() and not task.cancelled())
        return next((task.exception() for task in ended), None)

    async def finish(self) -> None:
        """Publish no more, and wait until what is on its way has come."""
        self._stop.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await asyncio.wait(self._tasks[:1] or [asyncio.create_task(self._stop.wait())])
                while not self.complete():
                    self._came.clear()
                    await self._came.wait()

    def complete(self) -> bool:
        """Whether every living subscriber has got, or was told as lost, whatever was published."""
        living = [reader for reader in self.readers[1:] if not reader.node.exited.done()]
        return all(reader.received + reader.missed >= self.published for reader in living)

    async def close(self) -> None:
        """End everything."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._clients.aclose()

    async def _subscribe(self, reader: Reader, standing: asyncio.Event) -> None:
        publisher = self.readers[0].client.pid
        async with reader.client.subscribe(CHANNEL, wait="cluster") as subscription:
            standing.set()
            async for item in subscription:
                reader.take(item, publisher)
                self._came.set()

    async def _publish(self) -> None:
        loop = asyncio.get_running_loop()
        client, due = self.readers[0].client, loop.time()
        for line in cycle(poem()):
            await client.publish(CHANNEL, line)
            self.published += 1
            due = max(due + self._pause_s, loop.time() - 1.0)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._stop.wait()
                    return
