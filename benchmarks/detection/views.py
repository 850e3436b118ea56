"""What every process of a mesh held of every other, and when: what they said, and questions about it.

Knows no clock and no process: lines go in, times come out. Names are those of nodes; an observer is a node too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .said import Sighting

__all__ = ["Seen", "Views"]

GONE = frozenset({"dead", "left", "gone"})


@dataclass(frozen=True, slots=True)
class Seen:
    """A sighting, and whose it was."""

    observer: str
    sighting: Sighting


class Views:
    """The sightings of one mesh, in the order in which they were read."""

    def __init__(self) -> None:
        self._story: list[Seen] = []
        self._held: dict[str, dict[str, Sighting]] = {}

    def add(self, observer: str, sighting: Sighting) -> None:
        """Note what ``observer`` said."""
        self._story.append(Seen(observer, sighting))
        self._held.setdefault(observer, {})[sighting.name] = sighting

    def begin(self, observer: str) -> None:
        """Note that a new run of ``observer`` starts, which knows nobody yet."""
        self._held[observer] = {}

    def held(self, observer: str, name: str) -> Sighting | None:
        """Return what an observer holds of a name now."""
        return self._held.get(observer, {}).get(name)

    def story(self, since: float) -> Iterator[Seen]:
        """Return the sightings from a time on."""
        return (seen for seen in self._story if seen.sighting.at >= since)

    # --- when did all know? Each returns the time of the last one to know, or None while somebody does not. ---

    def all_hold(
        self, observers: Iterable[str], names: Iterable[str], since: float, wanted: Callable[[Sighting], bool]
    ) -> float | None:
        """Return when the last observer came to hold what is wanted of each of the names, and still did at the end."""
        last, about = since, tuple(names)
        for observer in observers:
            for name in about:
                if name == observer:
                    continue
                held = self.held(observer, name)
                if held is None or not wanted(held):
                    return None
                last = max(last, held.at)
        return last

    def all_saw(
        self, observers: Iterable[str], names: Iterable[str], since: float, wanted: Callable[[Sighting], bool]
    ) -> float | None:
        """Return when the last observer first saw what is wanted of each of the names, whatever came after."""
        first: dict[tuple[str, str], float] = {}
        for seen in self.story(since):
            if wanted(seen.sighting):
                first.setdefault((seen.observer, seen.sighting.name), seen.sighting.at)
        about = tuple(names)
        pairs = [(observer, name) for observer in observers for name in about if observer != name]
        return max((first[pair] for pair in pairs), default=since) if all(pair in first for pair in pairs) else None

    def whole(self, runs: Mapping[str, int], since: float) -> float | None:
        """Return when all came to see all alive and reachable, each in the run that it has (epochs by name)."""
        last = since
        for observer in runs:
            for name, epoch in runs.items():
                held = self.held(observer, name)
                if name == observer:
                    continue
                if held is None or held.epoch != epoch or held.state != "alive" or not held.reachable:
                    return None
                last = max(last, held.at)
        return last

    # --- what should not have happened ---

    def wrong(self, since: float, kinds: Iterable[str], excused: Iterable[str] = ()) -> list[Seen]:
        """Return the sightings of these states from a time on of anybody but those who are excused."""
        states, spared = frozenset(kinds), frozenset(excused)
        return [
            seen
            for seen in self.story(since)
            if seen.sighting.state in states
            and seen.sighting.name not in spared
            and seen.observer != seen.sighting.name
        ]

    def refuted(self, wrong: Seen) -> float | None:
        """Return the seconds after which that observer held that member for alive again; None: it does not yet."""
        for seen in self.story(wrong.sighting.at):
            same = (seen.observer, seen.sighting.name) == (wrong.observer, wrong.sighting.name)
            if same and seen.sighting.state == "alive":
                return seen.sighting.at - wrong.sighting.at
        return None
