"""What a watcher has to be told: a snapshot, then changes, and a new snapshot when it falls behind.

So what waits for a slow watcher is bounded, and it never misses a state in silence.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, TypeVar

__all__ = ["CHANGES_MAX", "Changes"]

Change = TypeVar("Change")

CHANGES_MAX: Final = 1024
"""How many changes wait for a watcher before they give way to a snapshot."""


class Changes(Generic[Change]):
    """The changes that wait for one watcher."""

    def __init__(self) -> None:
        self._changes: deque[Change] = deque()
        self._behind = True

    def note(self, change: Change) -> None:
        """Take a change."""
        if self._behind:
            return  # the snapshot that is due will tell
        if len(self._changes) < CHANGES_MAX:
            self._changes.append(change)
        else:
            self.restart()

    def restart(self) -> None:
        """Drop what waits: a snapshot comes next."""
        self._behind = True
        self._changes.clear()

    def catch_up(self) -> bool:
        """Return whether a snapshot comes next; whoever asks takes it in this moment."""
        due, self._behind = self._behind, False
        return due

    def take(self) -> Change | None:
        """Return the next change, if one waits."""
        return self._changes.popleft() if self._changes else None
