"""Who watches whom: a watch has a number at the node that watches, and is told of one exit.

A node keeps its own watches, of processes here and elsewhere, and for each of its processes the watches that it must
tell, its own and those of other nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import NamedTuple

from liminal_mesh.cluster import Pid

__all__ = ["Monitors", "Watch", "Watcher"]


class Watch(NamedTuple):
    """A watch of our own: of which process, and who is told the reason of its exit."""

    target: Pid
    down: Callable[[str], None]


class Watcher(NamedTuple):
    """Who watches a process of ours: a node (this one too), under a number of its own."""

    node: str
    ref: int


class Monitors:
    """The watches of one node, and those of its processes.

    Args:
        node: the name of this node.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._watches: dict[int, Watch] = {}
        self._watchers: dict[Pid, dict[Watcher, None]] = {}
        self._targets: dict[Watcher, Pid] = {}
        self._last_ref = 0

    @property
    def ours(self) -> int:
        """How many watches this node has."""
        return len(self._watches)

    @property
    def count(self) -> int:
        """How many entries there are, other nodes' watches included."""
        return len(self._watches) + len(self._targets)

    def watch(self, watch: Watch) -> int:
        """Keep a watch of our own, at the process too if that is here; returns the watch's number."""
        self._last_ref += 1
        self._watches[self._last_ref] = watch
        if watch.target.node == self._node:
            self.watched(watch.target, Watcher(self._node, self._last_ref))
        return self._last_ref

    def node_of(self, ref: int) -> tuple[str, int] | None:
        """Return of which node's process a watch of our own is, if it stands."""
        watch = self._watches.get(ref)
        return None if watch is None else watch.target[:2]

    def take(self, ref: int) -> Watch | None:
        """Remove a watch of our own, and return it, if it stands."""
        watch = self._watches.pop(ref, None)
        if watch is not None:
            self.unwatched(Watcher(self._node, ref))
        return watch

    def abroad(self, node: str) -> list[int]:
        """Return our watches of another node's processes, in the order of their making."""
        return [ref for ref, watch in self._watches.items() if watch.target.node == node]

    def watched(self, target: Pid, watcher: Watcher) -> None:
        """Note who watches a process of ours; a number that was in use stands for the new watch only."""
        self.unwatched(watcher)
        self._watchers.setdefault(target, {})[watcher] = None
        self._targets[watcher] = target

    def unwatched(self, watcher: Watcher) -> bool:
        """Note who does not any more; returns whether it did."""
        target = self._targets.pop(watcher, None)
        if target is None:
            return False
        watchers = self._watchers[target]
        del watchers[watcher]
        if not watchers:
            del self._watchers[target]
        return True

    def watchers(self, target: Pid) -> tuple[Watcher, ...]:
        """Return who watches a process of ours, in the order in which they began."""
        return tuple(self._watchers.get(target, ()))

    def forget(self, node: str) -> None:
        """Drop another node's watches of our processes."""
        for watcher in [watcher for watcher in self._targets if watcher.node == node]:
            self.unwatched(watcher)

    def validate(self, there: Callable[[Pid], bool], peers: Container[str]) -> None:
        """Assert that watches and watchers tell one story, of processes that are there and of linked peers."""
        told = {(watcher, target) for target, watchers in self._watchers.items() for watcher in watchers}
        assert told == set(self._targets.items())
        assert all(self._watchers.values()), "a process without watchers is listed"
        local = {Watcher(self._node, ref) for ref, one in self._watches.items() if one.target.node == self._node}
        assert {watcher for watcher in self._targets if watcher.node == self._node} == local
        assert all(there(watch.target) for watch in self._watches.values()), "watched, but not there"
        assert all(map(there, self._watchers)), "watched by others, but not there"
        assert all(watcher.node == self._node or watcher.node in peers for watcher in self._targets)
