"""The core of the control links: what may come when, which link stands, and who is turned away."""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import replace

import pytest

from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.control_frames import CONTROL_CODEC, CONTROL_FRAMES, Greeting
from liminal_mesh.cluster.control_link import NEWCOMERS_MAX
from liminal_mesh.cluster.effects import Close, Failed, Notice, Send
from liminal_mesh.cluster.errors import ProtocolError, StaleEpoch
from liminal_mesh.cluster.frames import LINK_PROTO, Auth, Hello, LinkFrame, Refusal, Welcome
from liminal_mesh.cluster.handshake import CONTROL
from liminal_mesh.cluster.membership import MemberChanged
from liminal_mesh.cluster.swim import LAN, Departed
from liminal_mesh.cluster.swim_frames import (
    MemberRecord,
    RecordState,
    SwimAck,
    SwimGossip,
    SwimLinkDown,
    SwimLinkState,
    SwimNack,
    SwimPing,
    SwimPingRequest,
    SwimRecords,
    SwimView,
)

from ..sim.watching import of
from ..sim.world import World
from .control_bench import Bench, Side
from .mutations import mutate

FUZZED_FRAMES = int(os.environ.get("LIMINAL_FUZZ_FRAMES", "50000")) // 10


@pytest.mark.parametrize("ahead_s", [0.0, 90.0, -90.0])
@pytest.mark.parametrize("slow", range(5))
def test_a_greeting_that_took_its_time_is_of_no_clock_that_is_behind(ahead_s: float, slow: int) -> None:
    """A clock is told to be ahead, or behind, only as far as that is sure, whichever frame takes ten seconds."""
    bench = Bench()
    a, b = bench.node("a"), bench.node("b", ahead_s=ahead_s)
    bench.dial(b, a)
    bench.carry(slow)
    bench.now += 10
    bench.carry()
    for seen, true in ((a.core.clocks["b"], ahead_s), (b.core.clocks["a"], -ahead_s)):
        assert min(0.0, true) <= seen <= max(0.0, true)
        assert abs(seen - true) <= 10.0


# --- what may come when -----------------------------------------------------------------------------


def hello(name: str, *, capabilities: list[str]) -> Hello:
    """Return what a node of that name would say."""
    return Hello(*LINK_PROTO, "test", name, 1, bytes(8), bytes(32), f"{name}1:1", capabilities)


def samples(peer: str) -> dict[type, LinkFrame]:
    """Return a frame of each type, as ``peer`` would send it."""
    mine = hello(peer, capabilities=[CONTROL])
    frames: list[LinkFrame] = [
        mine,
        Welcome(mine, 0, 0, 0, bytes(32)),
        Auth(0, 0, 0, bytes(32)),
        Refusal("full", "no"),
        Greeting(MemberRecord(peer, 1, 0, RecordState.ALIVE, f"{peer}1:1"), 0, 1, 0),
        SwimPing(1),
        SwimAck(1, 0),
        SwimPingRequest(1, "x"),
        SwimNack(1),
        SwimGossip([]),
        SwimView("", "", []),
        SwimRecords([]),
        SwimLinkDown("x", 1, ask=True),
        SwimLinkState("x", 1, up=True),
    ]
    return {type(frame): frame for frame in frames}


STATES = {
    ("hello", "listener"): 0,
    ("welcome", "dialler"): 0,
    ("auth", "listener"): 1,
    ("greeting", "listener"): 3,
    ("greeting", "dialler"): 2,
    ("session", "listener"): 100,
    ("session", "dialler"): 100,
}
"""State and role, and how many frames are carried to get there."""


def in_state(state: str, role: str, peer: str) -> tuple[Side, int]:
    """Bring node ``m``, in a role towards a peer, into a state."""
    bench = Bench()
    node, other = bench.node("m"), bench.node(peer)
    conn = bench.dial(node, other)[0] if role == "dialler" else bench.dial(other, node)[1]
    bench.carry(STATES[state, role])
    assert node.core.state(conn) == state
    return node, conn


@pytest.mark.parametrize("peer", ["a", "z"])
@pytest.mark.parametrize(("state", "role"), STATES)
def test_the_table_says_what_may_arrive(state: str, role: str, peer: str) -> None:
    """Every frame in every state, on either side, at a decider and at the other: the table is the law."""
    for kind, row in CONTROL_FRAMES.items():
        node, conn = in_state(state, role, peer)
        sender = {"dialler": role == "listener", "listener": role == "dialler", "any": True}
        allowed = state in row.states and sender[row.senders]

        node.do(node.core.received(conn, kind, samples(peer)[row.kind], node.bench.now))

        assert ("protocol_error" in node.notices) is not allowed, row
        if not allowed:
            assert node.core.state(conn) == "closed"
            assert node.of(Close)[-1].conn == conn


def test_what_cannot_be_read_closes_and_is_told() -> None:
    """And what comes after that changes nothing."""
    node, conn = in_state("session", "listener", "z")
    node.do(node.core.broken(conn, ProtocolError("no frame at all"), node.bench.now))

    (notice,) = node.of(Notice)
    assert notice.event == "protocol_error"
    assert notice.fields == {"peer": "z", "state": "session", "reason": "no frame at all"}
    assert node.of(Close)[-1].conn == conn
    assert node.links == {}
    assert node.sees("z") == ("alive", False)
    assert node.core.received(conn, 0x40, SwimPing(1), node.bench.now) == []
    assert node.core.broken(conn, ProtocolError("late"), node.bench.now) == []
    assert node.core.closed(conn, "reset", node.bench.now) == []


@pytest.mark.parametrize(
    "greeting",
    [
        Greeting(MemberRecord("y", 1, 0, RecordState.ALIVE, "z1:1"), 0, 1, 0),
        Greeting(MemberRecord("z", 2, 0, RecordState.ALIVE, "z1:1"), 0, 1, 0),
        Greeting(MemberRecord("z", 1, 0, RecordState.DEAD, "z1:1"), 0, 1, 0),
    ],
    ids=["another name", "another run", "a dead one"],
)
def test_nobody_greets_for_another(greeting: Greeting) -> None:
    """A greeting is of the very node that has proved itself."""
    node, conn = in_state("greeting", "dialler", "z")
    node.take(conn, greeting)

    assert node.notices == ["protocol_error"]
    assert node.core.state(conn) == "closed"


def frames_of_a_mesh() -> list[bytes]:
    """Return what three nodes say to each other while they meet, and one of them leaves."""
    bench = Bench()
    sides = [bench.node(name) for name in "abc"]
    for one, other in itertools.combinations(sides, 2):
        bench.linked(one, other)
    bench.wait(5, sides)
    sides[0].close(sides[0].links["b"][0], "silent")
    bench.wait(5, sides)
    sides[2].do(sides[2].core.carry_out(sides[2].core.swim.leave(bench.now), bench.now))
    bench.carry()
    return [CONTROL_CODEC.encode(send.frame) for side in sides for send in side.of(Send)]


@pytest.mark.timeout(900)
def test_mutated_frames_raise_nothing_but_protocol_errors() -> None:
    """In any state, at either side; and the core lives on."""
    seed = int(os.environ.get("LIMINAL_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    rng, corpus = random.Random(seed), frames_of_a_mesh()
    refused = taken = 0
    node, conn = in_state("session", "dialler", "z")
    for number in range(FUZZED_FRAMES):
        if node.core.state(conn) == "closed" or number % 50 == 0:
            state, role = rng.choice(sorted(STATES))
            node, conn = in_state(state, role, rng.choice("az"))
        wire, now = mutate(rng, corpus), node.bench.now
        try:
            for kind, body in FrameBuffer(1 << 16).feed(wire):
                if kind in CONTROL_FRAMES:
                    frame = CONTROL_CODEC.decode(kind, body)
                    assert isinstance(frame, LinkFrame)
                    node.do(node.core.received(conn, kind, frame, now))
                    taken += 1
            node.do(node.core.tick(now))
        except ProtocolError as error:
            refused += 1
            node.do(node.core.broken(conn, error, now))
        except BaseException as error:
            error.add_note(f"LIMINAL_FUZZ_SEED={seed}, frame {number}: {wire[:200].hex()}")
            raise
    assert min(taken, refused) > FUZZED_FRAMES / 100, f"seed {seed}: {taken} taken, {refused} refused"


# --- which link stands ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(100))
def test_two_that_dial_each_other_at_once_end_with_the_same_link(seed: int) -> None:
    """Whatever overtakes what, and whether or not they trust what they have: one connection, and one number."""
    bench = Bench(seed)
    a, b = bench.node("a"), bench.node("b")
    for one, other in ((a, b), (b, a), (a, b), (b, a)):
        bench.dial(one, other, bench.rng.choice(("", other.me.name)))
        bench.carry(bench.rng.randrange(12), shuffled=True)
    bench.carry(shuffled=True)

    (near, g), (far, same) = a.links["b"], b.links["a"]
    assert g == same, seed
    assert a.others[near] == (b, far), seed
    assert a.core._conns.keys() == {near}, seed
    assert b.core._conns.keys() == {far}, seed
    assert (a.sees("b"), b.sees("a")) == (("alive", True), ("alive", True)), seed


@pytest.mark.parametrize("dialler", ["a", "b"])
def test_a_redundant_connection_leaves_the_link_alone(dialler: str) -> None:
    """A seed that leads to a node with a link: the connection ends, and nobody sees a change."""
    bench = Bench()
    a, b = bench.node("a"), bench.node("b")
    bench.linked(a, b)
    bench.wait(1, (a, b))
    links, seen = (a.links, b.links), (len(a.of(MemberChanged)), len(b.of(MemberChanged)))
    bench.dial(*((a, b) if dialler == "a" else (b, a)))
    bench.carry()

    assert (a.links, b.links) == links
    assert (len(a.of(MemberChanged)), len(b.of(MemberChanged))) == seen
    assert len(a.core._conns) == len(b.core._conns) == 1
    assert not a.notices
    assert not b.notices


@pytest.mark.parametrize("dialler", ["a", "b"])
def test_who_dials_a_member_by_name_does_not_trust_its_link_any_more(dialler: str) -> None:
    """The new connection replaces it at both, and it is not reported as lost."""
    bench = Bench()
    a, b = bench.node("a"), bench.node("b")
    old = bench.linked(a, b)
    bench.wait(1, (a, b))
    seen = len(a.of(MemberChanged)), len(b.of(MemberChanged))
    one, other = (a, b) if dialler == "a" else (b, a)
    bench.dial(one, other, other.me.name)
    bench.carry()

    assert a.links["b"][0] != old[0]
    assert a.others[a.links["b"][0]] == (b, b.links["a"][0])
    assert a.links["b"][1] == b.links["a"][1] == 2
    assert (len(a.of(MemberChanged)), len(b.of(MemberChanged))) == seen
    assert len(a.core._conns) == len(b.core._conns) == 1


@pytest.mark.parametrize("loser", ["a", "b"])
def test_a_link_that_one_side_has_lost_is_replaced_at_once(loser: str) -> None:
    """The other side, which has noticed nothing, takes the new one, and has missed nobody."""
    bench = Bench()
    a, b = bench.node("a"), bench.node("b")
    near, far = bench.linked(a, b)
    bench.wait(1, (a, b))
    one, other, conn = (a, b, near) if loser == "a" else (b, a, far)
    one.close(conn, "silent")
    assert one.sees(other.me.name) == ("alive", False)
    bench.traffic.clear()
    seen = len(other.of(MemberChanged))
    bench.dial(one, other)
    bench.carry()

    assert a.others[a.links["b"][0]] == (b, b.links["a"][0])
    assert one.sees(other.me.name) == ("alive", True)
    assert len(other.of(MemberChanged)) == seen


def test_a_link_that_was_overtaken_by_a_later_one_does_not_come_back() -> None:
    """The decider has replaced it, and that it had accepted it before is heard late."""
    bench = Bench()
    a, b = bench.node("a"), bench.node("b")
    _, first = bench.dial(b, a)
    bench.carry(4)
    assert a.links["b"] == (first, 1)
    late = [one for one in bench.traffic if one[:2] == (a, first)]
    bench.traffic.clear()
    bench.now += 2.1  # one that was accepted just now is not replaced
    second, _ = bench.dial(b, a, "a")
    while bench.traffic:
        if bench.traffic[0][:2] == (a, first):
            late.append(bench.traffic.popleft())
        else:
            bench.carry(1)
    assert b.links["a"] == (second, 2)
    seen = len(b.of(MemberChanged))
    bench.traffic.extend(late)
    bench.carry()

    assert b.links["a"] == (second, 2)
    assert len(b.of(MemberChanged)) == seen
    assert b.core._conns.keys() == {second}


def test_a_link_is_lost_only_when_it_ends() -> None:
    """And how it ended is for the membership machine to weigh."""
    bench = Bench()
    a, b = bench.node("a"), bench.node("b")
    near, _ = bench.linked(a, b)
    a.close(near, "reset")

    assert a.links == {}
    assert a.of(MemberChanged)[-1].after is not None
    assert a.sees("b") == ("alive", False)
    assert a.core._conns == {}


# --- who is turned away -----------------------------------------------------------------------------


def refusals(side: Side) -> list[Refusal]:
    """Return the refusals that a side has sent."""
    return [send.frame for send in side.of(Send) if isinstance(send.frame, Refusal)]


@pytest.mark.parametrize("dialler", ["earlier", "later"])
def test_two_namesakes_part(dialler: str) -> None:
    """Each says whose the name is and goes on: which of them has to end is judged over the sessions."""
    bench = Bench()
    earlier, later = bench.node("m", epoch=1), bench.node("m", epoch=5)
    one, other = (earlier, later) if dialler == "earlier" else (later, earlier)
    bench.dial(one, other)
    bench.carry()

    assert refusals(earlier) == [Refusal("name-in-use", "a live node of that name is at m1:1", 1, "m1:1")]
    assert [(refusal.code, refusal.known_epoch) for refusal in refusals(later)] == [("stale-epoch", 5)]
    for side in (earlier, later):
        assert side.core._conns == {}
        assert side.notices == ["control_refused"]
        assert not side.of(Failed)
        assert side.sees("m") == ("alive", True)


def test_an_earlier_run_of_a_member_is_refused() -> None:
    """R8: whoever has known a later one."""
    bench = Bench()
    peer, later, earlier = bench.node("p"), bench.node("a", epoch=7), bench.node("a", epoch=3)
    conn, _ = bench.linked(peer, later)
    peer.close(conn)
    bench.dial(earlier, peer)
    bench.carry()

    (failed,) = earlier.of(Failed)
    assert isinstance(failed.error, StaleEpoch)
    assert failed.error.fields() == {"name": "a", "epoch": 3, "known": 7}
    assert peer.links == {}


def test_a_later_run_waits_while_the_bearer_of_its_name_is_asked() -> None:
    """R10: one that answers keeps the name; one that is silent for half a second gives it up."""
    for answers in (True, False):
        bench = Bench()
        peer, bearer, newcomer = bench.node("p"), bench.node("b"), bench.node("b", epoch=9)
        bench.linked(peer, bearer)
        bench.dial(newcomer, peer)
        living = (peer, bearer, newcomer) if answers else (peer, newcomer)
        while bench.traffic:
            if not answers and bench.traffic[0][0] is bearer:
                bench.traffic.popleft()
            else:
                bench.carry(1)
        assert peer.core.swim.linked_to(bearer.me)
        begin = bench.now
        if answers:
            bench.wait(1, living)
            assert peer.core.swim.linked_to(bearer.me)
            assert refusals(peer)[-1].code == "name-in-use"
            assert refusals(peer)[-1].address == "b1:1"
        else:
            peer.others = {conn: other for conn, other in peer.others.items() if other[0] is not bearer}
            bench.wait(0.6, living)
            assert peer.core.swim.linked_to(newcomer.me)
            assert peer.others[peer.links["b"][0]][0] is newcomer
        assert bench.now - begin < 1.1


def test_one_name_too_many_is_refused() -> None:
    """As many names are kept as the options say."""
    bench = Bench()
    peer = bench.node("p", swim=replace(LAN, members_max=2))
    bench.linked(peer, bench.node("a"))
    bench.dial(bench.node("b"), peer)
    bench.carry()

    assert [refusal.code for refusal in refusals(peer)] == ["full"]
    assert set(peer.links) == {"a"}
    assert [member.name for member in peer.core.swim.members()] == ["a", "p"]


def test_who_has_left_takes_no_link() -> None:
    """Whoever dials it is told so, and that is no warning."""
    bench = Bench()
    gone, other = bench.node("g"), bench.node("o")
    gone.do(gone.core.carry_out(gone.core.swim.leave(bench.now), bench.now))
    assert gone.of(Departed)
    bench.dial(other, gone)
    bench.carry()

    assert [refusal.code for refusal in refusals(gone)] == ["leaving"]
    assert (gone.links, other.links) == ({}, {})
    assert not other.notices


def test_strangers_are_bounded_in_number_and_time() -> None:
    """Sixty-four connections that say nothing; five seconds later there is room again."""
    bench = Bench()
    node = bench.node("m")
    for conn in range(NEWCOMERS_MAX):
        node.do(node.core.accepted(1000 + conn, "", bench.now))
    assert not node.of(Close)
    node.do(node.core.accepted(2000, "", bench.now))
    assert node.of(Close) == [Close(2000, "too many newcomers")]
    bench.wait(5.1, [node])
    assert len(node.of(Close)) == 1 + NEWCOMERS_MAX

    bench.linked(bench.node("a"), node)


def test_a_stranger_that_takes_its_time_makes_room_for_others() -> None:
    """Of the machine that holds the most places, the oldest; one that has just come is not put out."""
    bench = Bench()
    node = bench.node("m")
    patience_s = node.core._options.patience_s
    node.do(node.core.accepted(1, "honest", bench.now))
    for conn in range(2, 1 + NEWCOMERS_MAX):
        node.do(node.core.accepted(conn, "crowd", bench.now))
    node.do(node.core.accepted(1000, "honest", bench.now + 0.9 * patience_s))
    assert node.of(Close) == [Close(1000, "too many newcomers")]
    for conn in range(1001, 1004):
        node.do(node.core.accepted(conn, "honest", bench.now + patience_s))

    assert [close.conn for close in node.of(Close)] == [1000, 2, 3, 4]
    assert {node.core.state(conn) for conn in (1, 5, 1001, 1002, 1003)} == {"hello"}


def test_a_dial_that_is_not_answered_is_over_in_its_own_time() -> None:
    """The kernel of a stopped process connects, and no more comes."""
    bench = Bench()
    node, other = bench.node("m"), bench.node("z")
    conn, _ = bench.dial(node, other, "z")
    bench.traffic.clear()
    bench.wait(1.9, [node])
    assert node.core.state(conn) == "welcome"
    bench.wait(0.2, [node])

    assert node.core.state(conn) == "closed"


@pytest.mark.parametrize("listener", [True, False])
def test_a_data_link_is_no_control_link(listener: bool) -> None:
    """Whichever side means the one, and the other the other: both say so, under their proofs."""
    bench = Bench()
    node = bench.node("m")
    data = hello("z", capabilities=[])
    if listener:
        node.do(node.core.accepted(1, "", bench.now))
        node.take(1, data)
    else:
        conn, _ = bench.dial(node, bench.node("z"))
        bench.traffic.clear()
        node.take(conn, Welcome(data, 0, 0, 0, bytes(32)))

    assert [refusal.code for refusal in refusals(node)] == ["protocol"]
    assert node.core._conns == {}
    assert node.notices == ["control_refused"]


def test_a_control_link_is_no_data_link() -> None:
    """Nor is it one if it comes with the first frame of a data link."""
    host = World().add("m")
    host.do(host.core.accepted(900, host.world.now))
    host.do(host.core.received(900, 0x01, hello("z", capabilities=[CONTROL]), host.world.now))

    (refusal,) = [send.frame for send in of(Send, host) if isinstance(send.frame, Refusal)]
    assert refusal.code == "protocol"
    assert host.core.state(900) == "closed"


@pytest.mark.parametrize(("state", "role"), [one for one in STATES if one[0] != "session"])
def test_whoever_was_stopped_itself_blames_no_newcomer(state: str, role: str) -> None:
    """What came meanwhile is still to be read; who then says nothing is let go in its time."""
    node, conn = in_state(state, role, "z")
    deadline = node.core._conns[conn].deadline
    node.do(node.core.tick(deadline + 60))
    assert node.core.state(conn) == state

    due = node.core._conns[conn].deadline
    assert due == pytest.approx(deadline + 60)
    node.do(node.core.tick(due))
    assert node.core.state(conn) == "closed"
