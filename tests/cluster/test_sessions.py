"""The sessions that stand: whole nodes in a world of their own, joined through the shipped codec."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster.effects import Dial, Failed, Send, SessionDown
from liminal_mesh.cluster.frames import (
    Adopt,
    Heartbeat,
    Peer,
    Range,
    Serves,
    SnapBegin,
    Sync,
)
from liminal_mesh.cluster.identity import Pid
from liminal_mesh.cluster.membership import Member, MemberChanged, MemberState

from ..sim.watching import all_linked, link, notices, of
from ..sim.world import World


def test_members_are_seen_once_linked() -> None:
    """What a node joined before and after the link is seen, and its own view of members says who is there."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    a.registry.join(0, "x", 1)
    world.run(0.5)
    a.registry.join(0, "x", 2)
    a.changed()
    world.run(0.1)

    assert [pid.number for pid in b.registry.members(0, "x")] == [1, 2]
    assert [(member.name, member.state, member.reachable) for member in b.core.members()] == [
        ("a", "alive", True),
        ("b", "alive", True),
    ]
    assert a.registry.acknowledged("b", 0) == 2


def test_a_large_snapshot_is_sent_as_the_lane_has_room() -> None:
    """No more than a part of it is in the lane at a time, and its end is not forgotten."""
    for count in (1023, 1024, 1025, 5000):
        world = World()
        a, b = world.add("a", ring_records=16), world.add("b", "a")
        for number in range(count):
            a.registry.join(0, "x", number)

        world.run(1)

        assert len(b.registry.members(0, "x")) == count


def test_silence_ends_a_session() -> None:
    """Five seconds without a byte; the members vanish at that moment and come back with the link."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    a.registry.join(0, "x", 1)
    world.run(2)
    world.holes |= {("a", "b"), ("b", "a")}
    took = world.run_until(lambda: bool(of(SessionDown, b)), 10)

    assert 4 < took < 6.1
    assert of(SessionDown, b)[0].reason in {"silence", "silent"}
    assert b.registry.members(0, "x") == ()
    assert [member.reachable for member in b.core.members()] == [False, True]
    world.run(5)
    world.heal("a", "b")
    world.heal("b", "a")
    world.run_until(lambda: bool(b.registry.members(0, "x")), 4)


def test_a_link_that_is_dead_in_one_direction_ends() -> None:
    """R14: the one that still hears the other sees that it is not heard."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(2)
    world.holes |= {("a", "b")}
    world.run_until(lambda: not a.core.sessions() and not b.core.sessions(), 8)

    assert {of(SessionDown, a)[0].reason, of(SessionDown, b)[0].reason} <= {"unheard", "silence", "silent", "reset"}


def test_a_node_that_was_stopped_itself_blames_nobody() -> None:
    """After a long stop it waits for what its peers sent meanwhile."""
    world = World()
    a, _ = world.add("a"), world.add("b", "a")
    world.run(2)
    late = world.now + 60
    a.do(a.core.tick(late))

    assert of(SessionDown, a) == []


def test_a_new_session_pushes_no_deadline_back_however_long_the_machine_has_run() -> None:
    """A silent peer is noticed in time although another one links, and others come and go."""
    world = World()
    world.now = 1e6
    _, b = world.add("a"), world.add("b", "a")
    world.run(2)
    world.holes |= {("a", "b"), ("b", "a")}
    world.add("c", "b")

    assert world.run_until(lambda: bool(of(SessionDown, b)), 10) < 6.1


def test_a_drained_node_has_left() -> None:
    """R26: its members are gone as one change, and it is not dialled until gossip tells of a later run."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    for number in range(3000):
        a.registry.join(0, "x", number)
    world.run(2)
    a.drain()
    world.run(0.1)
    assert b.registry.members(0, "x") == ()

    world.crash(a)
    world.run(1)
    dials = len([dial for dial in of(Dial, b) if dial.target == "a"])
    world.run(10)

    assert len([dial for dial in of(Dial, b) if dial.target == "a"]) == dials
    a = world.add("a", epoch=2)
    world.run(2)
    assert b.core.members()[0].reachable


def test_a_node_that_leaves_does_not_fail_when_its_goodbye_comes_back_to_it() -> None:
    """The goodbye on its sessions is heard, and told by others, before the thread of its control links has said it."""
    heard_early = 0
    for seed in range(10):
        world = World(seed)
        world.thread_lag_s = 0.5
        a, seen = world.add("a"), list[object]()
        world.add("b", "a")
        world.add("c", "a")
        a.watchers.append(seen.append)
        world.run(2)
        a.drain()
        world.run(2)

        assert a.departed
        assert not [effect for effect in seen if isinstance(effect, Failed)]
        heard_early += any(isinstance(effect, Failed) for effect in a.control_effects)

    assert heard_early


@pytest.mark.parametrize("state", ["alive", "suspect", "dead", "left"])
def test_what_is_held_of_a_lost_peer_is_dropped_with_its_run(state: MemberState) -> None:
    """Before that a return costs a difference; afterwards, a snapshot or the whole log."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    a.registry.join(0, "x", 1)
    world.run(1)
    world.holes |= {("a", "b"), ("b", "a")}
    world.run(10)
    told = Member("a", 1, 0, state, False, False, a.address)
    b.do(b.core.gossiped(MemberChanged(None, told), world.now))
    back = Member("a", 1, 1, "alive", False, False, a.address)
    b.do(b.core.gossiped(MemberChanged(told, back), world.now))
    world.heal("a", "b")
    world.heal("b", "a")
    world.run(5)

    syncs = [send.frame for send in of(Send, b) if isinstance(send.frame, Sync) and send.frame.scope == 0]
    assert (syncs[-1].sequence == 1) is (state in {"alive", "suspect"})
    assert b.registry.members(0, "x") == (Pid("a", 1, 1),)


def test_a_dead_member_that_had_a_session_again_is_not_dialled_when_it_is_lost() -> None:
    """Gossip does not say a second time that it is dead."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(2)
    dead = Member("b", 1, 0, "dead", False, False, b.address)
    a.do(a.core.gossiped(MemberChanged(a.core.members()[1], dead), world.now))
    assert not a.core.sessions()
    world.run_until(lambda: "b" in a.core.sessions(), 5)
    before = len(of(Dial, a))

    world.cut(link(a, "b"), both=True)
    world.run_until(lambda: not a.core.sessions(), 1)
    world.run(2)

    assert len(of(Dial, a)) == before
    assert "b" in a.core.sessions()


def test_the_session_of_a_dead_member_ends_at_once_and_comes_back_with_it() -> None:
    """What gossip holds for dead is not spoken with, nor dialled, until it is alive again."""
    world = World()
    b, a, _ = world.add("b"), world.add("a", "b"), world.add("c", "b")
    world.run(1)
    a.stop()
    world.run_until(lambda: b.core.members()[0].state == "dead", 13.5)
    assert of(SessionDown, b)[-1].reason in {"dead", "silence", "unheard"}
    assert "a" not in b.core.sessions()
    assert not b.core.members()[0].reachable
    dials = len(of(Dial, b))
    world.run(5)
    assert len(of(Dial, b)) == dials

    a.resume()
    world.run_until(lambda: "a" in b.core.sessions(), 2)


def test_the_session_of_an_earlier_run_ends_when_gossip_tells_of_a_later_one() -> None:
    """Whatever the link looks like."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(1)
    b.do(b.core.gossiped(MemberChanged(None, Member("a", 2, 0, "alive", False, False, "elsewhere:1")), world.now))

    assert of(SessionDown, b)[-1].peer == a.me


@pytest.mark.parametrize("state", ["dead", "left"])
def test_late_news_of_an_earlier_run_is_none_about_the_one_that_is_linked(state: MemberState) -> None:
    """A restarted node is back before all have told of its end: its session stands, and is made again if it ends."""
    world = World()
    b, a = world.add("b"), world.add("a", "b")
    world.run(1)
    told = Member("a", 1, 0, "alive", True, False, a.address)
    b.do(b.core.gossiped(MemberChanged(None, told), world.now))
    world.crash(a)
    a = world.add("a", "b", epoch=2)
    assert world.run_until(lambda: all_linked(a, b), 5)

    b.do(b.core.gossiped(MemberChanged(told, Member("a", 1, 0, state, False, False, a.address)), world.now))

    assert b.core.sessions()["a"].peer == a.me
    world.crash(a)
    dials = len([dial for dial in of(Dial, b) if dial.target == "a"])
    world.run(5)
    assert len([dial for dial in of(Dial, b) if dial.target == "a"]) > dials


def test_no_peer_speaks_for_another() -> None:
    """R23: registry frames of another run than the session's, or of a third node, close the connection."""
    for frame in (Range(0, 99, 1, 1, [("x", [1])], [], 0), SnapBegin(0, 99, 0, 0, 0), Adopt(1, 9)):
        world = World()
        a, b = world.add("a"), world.add("b", "a")
        world.run(1)
        world.transmit_frame(link(b, "a"), frame)
        world.run(0.1)

        assert "protocol_error" in notices(a)
        assert a.registry.members(0, "x") == ()


@pytest.mark.parametrize(
    "beat",
    [
        Heartbeat(99, 7, [], []),
        Heartbeat(99, 1, [], [Peer("x.y", 1, "x:1")]),
        Heartbeat(99, 1, [], [Peer("x", 1, "nowhere")]),
    ],
)
def test_heartbeats_that_cannot_be_close(beat: Heartbeat) -> None:
    """R13: of another session, or one that would make us dial what is no address."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(1)
    world.transmit_frame(link(b, "a"), beat)
    world.run(0.1)

    assert "protocol_error" in notices(a)
    assert all(":" in dial.address for dial in of(Dial, a))


def test_peers_tell_where_their_clients_connect() -> None:
    """In the first moments of a session, if there is anything to tell; a new session tells it again."""
    world = World(clients="lb.example:7600")
    a, b = world.add("a"), world.add("b", "a")
    assert world.run_until(lambda: all_linked(a, b), 2) < 2
    world.run(0.1)
    assert [node.core.sessions()[peer].clients for node, peer in ((a, "b"), (b, "a"))] == ["lb.example:7600"] * 2

    silent = World()
    a, b = silent.add("a"), silent.add("b", "a")
    silent.run(1)
    assert a.core.sessions()["b"].clients == ""
    assert not [send for send in of(Send, a) if isinstance(send.frame, Serves)]


def test_what_is_no_address_of_clients_closes() -> None:
    """Clients would be sent there."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(1)
    world.transmit_frame(link(b, "a"), Serves("nowhere"))
    world.run(0.1)

    assert "protocol_error" in notices(a)


def test_missing_links_are_shown() -> None:
    """R15: a link that is down between two peers is seen by a third, and healthy ones are not cut."""
    world = World()
    a, c = world.add("a"), world.add("c", "a")
    world.add("b", "a")
    world.run(2)
    world.holes |= {("a", "b"), ("b", "a")}
    world.run(8)

    assert c.core.missing() == (("a", "b"), ("b", "a"))
    assert set(c.core.sessions()) == {"a", "b"}
    assert a.core.missing() == (("a", "b"),)
