"""The session core's inputs and its table: whole nodes in a world of their own."""

from __future__ import annotations

import pytest

from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.cluster.declare_frames import Declaration, Declare
from liminal_mesh.cluster.effects import Close, Dial, Effect
from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.frames import (
    LINK_FRAMES,
    Ack,
    Adopt,
    AdoptAck,
    Auth,
    Drain,
    Heartbeat,
    Hello,
    LinkFrame,
    Ping,
    Pong,
    Range,
    Redundant,
    Refusal,
    Serves,
    SnapBegin,
    SnapChunk,
    SnapEnd,
    Sync,
    Welcome,
)
from liminal_mesh.cluster.membership import Member, MemberChanged
from liminal_mesh.cluster.offer_frames import NoRoute, Offer, Taken
from liminal_mesh.cluster.pressure_frames import SlowDown
from liminal_mesh.cluster.process_frames import (
    ProcessDemonitor,
    ProcessDown,
    ProcessExit,
    ProcessLink,
    ProcessMonitor,
    ProcessUnlink,
)
from liminal_mesh.cluster.publish_frames import Heads, Lost, Publish, Receipt

from ..sim.host import End, Host
from ..sim.watching import all_linked, notices, of
from ..sim.world import World, address_of


def test_any_one_seed_is_enough() -> None:
    """Nodes that know only one of them learn of each other from it, and are linked pairwise."""
    world = World()
    hosts = [world.add("c"), *(world.add(name, "c") for name in "abde")]

    world.run_until(lambda: all_linked(*hosts), 1.0)
    world.run(0.2)

    assert hosts[0].core.missing() == ()


def test_a_dead_peer_is_dialled_for_ever() -> None:
    """It is linked again soon after it comes back, after an hour as well."""
    world = World()
    a, b = world.add("a", "b"), world.add("b")
    world.run(1)
    world.crash(b)
    world.run(3600)
    b = world.add("b", epoch=2)

    assert world.run_until(lambda: all_linked(a, b), 4) < 3.1


def test_a_member_that_gossip_forgets_is_forgotten() -> None:
    """It is dialled no more, and shown no more."""
    world = World()
    b, a = world.add("b"), world.add("a", "b")
    world.run(1)
    world.crash(a)
    world.run(10)
    assert [member.name for member in b.core.members()] == ["a", "b"]
    dead = Member("a", 1, 0, "dead", False, False, "a:7601")
    b.do(b.core.gossiped(MemberChanged(None, dead), world.now))
    b.do(b.core.gossiped(MemberChanged(dead, None), world.now))
    dials = len(of(Dial, b))
    world.run(10)

    assert [member.name for member in b.core.members()] == ["b"]
    assert len(of(Dial, b)) == dials


def test_garbage_before_the_handshake_closes() -> None:
    """A first frame that is no Hello is answered with the end of the connection and one line in the log."""
    world = World()
    a = world.add("a")
    end = End(a, 900)
    end.peer = End(a, 901, open=False)
    a.opened(end, None)
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
    Heartbeat: Heartbeat(50, 1, [], []),
    Drain: Drain("bye"),
    Serves: Serves("z:7600"),
    Publish: Publish(1, "x", 0, []),
    Lost: Lost(1, "x", 1, 1),
    Heads: Heads(1, 0, []),
    Receipt: Receipt([]),
    Offer: Offer(1, "x", 1, [], False, 0, []),
    Taken: Taken("x/g", 1, 1),
    NoRoute: NoRoute("x/g", 1, 1, 0),
    Declare: Declare(True, True, [Declaration("x", False, "")]),
    SlowDown: SlowDown([("x", 2.0)]),
    ProcessLink: ProcessLink(1, 1, 1),
    ProcessUnlink: ProcessUnlink(1, 1, 1, 0),
    ProcessExit: ProcessExit(1, 1, "normal"),
    ProcessMonitor: ProcessMonitor(1, 1),
    ProcessDemonitor: ProcessDemonitor(1),
    ProcessDown: ProcessDown(1, "normal"),
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
    there, here = Dial(address_of(peer), address_of(peer), 1.0), Dial("m:7601", "m:7601", 1.0)
    sides = ((far, None), (near, there)) if role == "dialler" else ((near, None), (far, here))
    leads_on = {"hello": Hello, "welcome": Hello, "auth": Auth, "adopting": Adopt, "session": None}[state]
    muted: set[End] = set()

    def stop(end: End, frame: LinkFrame, data: bytes) -> list[bytes]:
        if leads_on is not None and isinstance(frame, leads_on):
            muted.add(end)
        return [] if end in muted else [data]

    world.frame_fault = stop
    for end, dial in sides:
        end.host.opened(end, dial)
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
    effects: list[Effect] = a.core.received(900, 0x16, Heartbeat(1, 1, [], []), world.now)
    effects += a.core.broken(900, ProtocolError("late"), world.now) + a.core.closed(900, "late", world.now)
    effects += a.core.pump(900, world.now)

    assert effects == []
    assert LINK_CODEC.table is LINK_FRAMES
