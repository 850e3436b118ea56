"""What one node holds of a peer's log of one scope.

One rule keeps it true: a replica at position ``a`` equals the owner's set after its first ``a`` records. It is
empty at 0; a range is applied only if it begins at ``a + 1`` and yields the digest that it states; a snapshot
is swapped in only when it is complete. Every other frame changes nothing, so loss, repetition and any order of
arrival do no harm, and only cost a new request.
"""

from __future__ import annotations

from typing import NamedTuple

from .digest import EntryDigest
from .errors import ProtocolError
from .frames import Ack, Range, SnapBegin, SnapChunk, SnapEnd, Sync
from .identity import NodeId
from .oplog import group_name_fits

__all__ = ["Diff", "DigestMismatch", "Replica"]

Entries = list[tuple[str, list[int]]]


class DigestMismatch(Exception):
    """A replica and its owner disagree at one position; it is caught by the registry, which starts the replica over."""


class Diff(NamedTuple):
    """What an applied range changed: entries, and groups that now have a first member, or none."""

    joins: Entries
    leaves: Entries
    gained: list[str]
    lost: list[str]


class _Stage:
    """A snapshot on its way in."""

    __slots__ = ("begin", "count", "digest", "members")

    def __init__(self, begin: SnapBegin) -> None:
        self.begin = begin
        self.members: dict[str, set[int]] = {}
        self.count = 0
        self.digest = 0


class Replica:
    """A peer's members of one scope, as far as we know them.

    Args:
        node: the owner of the log.
        scope: the index of the scope.
    """

    def __init__(self, node: NodeId, scope: int) -> None:
        self.node = node
        self.scope = scope
        self.members: dict[str, set[int]] = {}
        """Group to process numbers. Others may read it, and hold the sets, but not write; no set is empty."""
        self.applied = 0
        self.count = 0
        self.digest = 0
        self.synced = False
        """Whether it has stood where the owner said it stands, in this session and since it was last started over."""
        self._hash = EntryDigest(node, scope)
        self._stage: _Stage | None = None

    @property
    def reserved(self) -> int:
        """How many entries it holds, or has been promised by a snapshot on its way in."""
        return max(self.count, self._stage.begin.count if self._stage else 0)

    def sync(self) -> Sync:
        """Return the request for all that follows."""
        return Sync(self.scope, self.node.epoch, self.applied, self.digest)

    def ack(self) -> Ack:
        """Return the word to the owner of how far we are."""
        return Ack(self.scope, self.node.epoch, self.applied)

    def suspend(self) -> None:
        """Stand still at the end of a session: what is held stays true, but nobody vouches that it is recent."""
        self.synced = False
        self._stage = None

    def start_over(self) -> None:
        """Forget everything."""
        self.suspend()
        self.members = {}
        self.applied = self.count = self.digest = 0

    def apply(self, frame: Range, room: int) -> Diff | None:
        """Apply a range that continues what is held; returns None for any other, which changes nothing.

        Args:
            frame: the range.
            room: how many entries may be held at most.

        Raises:
            DigestMismatch: it continues what is held but does not fit it, or states another digest; nothing changed.
            ProtocolError: no owner sends such a range; nothing changed.
        """
        if frame.epoch != self.node.epoch or frame.first != self.applied + 1 or frame.last < self.applied:
            return None
        joins, leaves = _parsed(frame.joins), _parsed(frame.leaves)
        if frame.last == self.applied and (joins or leaves):
            raise ProtocolError("a range of no records with entries")
        count = self.count + _size(joins) - _size(leaves)
        if count > room:
            raise ProtocolError(f"more than {room} entries in scope {self.scope} (limits.registry_entries)")
        digest = self.digest ^ self._hash.of_all(joins) ^ self._hash.of_all(leaves)
        if digest != frame.digest or not self._fits(joins, leaves):
            raise DigestMismatch
        self.applied, self.count, self.digest = frame.last, count, digest
        return self._change(frame, joins, leaves)

    def begin(self, frame: SnapBegin, room: int) -> bool:
        """Open a stage for a snapshot, unless it is of no use; returns whether one is open for it.

        Raises:
            ProtocolError: it has more entries than there is room for.
        """
        if frame.epoch != self.node.epoch or (self.synced and frame.sequence <= self.applied):
            return False
        if frame.count > room:
            more = f"a snapshot of {frame.count} entries in scope {self.scope}"
            raise ProtocolError(f"{more}, where {room} are allowed (limits.registry_entries)")
        # The same announcement again must not throw away what has come since the first.
        if self._stage is None or self._stage.begin != frame:
            self._stage = _Stage(frame)
        return True

    def stage(self, frame: SnapChunk) -> bool:
        """Put a chunk to the open snapshot that it belongs to; returns whether there is one.

        Raises:
            ProtocolError: there are more entries than were announced.
        """
        stage = self._staged(frame)
        if stage is None:
            return False
        for group, numbers in _parsed(frame.entries).items():
            held = stage.members.setdefault(group, set())
            fresh = numbers - held
            held |= fresh
            stage.count += len(fresh)
            stage.digest ^= self._hash.of_all({group: fresh})
        if stage.count > stage.begin.count:
            self._stage = None
            raise ProtocolError(f"a snapshot with more than its {stage.begin.count} entries")
        return True

    def finish(self, frame: SnapEnd) -> bool | None:
        """Swap the snapshot in and stand at its position, if it is what was announced.

        Returns:
            True if it was; False if something is missing, and the stage is gone; None if no such snapshot is open.
        """
        stage = self._staged(frame)
        if stage is None:
            return None
        self._stage = None
        begin = stage.begin
        if self.synced and begin.sequence <= self.applied:
            return None
        if (stage.count, stage.digest) != (begin.count, begin.digest):
            return False
        self.members, self.applied = stage.members, begin.sequence
        self.count, self.digest = stage.count, stage.digest
        return True

    def validate(self) -> None:
        """Assert that the set, its count and its digest agree."""
        assert all(self.members.values()), "an empty group"
        assert self.count == sum(map(len, self.members.values()))
        assert self.digest == self._hash.of_all(self.members)

    def _staged(self, frame: SnapChunk | SnapEnd) -> _Stage | None:
        stage = self._stage
        if stage is None or (stage.begin.epoch, stage.begin.sequence) != (frame.epoch, frame.sequence):
            return None
        return stage

    def _fits(self, joins: dict[str, set[int]], leaves: dict[str, set[int]]) -> bool:
        """Whether none that joins is held, and all that leave are."""
        nobody: set[int] = set()
        held = self.members.get
        return all(held(group, nobody).isdisjoint(numbers) for group, numbers in joins.items()) and all(
            held(group, nobody) >= numbers for group, numbers in leaves.items()
        )

    def _change(self, frame: Range, joins: dict[str, set[int]], leaves: dict[str, set[int]]) -> Diff:
        gained: list[str] = []
        lost: list[str] = []
        # Joins go first, so that a group whose members all changed was never without one.
        for group, numbers in joins.items():
            held = self.members.get(group)
            if held is None:
                self.members[group] = numbers
                gained.append(group)
            else:
                held |= numbers
        for group, numbers in leaves.items():
            held = self.members[group]
            held -= numbers
            if not held:
                del self.members[group]
                lost.append(group)
        return Diff(frame.joins, frame.leaves, gained, lost)


def _parsed(entries: Entries) -> dict[str, set[int]]:
    """Return entries as sets.

    Raises:
        ProtocolError: a group has a name that none can have, comes twice, has nobody, or has somebody twice.
    """
    groups: dict[str, set[int]] = {}
    for group, numbers in entries:
        members = set(numbers)
        if not group_name_fits(group) or group in groups or not members or len(members) != len(numbers):
            raise ProtocolError(f"bad entries for group {group[:64]!r}")
        groups[group] = members
    return groups


def _size(groups: dict[str, set[int]]) -> int:
    return sum(map(len, groups.values()))
