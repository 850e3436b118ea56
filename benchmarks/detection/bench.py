"""Carries out a plan: contenders side by side, faults one after the other, and at the end what must go unnoticed."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager

from ..roles import now
from . import crashes
from .book import Book
from .cluster import Mesh
from .contenders import Contender, ours
from .places import Namespaces
from .plan import (
    BULK_SHARE,
    BULK_SIZES,
    IDLE_SIZES,
    MANY,
    MANY_SHARE,
    PROXIED,
    PROXIED_SHARE,
    PROXIED_SIZES,
    QUIET,
    TIMED,
    Fault,
    Plan,
    Proxied,
    Quiet,
)
from .proxied import disabled, proxied

__all__ = ["Bench"]

ATTEMPTS = 3
"""Meshes that a lane may use up before it is given up."""


class Bench:
    """One run of the benchmark.

    Args:
        plan: what is to be done.
        book: gets what is measured.
    """

    def __init__(self, plan: Plan, book: Book) -> None:
        self._plan = plan
        self._book = book
        self._starting = asyncio.Lock()
        """Dozens of interpreters that start at once would be a fault of another kind."""

    async def run(self) -> None:
        """Do all of it."""
        plan = self._plan
        for name, fault, sizes, share in TIMED:
            for size in sizes:
                if plan.wants(name, size):
                    turns = max(1, round(plan.turns * share * (MANY_SHARE if size > MANY else 1.0)))
                    each = [self._series(one, size, turns, name, fault) for one in plan.contenders(size)]
                    await _said(f"{name}, {size} nodes", asyncio.gather(*each))
        for size in BULK_SIZES:
            if plan.wants("bulk", size):
                each = [self._bulk(one, size) for one in plan.contenders(size)]
                await _said(f"bulk, {size} nodes", asyncio.gather(*each))
        resting = [(one, size) for size in IDLE_SIZES if plan.wants("idle", size) for one in plan.contenders(size)]
        each = [self._series(one, size, 1, "idle", crashes.idle) for one, size in resting]
        await _said("idle", asyncio.gather(*each))
        if not plan.without_us:
            each = [self._disabled(size) for size in PROXIED_SIZES if plan.wants("proxy", size)]
            await _said("proxies off", asyncio.gather(*each))
        await _said("what must go unnoticed", self._unnoticed())

    async def _series(self, contender: Contender, size: int, turns: int, name: str, fault: Fault) -> None:
        """Share the turns out to lanes, each with a mesh of its own."""
        # What takes us milliseconds is not to be measured beside the start of another process of ours.
        quick = contender.name == "liminal" and name in {"kill", "restart", "join", "idle"}
        lanes = 1 if quick or size > MANY else min(contender.lanes * (2 if name == "stop" else 1), turns)
        each = (self._lane(contender, size, range(lane, turns, lanes), name, fault) for lane in range(lanes))
        await asyncio.gather(*each)

    async def _lane(self, contender: Contender, size: int, turns: range, name: str, fault: Fault) -> None:
        """Take turns with one mesh; it is made anew when a turn has left it in pieces."""
        left, attempts = list(turns), 0
        while left and attempts < ATTEMPTS:
            attempts += 1
            with self._noted(contender, size, name):
                async with self._mesh(contender, size, size + 1) as mesh:
                    while left:
                        await fault(mesh, left.pop(0), self._book)

    async def _bulk(self, contender: Contender, size: int) -> None:
        for _ in range(max(1, round(self._plan.turns * BULK_SHARE))):
            with self._noted(contender, size, "bulk"), Namespaces(size) as place:
                async with Mesh(contender, place, size) as mesh:
                    self._book.add(mesh.key("bulk"), await mesh.start_all())

    async def _disabled(self, size: int) -> None:
        with self._noted(ours(size), size, "proxy"):
            async with proxied(ours(size), size, self._starting) as (mesh, ways):
                for turn in range(max(1, round(self._plan.turns * PROXIED_SHARE))):
                    await asyncio.sleep(random.uniform(0, crashes.PROBE_S))
                    await disabled(mesh, ways, turn, self._book)

    async def _unnoticed(self) -> None:
        plan = self._plan
        async with asyncio.TaskGroup() as tasks:
            for name, fault, size in QUIET:
                for contender in plan.contenders(size) if plan.wants(name, size) else ():
                    tasks.create_task(self._soak(contender, size, name, fault))
            for name, through, size in PROXIED:
                if plan.wants(name, size) and not plan.without_us:
                    tasks.create_task(self._soak_proxied(ours(size), size, name, through))

    async def _soak(self, contender: Contender, size: int, name: str, fault: Quiet) -> None:
        with self._noted(contender, size, name):
            async with self._mesh(contender, size, size) as mesh:
                await asyncio.sleep(random.uniform(0, crashes.PROBE_S))
                await fault(mesh, self._plan.quiet_s, self._book)

    async def _soak_proxied(self, contender: Contender, size: int, name: str, fault: Proxied) -> None:
        with self._noted(contender, size, name):
            async with proxied(contender, size, self._starting) as (mesh, ways):
                await asyncio.sleep(random.uniform(0, crashes.PROBE_S))
                await fault(mesh, ways, self._plan.quiet_s, self._book)

    @asynccontextmanager
    async def _mesh(self, contender: Contender, size: int, room: int) -> AsyncIterator[Mesh]:
        """Start a mesh, in a network with room for so many."""
        with Namespaces(room) as place:
            async with Mesh(contender, place, size) as mesh:
                async with self._starting:
                    await mesh.start_all()
                yield mesh

    @contextmanager
    def _noted(self, contender: Contender, size: int, name: str) -> Iterator[None]:
        """Let a mesh that did not come back from a fault end its own series, and nothing else."""
        try:
            yield
        except (TimeoutError, RuntimeError) as error:
            self._book.broke(contender.name, size, name, str(error) or type(error).__name__)


async def _said(what: str, work: Awaitable[object]) -> None:
    begin = now()
    await work
    print(f"{what}: {now() - begin:.0f} s", file=sys.stderr, flush=True)
