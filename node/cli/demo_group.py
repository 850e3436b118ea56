"""The process group of the demo: a process at each node's client, all in one group, and monitors at the first."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from liminal_mesh.cluster import Pid
from liminal_mesh.storage import LiminalError

from ..client import Client
from ..process import Process
from ..values import Down, Gap, GroupSnapshot, Joined
from .demo_traffic import Reader

__all__ = ["GROUP", "GroupShow"]

GROUP: Final = "demo.workers"
CALL_S: Final = 1.0
"""How often the first node calls the roll."""

FINISH_S: Final = 5.0
"""How long the last call may be on its way."""


class GroupShow:
    """A group over all nodes, seen from the first one.

    Args:
        tell: says something to whoever watches the demo.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._tasks: list[asyncio.Task[None]] = []
        self._names: dict[Pid, str] = {}
        self._sent = 0
        self._received: Counter[str] = Counter()
        self._downs: list[tuple[Down, float]] = []
        self._killed_at = 0.0
        self._over = asyncio.Event()
        self._heard = asyncio.Event()

    async def start(self, readers: Sequence[Reader]) -> None:
        """Spawn a process at each node, let all join the group, and watch over them from the first node."""
        for reader in readers:
            process = await reader.client.spawn(self._worker(reader.node.name))
            self._names[process.pid] = reader.node.name
            await reader.client.join(GROUP, process.pid, wait="cluster")
        first = readers[0].client
        watching = asyncio.Event()
        self._begin(self._watch(first, watching), "watch")
        await watching.wait()
        for pid in tuple(self._names)[1:]:
            standing = asyncio.Event()
            self._begin(self._monitor(first, pid, standing), f"monitor-{pid}")
            await standing.wait()
        self._begin(self._call(first), "roll-call")

    def killed(self) -> None:
        """A node is killed now: what the monitors say is timed from here."""
        self._killed_at = time.monotonic()

    def failure(self) -> BaseException | None:
        """Return what ended a task of the show, if something did."""
        ended = (task for task in self._tasks if task.done() and not task.cancelled())
        return next((error for task in ended if (error := task.exception()) is not None), None)

    async def finish(self, living: set[str]) -> None:
        """Call the roll no more, and wait until the last call was heard at the nodes that live."""
        self._over.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                while any(self._received[name] < self._sent for name in living & set(self._names.values())):
                    self._heard.clear()
                    await self._heard.wait()

    async def close(self) -> None:
        """End everything; the processes end with their clients."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def facts(self) -> dict[str, Any]:
        """Return what happened, for JSON."""
        downs = [
            {"pid": str(down.pid), "reason": down.reason, "seconds_after_kill": after} for down, after in self._downs
        ]
        received = {name: self._received[name] for name in self._names.values()}
        return {"name": GROUP, "sent": self._sent, "received": received, "downs": downs}

    def summary(self) -> str:
        """Return what happened, in a line."""
        got = ", ".join(f"{name} {self._received[name]}" for name in self._names.values())
        return f"group {GROUP}: {self._sent} roll calls; heard: {got}"

    def _worker(self, name: str) -> Callable[[Process], Any]:
        async def worker(me: Process) -> None:
            async for item in me.mailbox:
                if not isinstance(item, Gap):
                    self._received[name] += 1
                    self._heard.set()

        return worker

    async def _watch(self, client: Client, watching: asyncio.Event) -> None:
        async for event in client.watch_group(GROUP):
            if isinstance(event, GroupSnapshot):
                where = ", ".join(sorted(pid.node for pid in event.members))
                self._tell(f"process group {GROUP}, seen from {client.pid.node}: {len(event.members)} members: {where}")
                watching.set()
            elif isinstance(event, Joined):
                self._tell(f"process group {GROUP}: {event.pid} joined")
            else:
                self._tell(f"process group {GROUP}: {event.pid} left ({event.reason})")

    async def _monitor(self, client: Client, pid: Pid, standing: asyncio.Event) -> None:
        async with client.monitor(pid) as monitor:
            standing.set()
            down = await monitor.down()
        after = round(down.observed_at - self._killed_at, 4) if self._killed_at else 0.0
        self._downs.append((down, after))
        when = f", {after * 1000:.1f} ms after the kill" if self._killed_at else ""
        self._tell(f"monitor at {client.pid.node}: process {pid} is down, {down.reason}{when}")

    async def _call(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._over.is_set():
            self._sent += 1
            with suppress(LiminalError):  # a node that has just gone may leave the outcome unknown
                await client.send_group(GROUP, self._sent)
            due += CALL_S
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._over.wait()

    def _begin(self, what: Any, name: str) -> None:
        self._tasks.append(asyncio.create_task(what, name=f"demo-{name}"))
