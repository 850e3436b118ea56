"""A log is the set and the order in which it came to be."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.digest import EntryDigest
from liminal_mesh.cluster.envelope import BATCH_MAX
from liminal_mesh.cluster.frames import Range, SnapChunk
from liminal_mesh.cluster.oplog import WALK_FACTOR, GroupLog

from .registry_pair import FRAME_BYTES_MAX, A, B

changes = st.lists(st.tuples(st.booleans(), st.sampled_from("gh"), st.integers(0, 3)), max_size=60)
LONG = "n" * 250


def entries(log: GroupLog) -> set[tuple[str, int]]:
    return {(group, number) for group, numbers in log.members.items() for number in numbers}


def filled(count: int, *, ring_records: int = 65_536, groups: int = 1) -> GroupLog:
    log = GroupLog(A, 0, ring_records)
    for number in range(count):
        log.join(f"{LONG}{number % groups}", number)
    return log


def test_joining_twice_is_once() -> None:
    """What changes nothing leaves no record."""
    log = GroupLog(A, 0, 8)

    assert log.join("g", 1)
    assert not log.join("g", 1)
    assert not log.leave("g", 2)
    assert not log.leave("h", 1)
    assert (log.sequence, log.count, log.members) == (1, 1, {"g": {1}})


def test_an_empty_group_does_not_exist() -> None:
    """The last member takes the group with it, and the digest is that of nothing again."""
    log = GroupLog(A, 0, 8)
    log.join("g", 1)
    log.leave("g", 1)

    assert log.members == {}
    assert log.digest == 0
    log.validate()


def test_the_digest_tells_whose_entry_it_is() -> None:
    """Equal sets of two nodes, runs or scopes have different digests."""
    logs = [GroupLog(A, 0, 8), GroupLog(B, 0, 8), GroupLog(A._replace(epoch=2), 0, 8), GroupLog(A, 1, 8)]
    for log in logs:
        log.join("g", 1)

    assert len({log.digest for log in logs}) == len(logs)
    assert EntryDigest(A, 0).of("g", 12) != EntryDigest(A, 0).of("2 g", 1)


@given(changes, st.data())
def test_a_net_range_leads_from_any_position_to_its_end(
    steps: list[tuple[bool, str, int]], data: st.DataObject
) -> None:
    """The state before a range, with its joins and without its leaves, is the state after it."""
    log = GroupLog(A, 0, 1000)
    history = [(set[tuple[str, int]](), 0)]
    for joins, group, number in steps:
        if (log.join if joins else log.leave)(group, number):
            history.append((entries(log), log.digest))
    first = data.draw(st.integers(1, log.sequence + 1))
    entries_max = data.draw(st.integers(1, 10))

    span = log.net(first, entries_max)

    joined = {(group, number) for group, numbers in span.joins for number in numbers}
    left = {(group, number) for group, numbers in span.leaves for number in numbers}
    before, (after, digest) = history[first - 1][0], history[span.last]
    assert (before | joined) - left == after
    assert joined.isdisjoint(before)
    assert left <= before
    assert span.digest == digest
    assert len(joined) + len(left) <= entries_max
    assert span.last > span.first - 1 or first == log.sequence + 1
    log.validate()


@given(changes, st.integers(1, 5))
def test_the_ring_answers_only_for_what_it_keeps(steps: list[tuple[bool, str, int]], ring_records: int) -> None:
    """A digest that is given is right, and it is given for all records in the ring."""
    log = GroupLog(A, 0, ring_records)
    digests = [0]
    for joins, group, number in steps:
        if (log.join if joins else log.leave)(group, number):
            digests.append(log.digest)
    oldest = max(1, log.sequence - ring_records + 1)

    answers = [log.digest_at(sequence) for sequence in range(log.sequence + 1)]

    assert answers[oldest:] == digests[oldest:]
    assert answers[1:oldest] == [None] * (oldest - 1) if log.sequence else answers == [0]
    assert answers[0] == (0 if oldest == 1 else None)
    assert log.digest_at(log.sequence + 1) is None
    assert log.reaches(oldest)
    assert oldest == 1 or not log.reaches(oldest - 1)
    log.validate()


def test_what_came_and_went_costs_no_entries_but_ends_the_reading_in_time() -> None:
    """A range over nothing but churn is empty, and one call reads a bounded number of records."""
    log = GroupLog(A, 0, 65_536)
    for number in range(20_000):
        log.join("g", number)
        log.leave("g", number)

    span = log.net(1, BATCH_MAX)

    assert (span.joins, span.leaves) == ([], [])
    assert span.last == WALK_FACTOR * BATCH_MAX


def test_ranges_of_the_longest_names_fit_a_frame() -> None:
    """Every range is cut so that its arrays and its bytes stay within the limits."""
    log = filled(5000, groups=2500)
    first, frames = 1, []
    while first <= log.sequence:
        frames.append(log.net(first, 1_000_000))
        first = frames[-1].last + 1

    assert max(len(LINK_CODEC.encode(frame)) for frame in frames) < FRAME_BYTES_MAX
    assert all(isinstance(LINK_CODEC.decode(0x14, LINK_CODEC.encode(frame)[5:]), Range) for frame in frames)


def test_a_snapshot_does_not_change_and_its_chunks_fit_a_frame() -> None:
    """It stays as it was captured, in parts that are within the limits; a large group spans several."""
    log = filled(3000, groups=2)
    before = entries(log)
    snapshot = log.snapshot()
    assert log.snapshot() is snapshot
    log.join("later", 1)
    log.leave(f"{LONG}0", 0)

    chunks = list(snapshot.chunks())

    assert {(group, number) for chunk in chunks for group, numbers in chunk for number in numbers} == before
    assert (snapshot.sequence, snapshot.count) == (3000, 3000)
    assert log.snapshot() is not snapshot
    for chunk in chunks:
        data = LINK_CODEC.encode(SnapChunk(0, 1, 3000, chunk))
        assert len(data) < FRAME_BYTES_MAX
        LINK_CODEC.decode(0x12, data[5:])
