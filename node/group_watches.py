"""Who at this node watches which group, and is told of its changes."""

from __future__ import annotations

from collections import defaultdict
from typing import Final, Protocol
from weakref import WeakSet

from liminal_mesh.cluster import CHANNEL_SCOPE, SCOPES
from liminal_mesh.cluster import Joined as MemberJoined
from liminal_mesh.cluster import Left as MemberLeft

from .group_watch import GroupWatch
from .names import check_name, check_pattern
from .values import Joined, Left

__all__ = ["GroupWatcher", "GroupWatches", "check_watched"]

_NUMBERS: Final = {name: number for number, name in enumerate(SCOPES)}


def check_watched(scope: str, group: str) -> int:
    """Return the number of a scope, if a group of this name can be in it.

    Raises:
        ValueError: there is no such scope, or no such group can be there.
    """
    number = _NUMBERS.get(scope)
    if number is None:
        raise ValueError(f"scope {scope!r}: there are {', '.join(SCOPES)}")
    if number == CHANNEL_SCOPE:
        check_pattern(group)
    else:
        check_name(group, "group")
    return number


class GroupWatcher(Protocol):
    """Somebody who watches a group."""

    def note(self, change: Joined | Left) -> None:
        """The group has changed. Must be quick."""


class GroupWatches:
    """The watchers of one node. They are held weakly: one that was dropped watches no more."""

    def __init__(self) -> None:
        self._watchers: defaultdict[tuple[int, str], WeakSet[GroupWatcher]] = defaultdict(WeakSet)
        self.iterated: set[GroupWatch] = set()
        """Those of the node's own program that a task waits for."""
        self.closed = False
        """Whether the node has stopped: nothing will be told any more."""

    def add(self, scope: int, group: str, watcher: GroupWatcher) -> None:
        """Tell a watcher of each change from now on."""
        self._watchers[scope, group].add(watcher)

    def remove(self, scope: int, group: str, watcher: GroupWatcher) -> None:
        """Tell it no more."""
        watchers = self._watchers.get((scope, group))
        if watchers is not None:
            watchers.discard(watcher)
            self.prune(scope, group)

    def prune(self, scope: int, group: str) -> None:
        """Forget a group whose watchers were all dropped."""
        if not self._watchers.get((scope, group), True):
            del self._watchers[scope, group]

    def close(self) -> None:
        """End the watches of the node's own program, since the node stops; clients' end with their connections."""
        self.closed = True
        for watchers in tuple(self._watchers.values()):
            for watcher in tuple(watchers):
                if isinstance(watcher, GroupWatch):
                    watcher.end()

    def told(self, event: MemberJoined | MemberLeft) -> None:
        """The registry tells of a change."""
        key = (event.scope, event.group)
        watchers = self._watchers.get(key)
        if watchers is None:
            return
        pid = event.pid
        change = Joined(pid, pid.node) if isinstance(event, MemberJoined) else Left(pid, pid.node, event.reason)
        for watcher in tuple(watchers):
            watcher.note(change)
