"""A replica at a position equals the owner's set there, whatever arrives."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.frames import Range, SnapBegin, SnapChunk, SnapEnd
from liminal_mesh.cluster.oplog import GroupLog
from liminal_mesh.cluster.replica import DigestMismatch, Replica

from .registry_pair import A

ROOM = 1000


def log_of(*numbers: int, group: str = "g") -> GroupLog:
    log = GroupLog(A, 0, 1000)
    for number in numbers:
        log.join(group, number)
    return log


def snapshot_frames(log: GroupLog) -> list[SnapBegin | SnapChunk | SnapEnd]:
    captured = log.snapshot()
    epoch, sequence = log.node.epoch, captured.sequence
    return [
        SnapBegin(0, epoch, sequence, captured.count, captured.digest),
        *(SnapChunk(0, epoch, sequence, [entry]) for entry in captured.groups),
        SnapEnd(0, epoch, sequence),
    ]


def feed(replica: Replica, frame: SnapBegin | SnapChunk | SnapEnd) -> bool | None:
    match frame:
        case SnapBegin():
            return replica.begin(frame, ROOM)
        case SnapChunk():
            return replica.stage(frame)
        case SnapEnd():
            return replica.finish(frame)


def state(replica: Replica) -> tuple[int, dict[str, set[int]]]:
    return replica.applied, {group: set(numbers) for group, numbers in replica.members.items()}


def test_a_range_is_applied_only_where_it_continues() -> None:
    """R3, R4: what comes too early, again, or overlapping changes nothing."""
    log = log_of(1, 2, 3)
    replica = Replica(A, 0)

    assert replica.apply(log.net(2, 10), ROOM) is None
    assert replica.apply(log.net(1, 2), ROOM) is not None
    assert replica.apply(log.net(1, 3), ROOM) is None
    assert replica.apply(log.net(1, 2), ROOM) is None
    assert state(replica) == (2, {"g": {1, 2}})
    replica.validate()


def test_a_range_of_another_epoch_changes_nothing() -> None:
    """R8: what an earlier run of the node said is not about this one."""
    log = GroupLog(A._replace(epoch=2), 0, 10)
    log.join("g", 1)
    replica = Replica(A, 0)

    assert replica.apply(log.net(1, 10), ROOM) is None
    assert state(replica) == (0, {})


def test_a_range_tells_which_groups_were_gained_and_lost() -> None:
    """First members and last members are what changes a node's interest."""
    log = log_of(1, 2)
    replica = Replica(A, 0)
    first = replica.apply(log.net(1, 10), ROOM)
    log.leave("g", 1)
    log.join("h", 5)
    second = replica.apply(log.net(3, 10), ROOM)
    log.leave("g", 2)
    third = replica.apply(log.net(5, 10), ROOM)

    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.gained, first.lost) == (["g"], [])
    assert (second.gained, second.lost) == (["h"], [])
    assert (third.gained, third.lost) == ([], ["g"])
    assert state(replica) == (5, {"h": {5}})


@pytest.mark.parametrize(
    "entries",
    [
        [("g", [1]), ("g", [2])],
        [("g", [1, 1])],
        [("g", [])],
        [("", [1])],
        [("naïve", [1])],
        [("tab\t", [1])],
    ],
)
def test_entries_that_no_owner_sends_break_the_protocol(entries: list[tuple[str, list[int]]]) -> None:
    """Repeated groups or members, empty groups and names that cannot be are refused, in ranges and in chunks."""
    replica = Replica(A, 0)
    with pytest.raises(ProtocolError):
        replica.apply(Range(0, A.epoch, 1, 2, entries, [], 0), ROOM)
    replica.begin(SnapBegin(0, A.epoch, 2, 2, 0), ROOM)
    with pytest.raises(ProtocolError):
        replica.stage(SnapChunk(0, A.epoch, 2, entries))

    assert state(replica) == (0, {})


def test_entries_without_records_break_the_protocol() -> None:
    """An empty range only states a position."""
    with pytest.raises(ProtocolError):
        Replica(A, 0).apply(Range(0, A.epoch, 1, 0, [("g", [1])], [], 0), ROOM)


@pytest.mark.parametrize(
    ("joins", "leaves"),
    [([("g", [1])], []), ([], [("g", [9])]), ([], [("h", [1])]), ([("g", [2])], [])],
    ids=["joins twice", "unknown leaves", "unknown group leaves", "other digest"],
)
def test_a_range_that_does_not_fit_is_a_mismatch_and_changes_nothing(
    joins: list[tuple[str, list[int]]], leaves: list[tuple[str, list[int]]]
) -> None:
    """R24: a replica that its owner contradicts is not mended by guessing."""
    log = log_of(1)
    replica = Replica(A, 0)
    replica.apply(log.net(1, 10), ROOM)
    entries = [(group, number) for part in (joins, leaves) for group, numbers in part for number in numbers]
    lying = log._hash.of(*entries[0]) ^ log.digest if entries != [("g", 2)] else 5

    with pytest.raises(DigestMismatch):
        replica.apply(Range(0, A.epoch, 2, 2, joins, leaves, lying), ROOM)
    assert state(replica) == (1, {"g": {1}})
    replica.validate()


def test_a_peer_cannot_fill_us_up() -> None:
    """Ranges and snapshots with more entries than there is room for are refused before they are kept."""
    log = log_of(1, 2, 3)
    replica = Replica(A, 0)
    with pytest.raises(ProtocolError):
        replica.apply(log.net(1, 10), 2)
    with pytest.raises(ProtocolError):
        replica.begin(SnapBegin(0, A.epoch, 3, 3, log.digest), 2)
    replica.begin(SnapBegin(0, A.epoch, 3, 1, log.digest), 2)
    assert replica.reserved == 1
    with pytest.raises(ProtocolError):
        replica.stage(SnapChunk(0, A.epoch, 3, [("g", [1, 2])]))

    assert state(replica) == (0, {})


@given(st.lists(st.integers(0, 5), max_size=30))
def test_a_snapshot_is_swapped_in_whole_or_not_at_all(order: list[int]) -> None:
    """Its frames may be lost, come twice and in any order: the replica is empty, or exact."""
    log = log_of(1, 2)
    for group in "hij":
        log.join(group, 7)
    frames = snapshot_frames(log)
    replica = Replica(A, 0)

    for index in order:
        feed(replica, frames[index])
        assert state(replica) in ((0, {}), (5, log.members))
        replica.validate()


def test_an_incomplete_snapshot_is_told_from_one_that_never_began() -> None:
    """Only the first is asked for again."""
    begin, *_, end = snapshot_frames(log_of(1, 2))
    replica = Replica(A, 0)

    assert feed(replica, end) is None
    assert feed(replica, begin) is True
    assert feed(replica, end) is False
    assert feed(replica, end) is None


def test_a_synced_replica_does_not_go_back() -> None:
    """R4: a snapshot that is late is of no use."""
    log = log_of(1)
    late = snapshot_frames(log)
    log.join("g", 2)
    replica = Replica(A, 0)
    replica.apply(log.net(1, 10), ROOM)
    replica.synced = True

    assert [feed(replica, frame) for frame in late] == [False, False, None]
    assert state(replica) == (2, {"g": {1, 2}})


def test_ranges_that_overtake_a_snapshot_win() -> None:
    """A stage that was passed by meanwhile is not swapped in."""
    log = log_of(1)
    begin, chunk, end = snapshot_frames(log)
    replica = Replica(A, 0)
    feed(replica, begin)
    feed(replica, chunk)
    log.join("g", 2)
    replica.apply(log.net(1, 10), ROOM)
    replica.synced = True

    assert feed(replica, end) is None
    assert state(replica) == (2, {"g": {1, 2}})
