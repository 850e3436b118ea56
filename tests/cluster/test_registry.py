"""Two registries agree, whatever happens on the way, and show exactly what they may."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.frames import Ack, Heartbeat, Position, Range, SnapBegin, SnapEnd, Sync
from liminal_mesh.cluster.group_events import GroupEvent, Interest, Joined, Left, Purged
from liminal_mesh.cluster.identity import NodeId, Pid
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.scopes import SCOPES

from .registry_pair import A, B, Faults, Pair

CHANNEL, SUBJECT, GROUP = 0, 1, 3


def pid(node: NodeId, number: int) -> Pid:
    return Pid(node.name, node.epoch, number)


def linked(*, ring_records: int = 65_536, entries_max: int = 100_000) -> Pair:
    """Two registries whose session is up and synced."""
    a = Registry(A, ring_records=ring_records, entries_max=entries_max)
    b = Registry(B, ring_records=ring_records, entries_max=entries_max)
    pair = Pair(a, b)
    pair.up()
    pair.run()
    return pair


def kinds(pair: Pair) -> list[type]:
    """What b has received since it was last asked."""
    received = [type(frame) for frame in pair.b.received]
    pair.b.received.clear()
    return received


# --- own members ------------------------------------------------------------------------------------


def test_joining_twice_is_once_and_leaving_twice_too() -> None:
    """R22: one table, one record a change, one event a change."""
    registry = Registry(A)
    events: list[GroupEvent] = []
    registry.watch(events.append)

    assert [registry.join(GROUP, "g", 1), registry.join(GROUP, "g", 1)] == [True, False]
    assert registry.members(GROUP, "g") == (pid(A, 1),)
    assert [registry.leave(GROUP, "g", 1), registry.leave(GROUP, "g", 1)] == [True, False]
    assert registry.groups(GROUP) == {}
    assert registry.position(GROUP) == 2
    assert events == [Joined(GROUP, "g", pid(A, 1)), Left(GROUP, "g", pid(A, 1), "leave")]
    registry.validate()


def test_scopes_never_meet() -> None:
    """One name in two scopes is two groups."""
    registry = Registry(A)
    registry.join(SUBJECT, "g", 1)

    assert registry.members(GROUP, "g") == ()
    assert registry.nodes_of(CHANNEL, "g") == frozenset()
    assert registry.nodes_of(SUBJECT, "g") == {"a"}


def test_leaving_all_empties_every_scope_here_and_there() -> None:
    """R26: a node that drains has no member anywhere when its log is read to the end."""
    pair = linked()
    for scope in range(len(SCOPES)):
        for number in range(5):
            pair.a.registry.join(scope, f"g{number % 2}", number)
    pair.run()

    pair.a.registry.leave_all()
    pair.run()

    assert pair.a.registry.statistics().entries == 0
    assert pair.b.registry.statistics().entries == 0
    assert all(pair.b.registry.groups(scope) == {} for scope in range(len(SCOPES)))


# --- interest ---------------------------------------------------------------------------------------


def test_a_pattern_has_an_interest_in_all_that_match_but_only_among_channels() -> None:
    """The union over the exact group and every matching pattern, once a node."""
    pair = linked()
    pair.a.registry.join(CHANNEL, "orders.*", 1)
    pair.b.registry.join(CHANNEL, "orders.>", 1)
    pair.b.registry.join(CHANNEL, "orders.eu", 2)
    pair.a.registry.join(SUBJECT, "ask.*", 1)
    pair.run()

    for side in (pair.a, pair.b):
        assert side.registry.nodes_of(CHANNEL, "orders.eu") == {"a", "b"}
        assert side.registry.nodes_of(CHANNEL, "orders.eu.1") == {"b"}
        assert side.registry.nodes_of(CHANNEL, "orders") == frozenset()
        assert side.registry.nodes_of(SUBJECT, "ask.time") == frozenset()

    pair.b.registry.leave(CHANNEL, "orders.>", 1)
    pair.run()

    assert pair.a.registry.nodes_of(CHANNEL, "orders.eu.1") == frozenset()
    assert pair.a.registry.nodes_of(CHANNEL, "orders.eu") == {"a", "b"}


def test_the_version_grows_whenever_an_answer_may_have_changed() -> None:
    """Who keeps answers by version never keeps a wrong one; more members of a known group change nothing."""
    pair = linked()
    registry = pair.b.registry
    versions = [registry.version(CHANNEL)]

    pair.a.registry.join(CHANNEL, "g", 1)
    pair.run()
    versions.append(registry.version(CHANNEL))
    pair.a.registry.join(CHANNEL, "g", 2)
    pair.run()
    assert registry.version(CHANNEL) == versions[-1]
    pair.down()
    versions.append(registry.version(CHANNEL))
    pair.up()
    versions.append(registry.version(CHANNEL))
    pair.run()
    versions.append(registry.version(CHANNEL))

    assert versions == sorted(set(versions))


def test_an_interest_follows_the_joins_and_names_only_first_members() -> None:
    """The owner of a channel's sequence learns from it whom to tell where the channel stands."""
    pair = linked()
    pair.a.registry.join(CHANNEL, "x", 1)
    pair.a.registry.join(CHANNEL, "x", 2)
    pair.a.registry.join(CHANNEL, "y.*", 1)
    pair.a.registry.join(GROUP, "z", 1)
    pair.run()
    pair.a.registry.join(CHANNEL, "x", 3)
    pair.run()

    channel = [event for event in pair.b.mirror.events if getattr(event, "scope", CHANNEL) == CHANNEL]
    assert channel == [
        Joined(CHANNEL, "x", pid(A, 1)),
        Joined(CHANNEL, "x", pid(A, 2)),
        Joined(CHANNEL, "y.*", pid(A, 1)),
        Interest(CHANNEL, A, ("x", "y.*"), 3),
        Joined(CHANNEL, "x", pid(A, 3)),
    ]
    assert Interest(GROUP, A, ("z",), 1) in pair.b.mirror.events
    assert pair.b.registry.interests("a", CHANNEL) == {"x", "y.*"}
    assert not any(isinstance(event, Interest) for event in pair.a.mirror.events)


# --- coming into sync -------------------------------------------------------------------------------


def test_a_peer_is_seen_only_when_all_is_there_that_it_had() -> None:
    """R17: until then it counts as unsynced, which is what makes publishes go to it in any case."""
    pair = Pair(Registry(A), Registry(B))
    for number in range(3000):
        pair.a.registry.join(GROUP, "g", number)
    pair.entries_max = 500
    pair.up()

    shown = set()
    while pair.step():
        synced = pair.b.registry.synced("a", GROUP)
        assert synced == ("a" not in pair.b.registry.unsynced(GROUP))
        shown.add((synced, len(pair.b.registry.members(GROUP, "g"))))

    assert shown == {(False, 0), (True, 3000)}


def test_changes_during_a_snapshot_are_in_it_or_follow_it() -> None:
    """R1: the set is captured in the call that moves the position behind it."""
    pair = Pair(Registry(A, ring_records=2000), Registry(B))
    for number in range(2500):
        pair.a.registry.join(GROUP, "g", number)
    pair.entries_max = 100
    # Checking everything after each of so many frames would take long.
    pair.check = lambda: None
    pair.up()
    number = 0
    while pair.step():
        if number < 100:
            number += 1
            pair.a.registry.leave(GROUP, "g", number)
            pair.a.registry.join(GROUP, "h", number)

    pair.b.mirror.check()
    assert SnapEnd in kinds(pair)
    assert pair.b.registry.groups(GROUP) == pair.a.registry.groups(GROUP)
    assert pair.a.registry.acknowledged("b", GROUP) == pair.a.registry.position(GROUP)
    assert pair.b.registry.statistics().snapshots_applied == 1


def test_after_a_short_interruption_only_what_changed_is_sent() -> None:
    """The replica is kept and goes on where it stood, by ranges alone."""
    pair = linked()
    pair.a.registry.join(GROUP, "g", 1)
    pair.a.registry.join(GROUP, "g", 2)
    pair.run()
    pair.down()
    assert pair.b.registry.members(GROUP, "g") == ()
    assert pair.b.registry.synced("a", GROUP) is False
    pair.a.registry.leave(GROUP, "g", 1)
    kinds(pair)

    pair.up()
    pair.run()

    ranges = [frame for frame in pair.b.received if isinstance(frame, Range) and frame.scope == GROUP]
    assert [(frame.first, frame.last, frame.joins, frame.leaves) for frame in ranges] == [
        (3, 3, [], [("g", [1])]),
        (4, 3, [], []),
    ]
    assert pair.b.registry.members(GROUP, "g") == (pid(A, 2),)


@pytest.mark.parametrize(("epoch", "run"), [(1, b"other"), (2, b"")])
def test_nothing_is_kept_of_another_run(epoch: int, run: bytes) -> None:
    """R8, R9: a restarted node starts from nothing, even if its epoch came twice."""
    pair = linked()
    pair.a.registry.join(GROUP, "old", 1)
    pair.run()
    pair.down("restart")

    again = Pair(Registry(A._replace(epoch=epoch)), pair.b.registry)
    again.a.registry.join(GROUP, "new", 1)
    again.b.mirror.check()
    again.up(run)
    assert again.b.registry.statistics().entries == 0
    again.run()

    assert set(again.b.registry.groups(GROUP)) == {"new"}
    assert again.b.registry.statistics().entries == 1


@pytest.mark.parametrize("records", [1, 5, 7])
def test_a_run_that_was_not_told_apart_is_found_out_by_its_digest(records: int) -> None:
    """R9, second line: what is held does not fit the owner's log, so a snapshot takes its place before it is seen."""
    pair = linked()
    for number in range(5):
        pair.a.registry.join(GROUP, "old", number)
    pair.run()
    pair.down()

    again = Pair(Registry(A), pair.b.registry)
    for number in range(records):
        again.a.registry.join(GROUP, "new", number)
    again.b.mirror.check()
    again.up()
    again.run()

    assert again.b.registry.groups(GROUP) == again.a.registry.groups(GROUP)
    assert again.b.registry.statistics().snapshots_applied == 1
    assert again.b.registry.statistics().digest_resyncs == 0


def test_what_is_held_of_a_peer_is_freed_only_without_a_session() -> None:
    """A timer that comes late must not take a peer away that is back."""
    pair = linked()
    pair.a.registry.join(GROUP, "g", 1)
    pair.run()
    pair.b.registry.free("a")
    assert pair.b.registry.members(GROUP, "g") == (pid(A, 1),)

    assert pair.b.registry.lost(GROUP, "g") == frozenset()
    pair.down()
    assert pair.b.registry.statistics().entries == 1
    assert [pair.b.registry.lost(GROUP, name) for name in ("g", "h")] == [{"a"}, set()]
    pair.b.registry.free("a")

    assert pair.b.registry.statistics().entries == 0
    assert pair.b.registry.lost(GROUP, "g") == frozenset()
    pair.up()
    pair.run()
    assert pair.b.registry.members(GROUP, "g") == (pid(A, 1),)


def test_a_peer_that_falls_off_the_ring_gets_a_snapshot() -> None:
    """R5: nothing is queued for a slow peer, and nothing is lost; what it sees changes by the difference alone."""
    pair = linked(ring_records=10)
    for number in range(5):
        pair.a.registry.join(GROUP, "g", number)
    pair.run()
    kinds(pair)
    pair.b.mirror.events.clear()
    pair.a.registry.leave(GROUP, "g", 0)
    for number in range(100, 120):
        pair.a.registry.join(GROUP, "h", number)
    assert pair.a.registry.lag("b") == 21

    pair.run()

    assert kinds(pair)[0] is SnapBegin
    assert pair.a.registry.lag("b") == 0
    assert pair.b.registry.groups(GROUP) == pair.a.registry.groups(GROUP)
    assert sum(isinstance(event, Joined) for event in pair.b.mirror.events) == 20
    assert [event for event in pair.b.mirror.events if isinstance(event, Left)] == [
        Left(GROUP, "g", pid(A, 0), "leave")
    ]


def test_what_a_peer_holds_is_known_from_its_acknowledgements() -> None:
    """R16: a join that waits for the cluster ends when every peer has said so."""
    pair = linked()
    pair.a.registry.join(GROUP, "g", 1)
    assert pair.a.registry.acknowledged("b", GROUP) == 0
    pair.run()
    assert pair.a.registry.acknowledged("b", GROUP) == pair.a.registry.position(GROUP) == 1

    pair.down()
    assert pair.a.registry.acknowledged("b", GROUP) == 0
    pair.up()
    pair.run()
    assert pair.a.registry.acknowledged("b", GROUP) == 1


# --- out of sight -----------------------------------------------------------------------------------


def test_the_end_of_a_session_hides_all_at_once_and_says_so_once() -> None:
    """R6: every scope, one purge, and no late frame brings anything back."""
    pair = linked()
    pair.a.registry.join(CHANNEL, "x.*", 1)
    pair.a.registry.join(GROUP, "g", 1)
    pair.a.registry.join(GROUP, "g", 2)
    pair.run()
    late = pair.b.received[-1]
    pair.b.mirror.events.clear()

    assert pair.b.registry.session_down("a", "noconnection") == 3
    assert pair.b.registry.session_down("a", "noconnection") == 0
    assert pair.b.registry.receive(A, late) == []  # type: ignore[arg-type]

    assert pair.b.mirror.events[-1] == Purged(A, "noconnection", 3)
    assert {event.reason for event in pair.b.mirror.events[:-1] if isinstance(event, Left)} == {"noconnection"}
    assert len(pair.b.mirror.events) == 4
    assert pair.b.registry.nodes_of(CHANNEL, "x.1") == frozenset()
    assert pair.b.registry.statistics().late == 1
    pair.b.mirror.check()


def test_a_session_without_members_ends_without_a_purge() -> None:
    """Nothing was there to be purged."""
    pair = linked()
    pair.down()

    assert pair.b.mirror.events == []


def test_a_frame_of_another_run_is_late() -> None:
    """R6, R8: frames count only for the session's own peer."""
    pair = linked()

    assert pair.b.registry.receive(A._replace(epoch=9), Sync(GROUP, B.epoch, 0, 0)) == []
    assert pair.b.registry.statistics().late == 1


# --- what goes wrong --------------------------------------------------------------------------------


def test_a_lost_range_is_found_by_the_next_heartbeat() -> None:
    """R3: what follows it is ignored until then."""
    pair = linked()
    for number in (1, 2):
        pair.a.registry.join(GROUP, "g", number)
        if number == 1:
            pair.a.registry.pump("b", 100)
    pair.run()
    assert pair.b.registry.members(GROUP, "g") == ()

    pair.heartbeat()

    assert pair.b.registry.members(GROUP, "g") == (pid(A, 1), pid(A, 2))
    assert pair.b.registry.statistics().ignored == 1
    assert pair.b.registry.statistics().digest_resyncs == 0


def test_lost_requests_are_made_again() -> None:
    """A heartbeat without a position for what we wait for means that we have to ask again."""
    pair = Pair(Registry(A), Registry(B))
    pair.a.registry.join(GROUP, "g", 1)
    pair.up()
    pair.a.arriving.clear()
    pair.b.arriving.clear()
    pair.run()
    assert pair.b.registry.unsynced(GROUP) == {"a"}

    pair.heartbeat()

    assert pair.b.registry.unsynced(GROUP) == frozenset()
    assert pair.b.registry.members(GROUP, "g") == (pid(A, 1),)


def test_asking_again_does_not_restart_what_is_under_way() -> None:
    """A slow link would otherwise never see the end of a large snapshot."""
    pair = Pair(Registry(A, ring_records=10), Registry(B))
    for number in range(5000):
        pair.a.registry.join(GROUP, "g", number)
    pair.entries_max = 100
    pair.up()
    for _ in range(6):
        pair.step()
        positions = pair.a.registry.positions("b")
        assert GROUP not in {position.scope for position in positions}
        for request in pair.b.registry.receive(A, Heartbeat(1, 1, positions, [])):
            pair.a.registry.receive(B, request)  # type: ignore[arg-type]
    pair.run()

    assert kinds(pair).count(SnapBegin) == 1
    assert len(pair.b.registry.members(GROUP, "g")) == 5000


@pytest.mark.parametrize("by", ["range", "heartbeat"])
def test_a_replica_that_disagrees_is_started_over(by: str) -> None:
    """R24: it is counted, hidden, and asked for from the start, by whatever shows it first."""
    pair = linked()
    pair.a.registry.join(GROUP, "g", 1)
    pair.run()
    replica = pair.b.registry._peers["a"].replicas[GROUP]
    replica.digest ^= 1
    if by == "range":
        pair.a.registry.join(GROUP, "g", 2)
    pair.check = lambda: None

    pair.heartbeat()

    pair.a.mirror.check()
    pair.b.mirror.check()
    assert pair.b.registry.statistics().digest_resyncs == 1
    assert Left(GROUP, "g", pid(A, 1), "resync") in pair.b.mirror.events
    assert pair.b.registry.groups(GROUP) == pair.a.registry.groups(GROUP)


def test_a_peer_with_too_many_members_breaks_the_protocol() -> None:
    """The limit is over all scopes, and holds for ranges and for snapshots."""
    pair = linked(entries_max=10)
    for number in range(6):
        pair.a.registry.join(GROUP, "g", number)
        pair.a.registry.join(SUBJECT, "s", number)
    with pytest.raises(ProtocolError, match="entries"):
        pair.run()
    pair.b.mirror.check()
    with pytest.raises(ProtocolError, match="entries"):
        pair.b.registry.receive(A, SnapBegin(SUBJECT, A.epoch, 50, 11, 0))


def test_acknowledging_what_does_not_exist_breaks_the_protocol() -> None:
    """It would let a join that waits go on too early."""
    pair = linked()
    with pytest.raises(ProtocolError, match="acknowledged"):
        pair.a.registry.receive(B, Ack(GROUP, A.epoch, 1))
    assert pair.a.registry.receive(B, Ack(GROUP, A.epoch + 1, 1)) == []
    assert pair.a.registry.acknowledged("b", GROUP) == 0


def test_a_scope_of_a_later_version_is_skipped() -> None:
    """L4: a neighbour that knows more than we do is no reason to part."""
    pair = linked()

    assert pair.b.registry.receive(A, Sync(64, B.epoch, 0, 0)) == []
    positions = [*pair.a.registry.positions("b"), Position(64, 1, 1)]
    assert pair.b.registry.receive(A, Heartbeat(1, 1, positions, [])) == []
    assert pair.b.registry.statistics().ignored == 1


def test_a_heartbeat_that_states_no_position_is_answered_with_a_request() -> None:
    """The first request was lost, or is being served still, and then asking again changes nothing."""
    pair = linked()

    replies = pair.b.registry.receive(A, Heartbeat(1, 1, [], []))

    assert [type(frame) for frame in replies] == [Sync] * len(SCOPES)


# --- watchers ---------------------------------------------------------------------------------------


def test_a_watcher_may_change_the_groups_and_all_hear_it_in_one_order() -> None:
    """R21: what a watcher brings about is told after what it was told."""
    registry = Registry(A)
    heard: list[GroupEvent] = []

    def follow(event: GroupEvent) -> None:
        if isinstance(event, Joined) and event.group == "first":
            registry.join(GROUP, "second", 1)

    registry.watch(follow)
    registry.watch(heard.append)
    registry.join(GROUP, "first", 1)

    assert [event.group for event in heard if isinstance(event, Joined)] == ["first", "second"]


def test_who_stops_watching_hears_no_more() -> None:
    """Each watch ends by itself, and may be ended twice."""
    registry = Registry(A)
    heard: list[GroupEvent] = []
    ends = [registry.watch(heard.append), registry.watch(heard.append)]
    registry.join(GROUP, "g", 1)
    ends[0]()
    ends[0]()
    registry.join(GROUP, "g", 2)
    ends[1]()
    registry.join(GROUP, "g", 3)

    assert len(heard) == 3


# --- all at once ------------------------------------------------------------------------------------

members = st.tuples(st.integers(0, len(SCOPES) - 1), st.sampled_from(["g", "h.*", "h.>"]), st.integers(0, 3))
steps = st.one_of(
    st.tuples(st.sampled_from("ab"), st.booleans(), members),
    st.sampled_from(["step", "step", "run", "heartbeat", "down", "up"]),
)
faults = st.builds(Faults, *([st.sampled_from([0.0, 0.1, 0.5])] * 3))


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=60), faults, st.integers(1, 30), st.integers(1, 8), st.integers())
def test_they_agree_in_the_end_whatever_happened(
    script: list[object], faults: Faults, ring_records: int, entries_max: int, seed: int
) -> None:
    """L1, S2: loss, repetition and overtaking, with cuts and late frames; after every frame all invariants hold."""
    a, b = Registry(A, ring_records=ring_records), Registry(B, ring_records=ring_records)
    pair = Pair(a, b, Random(seed), faults)
    pair.entries_max = entries_max
    sets = {registry.me.name: [{0: dict[str, set[int]]()} for _ in SCOPES] for registry in (a, b)}
    check = pair.check

    def check_prefixes() -> None:
        check()
        for owner, holder in ((a, b), (b, a)):
            held = holder._peers.get(owner.me.name)
            for replica in held.replicas if held else ():
                assert replica.members == sets[owner.me.name][replica.scope][replica.applied]

    pair.check = check_prefixes
    up = False
    for step in script:
        match step:
            case (str() as name, bool() as joins, (int() as scope, str() as group, int() as number)):
                registry = a if name == "a" else b
                if (registry.join if joins else registry.leave)(scope, group, number):
                    copied = {group: set(numbers) for group, numbers in registry._logs[scope].members.items()}
                    sets[name][scope][registry.position(scope)] = copied
            case "step":
                pair.step()
            case "run":
                pair.run()
            case "heartbeat" if up:
                pair.heartbeat()
            case "down" if up:
                pair.down()
                up = False
            case "up" if not up:
                pair.up()
                up = True
    if not up:
        pair.up()
    pair.faults = Faults()
    for _ in range(4):
        pair.heartbeat()

    for scope in range(len(SCOPES)):
        assert a.groups(scope) == b.groups(scope)
        assert a.unsynced(scope) == b.unsynced(scope) == frozenset()
    assert [stated.sequence for stated in a.positions("b")] == [a.position(scope) for scope in range(len(SCOPES))]
    assert a.lag("b") == b.lag("a") == 0
    assert a.statistics().digest_resyncs == b.statistics().digest_resyncs == 0
