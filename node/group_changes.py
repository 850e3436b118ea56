"""What a watcher of one group has to be told: a snapshot, then changes, and a new snapshot when it falls behind.

So what waits for a slow watcher is bounded, and it never misses a state in silence.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from liminal_mesh.cluster import Pid

from .values import GroupSnapshot, Joined, Left

__all__ = ["CHANGES_MAX", "GroupChanges"]

CHANGES_MAX: Final = 1024
"""How many changes wait for a watcher before they give way to a snapshot."""


class GroupChanges:
    """The changes that wait for one watcher."""

    def __init__(self) -> None:
        self._changes: deque[Joined | Left] = deque()
        self._behind = True

    def __bool__(self) -> bool:
        """Whether :meth:`take` would return something."""
        return self._behind or bool(self._changes)

    def note(self, change: Joined | Left) -> None:
        """Take a change of the group."""
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

    def take(self, members: Callable[[], tuple[Pid, ...]]) -> GroupSnapshot | Joined | Left | None:
        """Return what comes next; ``members`` reads the group as it is now, for a snapshot."""
        if self._behind:
            self._behind = False
            return GroupSnapshot(members())
        return self._changes.popleft() if self._changes else None
