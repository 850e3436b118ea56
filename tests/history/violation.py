"""What an invariant finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .events import AnyEvent
from .history import History

__all__ = ["Check", "Kind", "Violation"]

Kind = Literal["lost", "duplicated", "phantom", "reordered", "stuck", "leaked"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise.

    Attributes:
        invariant: which one, as the promise sheet names it.
        kind: how it counts in a report.
        event: the operation that shows it.
        text: what is wrong, in words.
        count: messages, or operations, that it is about.
    """

    invariant: str
    kind: Kind
    event: AnyEvent
    text: str
    count: int = 1


Check: TypeAlias = Callable[[History], Iterator[Violation]]
"""An invariant: reads a history, and yields what breaks it."""
