"""The course of ``liminal demo``: processes, one mesh, traffic, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from .demo_group import GroupShow
from .demo_nodes import CHANNEL, DemoNode, write_files
from .demo_traffic import Traffic
from .demo_view import PlainView, invitation, make_view
from .errors import Code, Stop
from .output import emit_json

__all__ = ["Demo", "Plan", "run_demo"]

FORM_S: Final = 30.0
"""How long a mesh may take to form; it takes about one second."""

LOOK_S: Final = 0.05
"""How often the members are asked for until then."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    nodes: int
    duration_s: float | None
    kill_s: float | None
    rate: float
    json: bool


async def run_demo(plan: Plan) -> int:
    """Run it; return the exit code.

    Raises:
        Stop: a node did not start, too few are left, or the demo was ended by a signal.
    """
    ended_by = _end_on_signals()
    with TemporaryDirectory(prefix="liminal-demo-") as folder:
        demo = Demo(plan, Path(folder))
        try:
            return await demo.run()
        except asyncio.CancelledError:
            if ended_by:
                raise Stop(f"ended by {ended_by[0]}", Code.INTERRUPTED) from None
            raise
        finally:
            await demo.close()


def _end_on_signals() -> list[str]:
    """Let what ends a terminal's programs end this one like Ctrl-C; the list tells afterwards which it was."""
    ended_by: list[str] = []
    task = asyncio.current_task()
    assert task is not None

    def end(name: str) -> None:
        if not ended_by:
            ended_by.append(name)
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, end, number.name)
    return ended_by


class Demo:
    """One run of the demo."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._changed = asyncio.Event()
        self._nodes = [DemoNode(file, self._changed) for file in write_files(folder, plan.nodes)]
        self._traffic = Traffic(plan.rate)
        self._view: PlainView = make_view(sys.stderr if plan.json else sys.stdout)
        self._group = GroupShow(self._view.tell)
        self._victim: DemoNode | None = None
        """The node that was killed as it was asked for."""
        self._mourned: set[str] = set()
        self._begin = 0.0
        self._mesh_s = 0.0
        self._join_s = 0.0

    async def run(self) -> int:
        """Form the mesh, stream, and sum up, however it ends."""
        await self._form()
        await self._traffic.start()
        await self._group.start(self._traffic.readers)
        self._view.tell(invitation(self._traffic))
        started = time.monotonic()
        try:
            await self._stream(started)
        finally:
            self._view.close()
            await self._traffic.finish()
            await self._group.finish({node.name for node in self._nodes if not node.exited.done()})
            complete = self._sum(time.monotonic() - started)
        return Code.OK if complete and not self._lost else Code.FAILED

    async def close(self) -> None:
        """End every client and every process."""
        self._view.close()
        await self._group.close()
        await self._traffic.close()
        await asyncio.gather(*(node.stop() for node in self._nodes))

    async def _form(self) -> None:
        """Start all processes at once, and wait until each node sees all of them."""
        count = len(self._nodes)
        self._view.tell(f"starting {count} nodes, each a process of its own ...")
        self._begin = time.monotonic()
        for node in self._nodes:
            await node.start()
        connected: set[str] = set()
        while len(connected) < count or any(reader.sees() < count for reader in self._traffic.readers):
            if time.monotonic() - self._begin > FORM_S:
                seen = ", ".join(f"{one.node.name} sees {one.sees()}" for one in self._traffic.readers)
                raise Stop(f"no mesh of {count} nodes within {FORM_S:g} s: {seen or 'none listens'}", Code.TIMED_OUT)
            await self._change(LOOK_S)
            for node in self._nodes:
                if node.exited.done():
                    raise node.obituary()
                if node.listening_at and node.name not in connected:
                    connected.add(node.name)
                    await self._traffic.connect(node)
            await asyncio.gather(*(reader.look() for reader in self._traffic.readers))
        now = time.monotonic()
        self._mesh_s, self._join_s = now - self._begin, now - max(node.listening_at for node in self._nodes)
        self._view.tell(
            f"one mesh of {count} nodes, joined from one seed: {self._mesh_s:.2f} s after the first was started, "
            f"{self._join_s:.2f} s after the last was listening"
        )

    async def _stream(self, started: float) -> None:
        """Show how things go until the time is up."""
        until = started + (self._plan.duration_s or float("inf"))
        while (now := time.monotonic()) < until:
            await asyncio.gather(*(reader.look() for reader in self._traffic.readers if not reader.node.exited.done()))
            self._view.draw(self._traffic, now - started)
            if self._plan.kill_s is not None and self._victim is None and now - started >= self._plan.kill_s:
                self._kill(self._nodes[-1])
            self._mourn()
            failure = self._traffic.failure() or self._group.failure()
            if failure is not None:
                raise failure
            await asyncio.sleep(min(self._view.period_s, max(0.0, until - time.monotonic())))

    def _kill(self, node: DemoNode) -> None:
        """Kill a node without a goodbye."""
        self._victim = node
        self._view.tell(f"kill -9 {node.pid}: {node.name} is no more")
        self._group.killed()
        node.kill()

    @property
    def _lost(self) -> set[str]:
        """The nodes that ended by themselves."""
        return self._mourned - ({self._victim.name} if self._victim else set())

    def _mourn(self) -> None:
        """Tell of nodes that ended by themselves; the others go on, as long as there are two and the first is one."""
        for node in self._nodes:
            if node.exited.done() and node.name not in self._mourned:
                self._mourned.add(node.name)
                if node is self._victim:
                    continue
                if node is self._nodes[0] or len(self._mourned) > len(self._nodes) - 2:
                    raise node.obituary()
                self._view.tell(node.obituary().text)

    async def _change(self, patience_s: float) -> None:
        """Wait until a node says something."""
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._changed.wait()

    def _sum(self, seconds: float) -> bool:
        """Tell what was published and what arrived; return whether nothing is unaccounted for."""
        traffic = self._traffic
        complete = traffic.complete()
        if self._plan.json:
            emit_json(
                {
                    "ok": complete and not self._lost,
                    "channel": CHANNEL,
                    "mesh_seconds": round(self._mesh_s, 3),
                    "mesh_seconds_after_listening": round(self._join_s, 3),
                    "seconds": round(seconds, 3),
                    "published": traffic.published,
                    "group": self._group.facts(),
                    "nodes": [self._facts(index) for index in range(len(traffic.readers))],
                }
            )
        else:
            got = "; ".join(
                f"{one.node.name} received {one.received}, missed {one.missed}"
                + (" until it ended" if one.node.exited.done() else "")
                for one in traffic.readers[1:]
            )
            verdict = "every line is accounted for" if complete else "some lines are NOT accounted for"
            self._view.tell(self._group.summary())
            self._view.tell(f"published {traffic.published} lines in {seconds:.1f} s: {got}: {verdict}")
        return complete

    def _facts(self, index: int) -> dict[str, Any]:
        reader = self._traffic.readers[index]
        node = reader.node
        facts: dict[str, Any] = {"name": node.name, "epoch": node.epoch, "process": node.pid, "seed": index == 0}
        facts |= {"addresses": node.addresses, "ended": node.exited.done(), "sees": reader.sees()}
        counts = {"received": reader.received, "missed": reader.missed, "from_others": reader.others}
        return facts | (counts if index else {})
