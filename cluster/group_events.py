"""What a watcher of the groups is told, each event in the moment it becomes true.

Whoever starts with the groups as they are and follows the events has the groups as they are at any later time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from .identity import NodeId, Pid

__all__ = ["GroupEvent", "GroupEvents", "Interest", "Joined", "Left", "Purged"]


class Joined(NamedTuple):
    """A member became visible."""

    scope: int
    group: str
    pid: Pid


class Left(NamedTuple):
    """A member is visible no more: it left ("leave"), or its node is out of sight, for a reason that is given."""

    scope: int
    group: str
    pid: Pid
    reason: str


class Purged(NamedTuple):
    """A session ended, and all members of its node went with it; comes once, after their :class:`Left` events."""

    node: NodeId
    reason: str
    members: int


class Interest(NamedTuple):
    """All members that a peer has in these groups are new; its log of the scope was applied up to ``applied``.

    They are its first, or came when the last of the former ones had left: either way it has only just become
    interested, in its own view. It comes after the :class:`Joined` events of the same change.
    """

    scope: int
    node: NodeId
    groups: tuple[str, ...]
    applied: int


GroupEvent = Joined | Left | Purged | Interest


class GroupEvents:
    """Hands each event to every watcher, in one order for all of them."""

    def __init__(self) -> None:
        self._watchers: list[Callable[[GroupEvent], None]] = []
        self._pending: deque[GroupEvent] = deque()
        self._emitting = False

    def __bool__(self) -> bool:
        """Return whether anyone watches; nobody needs to make events otherwise."""
        return bool(self._watchers)

    def watch(self, callback: Callable[[GroupEvent], None]) -> Callable[[], None]:
        """Call ``callback`` for each event from now on; returns what ends that, and may be called twice."""

        # Wrapped, because one function may watch twice, and each end must be its own.
        def watcher(event: GroupEvent) -> None:
            callback(event)

        def unwatch() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        self._watchers.append(watcher)
        return unwatch

    def emit(self, event: GroupEvent) -> None:
        """Tell every watcher.

        A watcher may change the groups in turn: what that brings about is told to all after what they hear now.
        """
        self._pending.append(event)
        if self._emitting:
            return
        self._emitting = True
        try:
            while self._pending:
                event = self._pending.popleft()
                for watcher in tuple(self._watchers):
                    watcher(event)
        finally:
            self._emitting = False
