"""What processes hold is bounded, and what ends gives it back.

A process says how much it uses: once before it has anything to do, again and again while it has, and once when all of
that is over. A process that was killed, or has not come to its end, has said nothing of the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..events import Usage
from ..history import History
from ..violation import Violation

__all__ = ["RETURNED", "SLACK", "k1", "k2"]

SLACK: Final = 5
"""How many more, or fewer, of anything there may be afterwards: connections are made again meanwhile."""

RETURNED: Final = ("descriptors", "tasks", "queues", "waiting")
"""What comes back to what it was."""


def k1(history: History) -> Iterator[Violation]:
    """A process's memory is never above what it had before its work, and the sum of its configured caps."""
    for samples in history.usage.values():
        base = next((one for one in samples if one.moment == "before"), None)
        if base is None or base.caps == 0:
            continue
        bound = base.resident + base.caps
        above = [one for one in samples if one.resident > bound]
        if above:
            worst = max(above, key=lambda one: one.resident)
            text = f"{worst.resident:,} bytes, where {base.resident:,} and {base.caps:,} of caps are the most"
            yield Violation("K1", "leaked", above[0], f"{worst.proc} has {text}", len(above))


def k2(history: History) -> Iterator[Violation]:
    """When all is over a process has as many descriptors, tasks, queues and things in them as before, but for 5."""
    for samples in history.usage.values():
        before: Usage | None = None
        for one in samples:
            if one.moment == "before":
                before = one
            elif one.moment == "after" and before is not None:
                for name in RETURNED:
                    was, is_now = getattr(before, name), getattr(one, name)
                    if abs(is_now - was) > SLACK:
                        yield Violation("K2", "leaked", one, f"{one.proc} has {is_now} {name}, and had {was}")
