"""Who at this node watches what, and is told of its changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from .watch import Watch

__all__ = ["Watcher", "Watchers"]

Key = TypeVar("Key", bound=Hashable)
Change = TypeVar("Change")
Change_contra = TypeVar("Change_contra", contravariant=True)


class Watcher(Protocol[Change_contra]):
    """Somebody who watches."""

    def note(self, change: Change_contra) -> None:
        """What it watches has changed. Must be quick."""


class Watchers(Generic[Key, Change]):
    """The watchers of one node, by what they watch. They are held weakly: one that was dropped watches no more.

    Each change is told in the order in which they began, so that a run in virtual time can be repeated.
    """

    def __init__(self) -> None:
        self._watchers: defaultdict[Key, WeakKeyDictionary[Watcher[Change], None]] = defaultdict(WeakKeyDictionary)
        self.iterated: set[Watch[Any, Any]] = set()
        """Those of the node's own program that a task waits for."""
        self.closed = False
        """Whether the node has stopped: nothing will be told any more."""

    def __contains__(self, key: Key) -> bool:
        """Whether somebody watches it."""
        return key in self._watchers

    def add(self, key: Key, watcher: Watcher[Change]) -> None:
        """Tell a watcher of each change from now on."""
        self._watchers[key][watcher] = None

    def remove(self, key: Key, watcher: Watcher[Change]) -> None:
        """Tell it no more."""
        watchers = self._watchers.get(key)
        if watchers is not None:
            watchers.pop(watcher, None)
            self.prune(key)

    def prune(self, key: Key) -> None:
        """Forget what was watched by watchers that were all dropped."""
        if not self._watchers.get(key, True):
            del self._watchers[key]

    def close(self) -> None:
        """End the watches of the node's own program, since the node stops; clients' end with their connections."""
        self.closed = True
        for watchers in tuple(self._watchers.values()):
            for watcher in tuple(watchers):
                if isinstance(watcher, Watch):
                    watcher.end()

    def tell(self, key: Key, change: Change) -> None:
        """Tell of a change."""
        for watcher in tuple(self._watchers.get(key, ())):
            watcher.note(change)
