"""Races of links: who lives, who may speak for whom, who dials whom, and how a node goes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.effects import Close, Dial, Send, SessionDown, SessionUp
from liminal_mesh.cluster.frames import (
    Ack,
    Drain,
    Heartbeat,
    LinkFrame,
    Peer,
    Ping,
    Pong,
    Range,
    SnapBegin,
    SnapChunk,
    SnapEnd,
    Sync,
)
from liminal_mesh.cluster.group_events import Joined, Left, Purged
from liminal_mesh.cluster.identity import NodeId, Pid
from liminal_mesh.cluster.publish_frames import Publish
from liminal_mesh.cluster.registry import Registry
from liminal_mesh.cluster.swim import DialAddress
from liminal_mesh.node.metrics import Metrics

from ..cluster.registry_pair import A, B, Mirror, Pair
from ..live.raw_peer import RawPeer, hello
from ..node.process_tables import Side, Two
from ..nodes import mesh, until
from ..sim.host import End, Host
from ..sim.watching import all_linked, link, notices, of
from ..sim.world import World
from .worlds import conns, pair

GROUP = 3


# --- liveness ---------------------------------------------------------------------------------------


def test_r14_a_side_that_hears_but_is_not_heard_ends_the_link_itself() -> None:
    """R14: bytes keep coming, but what it asks is not answered for five seconds."""
    world, a, b = pair()
    begin = world.now
    world.frame_fault = lambda end, frame, data: [] if (end.host, type(frame)) == (a, Pong) else [data]

    def speak() -> None:
        for host in (a, b):
            host.registry.join(0, "x", len(host.effects))
            host.changed()

    for half in range(12):  # other frames of a still arrive, so that it is not silent
        world.at(begin + half / 2, speak)
    took = world.run_until(lambda: not a.core.sessions() and not b.core.sessions(), 8)

    reasons = {of(SessionDown, host)[0].reason for host in (a, b)}
    assert "unheard" in reasons
    assert reasons <= {"unheard", "reset"}, "somebody was silent, which is another race"
    assert 4 <= took <= 6.1


@pytest.mark.parametrize("dead", [("a", "b"), ("b", "a")])
def test_r14_a_link_that_is_dead_in_one_direction_ends_on_both_sides(dead: tuple[str, str]) -> None:
    """R14: one side is silent to the other, and the members of both vanish at both, within the time of the timers."""
    world, a, b = pair()
    for host in (a, b):
        host.registry.join(0, "x", 1)
        host.changed()
    world.run(0.5)
    assert len(b.registry.members(0, "x")) == len(a.registry.members(0, "x")) == 2
    world.holes.add(dead)
    took = world.run_until(lambda: not a.core.sessions() and not b.core.sessions(), 8)

    assert took <= 6.1
    assert len(b.registry.members(0, "x")) == len(a.registry.members(0, "x")) == 1
    world.run(3)
    assert not a.core.sessions(), "a link that works in one direction only was taken for one"
    world.heal(*dead)
    world.run_until(lambda: all_linked(a, b), 4)


def test_r15_a_missing_edge_is_reported_and_no_healthy_link_is_cut_for_it() -> None:
    """R15: a and b cannot reach each other and both see c: all three name the edge, and nothing goes by way of c."""
    world = World()
    a, b, c = world.add("a"), world.add("b", "a"), world.add("c", "a")
    a.registry.join(0, "x", 1)
    world.run(2)
    assert [host.core.missing() for host in (a, b, c)] == [()] * 3
    before = conns(c)
    world.holes |= {("a", "b"), ("b", "a")}
    world.run(8)

    assert a.core.missing() == (("a", "b"),)
    assert b.core.missing() == (("b", "a"),)
    assert c.core.missing() == (("a", "b"), ("b", "a"))
    assert conns(c) == before
    assert b.registry.members(0, "x") == ()
    assert c.registry.members(0, "x") == (Pid("a", 1, 1),)
    world.heal("a", "b")
    world.heal("b", "a")
    world.run_until(lambda: all_linked(a, b, c), 4)
    world.run(1.5)
    assert [host.core.missing() for host in (a, b, c)] == [()] * 3


async def test_r06_frames_behind_the_one_that_ended_their_link_are_counted_and_no_more() -> None:
    """R6: what was read together with it is of a session that is over; the node's metrics say how many there were."""
    async with mesh(1) as (a,), RawPeer.to(a.addresses["mesh"]) as peer:
        await peer.join(hello("z", epoch=7))
        forged = Range(GROUP, 8, 1, 1, [("x", [9])], [], 0)
        peer.send_bytes(b"".join(map(LINK_CODEC.encode, (forged, Ping(1), forged, Publish(7, "ticks", 0, [])))))
        core = a.running.peering
        assert core is not None
        await until(a, lambda: core.fenced == 3)

        page, _ = await Metrics(a.running).node()
        assert b"liminal_frames_fenced_total 3.0" in page
        assert a.running.registry.statistics().entries == 0


# --- identity ---------------------------------------------------------------------------------------


def test_r20_numbers_are_never_given_twice_by_one_run_and_the_next_run_has_other_pids() -> None:
    """R20: whatever ended in between; the epoch is a part of the pid, so that equal numbers are other processes."""
    given: list[Pid] = []
    for epoch in (5, 6):
        side = Side(NodeId("a", epoch))
        for _ in range(3):
            spawned = [side.spawn("x") for _ in range(4)]
            for pid in spawned:
                side.table.exit(pid, "normal")
            given += spawned

    assert len(set(given)) == len(given) == 24
    assert {pid.number for pid in given[:12]} == {pid.number for pid in given[12:]}


def test_r20_a_process_of_another_epoch_is_not_reached() -> None:
    """R20: a link and a monitor to it end at once, and no frame goes to the process that has its number now."""
    two = Two()
    table, former = two.a.table, Pid(two.b.table.me.name, two.b.table.me.epoch - 1, 1)
    two.b.spawn("the same number")
    two.a.monitor("watch", former)
    table.link(two.a.spawn("linked", traps=True), former)

    assert two.a.frames() == []
    assert two.a.told == [("watch", "noconnection")]
    table.validate()


def test_r20_what_is_addressed_to_another_epoch_is_not_taken() -> None:
    """R20: a request and an acknowledgement for a former run; frames of a former run; none counts for this one."""
    two = Pair(Registry(A._replace(epoch=2)), Registry(B))
    two.a.registry.join(GROUP, "g", 1)
    two.up()
    two.run()
    registry, former = two.a.registry, A
    log = registry._logs[GROUP]

    registry.receive(B, Ack(GROUP, former.epoch, 1))
    registry.receive(B, Sync(GROUP, former.epoch, 1, log.digest))
    (answer, *_) = registry.pump("b", 10)
    assert isinstance(answer, SnapBegin), "the replica of another run was continued"
    before = two.b.registry.statistics()
    for frame in (Range(GROUP, former.epoch, 2, 2, [("g", [2])], [], 0), SnapBegin(GROUP, former.epoch, 9, 1, 1)):
        assert two.b.registry.receive(NodeId("a", 2), frame) == []
        assert two.b.registry.receive(former, frame) == []
    assert two.b.registry.statistics().ignored == before.ignored + 2
    assert two.b.registry.statistics().late == before.late + 2
    assert two.b.registry.members(GROUP, "g") == (Pid("a", 2, 1),)


@pytest.mark.parametrize(
    "forged",
    [
        Range(0, 77, 1, 1, [("x", [9])], [], 0),
        SnapBegin(0, 77, 5, 1, 1),
        SnapChunk(0, 77, 5, [("x", [9])]),
        SnapEnd(0, 77, 5),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_r23_who_speaks_for_another_node_is_cut_off_and_changes_nothing(forged: LinkFrame) -> None:
    """R23: c is linked with both, and sends a what only b could say; b's members stay as b says."""
    world = World()
    a, b, c = world.add("a"), world.add("b", "a", epoch=77), world.add("c", "a")
    b.registry.join(0, "x", 1)
    world.run(1)
    mirror = Mirror(a.registry)
    world.transmit_frame(link(c, "a"), forged)
    world.run(0.1)

    assert notices(a)[-1] == "protocol_error"
    (end,) = of(SessionDown, a)
    assert (end.peer.name, end.reason) == ("c", "protocol error: a frame in the name of another node")
    assert a.registry.members(0, "x") == (Pid("b", 77, 1),)
    assert mirror.events == []


def test_r23_what_a_peer_tells_of_others_makes_no_members() -> None:
    """R23: a list of peers shows who is linked with whom; nobody is dialled, a member or of interest for it."""
    world, a, b = pair()
    g = b.core.sessions()["a"].g
    world.transmit_frame(link(b, "a"), Heartbeat(999, g, [], [Peer("z", 5, "z:7601")]))
    world.run(0.5)

    assert [member.name for member in a.core.members()] == ["a", "b"]
    assert a.registry.statistics().entries == 0
    assert "z:7601" not in [dial.address for dial in of(Dial, a)]


# --- dials and goodbyes -----------------------------------------------------------------------------


def test_r25_after_a_loss_of_all_links_at_once_few_dials_are_made_and_none_twice_at_a_time() -> None:
    """R25: one in flight for each peer, the lower name first; a dead peer costs pauses that grow to 1.5 s."""
    world = World(3)
    names = "abcdef"
    hosts = [world.add(name, "a") for name in names]
    world.run_until(lambda: all_linked(*hosts), 3)
    world.run(1)
    marks = {host: len(host.effects) for host in hosts}
    flying: Counter[tuple[str, str, str]] = Counter()
    dial = world.dial

    def watched(host: Host, effect: Dial | DialAddress) -> None:
        key = (host.me.name, effect.address, type(effect).__name__)
        flying[key] += 1
        assert flying[key] == 1, f"two dials in flight: {key}"
        world.later(0.002, lambda: flying.subtract([key]))
        dial(host, effect)

    world.dial = watched  # type: ignore[method-assign, assignment]
    for host in hosts:
        for end in tuple(host.ends.values()):
            world.cut(end, both=True)
    took = world.run_until(lambda: all_linked(*hosts), 2)
    world.run(3)

    dials = Counter(
        frozenset((host.me.name, effect.address[0]))
        for host in hosts
        for effect in host.effects[marks[host] :]
        if isinstance(effect, Dial)
    )
    assert took < 1
    assert max(dials.values()) <= 2
    assert sum(dials.values()) <= 1.5 * 15
    assert sum(len(of(SessionUp, host)) for host in hosts) == 2 * 2 * 15

    world.crash(hosts[0])
    start, before = world.now, len(of(Dial, hosts[1]))
    world.run(60)
    times = [at for at, one in zip(hosts[1].times, hosts[1].effects, strict=True) if isinstance(one, Dial)][before:]
    pauses = [after - first for first, after in pairwise(times)]
    assert 60 / 1.5 <= len(times) <= 60 / 0.4
    assert max(pauses) <= 1.5 + 0.01
    assert times[0] - start < 0.5


def test_r26_a_node_that_drains_says_so_before_its_members_leave_as_one_change_and_then_ends() -> None:
    """R26: no purge, no death: the goodbye comes first, then one range with everybody, then the end of the stream."""
    world, a, b = pair()
    for number in range(500):
        a.registry.join(0, f"x.{number % 7}", number)
    a.changed()
    world.run(0.1)
    mirror = Mirror(b.registry)
    arrived: list[type] = []
    applied = b.registry.statistics().ranges_applied

    def note(end: End, frame: LinkFrame, data: bytes) -> list[bytes]:
        if end.host is a and not isinstance(frame, Heartbeat):
            arrived.append(type(frame))
        return [data]

    world.frame_fault = note
    closed = len(of(Close, a))
    a.drain()
    assert len(of(Close, a)) == closed
    drained = [send.frame for send in of(Send, a)][-2:]
    assert [type(frame) for frame in drained] == [Drain, Range]
    world.crash(a)
    world.run(0.1)

    assert arrived == [Drain, Range]
    assert b.registry.statistics().ranges_applied == applied + 1
    left = [event for event in mirror.events if isinstance(event, Left)]
    assert len(left) == 500
    assert {event.reason for event in left} == {"leave"}
    assert not any(isinstance(event, Purged | Joined) for event in mirror.events)
    dials = len(of(Dial, b))
    world.run(3)
    assert [dial.target for dial in of(Dial, b)[dials:]] == ["a:7601"] * (len(of(Dial, b)) - dials)
