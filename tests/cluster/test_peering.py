"""The session core: whole nodes in a world of their own, joined by byte streams through the shipped codec."""

from __future__ import annotations

from typing import TypeVar

import pytest

from liminal_mesh.cluster.auth import derive_key
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.effects import Close, Dial, Effect, Failed, Notice, Send, SessionDown, SessionUp
from liminal_mesh.cluster.errors import NameInUse, ProtocolError, StaleEpoch
from liminal_mesh.cluster.frames import (
    LINK_FRAMES,
    Ack,
    Adopt,
    AdoptAck,
    Auth,
    Drain,
    Heads,
    Heartbeat,
    Hello,
    LinkFrame,
    Lost,
    Peer,
    Ping,
    Pong,
    Publish,
    Range,
    Receipt,
    Redundant,
    Refusal,
    SnapBegin,
    SnapChunk,
    SnapEnd,
    Sync,
    Welcome,
)
from liminal_mesh.cluster.identity import NodeId

from ..sim.world import End, Host, World, address_of

T = TypeVar("T")


def of(kind: type[T], host: Host) -> list[T]:
    """Return the effects of one kind that a node asked for so far."""
    return [effect for effect in host.effects if isinstance(effect, kind)]


def notices(host: Host) -> list[str]:
    """Return the notices that a node gave so far."""
    return [notice.event for notice in of(Notice, host)]


def all_linked(*hosts: Host) -> bool:
    """Whether each of these nodes has a session with each other one."""
    return all(set(host.core.sessions()) == {other.me.name for other in hosts} - {host.me.name} for host in hosts)


def link(host: Host, name: str) -> End:
    """Return a node's end of its session."""
    return host.ends[host.core.sessions()[name].conn]


def test_two_nodes_that_dial_each_other_at_once_have_one_session() -> None:
    """R11: the lower name decides, and both mean the same connection."""
    for seed in range(20):
        world = World(seed)
        a, b = world.add("a", "b"), world.add("b", "a")

        world.run(3)

        assert all_linked(a, b)
        assert link(a, "b").peer is link(b, "a")
        assert a.core.sessions()["b"].g == b.core.sessions()["a"].g == 1
        assert len(of(SessionUp, a)) == len(of(SessionUp, b)) == 1
        assert len(a.ends) == len(b.ends) == 1
        assert len(of(Dial, a)) + len(of(Dial, b)) <= 3


def test_any_one_seed_is_enough() -> None:
    """Nodes that know only one of them learn of each other from it, and are linked pairwise."""
    world = World()
    hosts = [world.add("c"), *(world.add(name, "c") for name in "abde")]

    world.run_until(lambda: all_linked(*hosts), 1.0)
    world.run(0.2)

    assert hosts[0].core.missing() == ()


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


@pytest.mark.parametrize(("cluster", "cookie", "code"), [("test", b"y", "cookie"), ("other", b"x", "cluster")])
def test_strangers_are_refused_and_keep_dialling(cluster: str, cookie: bytes, code: str) -> None:
    """Both sides say so in their logs, once; nothing else comes of it."""
    world = World()
    a = world.add("a", key=derive_key(b"x" * 32, "test"))
    b = world.add("b", "a", cluster=cluster, key=derive_key(cookie * 32, cluster))
    world.run(8)

    refusals = [notice.fields["code"] for host in (a, b) for notice in of(Notice, host)]
    assert refusals == [code, code]
    assert not a.core.sessions()
    assert not of(Failed, b)
    assert len(of(Dial, b)) > 4


def test_a_node_drops_an_address_that_is_its_own() -> None:
    """It is recognized by its run and not by the address, and is not dialled again."""
    world = World()
    a = world.add("a", "a")
    world.run(10)

    assert len(of(Dial, a)) == 1
    assert notices(a) == []
    assert not a.ends


def test_a_second_node_with_a_live_name_is_refused_by_a_peer() -> None:
    """R10: the incumbent answers, the newcomer learns where it is, and the peer's log has both addresses."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(2)
    second = world.add("a", "b", epoch=5, address="elsewhere:7601")
    took = world.run_until(lambda: bool(of(Failed, second)), 2)

    (failed,) = of(Failed, second)
    assert isinstance(failed.error, NameInUse)
    assert failed.error.fields() == {"name": "a", "address": "a:7601"}
    assert took < 0.1
    assert all_linked(a, b)
    assert len(of(SessionUp, b)) == 1
    (notice,) = (notice for notice in of(Notice, b) if notice.event == "name_in_use")
    assert (notice.fields["address"], notice.fields["incumbent"]) == ("elsewhere:7601", "a:7601")


@pytest.mark.parametrize("epoch", [2, 9])
def test_a_second_node_with_a_live_name_is_refused_by_its_bearer(epoch: int) -> None:
    """Whoever is linked stays, whatever the clocks say."""
    world = World()
    a, b = world.add("a", epoch=5), world.add("b", "a")
    world.run(2)
    second = world.add("a", "a", epoch=epoch)
    world.hosts["a:7601"] = a
    world.run(1)

    (failed,) = of(Failed, second)
    assert isinstance(failed.error, NameInUse)
    assert not of(Failed, a)
    assert all_linked(a, b)


def test_of_two_namesakes_that_are_alone_the_first_stays() -> None:
    """It does not matter who dials whom."""
    for first_seeds, second_seeds in (("z", ""), ("", "z")):
        world = World()
        first = world.add("a", first_seeds.replace("z", "second"), epoch=1, address="first:7601")
        second = world.add("a", second_seeds.replace("z", "first"), epoch=2, address="second:7601")
        world.run(2)

        assert not of(Failed, first)
        assert len(of(Failed, second)) == 1


def test_a_newcomer_gets_the_name_of_a_node_that_is_silent() -> None:
    """R10: no byte within half a second ends the old session, and then the newcomer goes on."""
    for name, other in (("a", "b"), ("b", "a")):
        world = World()
        old, peer = world.add(name), world.add(other, name)
        old.registry.join(0, "x", 1)
        world.run(2)
        world.holes |= {(name, other)}
        world.crash(old)
        world.holes.clear()

        new = world.add(name, other, epoch=2)
        took = world.run_until(lambda peer=peer: len(of(SessionUp, peer)) == 2, 2)  # type: ignore[misc]

        assert 0.5 <= took < 0.6
        (down,) = of(SessionDown, peer)
        assert (down.peer, down.reason, down.removed) == (NodeId(name, 1), "silence", 1)
        assert peer.core.sessions()[name].peer == NodeId(name, 2)
        assert not of(Failed, new)


def test_the_last_bytes_of_a_dead_node_do_not_keep_its_name() -> None:
    """Bytes alone refuse a newcomer only when the time is up; the end of the stream comes first."""
    world = World()
    old, peer = world.add("a"), world.add("b", "a")
    world.run(2)
    world.holes |= {("a", "b")}
    end = link(old, "b")
    world.transmit_frame(end, Ping(7))
    world.crash(old)
    new = world.add("a", epoch=2)
    near, far = End(new, 900), End(peer, 901)
    near.peer, far.peer = far, near
    peer.opened(far, "")
    new.opened(near, "b:7601")
    world.later(0.1, world.heal, "a", "b")
    world.later(0.05, world.holes.clear)
    world.run_until(lambda: "a" in new.world.hosts or bool(new.core.sessions()), 3)

    assert peer.core.sessions()["a"].peer == NodeId("a", 2)
    assert not of(Failed, new)


def test_an_old_run_is_told_which_one_is_known() -> None:
    """R8: a lower epoch is refused, and may try again above the known one before it has issued a pid."""
    for name, other in (("a", "b"), ("b", "a")):
        world = World()
        old, peer = world.add(name, epoch=7), world.add(other, name)
        world.run(1)
        world.crash(old)
        world.run(1)
        new = world.add(name, other, epoch=3)
        world.run(2)

        (failed,) = of(Failed, new)
        assert isinstance(failed.error, StaleEpoch)
        assert failed.error.fields() == {"name": name, "epoch": 3, "known": 7}

        world.crash(new)
        world.add(name, other, epoch=failed.error.known + 1)
        world.run(2)
        assert peer.core.sessions()[name].peer == NodeId(name, 8)


def test_a_restarted_node_is_down_before_it_is_up() -> None:
    """R8: its old members are gone before its new session stands."""
    for name, other in (("a", "b"), ("b", "a")):
        world = World()
        old, peer = world.add(name), world.add(other, name)
        old.registry.join(0, "x", 1)
        world.run(1)
        world.crash(old)
        new = world.add(name, other, epoch=2)
        new.registry.join(0, "x", 2)
        world.run_until(lambda peer=peer: len(of(SessionUp, peer)) == 2, 1)  # type: ignore[misc]
        world.run(0.1)

        story = [effect for effect in peer.effects if isinstance(effect, SessionUp | SessionDown)]
        assert [(type(effect), effect.peer.epoch) for effect in story] == [
            (SessionUp, 1),
            (SessionDown, 1),
            (SessionUp, 2),
        ]
        assert [str(pid) for pid in peer.registry.members(0, "x")] == [f"{name}.2.2"]


def test_a_restart_with_the_same_epoch_is_another_run() -> None:
    """R9: what was held of the former run is dropped, and its sessions count for nothing."""
    for name, other in (("a", "b"), ("b", "a")):
        world = World()
        old, peer = world.add(name), world.add(other, name)
        old.registry.join(0, "x", 1)
        world.run(1)
        world.crash(old)
        new = world.add(name, other)
        new.registry.join(0, "y", 2)
        world.run(1)

        assert all_linked(new, peer)
        assert peer.registry.groups(0).keys() == {"y"}


@pytest.mark.parametrize("noticed_by", ["a", "b", "both"])
def test_after_a_reset_both_are_linked_again_within_a_second(noticed_by: str) -> None:
    """R12: whoever noticed proves the loss, even to a decider that holds the old session for good."""
    for seed in range(20):
        world = World(seed)
        a, b = world.add("a"), world.add("b", "a")
        world.run(2)
        end = link(b if noticed_by == "b" else a, "b" if noticed_by != "b" else "a")
        world.cut(end, both=noticed_by == "both")
        end.peer.open = noticed_by != "both"
        took = world.run_until(lambda a=a, b=b: all_linked(a, b) and a.core.sessions()["b"].g == 2, 2)  # type: ignore[misc]

        assert took < 1
        assert b.core.sessions()["a"].g == 2
        assert link(a, "b").peer is link(b, "a")


def test_silence_ends_a_session() -> None:
    """Five seconds without a byte; the members vanish at that moment and come back with the link."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    a.registry.join(0, "x", 1)
    world.run(2)
    world.holes |= {("a", "b"), ("b", "a")}
    took = world.run_until(lambda: bool(of(SessionDown, b)), 10)

    assert 4 < took < 6.1
    assert of(SessionDown, b)[0].reason == "silence"
    assert b.registry.members(0, "x") == ()
    assert [member.state for member in b.core.members()] == ["dead", "alive"]
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

    assert {of(SessionDown, a)[0].reason, of(SessionDown, b)[0].reason} <= {"unheard", "silence", "reset"}


def test_a_node_that_was_stopped_itself_blames_nobody() -> None:
    """After a long stop it waits for what its peers sent meanwhile."""
    world = World()
    a, _ = world.add("a"), world.add("b", "a")
    world.run(2)
    late = world.now + 60
    a.do(a.core.tick(late))

    assert of(SessionDown, a) == []


def test_a_drained_node_has_left() -> None:
    """R26: its members are gone as one change, it is not dialled, and its state is left and not dead."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    for number in range(3000):
        a.registry.join(0, "x", number)
    world.run(2)
    a.drain()
    world.run(0.1)
    assert b.registry.members(0, "x") == ()
    member = b.core.members()[0]
    assert (member.name, member.state, member.reachable) == ("a", "left", True)

    world.crash(a)
    world.run(1)
    dials = len([dial for dial in of(Dial, b) if dial.target == "a"])
    world.run(10)

    assert b.core.members()[0].state == "left"
    assert len([dial for dial in of(Dial, b) if dial.target == "a"]) == dials
    a = world.add("a", epoch=2)
    world.run(2)
    assert b.core.members()[0].state == "alive"


def test_a_node_that_leaves_lets_nobody_in() -> None:
    """Others are told why, and come back later."""
    world = World()
    a = world.add("a")
    a.drain()
    b = world.add("b", "a")
    world.run(1)

    assert not a.core.sessions()
    assert [notice.fields["code"] for notice in of(Notice, b)] == ["leaving"]


def test_a_dead_peer_is_dialled_for_ever() -> None:
    """It is linked again soon after it comes back, after an hour as well."""
    world = World()
    a, b = world.add("a", "b"), world.add("b")
    world.run(1)
    world.crash(b)
    world.run(3600)
    b = world.add("b", epoch=2)

    assert world.run_until(lambda: all_linked(a, b), 4) < 3.1


def test_a_dead_peer_is_forgotten_after_a_day() -> None:
    """It is dialled no more, and shown no more."""
    world = World()
    b, a = world.add("b"), world.add("a", "b")
    world.run(1)
    world.crash(a)
    world.run(10)
    assert [member.name for member in b.core.members()] == ["a", "b"]
    b.do(b.core.tick(world.now + 90_000))

    assert [member.name for member in b.core.members()] == ["b"]


def test_what_is_held_of_a_lost_peer_is_dropped_after_a_minute() -> None:
    """Before that, a return costs a difference; afterwards, a snapshot or the whole log."""
    for pause, resumed in ((30, True), (70, False)):
        world = World()
        a, b = world.add("a"), world.add("b", "a")
        a.registry.join(0, "x", 1)
        world.run(1)
        world.holes |= {("a", "b"), ("b", "a")}
        world.run(10 + pause)
        world.heal("a", "b")
        world.heal("b", "a")
        world.run(5)

        syncs = [send.frame for send in of(Send, b) if isinstance(send.frame, Sync) and send.frame.scope == 0]
        assert (syncs[-1].sequence == 1) is resumed


def test_no_more_peers_than_allowed() -> None:
    """The one too many is told so."""
    world = World(peers_max=2)
    a = world.add("a")
    for name in "bcd":
        world.add(name, "a")
        world.run(0.2)

    assert set(a.core.sessions()) == {"b", "c"}
    assert "refused_by_peer" in notices(world.hosts[address_of("d")])


def test_garbage_before_the_handshake_closes() -> None:
    """A first frame that is no Hello is answered with the end of the connection and one line in the log."""
    world = World()
    a = world.add("a")
    end = End(a, 900)
    end.peer = End(a, 901, open=False)
    a.opened(end, "")
    a.deliver(end, b"GET / HTTP/1.1\r\n\r\n")
    a.do(a.core.closed(900, "", world.now))

    assert of(Close, a)[0].conn == 900
    assert notices(a) == ["protocol_error"]
    assert a.core.state(900) == "closed"


def test_a_slow_handshake_closes() -> None:
    """Whoever connects and says nothing has five seconds."""
    world = World()
    a = world.add("a")
    a.do(a.core.accepted(900, world.now))
    world.run(4.9)
    assert a.core.state(900) == "hello"
    world.run(0.2)

    assert of(Close, a) == [Close(900, "no progress in state 'hello'")]


def test_an_offer_that_is_not_answered_is_void() -> None:
    """The decider gives it up after two seconds, and offers the next connection at once."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    swallowed: list[LinkFrame] = []

    def swallow(_: End, frame: LinkFrame, data: bytes) -> list[bytes]:
        if isinstance(frame, AdoptAck) and not swallowed:
            swallowed.append(frame)
            return []
        return [data]

    world.frame_fault = swallow
    world.run_until(lambda: all_linked(a, b), 8)

    assert a.core.sessions()["b"].g == 2


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
        Heartbeat(99, 0, 7, [], []),
        Heartbeat(99, 99, 1, [], []),
        Heartbeat(99, 0, 1, [], [Peer("x.y", 1, "x:1")]),
        Heartbeat(99, 0, 1, [], [Peer("x", 1, "nowhere")]),
    ],
)
def test_heartbeats_that_cannot_be_close(beat: Heartbeat) -> None:
    """R13: of another session, an echo of nothing; or one that would make us dial what is no address."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(1)
    world.transmit_frame(link(b, "a"), beat)
    world.run(0.1)

    assert "protocol_error" in notices(a)
    assert all(":" in dial.address for dial in of(Dial, a))


def test_strangers_cannot_flood_the_log() -> None:
    """However many names they invent, refusals of one kind are one line in a while."""
    world = World()
    a = world.add("a", key=derive_key(b"x" * 32, "test"))
    for name in "bcdefgh":
        world.add(name, "a")
    world.run(5)

    assert notices(a) == ["peer_refused"] or notices(a) == ["refused_by_peer"]
    assert not any(len(notices(host)) > 1 for host in world.hosts.values())


def test_a_node_that_was_stopped_judges_no_name_before_it_has_read() -> None:
    """The incumbent's answer waits in the kernel while we are stopped; the wait begins anew."""
    world = World()
    a, b = world.add("a"), world.add("b", "a")
    world.run(2)
    world.holes |= {("a", "b")}
    world.add("a", "b", epoch=5, address="elsewhere:7601")
    world.run(0.1)
    b.do(b.core.tick(world.now + 60))

    assert of(SessionDown, b) == []
    assert a.core.sessions()


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


SAMPLES: dict[type[LinkFrame], LinkFrame] = {
    Hello: Hello(1, 1, "test", "z", 1, bytes(8), bytes(32), "z:7601"),
    Auth: Auth(0, 0, 0, bytes(32)),
    Refusal: Refusal("full", "no"),
    Adopt: Adopt(1, 1),
    AdoptAck: AdoptAck(1),
    Redundant: Redundant("no"),
    Ping: Ping(1),
    Pong: Pong(1),
    Sync: Sync(0, 1, 0, 0),
    SnapBegin: SnapBegin(0, 1, 1, 0, 0),
    SnapChunk: SnapChunk(0, 1, 1, []),
    SnapEnd: SnapEnd(0, 1, 1),
    Range: Range(0, 1, 1, 0, [], [], 0),
    Ack: Ack(0, 1, 0),
    Heartbeat: Heartbeat(50, 0, 1, [], []),
    Drain: Drain("bye"),
    Publish: Publish(1, "x", 0, []),
    Lost: Lost(1, "x", 1, 1),
    Heads: Heads(1, 0, []),
    Receipt: Receipt([]),
}
SAMPLES[Welcome] = Welcome(Hello(1, 1, "test", "z", 1, bytes(8), bytes(32), "z:7601"), 0, 0, 0, bytes(32))
STATES = (
    ("hello", "listener"),
    ("welcome", "dialler"),
    ("auth", "listener"),
    ("adopting", "dialler"),
    ("adopting", "listener"),
    ("session", "dialler"),
    ("session", "listener"),
)


def in_state(state: str, role: str, peer: str) -> tuple[Host, int]:
    """Bring node ``m``, in a role towards a peer, into a state: what would lead on from there is swallowed."""
    world = World()
    node, other = world.add("m"), world.add(peer)
    near, far = End(node, 900), End(other, 901)
    near.peer, far.peer = far, near
    sides = ((far, ""), (near, address_of(peer))) if role == "dialler" else ((near, ""), (far, "m:7601"))
    leads_on = {"hello": Hello, "welcome": Hello, "auth": Auth, "adopting": Adopt, "session": None}[state]
    muted: set[End] = set()

    def stop(end: End, frame: LinkFrame, data: bytes) -> list[bytes]:
        if leads_on is not None and isinstance(frame, leads_on):
            muted.add(end)
        return [] if end in muted else [data]

    world.frame_fault = stop
    for end, target in sides:
        end.host.opened(end, target)
    world.run(0.04)
    assert node.core.state(900) == state
    return node, 900


@pytest.mark.parametrize("peer", ["a", "z"])
@pytest.mark.parametrize(("state", "role"), STATES)
def test_the_table_says_what_may_arrive(state: str, role: str, peer: str) -> None:
    """Every known frame in every state, from either side, from a decider and from the other: the table is the law."""
    for kind, row in LINK_FRAMES.items():
        node, conn = in_state(state, role, peer)
        frame = SAMPLES[row.kind]  # type: ignore[index]
        sender = {"dialler": role == "listener", "listener": role == "dialler", "any": True}
        sender |= {"decider": peer < "m", "other": peer > "m"}
        allowed = state in row.states and sender[row.senders]

        node.do(node.core.received(conn, kind, frame, node.world.now))

        assert ("protocol_error" in notices(node)) is not allowed, row
        if not allowed:
            assert node.core.state(conn) == "closed"


def test_frames_of_a_closed_connection_change_nothing() -> None:
    """R6: what is late is not even looked at."""
    world = World()
    a = world.add("a")
    effects: list[Effect] = a.core.received(900, 0x16, Heartbeat(1, 0, 1, [], []), world.now)
    effects += a.core.broken(900, ProtocolError("late"), world.now) + a.core.closed(900, "late", world.now)
    effects += a.core.pump(900, world.now)

    assert effects == []
    assert LINK_CODEC.table is LINK_FRAMES
