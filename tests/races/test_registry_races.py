"""Races of the registry, each constructed frame by frame: what is sent, in which order, and what is shown."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster.frames import LinkFrame, Range, SnapBegin, SnapChunk, SnapEnd, Sync
from liminal_mesh.cluster.group_events import GroupEvent, Joined, Left
from liminal_mesh.cluster.identity import Pid
from liminal_mesh.cluster.registry import Registry

from ..cluster.registry_pair import A, B, Pair, over_the_wire
from .registries import GROUP, arrive, linked, of_groups, pids, sent, stated, told


@pytest.mark.parametrize("moment", ["before it begins", "in the middle of it", "when it is told, before its end"])
def test_r01_a_change_during_the_backfill_is_in_the_snapshot_or_follows_it_on_the_same_lane(moment: str) -> None:
    """R1: the set is captured in the call that moves the position behind it, and one lane carries both."""
    pair = Pair(Registry(A, ring_records=8), Registry(B))
    for number in range(2000):
        pair.a.registry.join(GROUP, "g", number)

    def change() -> None:
        pair.a.registry.leave(GROUP, "g", 1999)  # a member that the rest of the snapshot still names
        pair.a.registry.join(GROUP, "new", 1)

    requests = pair.b.registry.session_up(A)
    pair.a.registry.session_up(B)
    if moment == "before it begins":
        change()
    for request in requests:
        pair.a.registry.receive(B, over_the_wire(request))  # the capture, for the scope that has members
    lane = of_groups(sent(pair, 100))
    assert isinstance(lane[-1], SnapBegin | SnapChunk)
    if moment == "in the middle of it":
        change()
    while not isinstance(lane[-1], SnapEnd):
        lane += of_groups(sent(pair, 1))
    if moment == "when it is told, before its end":
        change()
    lane += of_groups(sent(pair))
    arrive(pair, *lane)

    begin, end = lane[0], next(place for place, frame in enumerate(lane) if isinstance(frame, SnapEnd))
    assert isinstance(begin, SnapBegin)
    followers = lane[end + 1 :]
    if moment == "before it begins":
        assert begin.sequence == 2002
        assert followers == []
    else:
        assert begin.sequence == 2000
        assert [(frame.first, frame.last) for frame in followers if isinstance(frame, Range)] == [(2001, 2002)]
    pair.b.registry.receive(A, stated(pair))
    assert pair.b.registry.groups(GROUP) == pair.a.registry.groups(GROUP)
    assert pids(1999)[0] not in pair.b.registry.members(GROUP, "g")


def test_r02_the_order_of_changes_is_the_order_on_the_wire() -> None:
    """R2: a change and its record are one call: whoever hears of a change can send it already, and in its place."""
    pair = linked()
    wire: list[LinkFrame] = []

    def send_and_undo(event: GroupEvent) -> None:
        if isinstance(event, Joined):
            wire.extend(sent(pair))  # the earliest moment at which anybody can know of the join
            pair.a.registry.leave(event.scope, event.group, event.pid.number)
            wire.extend(sent(pair))

    pair.a.registry.watch(send_and_undo)
    pair.a.registry.join(GROUP, "g", 1)

    ranges = [(frame.joins, frame.leaves) for frame in wire if isinstance(frame, Range)]
    assert ranges == [([("g", [1])], []), ([], [("g", [1])])]
    arrive(pair, *wire)
    assert told(pair) == [Joined(GROUP, "g", Pid(*A, 1)), Left(GROUP, "g", Pid(*A, 1), "leave")]


def test_r03_a_leave_that_overtakes_its_join_is_ignored_until_the_heartbeat_tells() -> None:
    """R3: only what continues the replica is applied, and a position that is ahead makes it ask."""
    pair = linked()
    pair.a.registry.join(GROUP, "g", 1)
    join = sent(pair)
    pair.a.registry.leave(GROUP, "g", 1)
    leave = sent(pair)

    arrive(pair, *leave)
    assert pair.b.registry.statistics().ignored == 1
    arrive(pair, *join)
    assert pair.b.registry.members(GROUP, "g") == pids(1)  # true of position 1, and known to be behind
    requests = arrive(pair, stated(pair))

    assert requests == [Sync(GROUP, A.epoch, 1, join[0].digest)]  # type: ignore[attr-defined]
    pair.a.registry.receive(B, over_the_wire(requests[0]))
    arrive(pair, *sent(pair))
    assert pair.b.registry.groups(GROUP) == {}
    assert pair.b.registry.statistics().digest_resyncs == 0


def test_r04_whatever_comes_twice_changes_nothing_the_second_time() -> None:
    """R4: a backfill that was asked for twice, and every frame of it twice, in order and as a whole again."""
    pair = linked()
    pair.a.registry.join(GROUP, "g", 1)
    joined = sent(pair)
    pair.a.registry.leave(GROUP, "g", 1)
    pair.a.registry.join(GROUP, "g", 2)
    moved = sent(pair)
    arrive(pair, *joined, *joined, *moved, *moved, *joined)
    events = told(pair)

    for sequence in (0, 0, 2):  # asked again from the start, and for a part: answered with what is held already
        pair.a.registry.receive(
            B, Sync(GROUP, A.epoch, sequence, pair.a.registry._logs[GROUP].digest_at(sequence) or 0)
        )
        again = sent(pair)
        assert again
        arrive(pair, *again, *again)

    assert pair.b.registry.members(GROUP, "g") == pids(2)
    assert told(pair) == events
    assert len(events) == 3


def test_r04_a_backfill_that_comes_again_after_later_changes_takes_nothing_back() -> None:
    """R4: the frames of a snapshot, each twice and once more at the end, when its members have left."""
    pair = Pair(Registry(A, ring_records=1), Registry(B))
    for number in range(3):
        pair.a.registry.join(GROUP, "g", number)
    pair.a.registry.session_up(B)
    for request in pair.b.registry.session_up(A):
        pair.a.registry.receive(B, over_the_wire(request))
    backfill = of_groups(sent(pair))
    assert [type(frame) for frame in backfill] == [SnapBegin, SnapChunk, SnapEnd]
    arrive(pair, *(frame for frame in backfill for _ in range(2)))
    pair.a.registry.leave(GROUP, "g", 1)
    arrive(pair, *sent(pair))
    events = told(pair)
    arrive(pair, *backfill, *backfill)

    assert pair.b.registry.members(GROUP, "g") == pids(0, 2)
    assert told(pair) == events
    assert pair.b.registry.statistics().snapshots_applied == 1


def test_r05_a_peer_that_reads_nothing_costs_no_queue_and_then_gets_the_net_effect() -> None:
    """R5: ten thousand changes are one frame if they come to little, and a snapshot if the ring has moved on."""
    for ring_records, expected in ((65_536, Range), (100, SnapBegin)):
        pair = linked(ring_records)
        for number in range(5000):
            pair.a.registry.join(GROUP, "g", number)
            pair.a.registry.leave(GROUP, "g", number)
        pair.a.registry.join(GROUP, "g", 7)
        assert pair.a.registry.lag("b") == 10_001
        feed = pair.a.registry._peers["b"].feeds[GROUP]
        assert feed._snapshot is None, "something is kept for a peer that has not been heard of"

        frames = of_groups(sent(pair, 2000))

        assert isinstance(frames[0], expected)
        assert len(frames) <= 3
        assert (
            sum(len(part) for frame in frames if isinstance(frame, Range) for part in (frame.joins, frame.leaves)) <= 1
        )
        arrive(pair, *frames)
        assert pair.b.registry.members(GROUP, "g") == pids(7)
        assert [type(event) for event in told(pair)] == [Joined]
