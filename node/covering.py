"""What patterns cover of many names, so that neither many patterns nor many names make it slow.

A client can subscribe to a thousand patterns and have ten thousand channels in use. To hold each of the ones against
each of the others takes seconds, for which the node does nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final, TypeVar

from liminal_mesh.cluster import TokenTrie

from .names import is_pattern, matches

__all__ = ["covered", "covered_by"]

T = TypeVar("T")

FEW: Final = 8
"""So many patterns are held against the names one by one."""


def covered(held: Mapping[str, T], pattern: str) -> list[T]:
    """Return what is held under exact names that a pattern (or exact name) covers."""
    if not is_pattern(pattern):
        return [held[pattern]] if pattern in held else []
    covers = _cover(pattern)
    return [one for name, one in held.items() if covers(name)]


def covered_by(held: Mapping[str, T], patterns: Collection[str]) -> Iterator[tuple[str, T]]:
    """Yield each of some patterns and exact names with everything that is held under a name that it covers."""
    if len(patterns) <= FEW:
        yield from ((pattern, one) for pattern in patterns for one in covered(held, pattern))
        return
    exact, wild = set(patterns), TokenTrie()
    for pattern in filter(is_pattern, exact):
        wild.add(pattern)
    for name, one in held.items():
        if name in exact:
            yield name, one
        for pattern in wild.match(name):
            yield pattern, one


def _cover(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether a pattern covers an exact name; most are told by how they begin."""
    tokens = pattern.split(".")
    plain = next(index for index, token in enumerate(tokens) if token in ("*", ">"))
    lead = "".join(f"{token}." for token in tokens[:plain])
    if tokens[plain] == ">":
        return lambda name: name.startswith(lead)  # something follows, since no token is empty
    return lambda name: name.startswith(lead) and matches(pattern, name)
