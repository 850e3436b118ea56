"""Faults of the network whose detection and healing are timed: black holes between halves, and one way only."""

from __future__ import annotations

import asyncio

from ..roles import now
from .book import Book
from .cluster import Mesh
from .places import Namespaces
from .watching import SELF_DOUBT_S, await_all

__all__ = ["CUT_S", "hole", "one_way", "parted", "shorter_hole", "sides"]

CUT_S = (10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
"""How long halves are kept apart, in turn."""


async def hole(mesh: Mesh, turn: int, book: Book) -> None:
    """Cut the mesh in two by dropping all packets between; heal it after 10 to 60 s."""
    await _hole(mesh, turn, book, CUT_S[turn % len(CUT_S)])


async def shorter_hole(mesh: Mesh, turn: int, book: Book) -> None:
    """The same, healed as soon as all hold the other side for dead, and after 10 s at the soonest."""
    await _hole(mesh, turn, book, CUT_S[0])


async def one_way(mesh: Mesh, turn: int, book: Book) -> None:
    """Let a node hear nobody, or, every other time, let nobody hear it."""
    place = _namespaces(mesh)
    victim = mesh.running[turn % mesh.size]
    others = mesh.others(victim)
    word, since = ("deaf", "mute")[turn % 2], now()
    pairs = [(node.number, victim.number) for node in mesh.running if node is not victim]
    place.cut(pairs if word == "deaf" else [(two, one) for one, two in pairs])
    at = now()
    await await_all(
        mesh, book, f"{word} dead", at,
        lambda: mesh.views.all_saw(others, [victim.name], since, lambda held: held.state == "dead"),
    )  # fmt: skip
    place.heal()
    healed = now()
    book.add(mesh.key("one-way heal"), await mesh.become_whole(healed))
    # What the cut-off node itself believes of the others is what it must believe.
    wrong = [seen for seen in mesh.views.wrong(since, {"dead"}, [victim.name]) if seen.observer != victim.name]
    book.add(mesh.key("one-way false"), len(wrong))
    await asyncio.sleep(SELF_DOUBT_S)


def parted(mesh: Mesh, turn: int) -> tuple[list[int], list[int]]:
    """Return the numbers of the larger and of the smaller side; who is on which turns, and with it the seeds."""
    numbers = [(number + turn) % mesh.size + 1 for number in range(mesh.size)]
    middle = (mesh.size + 1) // 2
    return numbers[:middle], numbers[middle:]


async def _hole(mesh: Mesh, turn: int, book: Book, seconds: float) -> None:
    place = _namespaces(mesh)
    larger, smaller = parted(mesh, turn)
    since = now()
    place.part(larger, smaller)
    at = now()
    await sides(mesh, book, "hole", larger, smaller, at)
    await asyncio.sleep(max(0.0, at + seconds - now()))
    place.heal()
    book.add(mesh.key("hole heal"), await mesh.become_whole(now()))
    own = {name: side for side in (larger, smaller) for name in mesh.names(side)}
    wrong = [seen for seen in mesh.views.wrong(since, {"dead"}) if own[seen.observer] is own[seen.sighting.name]]
    book.add(mesh.key("hole false"), len(wrong))
    await asyncio.sleep(SELF_DOUBT_S)


async def sides(mesh: Mesh, book: Book, measure: str, larger: list[int], smaller: list[int], at: float) -> None:
    """Wait until each side holds the other for dead; a tie has no smaller side."""

    async def one(word: str, near: list[int], far: list[int]) -> None:
        names, about = mesh.names(near), mesh.names(far)
        await await_all(
            mesh, book, f"{measure} {word}", at,
            lambda: mesh.views.all_saw(names, about, at, lambda held: held.state == "dead"),
        )  # fmt: skip

    other = "larger" if len(larger) == len(smaller) else "smaller"
    await asyncio.gather(one("larger", larger, smaller), one(other, smaller, larger))


def _namespaces(mesh: Mesh) -> Namespaces:
    assert isinstance(mesh.place, Namespaces), "packets are dropped at the bridge"
    return mesh.place
