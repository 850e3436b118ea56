"""Faults of single processes whose detection is timed: killed, stopped, started again, joining, leaving, at rest."""

from __future__ import annotations

import asyncio
import random

from ..roles import now
from .book import Book
from .cluster import Mesh, Node
from .places import Namespaces
from .watching import SELF_DOUBT_S, accused, await_all, is_dead

__all__ = ["PROBE_S", "idle", "join", "kill", "restart", "stop"]

PROBE_S = 1.0
"""The longest probe period of a contender: faults come at a random moment of it."""
STOPPED_S = (6.0, 12.0)
FEW = 8
BEFORE_IDLE_S = 5.0
IDLE_S = 60.0
"""Two of the longest periods of anything that is done at rest."""


async def kill(mesh: Mesh, turn: int, book: Book) -> None:
    """SIGKILL a node; when all know, start it again."""
    victim = await _victim(mesh, turn)
    others, epoch = mesh.others(victim), victim.epoch
    at = await mesh.kill(victim)
    await await_all(mesh, book, "kill dead", at, lambda: mesh.views.all_saw(others, [victim.name], at, is_dead(epoch)))
    cut = mesh.views.all_saw(others, [victim.name], at, lambda held: held.epoch == epoch and not held.reachable)
    if mesh.contender.links:
        book.add(mesh.key("kill unreachable"), None if cut is None else cut - at)
    accused(mesh, book, "kill false", at, [victim.name])
    again = await mesh.start(victim.number)
    book.add(mesh.key("kill back"), await mesh.become_whole(again.listening_at))


async def stop(mesh: Mesh, turn: int, book: Book) -> None:
    """SIGSTOP a node until all hold it for dead, then SIGCONT it; whom it accuses counts."""
    victim = await _victim(mesh, turn)
    others, epoch = mesh.others(victim), victim.epoch
    at = mesh.stop(victim)
    await await_all(mesh, book, "stop dead", at, lambda: mesh.views.all_saw(others, [victim.name], at, is_dead(epoch)))
    await asyncio.sleep(max(0.0, at + STOPPED_S[turn % 2] - now()))
    back = mesh.resume(victim)
    await await_all(
        mesh, book, "stop alive", back,
        lambda: mesh.views.all_hold(others, [victim.name], back, lambda held: held.state == "alive"),
    )  # fmt: skip
    book.add(mesh.key("stop whole"), await mesh.become_whole(back))
    accused(mesh, book, "stop false", at, [victim.name])
    if mesh.size <= FEW:
        await asyncio.sleep(SELF_DOUBT_S)


async def restart(mesh: Mesh, turn: int, book: Book) -> None:
    """SIGKILL a node, and start it again at once, before anybody has to know."""
    victim = await _victim(mesh, turn)
    await mesh.kill(victim)
    again = await mesh.start(victim.number)
    book.add(mesh.key("restart"), await mesh.become_whole(again.listening_at))


async def join(mesh: Mesh, turn: int, book: Book) -> None:
    """Start one node more, of a name that nobody knows, and let it leave when all have seen it."""
    await asyncio.sleep(random.uniform(0, PROBE_S))
    newcomer = await mesh.start(mesh.size + 1, f"j{turn}")
    book.add(mesh.key("join"), await mesh.become_whole(newcomer.listening_at))
    others = mesh.others(newcomer)
    at = await mesh.leave(newcomer)
    await await_all(
        mesh, book, "leave", at,
        lambda: mesh.views.all_saw(others, [newcomer.name], at, lambda held: held.state == "left"),
    )  # fmt: skip


async def idle(mesh: Mesh, _: int, book: Book) -> None:
    """Do nothing for a minute, and count what that costs each node."""
    await asyncio.sleep(BEFORE_IDLE_S)
    before, cpu, begin = _sent(mesh), _cpu(mesh), now()
    await asyncio.sleep(IDLE_S)
    after, spent, seconds = _sent(mesh), _cpu(mesh), now() - begin
    for node in mesh.running:
        wire, inside = (after[node.number][side] - before[node.number][side] for side in (0, 1))
        book.add(mesh.key("idle wire"), wire / seconds)
        book.add(mesh.key("idle bytes"), inside / seconds)
        book.add(mesh.key("idle cpu"), (spent[node.number] - cpu[node.number]) / seconds * 100)


def _sent(mesh: Mesh) -> dict[int, tuple[int, int]]:
    assert isinstance(mesh.place, Namespaces), "bytes are counted at the bridge"
    return {node.number: mesh.place.sent(node.number) for node in mesh.running}


def _cpu(mesh: Mesh) -> dict[int, float]:
    return {node.number: node.role.cpu for node in mesh.running if node.role is not None}


async def _victim(mesh: Mesh, turn: int) -> Node:
    """Choose whose turn it is, at a random moment of the periods in which nodes are probed."""
    await asyncio.sleep(random.uniform(0, PROBE_S))
    return mesh.running[turn % len(mesh.running)]
