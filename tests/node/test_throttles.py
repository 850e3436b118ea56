"""Nodes tell one another by what factor their consumers want publishers slowed, as long as they are linked (PR3)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster import SLOW_DOWN_MAX, NodeId, ProtocolError, SlowDown
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.node.throttles import KEPT_MAX, Throttles

A, B, C = NodeId("a", 1), NodeId("b", 1), NodeId("c", 1)


class Side:
    """One of some nodes, and what is on its way from it to each of the others."""

    def __init__(self, me: NodeId) -> None:
        self.me = me
        self.sent: dict[str, list[SlowDown]] = {}
        self.changed: list[str] = []
        self.core = Throttles(me.name, self.changed.append)

    def hear(self, other: Side) -> None:
        """Take what another node has sent, over the wire."""
        sent = other.sent[self.me.name]
        for frame in sent:
            wire = LINK_CODEC.encode(frame)
            arrived = LINK_CODEC.decode(wire[4], memoryview(wire)[5:])
            assert isinstance(arrived, SlowDown)
            self.core.receive(other.me, arrived)
        sent.clear()

    def link(self, other: Side) -> None:
        """Begin a session; what each tells first is under way."""
        for one, peer in ((self, other), (other, self)):
            sent = one.sent[peer.me.name] = []
            one.core.link_up(peer.me, sent.append)

    def cut(self, other: Side) -> None:
        """End it, and lose what is on its way."""
        for one, peer in ((self, other), (other, self)):
            one.core.link_down(peer.me)
            one.sent[peer.me.name] = []


def linked(*names: NodeId) -> list[Side]:
    """Return nodes that are linked with one another."""
    sides = [Side(name) for name in names]
    for index, one in enumerate(sides):
        for other in sides[index + 1 :]:
            one.link(other)
    return sides


def test_the_largest_factor_of_any_peer_counts() -> None:
    """PR3: each of them takes back its own; what a node wants itself is no news to it."""
    a, b, c = linked(A, B, C)
    b.core.tell("x", 2.0)
    c.core.tell("x", 4.0)
    a.hear(b)
    a.hear(c)
    a.core.tell("x", 8.0)

    assert (a.core.elsewhere("x"), a.core.elsewhere("y")) == (4.0, 1.0)
    assert a.core.by("x") == {"a": 8.0, "b": 2.0, "c": 4.0}
    c.core.tell("x", 1.0)
    a.hear(c)
    assert a.core.elsewhere("x") == 2.0
    assert a.core.by("x") == {"a": 8.0, "b": 2.0}
    assert a.changed == ["x", "x", "x"]


def test_a_session_begins_with_all_that_holds_and_ends_with_all_that_was_told() -> None:
    """PR3: in as many frames as it takes."""
    a, b = Side(A), Side(B)
    for number in range(SLOW_DOWN_MAX + 1):
        b.core.tell(f"x{number}", 2.0)
    b.core.tell("over", 3.0)
    b.core.tell("over", 1.0)
    a.link(b)
    assert [len(frame.channels) for frame in b.sent["a"]] == [SLOW_DOWN_MAX, 1]
    a.hear(b)
    assert a.core.elsewhere("x0") == a.core.elsewhere(f"x{SLOW_DOWN_MAX}") == 2.0

    a.changed.clear()
    a.cut(b)
    assert a.core.elsewhere("x0") == 1.0
    assert sorted(a.changed) == sorted(f"x{number}" for number in range(SLOW_DOWN_MAX + 1))


def test_of_one_peer_so_much_is_kept() -> None:
    """PR3: what it tells beyond that slows nobody; what is kept can still change."""
    a, _ = linked(A, B)
    for number in range(KEPT_MAX + 1):
        a.core.receive(B, SlowDown([(f"x{number}", 2.0)]))
    a.core.receive(B, SlowDown([("x0", 3.0)]))
    assert (a.core.elsewhere("x0"), a.core.elsewhere(f"x{KEPT_MAX}")) == (3.0, 1.0)
    a.core.receive(B, SlowDown([("x1", 1.0)]))
    a.core.receive(B, SlowDown([("y", 2.0)]))
    assert a.core.elsewhere("y") == 2.0


@pytest.mark.parametrize("factor", [0.0, 0.99, -1.0, 1000.1, math.inf, math.nan])
def test_what_is_no_factor_is_refused(factor: float) -> None:
    """PR3: by the frame itself."""
    wire = LINK_CODEC.encode(SlowDown([("x", factor)]))
    with pytest.raises(ProtocolError, match="SlowDown"):
        LINK_CODEC.decode(wire[4], wire[5:])


STEPS = st.tuples(
    st.sampled_from(["tell", "tell", "hear", "cut", "link"]),
    st.sampled_from("abc"),
    st.sampled_from("xy"),
    st.sampled_from([1.0, 2.0, 4.0]),
)


@given(st.lists(STEPS, max_size=40))
def test_when_all_was_heard_each_knows_what_its_peers_want(steps: list[tuple[str, str, str, float]]) -> None:
    """PR3: however sessions came and went, and in whatever order it was heard; and each change was told."""
    sides = {side.me.name: side for side in linked(A, B, C)}
    wanted: dict[tuple[str, str], float] = {}
    links = {frozenset(pair) for pair in ("ab", "ac", "bc")}
    for step, name, channel, factor in steps:
        one, other = sides[name], sides["abc"[("abc".index(name) + 1) % 3]]
        pair = frozenset({one.me.name, other.me.name})
        if step == "tell" and wanted.get((name, channel), 1.0) != factor:
            wanted[name, channel] = factor
            one.core.tell(channel, factor)
        elif step == "hear" and pair in links:
            one.hear(other)
            other.hear(one)
        elif step == "cut" and pair in links:
            links.remove(pair)
            one.cut(other)
        elif step == "link" and pair not in links:
            links.add(pair)
            one.link(other)
    for pair in links:
        one, other = (sides[name] for name in sorted(pair))
        one.hear(other)
        other.hear(one)
    for name, side in sides.items():
        peers = [other for other in sides if frozenset({name, other}) in links]
        for channel in "xy":
            expected = max([wanted.get((peer, channel), 1.0) for peer in peers], default=1.0)
            assert side.core.elsewhere(channel) == expected
