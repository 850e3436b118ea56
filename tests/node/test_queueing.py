"""How messages are shared out: evenly, to whoever has credit, and each in exactly one place."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster import Eagerness
from liminal_mesh.node.queueing import FEW, PATIENCE, Candidate, Ring, Share, Turns, favourite, spans

counts = st.integers(1, 200)


def candidate(node: str, weight: int = 1, *, open_: bool = True, ready: bool = True) -> Candidate:
    """Return a node with members."""
    return Candidate(node, weight, open_, ready)


# --- nodes ------------------------------------------------------------------------------------------


@given(st.lists(counts, max_size=60), st.lists(st.integers(1, 9), min_size=2, max_size=6))
def test_nodes_get_their_part_whatever_the_batches_are(batches: list[int], weights: list[int]) -> None:
    """Each within a few messages of its exact part at any time, and every message has one node."""
    turns, given_out, total = Turns(), Counter[str](), 0
    candidates = [candidate(f"n{index}", weight) for index, weight in enumerate(weights)]
    for count in batches:
        shares = turns.plan(count, candidates)
        assert sum(share.size for share in shares) == count
        assert all(share.size > 0 for share in shares)
        assert [share.node for share in shares] == sorted(share.node for share in shares), "each in one run"
        total += count
        given_out.update({share.node: share.size for share in shares})
        for one in candidates:
            exact = total * one.weight / sum(weights)
            assert abs(given_out[one.node] - exact) < len(weights), f"{one.node}: {given_out} of {total}"


@given(
    st.lists(st.tuples(counts, st.sets(st.integers(0, 4), min_size=1), st.sets(st.integers(0, 4))), max_size=40),
)
def test_every_message_has_one_node_whoever_comes_and_goes(steps: list[tuple[int, set[int], set[int]]]) -> None:
    """No claim grows without bound: who has been away does not get everything when it is back."""
    turns = Turns()
    for count, there, closed in steps:
        candidates = [candidate(f"n{index}", index + 1, open_=index not in closed) for index in sorted(there)]
        shares = turns.plan(count, candidates)
        assert sum(share.size for share in shares) == count
        opened = {one.node for one in candidates if one.open} or {one.node for one in candidates}
        assert {share.node for share in shares} <= opened
        everybody = sum(one.weight for one in candidates if one.node in opened)
        for node, size, _ in shares:
            weight = next(one.weight for one in candidates if one.node == node)
            assert size <= count * weight / everybody + len(candidates) + 1


@given(st.lists(st.sets(st.integers(0, 5), min_size=2), max_size=80))
def test_single_messages_go_to_whoever_is_furthest_behind_whoever_comes_and_goes(steps: list[set[int]]) -> None:
    """Nobody gets two in a row while another who is as weighty, and has been there, got none."""
    turns, last = Turns(), ""
    before: set[int] = set()
    for there in steps:
        [(node, size, _)] = turns.plan(1, [candidate(f"n{index}") for index in sorted(there)])
        assert size == 1
        assert node in {f"n{index}" for index in there}
        assert node != last or there != before
        last, before = node, there


def test_single_messages_go_round_from_this_node_on() -> None:
    """DI8: the first of those that are equally far behind is the local one, and from there it is everybody's turn."""
    turns, candidates = Turns(), [candidate("me"), candidate("b"), candidate("c", 2)]
    given_out = [share.node for _ in range(8) for share in turns.plan(1, candidates)]

    assert given_out[:4].count("c") == 2
    assert Counter(given_out) == {"me": 2, "b": 2, "c": 4}
    assert Turns().plan(1, [candidate("me"), candidate("b")])[0].node == "me"


def test_the_last_node_is_asked_to_take_it_in_any_case() -> None:
    """A burst, or a few: nobody else is left to ask."""
    for count in (1, FEW, 1000):
        assert Turns().plan(count, [candidate("b", ready=False)]) == [Share("b", count, Eagerness.ANY)]


def test_a_few_messages_are_offered_to_those_with_credit_first() -> None:
    """While another one has some, too; else its inbox will do. A burst does not ask for credit."""
    turns = Turns()
    assert {share.eagerness for share in turns.plan(FEW, [candidate("b"), candidate("c")])} == {Eagerness.CREDIT}
    assert {share.eagerness for share in turns.plan(FEW + 1, [candidate("b"), candidate("c")])} == {Eagerness.ROOM}
    one_ready = [candidate("b"), candidate("c", ready=False), candidate("d", ready=False)]
    assert turns.plan(2, one_ready) == [Share("b", 2, Eagerness.ROOM)]
    none_ready = [candidate("b", ready=False), candidate("c", ready=False)]
    assert {share.eagerness for share in turns.plan(2, none_ready)} == {Eagerness.ROOM}
    assert {share.node for share in turns.plan(FEW + 1, one_ready)} == {"b", "c", "d"}


def test_who_was_busy_is_asked_again_after_a_while_or_when_it_says_better() -> None:
    """It is passed over by so many messages, and no more."""
    turns = Turns()

    def nodes(count: int) -> set[str]:
        candidates = [candidate(node, ready=turns.ready(node)) for node in "bc"]
        return {share.node for share in turns.plan(count, candidates)}

    turns.heard("b", False)
    passed = 0
    while nodes(1) == {"c"}:
        passed += 1
        assert passed <= PATIENCE + 1
    assert passed in {PATIENCE, PATIENCE + 1}, "c may be next in turn when b is asked again"
    turns.heard("b", False)
    assert nodes(2) == {"c"}
    turns.heard("b", True)
    assert nodes(2) == {"b", "c"}


def test_a_node_whose_lane_is_full_is_asked_only_when_all_are() -> None:
    """What waits in a lane is late, and may be lost with it."""
    turns = Turns()
    assert turns.plan(10, [candidate("b", open_=False), candidate("c")]) == [Share("c", 10, Eagerness.ROOM)]
    both = turns.plan(10, [candidate("b", open_=False), candidate("c", open_=False)])
    assert {share.node for share in both} == {"b", "c"}


def test_a_key_has_one_node_whoever_asks_and_each_node_its_part_of_the_keys() -> None:
    """P3: in whatever order the candidates come; in proportion to their members."""
    candidates = [candidate("a", 1), candidate("b", 1), candidate("c", 2)]
    given_out = Counter(favourite(f"key-{number}", candidates).node for number in range(4000))
    assert [favourite(f"key-{number}", candidates[::-1]).node for number in range(100)] == [
        favourite(f"key-{number}", candidates).node for number in range(100)
    ]
    assert abs(given_out["c"] - 2000) < 200
    assert abs(given_out["a"] - 1000) < 150


@given(st.text(min_size=1, max_size=8), st.lists(st.integers(1, 5), min_size=2, max_size=6), st.integers(0, 5))
def test_a_node_that_goes_changes_the_node_of_its_own_keys_alone(key: str, weights: list[int], gone: int) -> None:
    """P3: a retry finds the node that knows the key, as long as that is there."""
    candidates = [candidate(f"n{index}", weight) for index, weight in enumerate(weights)]
    first = favourite(key, candidates)
    rest = [one for one in candidates if one is not candidates[gone % len(candidates)]]
    assert first not in rest or favourite(key, rest) == first


# --- members ----------------------------------------------------------------------------------------


@given(st.lists(counts, max_size=60), st.integers(1, 7))
def test_members_with_room_get_equal_parts(batches: list[int], size: int) -> None:
    """Within one message of each other, at any time."""
    ring, given_out, members = Ring(), Counter[int](), list(range(size))
    for count in batches:
        shares = ring.share(count, members, lambda _: 1 << 30)
        assert sum(number for _, number in shares) == count
        given_out.update(dict(shares))
        held = [given_out[member] for member in members]
        assert max(held) - min(held) <= 1


@given(counts, st.lists(st.integers(-2, 50), max_size=8), st.integers(0, 9))
def test_no_member_gets_more_than_it_has_room_for(count: int, rooms: list[int], start: int) -> None:
    """And one at least gets something, if any has room."""
    ring = Ring()
    for _ in range(start):
        ring.share(1, rooms, lambda _: 1)
    shares = ring.share(count, list(range(len(rooms))), lambda member: rooms[member])

    assert all(0 < number <= rooms[member] for member, number in shares)
    assert len({member for member, _ in shares}) == len(shares)
    assert sum(number for _, number in shares) <= count
    assert bool(shares) == any(room > 0 for room in rooms)


# --- runs -------------------------------------------------------------------------------------------


@given(
    st.integers(1, 30).flatmap(
        lambda size: st.tuples(
            st.just(size),
            st.lists(st.tuples(st.integers(0, size), st.integers(0, size)).map(sorted).map(tuple), max_size=4),
            st.booleans(),
        )
    )
)
def test_each_message_is_in_one_span_with_all_its_parts(case: tuple[int, list[tuple[int, int]], bool]) -> None:
    """In order; nothing that nobody wants is in any."""
    size, parts, plain = case
    parts = [part for part in parts if part[0] < part[1]]
    found = spans(parts, size if plain else 0)

    wanted = {index for index in range(size) if plain or any(start <= index < stop for start, stop in parts)}
    covered = [index for span in found for index in range(span.start, span.stop)]
    assert covered == sorted(wanted)
    for span in found:
        for index in range(span.start, span.stop):
            assert span.parts == [number for number, (start, stop) in enumerate(parts) if start <= index < stop]


@pytest.mark.parametrize("plain", [False, True])
def test_a_part_in_the_middle_makes_three_spans_or_one(plain: bool) -> None:
    """The most common case."""
    found = [tuple(span) for span in spans([(3, 5)], 9 if plain else 0)]
    assert found == ([(0, 3, []), (3, 5, [0]), (5, 9, [])] if plain else [(3, 5, [0])])
