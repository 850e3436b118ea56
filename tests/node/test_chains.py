"""What happened before what, held against a model that knows everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster import Encoding, Envelope, NodeId, OptionKey, ProtocolError
from liminal_mesh.node.chains import Chains
from liminal_mesh.node.inbox import Run
from liminal_mesh.node.message import Message, give_parent
from liminal_mesh.node.reference import Reference

from .test_message import Counter


def message(number: int, parent: Message | Reference | None = None, origin: str = "a") -> Message:
    """Return a message with an id, and a parent."""
    envelope = Envelope(number, number, 0, 1, Encoding.RAW, b"")
    if parent is not None:
        give_parent(envelope, parent)
    return Message(envelope, Run("ticks", NodeId(origin, 9), [envelope]), Counter())


def noted(*messages: Message, kept: int = 100) -> Chains:
    """Return what knows of these."""
    chains = Chains(kept)
    for one in messages:
        chains.note(one)
    return chains


def test_happened_before_follows_the_chain() -> None:
    """CO1: over any number of parents, on any node, one way only; and for messages or their references."""
    first = message(1)
    second = message(1, first, "b")
    third = message(2, second, "b")
    fourth = message(9, third)
    other = message(10)
    chains = noted(first, second, third, fourth, other)

    assert chains.happened_before(first, fourth)
    assert chains.happened_before(first.reference, fourth.reference)
    assert chains.happened_before(second, third)
    assert not chains.happened_before(fourth, first)
    assert not chains.happened_before(first, first)
    assert not chains.happened_before(first, other)
    assert not chains.happened_before(other, first)


def test_a_message_tells_of_its_own_parent() -> None:
    """CO1: also before it was noted."""
    first = message(1)
    assert Chains().happened_before(first, message(2, first))
    assert not Chains().happened_before(first, message(2, first).reference)


def test_a_chain_ends_where_nothing_is_known() -> None:
    """CO1: what was not seen, or was forgotten, is no proof of anything."""
    first = message(1)
    second = message(2, first)
    third = message(3, second)

    assert not noted(first, third).happened_before(first, third)
    assert not noted(second, third, message(4, third), kept=2).happened_before(first, third)
    assert noted(second, third, message(4), kept=2).happened_before(first, third)


def test_a_circle_of_parents_ends() -> None:
    """CO1: a program can name what it publishes later."""
    loop = [message(number, Reference("ticks", "a", 9, number % 3 + 1, 1)) for number in (1, 2, 3)]
    chains = noted(*loop)

    assert chains.happened_before(loop[0], loop[1])
    assert chains.happened_before(loop[0], loop[0])
    assert not chains.happened_before(message(7), loop[0])


def test_something_must_be_remembered() -> None:
    """PR2: no capacity is zero."""
    with pytest.raises(ValueError, match="kept"):
        Chains(0)


def test_a_parent_that_is_none_is_told() -> None:
    """As ``message.causal`` tells it, and nothing is noted."""
    envelope = Envelope(2, 2, 0, 1, Encoding.RAW, b"", {OptionKey.PARENT: b"\x01"})  # type: ignore[dict-item]
    bad = Message(envelope, Run("ticks", NodeId("a", 9), [envelope]), Counter())
    with pytest.raises(ProtocolError, match="parent"):
        Chains().note(bad)
    with pytest.raises(ProtocolError, match="parent"):
        Chains().happened_before(message(1), bad)


@given(st.lists(st.integers(-3, 30), max_size=30), st.data())
def test_it_is_the_transitive_closure_of_what_was_seen(parents: list[int], data: st.DataObject) -> None:
    """CO1: for any forest of messages, of which any part was seen."""
    made: list[Message] = []
    above: list[int | None] = []
    for index, parent in enumerate(parents):
        named = parent if 0 <= parent < index else None
        made.append(message(index + 1, None if named is None else made[named], "ab"[index % 2]))
        above.append(named)
    seen = data.draw(st.sets(st.sampled_from(range(len(made))))) if made else set()
    chains = noted(*(made[index] for index in sorted(seen)))

    for second in range(len(made)):
        reachable: set[int] = set()
        at = second
        while (at in seen or at == second) and (up := above[at]) is not None:
            reachable.add(up)
            at = up
        for first in range(len(made)):
            assert chains.happened_before(made[first], made[second]) == (first in reachable)
