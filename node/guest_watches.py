"""What a client watches at its node: sources of frames for it, each a snapshot and then changes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from liminal_mesh.cluster import (
    BATCH_MAX,
    CLIENT_CODEC,
    MEMBERS_MAX,
    SCOPES,
    ClientFrame,
    GroupChange,
    GroupNews,
    Member,
    MemberChange,
    MemberChanged,
    MemberEntry,
    MemberNews,
    ProtocolError,
    WatchGroup,
    WatchMembers,
)

from .backing import Backing
from .changes import Changes
from .group_watches import GroupKey, check_watched
from .values import Joined, Left
from .watchers import Watchers

if TYPE_CHECKING:
    from .connection import Connection
    from .deliveries import Deliveries

__all__ = ["GuestWatch", "key_of", "watch_for"]

Key = TypeVar("Key", bound=Hashable)
Change = TypeVar("Change")
Row = TypeVar("Row")

CHANGES: Final = 0
PART: Final = 1
LAST_PART: Final = 2
"""What a frame bears: changes, a part of a snapshot of which more follows, or the last part of one."""


class GuestWatch(Protocol):
    """Something that a client watches."""

    @property
    def key(self) -> GroupKey | None:
        """What is watched: a group, or (None) the nodes of the mesh."""

    def restart(self) -> None:
        """Tell a snapshot next."""

    def close(self) -> None:
        """Tell no more."""


def key_of(frame: WatchGroup | WatchMembers) -> GroupKey | None:
    """Return what a client wants to watch."""
    return (frame.scope, frame.group) if isinstance(frame, WatchGroup) else None


def watch_for(frame: WatchGroup | WatchMembers, connection: Connection, hub: Backing) -> GuestWatch:
    """Begin to watch for a client.

    Raises:
        NotAuthorized: it may not.
        ProtocolError: no client of ours asks for this.
    """
    if isinstance(frame, WatchGroup):
        _check_group(frame)
        hub.permit(connection.pid, "watch_group", frame.group)
        return _GroupWatch(frame, hub, connection.deliveries)
    hub.permit(connection.pid, "watch_members", "")
    return _MemberWatch(frame, hub, connection.deliveries)


def _check_group(frame: WatchGroup) -> None:
    if frame.scope >= len(SCOPES):
        raise ProtocolError(f"there is no scope {frame.scope}")
    try:
        check_watched(SCOPES[frame.scope], frame.group)
    except ValueError as error:  # our own clients look at names before they send them
        raise ProtocolError(str(error)) from error


class _Watch(Generic[Key, Change, Row]):
    """A source of frames about one thing that a client watches.

    Args:
        key: what is watched.
        watchers: of this kind.
        deliveries: of the client.
        rows_max: the most rows in a frame.
    """

    def __init__(self, key: Key, watchers: Watchers[Key, Change], deliveries: Deliveries, rows_max: int) -> None:
        self.key = key
        self._watchers = watchers
        self._deliveries = deliveries
        self._rows_max = rows_max
        self._changes: Changes[Change] = Changes()
        watchers.add(key, self)

    def close(self) -> None:
        """Tell no more."""
        self._watchers.remove(self.key, self)
        self._deliveries.forget(self)

    def restart(self) -> None:
        """Tell a snapshot next."""
        self._changes.restart()
        self._deliveries.ready(self)

    def note(self, change: Change) -> None:
        """It has changed."""
        self._changes.note(change)
        self._deliveries.ready(self)

    def next_frame(self) -> bytes | None:
        """Return what the client has to be told, a snapshot as one piece."""
        if self._changes.catch_up():
            return self._snapshot(self._read())
        rows: list[Row] = []
        while len(rows) < self._rows_max and (change := self._changes.take()) is not None:
            rows.append(self._row(change))
        return CLIENT_CODEC.encode(self._frame(CHANGES, rows)) if rows else None

    def _snapshot(self, rows: Sequence[Row]) -> bytes:
        most = self._rows_max
        parts = [list(rows[start : start + most]) for start in range(0, len(rows), most)] or [[]]
        frames = [self._frame(PART, part) for part in parts[:-1]]
        return b"".join(map(CLIENT_CODEC.encode, [*frames, self._frame(LAST_PART, parts[-1])]))

    def _read(self) -> Sequence[Row]:
        """Return the state as it is now."""
        raise NotImplementedError

    def _row(self, change: Change) -> Row:
        """Return a change as it travels."""
        raise NotImplementedError

    def _frame(self, snapshot: int, rows: list[Row]) -> ClientFrame:
        """Return a frame with these rows."""
        raise NotImplementedError


class _GroupWatch(_Watch[GroupKey, Joined | Left, GroupChange]):
    """A group that a client watches."""

    def __init__(self, frame: WatchGroup, hub: Backing, deliveries: Deliveries) -> None:
        super().__init__((frame.scope, frame.group), hub.watches, deliveries, BATCH_MAX)
        self._number = frame.watch
        self._registry = hub.registry

    def _read(self) -> Sequence[GroupChange]:
        return [GroupChange(True, *pid) for pid in self._registry.members(*self.key)]

    def _row(self, change: Joined | Left) -> GroupChange:
        reason = change.reason if isinstance(change, Left) else ""
        return GroupChange(isinstance(change, Joined), *change.pid, reason)

    def _frame(self, snapshot: int, rows: list[GroupChange]) -> GroupNews:
        return GroupNews(self._number, snapshot, rows)


class _MemberWatch(_Watch[None, MemberChanged, MemberChange]):
    """The nodes of the mesh, which a client watches."""

    def __init__(self, frame: WatchMembers, hub: Backing, deliveries: Deliveries) -> None:
        super().__init__(None, hub.member_watches, deliveries, MEMBERS_MAX)
        self._number = frame.watch
        self._hub = hub

    def _read(self) -> Sequence[MemberChange]:
        return [MemberChange(None, MemberEntry.of(member)) for member in self._hub.members()]

    def _row(self, change: MemberChanged) -> MemberChange:
        return MemberChange(_entry(change.before), _entry(change.after))

    def _frame(self, snapshot: int, rows: list[MemberChange]) -> MemberNews:
        return MemberNews(self._number, snapshot, rows)


def _entry(member: Member | None) -> MemberEntry | None:
    return None if member is None else MemberEntry.of(member)
