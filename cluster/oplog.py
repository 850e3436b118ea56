"""The log of one node's own members of one scope: a set, and the order in which it came to be.

Only the owner writes it, and a change of the set and its record are one call, so the log *is* the order of
events: there is no moment at which one is there without the other. Peers are sent nothing but what is read
from here: the net effect of some records, or a snapshot of the whole set.

The last records are kept in a ring, each with the digest of the set after it. Who holds the set at some position
can be continued from there if the ring still reaches back that far and the digest agrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from .digest import EntryDigest
from .envelope import BATCH_MAX
from .frames import Range
from .identity import NodeId
from .queue_names import QUEUE_NAME_BYTES_MAX

__all__ = ["WALK_FACTOR", "GroupLog", "Snapshot", "group_name_fits"]

WALK_FACTOR: Final = 8
"""How many records may be read for one net entry: what came and went again costs reading, but no bytes."""


def group_name_fits(group: str) -> bool:
    """Whether ``group`` can name a group: 1 to 513 printable ASCII characters."""
    return 0 < len(group) <= QUEUE_NAME_BYTES_MAX and group.isascii() and group.isprintable()


class _Record(NamedTuple):
    """One change: a member came or went, and the digest of the set afterwards."""

    joined: bool
    group: str
    number: int
    digest: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The set as it was at one position. It does not change any more, so peers may share it."""

    sequence: int
    count: int
    digest: int
    groups: list[tuple[str, list[int]]]

    def chunks(self) -> Iterator[list[tuple[str, list[int]]]]:
        """Yield the groups in parts of at most ``BATCH_MAX`` entries; a large group spans several."""
        chunk: list[tuple[str, list[int]]] = []
        room = BATCH_MAX
        for group, numbers in self.groups:
            start = 0
            while start < len(numbers):
                part = numbers[start : start + room]
                chunk.append((group, part))
                start += len(part)
                room -= len(part)
                if not room:
                    yield chunk
                    chunk, room = [], BATCH_MAX
        if chunk:
            yield chunk


class GroupLog:
    """A node's own members of one scope, and the last changes to them.

    Args:
        node: whose log it is.
        scope: the index of the scope.
        ring_records: how many records are kept.
    """

    def __init__(self, node: NodeId, scope: int, ring_records: int) -> None:
        self.node = node
        self.scope = scope
        self.members: dict[str, set[int]] = {}
        """Group to process numbers. Others may read it, and hold the sets, but not write; no set is empty."""
        self.sequence = 0
        """The number of the last record; the first is 1."""
        self.count = 0
        self.digest = 0
        self._hash = EntryDigest(node, scope)
        self._ring_records = ring_records
        self._ring: list[_Record] = []
        self._captured: Snapshot | None = None

    def join(self, group: str, number: int) -> bool:
        """Add a member; returns whether it is new."""
        members = self.members.get(group)
        if members is None:
            assert group_name_fits(group), group
            members = self.members[group] = set()
        elif number in members:
            return False
        members.add(number)
        self.count += 1
        self._append(joined=True, group=group, number=number)
        return True

    def leave(self, group: str, number: int) -> bool:
        """Remove a member; returns whether it was there."""
        members = self.members.get(group)
        if members is None or number not in members:
            return False
        members.remove(number)
        if not members:
            del self.members[group]
        self.count -= 1
        self._append(joined=False, group=group, number=number)
        return True

    def digest_at(self, sequence: int) -> int | None:
        """Return the digest after record ``sequence``, or None where the ring does not reach it."""
        if sequence == self.sequence:
            return self.digest
        if sequence == 0 and self.reaches(1):
            return 0
        if sequence > self.sequence or not self.reaches(sequence):
            return None
        return self._record(sequence).digest

    def reaches(self, first: int) -> bool:
        """Whether every record from ``first`` on is still kept."""
        return max(first, 1) > self.sequence - len(self._ring)

    def net(self, first: int, entries_max: int) -> Range:
        """Return the net effect of the records from ``first`` on, as one frame.

        It ends before the frame would exceed ``entries_max`` entries (and ``BATCH_MAX``), and after reading
        :data:`WALK_FACTOR` records for each entry that it may have. At the head it is empty and states the position.
        """
        assert self.reaches(first), first
        entries_max = min(entries_max, BATCH_MAX)
        last = min(self.sequence, first - 1 + WALK_FACTOR * entries_max)
        net: dict[tuple[str, int], bool] = {}
        sequence = first - 1
        while sequence < last and len(net) < entries_max:
            sequence += 1
            record = self._record(sequence)
            key = (record.group, record.number)
            # A member comes and goes by turns, so a second change undoes the first.
            if net.pop(key, None) is None:
                net[key] = record.joined
        digest = self.digest_at(sequence)
        assert digest is not None
        joins, leaves = _grouped(net, joined=True), _grouped(net, joined=False)
        return Range(self.scope, self.node.epoch, first, sequence, joins, leaves, digest)

    def snapshot(self) -> Snapshot:
        """Return the set as it is now; the same object until the next change."""
        if self._captured is None:
            groups = [(group, list(numbers)) for group, numbers in self.members.items()]
            self._captured = Snapshot(self.sequence, self.count, self.digest, groups)
        return self._captured

    def validate(self) -> None:
        """Assert that the set, its count, its digest and the ring agree."""
        assert all(self.members.values()), "an empty group"
        assert self.count == sum(map(len, self.members.values()))
        assert self.digest == self._hash.of_all(self.members)
        assert len(self._ring) == min(self.sequence, self._ring_records)
        assert self.sequence == 0 or self._record(self.sequence).digest == self.digest

    def _append(self, *, joined: bool, group: str, number: int) -> None:
        self.digest ^= self._hash.of(group, number)
        record = _Record(joined, group, number, self.digest)
        if len(self._ring) < self._ring_records:
            self._ring.append(record)
        else:
            self._ring[self.sequence % self._ring_records] = record
        self.sequence += 1
        self._captured = None

    def _record(self, sequence: int) -> _Record:
        return self._ring[(sequence - 1) % self._ring_records]


def _grouped(net: dict[tuple[str, int], bool], *, joined: bool) -> list[tuple[str, list[int]]]:
    groups: dict[str, list[int]] = {}
    for (group, number), came in net.items():
        if came is joined:
            groups.setdefault(group, []).append(number)
    return list(groups.items())
