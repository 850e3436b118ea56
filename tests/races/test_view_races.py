"""Races of what a node shows with who asks: barriers, watchers, exits, and replicas that are wrong."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE
from liminal_mesh.cluster.frames import Ack, Sync
from liminal_mesh.cluster.group_events import GroupEvent, Joined, Left, Purged
from liminal_mesh.cluster.identity import NodeId, Pid
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.node.channel import ChannelSettings
from liminal_mesh.node.channel_table import ChannelTable
from liminal_mesh.node.exchange import Exchange
from liminal_mesh.node.inbox import Budget, Inbox

from ..cluster.registry_pair import A, B, Mirror, Pair
from ..node.ledger import Recorder
from ..supervising import shared_alone
from .registries import GROUP, arrive, linked, pids, sent, stated, told


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
    shared = shared_alone(A, registry, Budget(1 << 20))
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
