"""Which faults are measured, in meshes of which sizes and how often; and how that is carried out."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass

from ..roles import now
from . import crashes, cuts, quiet
from .book import Book
from .cluster import Mesh
from .contenders import Contender, ours
from .places import Namespaces
from .proxied import Proxies, disabled, disabled_pair, proxied, slow

__all__ = ["Plan", "measure"]

Fault = Callable[[Mesh, int, Book], Awaitable[None]]
Quiet = Callable[[Mesh, float, Book], Awaitable[None]]

TIMED: list[tuple[str, Fault, tuple[int, ...], float]] = [
    ("kill", crashes.kill, (3, 5, 20), 1.0),
    ("stop", crashes.stop, (3, 5, 20), 1.0),
    ("restart", crashes.restart, (3, 5, 20), 1.0),
    ("join", crashes.join, (3, 5, 20), 1.0),
    ("hole", cuts.hole, (5,), 1.0),
    ("hole", cuts.shorter_hole, (3, 6, 20), 0.2),
    ("one-way", cuts.one_way, (3, 5, 20), 0.2),
]
"""Faults by name, the sizes of mesh, and the share of all turns; at least one turn is made."""

MANY = 8
MANY_SHARE = 0.5
"""Meshes of more than so many are measured one after the other, and half as often."""
IDLE_SIZES = (3, 5, 20)

PROXIED_SIZES = (3, 5, 20)
PROXIED_SHARE = 0.2
BULK_SHARE = 0.2
BULK_SIZES = (3, 5, 20)
QUIET: list[tuple[str, Quiet, int]] = [
    ("pair", quiet.pair, 3),
    ("pair", quiet.pair, 5),
    ("flip-flop", quiet.flip_flop, 5),
    ("loss 5", quiet.loss_5, 5),
    ("loss 30", quiet.loss_30, 5),
    ("starved", quiet.starved, 5),
    ("stalls", quiet.stalls, 20),
]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done.

    Args:
        turns: how often the main faults are repeated.
        quiet_s: for how long a fault goes on that must go unnoticed.
        only: words of which one must be in the name of a fault; none: all.
        sizes: of the meshes; none: all.
        rival: what is measured beside us, if anything.
        without_us: leave ourselves out.
    """

    turns: int
    quiet_s: float
    only: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    rival: Contender | None = None
    without_us: bool = False

    def wants(self, name: str, size: int) -> bool:
        """Whether a fault is asked for at that size."""
        return (not self.sizes or size in self.sizes) and (not self.only or any(word in name for word in self.only))

    def contenders(self, size: int) -> list[Contender]:
        """Return what is measured at that size."""
        return [*([] if self.without_us else [ours(size)]), *([self.rival] if self.rival is not None else [])]


async def measure(plan: Plan, book: Book) -> None:
    """Carry out a plan: contenders side by side, faults one after the other; what must go unnoticed all at once."""
    for name, fault, sizes, share in TIMED:
        for size in sizes:
            if plan.wants(name, size):
                turns = max(1, round(plan.turns * share * (MANY_SHARE if size > MANY else 1.0)))
                each = (_series(one, size, turns, name, fault, book) for one in plan.contenders(size))
                await _said(f"{name}, {size} nodes", asyncio.gather(*each))
    for size in BULK_SIZES:
        if plan.wants("bulk", size):
            each = (_bulk(one, size, max(1, round(plan.turns * BULK_SHARE)), book) for one in plan.contenders(size))
            await _said(f"bulk, {size} nodes", asyncio.gather(*each))
    resting = [(one, size) for size in IDLE_SIZES if plan.wants("idle", size) for one in plan.contenders(size)]
    await _said("idle", asyncio.gather(*(_series(one, size, 1, "idle", crashes.idle, book) for one, size in resting)))
    proxied_sizes = [size for size in PROXIED_SIZES if plan.wants("proxy", size) and not plan.without_us]
    turns = max(1, round(plan.turns * PROXIED_SHARE))
    await _said("proxy", asyncio.gather(*(_disabled(size, turns, book) for size in proxied_sizes)))
    await _said("what must go unnoticed", _quiet(plan, book))


async def _said(what: str, work: Awaitable[object]) -> None:
    begin = now()
    await work
    print(f"{what}: {now() - begin:.0f} s", file=sys.stderr, flush=True)


async def _series(contender: Contender, size: int, turns: int, name: str, fault: Fault, book: Book) -> None:
    """Share the turns out to lanes, each with a mesh of its own."""
    # What takes us milliseconds is not to be measured beside the start of another process of ours.
    quick = contender.name == "liminal" and name in {"kill", "restart", "join", "idle"}
    lanes = 1 if quick or size > MANY else min(contender.lanes * (2 if name == "stop" else 1), turns)
    await asyncio.gather(
        *(_lane(contender, size, range(lane, turns, lanes), name, fault, book) for lane in range(lanes))
    )


async def _lane(contender: Contender, size: int, turns: range, name: str, fault: Fault, book: Book) -> None:
    """Take turns with one mesh; it is made anew when a turn has left it in pieces."""
    left = list(turns)
    while left:
        with Namespaces(size + 1) as place:
            async with Mesh(contender, place, size) as mesh:
                await mesh.start_all()
                with _noted(book, mesh, name):
                    while left:
                        await fault(mesh, left.pop(0), book)


async def _bulk(contender: Contender, size: int, rounds: int, book: Book) -> None:
    for _ in range(rounds):
        with Namespaces(size) as place:
            async with Mesh(contender, place, size) as mesh:
                book.add(mesh.key("bulk"), await mesh.start_all())


async def _disabled(size: int, turns: int, book: Book) -> None:
    async with proxied(ours(size), size) as (mesh, proxies):
        await asyncio.sleep(random.uniform(0, crashes.PROBE_S))
        with _noted(book, mesh, "proxy"):
            for turn in range(turns):
                await disabled(mesh, proxies, turn, book)


async def _quiet(plan: Plan, book: Book) -> None:
    starting = asyncio.Lock()  # dozens of interpreters that start at once are a fault of another kind
    async with asyncio.TaskGroup() as tasks:
        for name, fault, size in QUIET:
            if plan.wants(name, size):
                for contender in plan.contenders(size):
                    tasks.create_task(_soak(starting, contender, size, fault, plan.quiet_s, book))
        if not plan.without_us:
            for size in (3, 5):
                if plan.wants("proxied pair", size):
                    tasks.create_task(_proxied(starting, size, disabled_pair, plan.quiet_s, book))
            if plan.wants("slow", 5):
                tasks.create_task(_proxied(starting, 5, slow, plan.quiet_s, book))


async def _soak(
    starting: asyncio.Lock, contender: Contender, size: int, fault: Quiet, seconds: float, book: Book
) -> None:
    with Namespaces(size) as place:
        async with Mesh(contender, place, size) as mesh:
            async with starting:
                await mesh.start_all()
            await asyncio.sleep(random.uniform(0, crashes.PROBE_S))
            with _noted(book, mesh, fault.__name__):
                await fault(mesh, seconds, book)


async def _proxied(
    starting: asyncio.Lock,
    size: int,
    fault: Callable[[Mesh, Proxies, float, Book], Awaitable[None]],
    seconds: float,
    book: Book,
) -> None:
    async with AsyncExitStack() as stack:
        async with starting:
            mesh, proxies = await stack.enter_async_context(proxied(ours(size), size))
        await asyncio.sleep(random.uniform(0, crashes.PROBE_S))
        with _noted(book, mesh, fault.__name__):
            await fault(mesh, proxies, seconds, book)


@contextmanager
def _noted(book: Book, mesh: Mesh, name: str) -> Iterator[None]:
    """Let a fault that a mesh did not come back from end that mesh's series, and nothing else."""
    since = now()
    try:
        yield
    except (TimeoutError, RuntimeError) as error:
        book.note(f"{mesh.contender.name}, {mesh.size} nodes, {name}: {error}\n{mesh.story(since)}")
        book.add(mesh.key(f"{name} broken"), 1)
