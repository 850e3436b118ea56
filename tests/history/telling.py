"""Collects the histories that were made by hand: bad ones, each for one invariant, and odd ones that are well."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from .story import Story
from .violation import Kind

__all__ = ["BAD", "GOOD", "Tell", "bad", "good"]

Tell: TypeAlias = Callable[[Story], None]

BAD: list[tuple[str, Kind, Tell]] = []
"""The invariant that must reject it, how that counts, and the history."""

GOOD: list[Tell] = []


def bad(invariant: str, kind: Kind) -> Callable[[Tell], Tell]:
    """Collect a history that breaks an invariant, and no other."""

    def collect(tell: Tell) -> Tell:
        BAD.append((invariant, kind, tell))
        return tell

    return collect


def good(tell: Tell) -> Tell:
    """Collect a history that keeps all promises."""
    GOOD.append(tell)
    return tell
