"""Nodes that have declared the same channel otherwise notice it (SC5)."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster import DECLARATIONS_MAX, Declaration, Declare, NodeId
from liminal_mesh.cluster.codec import LINK_CODEC
from liminal_mesh.node.channel import ChannelSettings
from liminal_mesh.node.declarations import NAMED_MAX, TOLD_MAX, Declarations, Disagreement
from liminal_mesh.node.declared import Declared
from liminal_mesh.node.schema import Schema

A, B = NodeId("a", 1), NodeId("b", 1)
SCHEMAS = [Schema({"title": str(number)}) for number in range(2)]


def settings(name: str, durable: bool = False, schema: int | None = None) -> ChannelSettings:
    """Return what is declared of a channel."""
    return ChannelSettings(name, durable=durable, schema=None if schema is None else SCHEMAS[schema])


class Side:
    """One of two nodes: its declarations, what it says of the other, and what it has noted."""

    def __init__(self, me: NodeId, *entries: ChannelSettings) -> None:
        self.me = me
        self.declared = Declared(entries)
        self.notes: list[tuple[str, dict[str, Any]]] = []
        self.sent: list[Declare] = []
        self.core = Declarations(self.declared, lambda kind, **facts: self.notes.append((kind, facts)), lambda do: do())

    def hear(self, other: Side) -> None:
        """Take what the other side has sent, over the wire."""
        for frame in other.sent:
            wire = LINK_CODEC.encode(frame)
            arrived = LINK_CODEC.decode(wire[4], memoryview(wire)[5:])
            assert isinstance(arrived, Declare)
            self.core.receive(other.me, arrived)
        other.sent.clear()


def meet(one: Side, other: Side) -> None:
    """Let a link stand, and let both tell."""
    one.core.link_up(other.me, one.sent.append)
    other.core.link_up(one.me, other.sent.append)
    one.hear(other)
    other.hear(one)


def test_sc5_a_schema_and_durability_are_compared_on_both_sides() -> None:
    """What only one of them has is nothing to talk about."""
    a = Side(
        A, settings("orders", schema=0), settings("ticks"), settings("mine", durable=True), settings("same", True, 1)
    )
    b = Side(
        B, settings("orders", schema=1), settings("ticks", durable=True), settings("same", True, 1), settings("yours")
    )
    meet(a, b)

    first, second = SCHEMAS[0].id, SCHEMAS[1].id
    assert a.core.disagreements() == (
        Disagreement("orders", "b", False, first, False, second),
        Disagreement("ticks", "b", False, None, True, None),
    )
    assert [one.channel for one in b.core.disagreements()] == ["orders", "ticks"]
    texts = [f"orders: schema {first} here, {second} there", "ticks: durable false here, true there"]
    assert a.notes == [("channels_disagree", {"level": "warning", "node": "b", "channels": texts, "count": 2})]


def test_sc5_what_one_has_by_name_the_other_may_have_by_a_family() -> None:
    """The one that covers it there; families are compared by their patterns."""
    a = Side(A, settings("m.x", schema=0), settings("n.*", schema=0))
    b = Side(B, settings("m.*", schema=1), settings("m.>"), settings("n.*"), settings("n.y", schema=0))
    meet(a, b)

    assert [(one.channel, one.their_schema) for one in a.core.disagreements()] == [
        ("m.x", SCHEMAS[1].id),
        ("n.*", None),
    ]
    assert [one.channel for one in b.core.disagreements()] == ["m.x", "n.*"]


def test_sc5_whoever_mends_it_is_noticed() -> None:
    """By both, whichever side changes."""
    a, b = Side(A, settings("orders", schema=0)), Side(B, settings("orders", schema=1))
    meet(a, b)
    b.declared.put(settings("orders", schema=0))
    b.core.changed()
    a.hear(b)

    for side, other in ((a, "b"), (b, "a")):
        assert side.core.disagreements() == ()
        assert [kind for kind, _ in side.notes] == ["channels_disagree", "channels_agree"]
        assert side.notes[1][1] == {"node": other}


def test_sc5_what_is_declared_in_one_turn_is_told_once() -> None:
    """At its end: a program may declare thousands, and each time all are told."""
    turn: list[Callable[[], None]] = []
    declared: Declared[ChannelSettings] = Declared([])
    core, sent = Declarations(declared, lambda kind, **facts: None, turn.append), list[Declare]()
    core.link_up(B, sent.append)
    for _ in range(2):
        sent.clear()
        for number in range(5):
            declared.put(settings(f"c{number}"))
            core.changed()
        assert (sent, len(turn)) == ([], 1)
        turn.pop()()
        assert [len(frame.channels) for frame in sent] == [5]


def test_sc5_a_link_that_comes_and_goes_is_no_news() -> None:
    """While it is gone nothing is known; what is as it was is not noted again."""
    a, b = Side(A, settings("orders", schema=0)), Side(B, settings("orders", schema=1))
    meet(a, b)
    a.core.link_down(B)
    b.core.link_down(A)
    assert a.core.disagreements() == ()
    meet(a, b)
    assert len(a.core.disagreements()) == 1
    assert len(a.notes) == 1
    a.core.link_down(B)
    a.core.forget("b")
    b.core.link_down(A)
    meet(a, b)
    assert len(a.notes) == 2


def test_sc5_nothing_counts_before_all_was_told() -> None:
    """And what comes first takes the place of what was under way."""
    a = Side(A, settings("orders", schema=0))
    a.core.link_up(B, a.sent.append)
    a.core.receive(B, Declare(True, False, [Declaration("orders", False, "other")]))
    assert a.core.disagreements() == ()
    a.core.receive(B, Declare(True, True, [Declaration("ticks", True, "other")]))
    assert a.core.disagreements() == ()
    a.core.receive(B, Declare(False, True, [Declaration("orders", False, "other")]))
    assert len(a.core.disagreements()) == 1


def test_sc5_what_is_told_is_bounded() -> None:
    """In frames, in all, and in an event; each frame fits into the smallest that may be set."""
    a = Side(A, *(settings(f"c{number:05}", schema=0) for number in range(TOLD_MAX + 500)))
    b = Side(B, *(settings(f"c{number:05}", schema=1) for number in range(TOLD_MAX + 500)))
    a.core.link_up(B, a.sent.append)
    assert len(a.sent) == TOLD_MAX // DECLARATIONS_MAX
    assert [(frame.first, frame.last) for frame in (a.sent[0], a.sent[1], a.sent[-1])] == [
        (True, False),
        (False, False),
        (False, True),
    ]
    b.core.link_up(A, b.sent.append)
    b.hear(a)
    assert len(b.core.disagreements()) == TOLD_MAX
    [(_, facts)] = b.notes
    assert (len(facts["channels"]), facts["count"]) == (NAMED_MAX, TOLD_MAX)
    longest = Declare(True, True, [Declaration("x" * 256, True, "f" * 256)] * DECLARATIONS_MAX)
    assert len(LINK_CODEC.encode(longest)) < 72 << 10
    for _ in range(TOLD_MAX // DECLARATIONS_MAX + 5):
        b.core.receive(A, Declare(False, False, [Declaration("y", False, "")] * DECLARATIONS_MAX))
    assert len(b.core._peers["a"].coming) == TOLD_MAX


def test_sc5_what_is_no_name_here_is_left_out() -> None:
    """A later version may know others; no family covers them."""
    a = Side(A, settings("orders", schema=0), settings(">", schema=0))
    a.core.link_up(B, a.sent.append)
    names = ["", "a b", "$bus", "x" * 257, "m.>.x", "orders"]
    a.core.receive(B, Declare(True, True, [Declaration(name, False, "") for name in names]))

    assert [one.channel for one in a.core.disagreements()] == ["orders"]


NAMES = st.sampled_from(["a", "b", "m.a", "m.*", "m.>", ">"])
ENTRIES = st.lists(
    st.builds(settings, NAMES, st.booleans(), st.sampled_from([None, 0, 1])), max_size=5, unique_by=lambda one: one.name
)


@given(ENTRIES, ENTRIES, st.integers(0, 1000))
def test_sc5_both_sides_say_the_same_whatever_happens_on_the_way(
    one: list[ChannelSettings], other: list[ChannelSettings], seed: int
) -> None:
    """With their parts exchanged; changes may cross, and links may break, as long as both have told in the end."""
    rng = Random(seed)
    a, b = Side(A, *one), Side(B, *one)
    meet(a, b)
    for entry in other:
        b.declared.put(entry)
        b.core.changed()
        if rng.random() < 0.5:
            a.declared.put(settings(entry.name, schema=rng.choice([None, 0, 1])))
            a.core.changed()
        if rng.random() < 0.3:
            a.hear(b)
        if rng.random() < 0.2:
            for side, peer in ((a, B), (b, A)):
                side.core.link_down(peer)
                side.sent.clear()
            meet(a, b)
    a.hear(b)
    b.hear(a)

    here = {(x.channel, x.schema, x.durable, x.their_schema, x.their_durable) for x in a.core.disagreements()}
    there = {(x.channel, x.their_schema, x.their_durable, x.schema, x.durable) for x in b.core.disagreements()}
    assert here == there
    for name in ("a", "b", "m.a"):
        mine, yours = a.declared.covering(name), b.declared.covering(name)
        by_name = name in a.declared or name in b.declared
        differ = mine and yours and (mine.durable, mine.schema) != (yours.durable, yours.schema)
        assert (name in {channel for channel, *_ in here}) == bool(by_name and differ)
    for side in (a, b):
        last = side.notes[-1][0] if side.notes else "channels_agree"
        assert (last == "channels_disagree") == bool(side.core.disagreements())


def test_thousands_of_families_of_a_peer_are_no_matter_of_seconds() -> None:
    """It may tell of so many, and each name here is held against them."""
    a = Side(A, *(settings(f"orders.{number}.incoming", durable=True) for number in range(2000)))
    b = Side(B, *(settings(f"orders.*.{number}") for number in range(TOLD_MAX - 1)), settings("orders.7.*"))
    began = time.process_time()
    meet(a, b)
    assert time.process_time() - began < 2
    assert [one.channel for one in a.core.disagreements()] == ["orders.7.incoming"]
