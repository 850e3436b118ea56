"""Accept, defer, reject: what a subscription decides about a message, and what it says about that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster import Envelope, NodeId
from liminal_mesh.node.decisions import ACCEPT, DECISIONS, DEFER, REJECT, decide, pressure_of, worst_pressure
from liminal_mesh.node.inbox import MESSAGE_OVERHEAD_BYTES, Inbox, Overflow, Run
from liminal_mesh.node.values import Pressure

ROOMY = 1 << 30


def run(number: int, size: int = 0) -> Run:
    """Return a run of one message."""
    return Run("x", NodeId("a", 1), [Envelope(number, number, 0, 1, 0, b"." * size)])


@given(st.integers(0, 9), st.integers(1, 6), st.integers(0, 9), st.integers(1, 6))
def test_the_decision_follows_from_the_four_numbers(
    in_flight: int, max_in_flight: int, buffered: int, max_buffered: int
) -> None:
    """PR1: accept below the maximum, whatever waits; defer with room behind it; reject when both are full."""
    decision = decide(in_flight, max_in_flight, buffered, max_buffered)

    assert (decision == ACCEPT) == (in_flight < max_in_flight)
    assert (decision == DEFER) == (in_flight >= max_in_flight and buffered < max_buffered)
    assert (decision == REJECT) == (in_flight >= max_in_flight and buffered >= max_buffered)


@pytest.mark.parametrize("numbers", [(0, 0, 0, 1), (0, 1, 0, 0), (0, -1, 0, 1), (-1, 1, 0, 1), (0, 1, -1, 1)])
def test_no_capacity_is_zero_and_no_number_below(numbers: tuple[int, int, int, int]) -> None:
    """PR2: said with the numbers."""
    with pytest.raises(ValueError, match=f"={numbers[1] if numbers[1] < 1 else ''}"):
        decide(*numbers)


def test_pressure_follows_credit_and_room() -> None:
    """PR1: and shows the four numbers."""
    inbox = Inbox(2, 2, ROOMY, "drop-newest")
    decisions = []
    for number in range(1, 6):
        decisions.append(pressure_of(inbox))
        inbox.offer(run(number))

    assert decisions == [
        Pressure("accept", 0, 2, 0, 2),
        Pressure("accept", 1, 2, 0, 2),
        Pressure("defer", 2, 2, 0, 2),
        Pressure("defer", 2, 2, 1, 2),
        Pressure("reject", 2, 2, 2, 2),
    ]


@pytest.mark.parametrize("policy", ["drop-newest", "reject", "disconnect"])
@given(st.lists(st.tuples(st.sampled_from(["offer", "take", "settle"]), st.integers(0, 400)), max_size=40))
def test_only_a_message_that_is_rejected_is_not_taken(policy: Overflow, steps: list[tuple[str, int]]) -> None:
    """PR1: what the decision says of a message of a size is what the inbox then does with it."""
    inbox = Inbox(2, 3, 1000, policy)
    for number, (step, size) in enumerate(steps, 1):
        if step == "offer":
            one = run(number, size)
            decision = pressure_of(inbox, one.size).decision
            assert inbox.offer(one) == (decision != "reject")
        elif step == "take":
            inbox.take(inbox.credit - inbox.lent)
        elif inbox.lent:
            inbox.settle(1)
        pressure = pressure_of(inbox)
        assert 0 <= pressure.in_flight <= pressure.max_in_flight == 2
        assert 0 <= pressure.buffered <= pressure.max_buffered == 3


def test_bytes_are_a_bound_of_their_own() -> None:
    """PR1: what does not fit in is rejected, although there is credit."""
    inbox = Inbox(2, 2, 1000, "drop-oldest")
    inbox.offer(run(1, 1000 - MESSAGE_OVERHEAD_BYTES - 10))

    assert pressure_of(inbox, 10) == Pressure("accept", 1, 2, 0, 2)
    assert pressure_of(inbox, 11) == Pressure("reject", 1, 2, 0, 2)


def test_the_worst_decision_counts_and_then_the_fullest_inbox() -> None:
    """PR1: a publish hears of one that is full, however many are idle."""
    idle, busy, full = Inbox(9, 9, ROOMY, "reject"), Inbox(3, 9, ROOMY, "reject"), Inbox(1, 1, ROOMY, "reject")
    assert worst_pressure([]) == Pressure()
    assert worst_pressure([idle, Inbox(7, 9, ROOMY, "reject")]).decision == DECISIONS[ACCEPT]
    for number in (1, 2, 3, 4):
        busy.offer(run(number))
    assert worst_pressure([idle, busy, full]) == Pressure("defer", 3, 3, 1, 9)
    for number in (1, 2):
        full.offer(run(number))
    assert worst_pressure([full, busy, idle]) == Pressure("reject", 1, 1, 1, 1)
