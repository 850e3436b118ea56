"""What the program that a node is embedded in watches: groups, and the nodes of the mesh."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from typing import Generic, TypeVar

from liminal_mesh.cluster import MemberChanged

from .changes import Changes
from .group_watches import GroupKey, check_watched
from .hub import Hub
from .values import GroupSnapshot, Joined, Left, MembersSnapshot
from .watch import Watch
from .watchers import Watchers

__all__ = ["NodeGroupWatch", "NodeMemberWatch", "NodeWatch"]

Key = TypeVar("Key", bound=Hashable)
Snapshot = TypeVar("Snapshot")
Change = TypeVar("Change")


class NodeWatch(Watch[Snapshot, Change], Generic[Key, Snapshot, Change]):
    """A watcher at an embedded node.

    Args:
        hub: the node's middle.
        watchers: of this kind.
        key: what is watched.
        what: the same for humans.
    """

    _standing = False

    def __init__(self, hub: Hub, watchers: Watchers[Key, Change], key: Key, what: str) -> None:
        super().__init__(what, watchers.iterated)
        self._hub = hub
        self._watchers = watchers
        self._key = key
        self._changes: Changes[Change] = Changes()

    def note(self, change: Change) -> None:
        """It has changed."""
        self._changes.note(change)
        self.wake()

    def _permit(self) -> None:
        """Ask for permission."""
        raise NotImplementedError

    def _read(self) -> Snapshot:
        """Return the state as it is now."""
        raise NotImplementedError

    async def _open(self) -> None:
        self._permit()
        if self._watchers.closed:
            self.end()
            return
        self._standing = True
        self._watchers.add(self._key, self)

    def _close(self) -> None:
        self._standing = False
        self._watchers.remove(self._key, self)

    def _next(self) -> Snapshot | Change | None:
        return self._read() if self._changes.catch_up() else self._changes.take()

    def __del__(self) -> None:
        # In any thread, and perhaps when the loop has come to its end.
        if self._standing:
            with contextlib.suppress(RuntimeError):
                self._hub.loop.call_soon_threadsafe(self._watchers.prune, self._key)


class NodeGroupWatch(NodeWatch[GroupKey, GroupSnapshot, Joined | Left]):
    """A watcher of a group."""

    def __init__(self, hub: Hub, group: str, scope: str) -> None:
        super().__init__(hub, hub.watches, (check_watched(scope, group), group), f"{scope} {group!r}")

    def _permit(self) -> None:
        self._hub.permit(self._hub.pid, "watch_group", self._key[1])

    def _read(self) -> GroupSnapshot:
        return GroupSnapshot(self._hub.registry.members(*self._key))


class NodeMemberWatch(NodeWatch[None, MembersSnapshot, MemberChanged]):
    """A watcher of the nodes of the mesh."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub, hub.member_watches, None, "members")

    def _permit(self) -> None:
        self._hub.permit(self._hub.pid, "watch_members", "")

    def _read(self) -> MembersSnapshot:
        return MembersSnapshot(self._hub.members())
