"""What the faults have in common: how long is waited, and what is asked of the views afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from .book import Book
from .cluster import Mesh
from .said import Sighting
from .views import Seen

__all__ = ["SEEN_S", "accused", "is_dead", "told", "took"]

SEEN_S = 60.0
"""After so long it is not waited any more."""


def is_dead(epoch: int) -> Callable[[Sighting], bool]:
    """Return whether a sighting holds that run of a node for dead."""
    return lambda held: held.state == "dead" and held.epoch == epoch


def took(at: float | None, since: float) -> float | None:
    """Return the seconds between; None for what did not happen."""
    return None if at is None else at - since


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
