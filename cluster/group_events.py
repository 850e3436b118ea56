"""What a watcher of the groups is told, each event in the moment it becomes true.

Whoever starts with the groups as they are and follows the events has the groups as they are at any later time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
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


class _Watcher(NamedTuple):
    """One callback, and how many events had been made when it began to watch: those are in what it began with."""

    callback: Callable[[GroupEvent], None]
    since: int


class GroupEvents:
    """Hands each event to every watcher, in one order for all of them."""

    def __init__(self) -> None:
        self._watchers: tuple[_Watcher, ...] = ()
        self._pending: deque[GroupEvent] = deque()
        self._made = 0
        self._emitting = False

    def __bool__(self) -> bool:
        """Return whether anyone watches; nobody needs to make events otherwise."""
        return bool(self._watchers)

    def watch(self, callback: Callable[[GroupEvent], None]) -> Callable[[], None]:
        """Call ``callback`` for each event from now on; returns what ends that, and may be called twice."""
        watcher = _Watcher(callback, self._made)
        self._watchers += (watcher,)

        def unwatch() -> None:
            # By identity, because one function may watch twice, and each end must be its own.
            self._watchers = tuple(one for one in self._watchers if one is not watcher)

        return unwatch

    def emit(self, events: Sequence[GroupEvent]) -> None:
        """Tell every watcher of one change, all events of it: the groups have changed already.

        A watcher may change the groups in turn: what that brings about is told to all after what they hear now. Who
        begins to watch from within a callback finds all that has been made in the groups, and hears only the rest.
        """
        self._pending += events
        self._made += len(events)
        if self._emitting:
            return
        self._emitting = True
        pending = self._pending
        try:
            while pending:
                event = pending.popleft()
                number = self._made - len(pending)
                for callback, since in self._watchers:
                    if since < number:
                        callback(event)
        finally:
            self._emitting = False
