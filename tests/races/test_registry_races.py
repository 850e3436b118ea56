"""Races of the registry, each constructed frame by frame: what is sent, in which order, and what is shown."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE
from liminal_mesh.cluster.frames import Ack, Heartbeat, LinkFrame, Range, SnapBegin, SnapChunk, SnapEnd, Sync
from liminal_mesh.cluster.group_events import GroupEvent, Interest, Joined, Left, Purged
from liminal_mesh.cluster.identity import NodeId, Pid
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.node.channel import ChannelSettings, ChannelTable
from liminal_mesh.node.exchange import Exchange
from liminal_mesh.node.inbox import Budget, Inbox
from liminal_mesh.node.shared import Shared

from ..cluster.registry_pair import A, B, Mirror, Pair, over_the_wire
from ..node.ledger import Recorder
from ..supervising import strict

GROUP = 3


def pids(*numbers: int) -> tuple[Pid, ...]:
    """Return processes of node a."""
    return tuple(Pid(*A, number) for number in numbers)


def linked(ring_records: int = 65_536) -> Pair:
    """Return two registries with a session, both synced, and nothing under way."""
    pair = Pair(Registry(A, ring_records=ring_records), Registry(B, ring_records=ring_records))
    pair.up()
    pair.run()
    return pair


def sent(pair: Pair, entries_max: int = 4096) -> list[LinkFrame]:
    """Return what a puts on the wire to b next; the test decides when it arrives."""
    return pair.a.registry.pump("b", entries_max)


def arrive(pair: Pair, *frames: LinkFrame) -> list[LinkFrame]:
    """Let frames of a arrive at b, and check everything after each; returns what b answers."""
    answers: list[LinkFrame] = []
    for frame in frames:
        answers += pair.b.registry.receive(A, over_the_wire(frame))
        pair.b.mirror.check()
    return answers


def stated(pair: Pair) -> Heartbeat:
    """Return a's next heartbeat."""
    return Heartbeat(1, 0, 1, pair.a.registry.positions("b"), [])


def told(pair: Pair) -> list[Joined | Left | Purged]:
    """Return what b's watchers were told of members."""
    return [event for event in pair.b.mirror.events if not isinstance(event, Interest)]


def of_groups(frames: Sequence[LinkFrame]) -> list[LinkFrame]:
    """Return the frames of the scope that the tests use."""
    return [frame for frame in frames if getattr(frame, "scope", GROUP) == GROUP]


# --- backfill, order, repetition --------------------------------------------------------------------


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


# --- barriers, watchers, exits, digests -------------------------------------------------------------


def test_r16_a_join_is_acknowledged_only_by_an_acknowledgement_that_covers_it() -> None:
    """R16, level 1: one for the join before it, still under way when it was made, does not count; nor one too late."""
    pair = linked()
    pair.a.registry.join(GROUP, "g", 1)
    older = [answer for answer in arrive(pair, *sent(pair)) if isinstance(answer, Ack)]
    pair.a.registry.join(GROUP, "g", 2)
    position = pair.a.registry.position(GROUP)
    pair.a.registry.receive(B, older[0])
    assert pair.a.registry.acknowledged("b", GROUP) == 1 < position

    newer = [answer for answer in arrive(pair, *sent(pair)) if isinstance(answer, Ack)]
    assert pair.b.registry.members(GROUP, "g") == pids(1, 2), "acknowledged before it was applied"
    pair.a.registry.receive(B, newer[0])
    assert pair.a.registry.acknowledged("b", GROUP) == position

    pair.down()
    assert pair.a.registry.acknowledged("b", GROUP) == 0
    pair.a.registry.receive(B, newer[0])
    assert pair.a.registry.acknowledged("b", GROUP) == 0, "the word of a session that is over"


@pytest.mark.parametrize("cause", ["range", "snapshot", "resync", "purge"])
def test_r21_who_starts_to_watch_within_a_change_hears_only_what_is_not_in_what_he_saw(cause: str) -> None:
    """R21: the groups and the watch are one turn, even from within a callback that is told half of a change."""
    pair = linked(ring_records=4)
    for scope in (1, GROUP):
        for number in range(3):
            pair.a.registry.join(scope, "g", number)
    pair.run()
    late: list[Mirror] = []

    def begin(event: GroupEvent) -> None:
        if not late:
            late.append(Mirror(pair.b.registry))

    pair.b.registry.watch(begin)
    match cause:
        case "range":
            for number in (10, 11, 12):
                pair.a.registry.join(GROUP, "h", number)
        case "snapshot":
            for number in range(20, 40):
                pair.a.registry.join(GROUP, "h", number)
            pair.a.registry.leave(GROUP, "g", 1)
        case "resync":
            pair.b.registry._peers["a"].replicas[GROUP].digest ^= 1
            pair.check = lambda: None  # what was broken on purpose is not looked at
            pair.heartbeat()
        case "purge":
            pair.down()
    pair.run()

    assert late
    late[0].check()
    pair.b.mirror.check()
    assert not any(isinstance(event, Left) for event in late[0].events), "told of what he never saw"
    if cause != "purge":
        assert pair.b.registry.groups(GROUP) == pair.a.registry.groups(GROUP)


def test_r21_the_events_of_a_snapshot_and_of_a_purge_are_the_difference_of_what_was_visible() -> None:
    """R21: members that stay are not told anew, and each that goes is told once."""
    pair = linked(ring_records=4)
    for number in range(10):
        pair.a.registry.join(GROUP, "g", number)
    pair.run()
    pair.b.mirror.events.clear()
    for number in range(5):
        pair.a.registry.leave(GROUP, "g", number)
    pair.a.registry.join(GROUP, "h", 10)
    pair.run()
    assert told(pair) == [
        Joined(GROUP, "h", *pids(10)),
        *(Left(GROUP, "g", pid, "leave") for pid in pids(*range(5))),
    ]
    pair.b.mirror.events.clear()
    pair.down("noconnection")

    gone = [event for event in pair.b.mirror.events if isinstance(event, Left)]
    assert sorted(event.pid.number for event in gone) == [5, 6, 7, 8, 9, 10]
    assert pair.b.mirror.events[-1] == Purged(A, "noconnection", 6)


def test_r22_an_exit_and_a_leave_take_a_member_out_of_the_one_table_there_is() -> None:
    """R22: after either, a newcomer's backfill has nothing of it: there is no second list to be forgotten."""
    registry = Registry(A, ring_records=2)
    shared = Shared(A, registry, lambda: 0, Budget(1 << 20), strict(A))
    exchange = Exchange(shared, ChannelTable([ChannelSettings("x.>")], 10))
    one, other = (Recorder(Pid(*A, number), "x.1", Inbox(8, 8, 1 << 10, "drop-oldest", ())) for number in (1, 2))
    for subscriber in (one, other):
        exchange.subscribe(subscriber)
    registry.join(CHANNEL_SCOPE, "x.2", 3)
    backfilled: list[set[Pid]] = []

    def newcomer() -> None:
        pair = Pair(registry, Registry(NodeId("b", len(backfilled) + 1)))
        pair.up()
        pair.run()
        some = pair.b.registry.groups(CHANNEL_SCOPE)
        assert some == registry.groups(CHANNEL_SCOPE)
        backfilled.append({pid for group in some.values() for pid in group})
        registry.session_down("b", "gone")

    newcomer()
    exchange.unsubscribe(one)  # what a closed subscription and a lost client both end with
    newcomer()
    registry.leave(CHANNEL_SCOPE, "x.2", 3)
    newcomer()
    exchange.unsubscribe(other)
    newcomer()

    assert backfilled == [set(pids(1, 2, 3)), set(pids(2, 3)), set(pids(2)), set()]
    assert registry.statistics().entries == 0


@pytest.mark.parametrize("seen_by", ["the next range", "the next heartbeat", "the next session"])
def test_r24_a_replica_that_holds_something_else_is_dropped_whoever_sees_it_first(seen_by: str) -> None:
    """R24: counted, out of sight at once, and whole again from a snapshot or from the first record on."""
    pair = linked()
    for number in range(4):
        pair.a.registry.join(GROUP, "g", number)
    pair.run()
    replica = pair.b.registry._peers["a"].replicas[GROUP]
    replica.members["g"].discard(2)
    replica.count -= 1
    replica.digest ^= replica._hash.of("g", 2)
    pair.b.mirror.members.discard((GROUP, "g", *pids(2)))
    pair.check = lambda: None

    if seen_by == "the next range":
        pair.a.registry.join(GROUP, "g", 9)
        pair.step()
        assert pair.b.registry.members(GROUP, "g") == ()
    elif seen_by == "the next heartbeat":
        assert pair.b.registry.receive(A, stated(pair)) == [Sync(GROUP, A.epoch, 0, 0)]
        assert pair.b.registry.members(GROUP, "g") == ()
        pair.a.registry.receive(B, Sync(GROUP, A.epoch, 0, 0))
    else:
        pair.down()
        pair.up()
    pair.run()

    assert pair.b.registry.groups(GROUP) == pair.a.registry.groups(GROUP)
    counts = pair.b.registry.statistics()
    assert (counts.digest_resyncs, counts.snapshots_applied) == ((0, 1) if seen_by == "the next session" else (1, 0))
    pair.b.mirror.check()
