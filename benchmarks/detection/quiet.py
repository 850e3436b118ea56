"""Faults that must cost no bystander its good name: each goes on for a while, and what was said wrongly is counted."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

from ..roles import now
from .book import Book
from .cluster import Mesh, Node
from .places import Namespaces
from .proxied import pair_verdicts
from .views import Seen
from .watching import SEEN_S, accused, told

__all__ = ["flip_flop", "loss_5", "loss_30", "pair", "stalls", "starved"]

FLIP_S = 20.0
STARVED_SHARE = 0.05
PERIOD_US = 100_000
STALL_S = (0.2, 2.5)
HARMLESS_STALL_S = 1.5
STALL_PAUSE_S = (0.5, 3.0)


async def pair(mesh: Mesh, seconds: float, book: Book) -> None:
    """Let no packet pass between two nodes."""
    since, place = now(), _namespaces(mesh)
    place.part([1], [2])
    await asyncio.sleep(seconds)
    pair_verdicts(mesh, "pair", since, book)
    place.heal()
    await mesh.become_whole(now())


async def flip_flop(mesh: Mesh, seconds: float, book: Book) -> None:
    """Cut one node off for 20 s in 40; the rest may hold it for what they like, but nobody else."""
    since, place = now(), _namespaces(mesh)
    victim = mesh.nodes[mesh.size]
    while now() - since < seconds:
        place.part([victim.number], [node.number for node in mesh.running if node is not victim])
        await asyncio.sleep(FLIP_S)
        place.heal()
        await asyncio.sleep(FLIP_S)
    wrong = [seen for seen in mesh.views.wrong(since, {"dead"}, [victim.name]) if seen.observer != victim.name]
    book.add(mesh.key("flip-flop false"), len(wrong))
    told(mesh, book, "flip-flop false", since, wrong)


async def loss_5(mesh: Mesh, seconds: float, book: Book) -> None:
    """Lose one packet in twenty."""
    since = now()
    _namespaces(mesh).lose(5)
    await asyncio.sleep(seconds)
    accused(mesh, book, "loss 5 deaths", since, ())


async def loss_30(mesh: Mesh, seconds: float, book: Book) -> None:
    """Lose three packets in ten; whoever is held for dead must be held for alive again soon."""
    since, place = now(), _namespaces(mesh)
    place.lose(30)
    await asyncio.sleep(seconds)
    dead = mesh.views.wrong(since, {"dead"})
    book.add(mesh.key("loss 30 deaths"), len(dead))
    await mesh.until(lambda: None if None in map(mesh.views.refuted, dead) else since, SEEN_S)
    for took in map(mesh.views.refuted, dead) if dead else (0.0,):
        book.add(mesh.key("loss 30 refuted"), took)


async def starved(mesh: Mesh, seconds: float, book: Book) -> None:
    """Let one node have a twentieth of a core, with all that it does at rest."""
    victim = mesh.nodes[mesh.size]
    with share_of_a_core(victim, STARVED_SHARE):
        since = now()
        await asyncio.sleep(seconds)
        accused(mesh, book, "starved false", since, [victim.name])
        book.add(mesh.key("starved deaths"), len(_of(mesh.views.wrong(since, {"dead"}), {victim.name})))


async def stalls(mesh: Mesh, seconds: float, book: Book) -> None:
    """Stop two nodes again and again for 0.2 to 2.5 s each, and then five."""
    since = now()
    for count in (2, 5):
        victims = mesh.running[-count:]
        stops = await asyncio.gather(*(_stall(mesh, victim, seconds / 2) for victim in victims))
        short = {victim.name: spans for victim, spans in zip(victims, stops, strict=True)}
        unjust = [
            seen
            for seen in mesh.views.wrong(since, {"dead"})
            if any(begin <= seen.sighting.at <= end for begin, end in short.get(seen.sighting.name, ()))
        ]
        book.add(mesh.key("stalls deaths"), len(unjust))
        told(mesh, book, "stalls deaths", since, unjust)
    accused(mesh, book, "stalls false", since, [node.name for node in mesh.running[-5:]])


async def _stall(mesh: Mesh, victim: Node, seconds: float) -> list[tuple[float, float]]:
    """Stop a node at random; return the times in which it may be blamed for short stops alone."""
    spans, until, clear = [], now() + seconds, now()
    while now() < until:
        await asyncio.sleep(random.uniform(*STALL_PAUSE_S))
        length = random.uniform(*STALL_S)
        mesh.stop(victim)
        await asyncio.sleep(length)
        resumed = mesh.resume(victim)
        if length >= HARMLESS_STALL_S:
            spans.append((clear, resumed - length))
            clear = resumed
    spans.append((clear, now()))
    return spans


@contextlib.contextmanager
def share_of_a_core(node: Node, share: float) -> Iterator[None]:
    """Let a process have so much of a core, by the quota of a control group.

    Raises:
        RuntimeError: there are no control groups that this process may make.
    """
    quota, group = int(PERIOD_US * share), f"liminal-detection-{os.getpid()}-{node.pid}"
    v1, v2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    folder = (v1 if v1.is_dir() else v2) / group
    try:
        folder.mkdir()
    except OSError as error:
        raise RuntimeError(f"no control group can be made: {error}") from error
    try:
        if folder.parent == v1:
            (folder / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (folder / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (folder / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        (folder / "cgroup.procs").write_text(str(node.pid))
        yield
    finally:
        # A group is removed when nobody is in it.
        (folder.parent / "cgroup.procs").write_text(str(node.pid))
        folder.rmdir()


def _of(seen: list[Seen], names: set[str]) -> list[Seen]:
    return [one for one in seen if one.sighting.name in names]


def _namespaces(mesh: Mesh) -> Namespaces:
    assert isinstance(mesh.place, Namespaces), "packets are dropped at the bridge"
    return mesh.place
