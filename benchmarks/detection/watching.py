"""What the faults have in common: how long is waited, and what is asked of the views afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .book import Book
from .cluster import Mesh
from .said import Sighting
from .views import Seen

__all__ = ["SEEN_S", "SELF_DOUBT_S", "accused", "await_all", "is_dead", "told"]

SEEN_S = 60.0
"""After so long it is not waited any more."""
SELF_DOUBT_S = 25.0
"""Who was stopped or cut off doubts itself, and probes slowly, for up to (9 + 8 + ... + 2) / 2 s: among a few nodes the
next detection would wait for it, which is another measurement."""


def is_dead(epoch: int) -> Callable[[Sighting], bool]:
    """Return whether a sighting holds that run of a node for dead."""
    return lambda held: held.state == "dead" and held.epoch == epoch


async def await_all(
    mesh: Mesh, book: Book, measure: str, since: float, when: Callable[[], float | None]
) -> float | None:
    """Wait until ``when`` gives a time, note the seconds since, and what was seen meanwhile if it never did."""
    at = await mesh.until(when, SEEN_S)
    if at is None:
        head = f"{mesh.contender.name}, {mesh.size} nodes, {measure}: not in {SEEN_S:.0f} s"
        book.note(f"{head}\n{mesh.story(since)}")
    book.add(mesh.key(measure), None if at is None else at - since)
    return at


def accused(mesh: Mesh, book: Book, measure: str, since: float, excused: Iterable[str]) -> None:
    """Count the deaths since a time of all but those who are excused, as every observer told them; note each."""
    wrong = mesh.views.wrong(since, {"dead"}, excused)
    book.add(mesh.key(measure), len(wrong))
    told(mesh, book, measure, since, wrong)


def told(mesh: Mesh, book: Book, measure: str, since: float, wrong: Sequence[Seen]) -> None:
    """Note what should not have been, with what was seen around it."""
    if wrong:
        first = wrong[0]
        head = (
            f"{mesh.contender.name}, {mesh.size} nodes, {measure}: {len(wrong)}; the first: {first.observer} of "
            f"{first.sighting.name} after {first.sighting.at - since:.3f} s"
        )
        book.note(f"{head}\n{mesh.story(since)}")
