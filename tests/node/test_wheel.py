"""The wheel, beside a list of deadlines."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.wheel import STEP_S, Wheel

TIMES = st.floats(0, 10)
SLACKS = st.sampled_from([0.0, 0.01, 0.2, 3.0])


@given(
    st.lists(st.tuples(TIMES, SLACKS), max_size=30),
    st.sets(st.integers(0, 29)),
    st.lists(st.one_of(st.none(), TIMES), max_size=10),
)
def test_each_is_due_once_never_early_and_no_later_than_it_may_be(
    deadlines: list[tuple[float, float]], removed: set[int], looks: list[float | None]
) -> None:
    """What was removed is not due at all; None looks when the wheel says, and else time passes as it likes."""
    wheel: Wheel[tuple[float, float]] = Wheel()
    items = [(at, slack) for at, slack in deadlines]
    buckets = [wheel.add(item, *item) for item in items]
    for index in removed:
        if index < len(items):
            wheel.remove(items[index], buckets[index])
            wheel.remove(items[index], buckets[index])
    left = [item for index, item in enumerate(items) if index not in removed]
    now = 0.0
    for look in looks:
        if look is None and not left:
            continue
        now = max(now, wheel.next_at if look is None else look)
        due = wheel.due(now)
        assert due or look is not None, "it said that something would be due"
        assert all(at <= now for at, _ in due)
        left = [item for item in left if not any(item is one for one in due)]
        assert all(at + slack + STEP_S >= now for at, slack in left)
        assert not left or now < wheel.next_at

    assert bool(wheel) == bool(left)
    assert (wheel.next_at < math.inf) == bool(left)
    due = wheel.due(math.inf)
    assert sorted(due) == sorted(left)
    assert not wheel


def test_the_earliest_are_due_first() -> None:
    """In the order of their buckets, and within one in that in which they were added."""
    wheel: Wheel[str] = Wheel()
    for name, at in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a too", 1.0)):
        wheel.add(name, at)
    assert wheel.due(10.0) == ["a", "a too", "b", "c"]


def test_what_may_be_late_shares_a_moment() -> None:
    """A thousand deadlines that are spread over ten seconds are three moments."""
    wheel: Wheel[float] = Wheel()
    for index in range(1000):
        wheel.add(index / 100, index / 100, slack_s=5.0)
    moments = []
    while wheel:
        moments.append(wheel.next_at)
        wheel.due(wheel.next_at)
    assert moments == [5.0, 10.0, 15.0][: len(moments)]
    assert len(moments) <= 3


def test_removing_after_the_time_was_up_changes_nothing() -> None:
    """Not even when another has taken its place."""
    wheel: Wheel[str] = Wheel()
    bucket = wheel.add("first", 1.0)
    assert wheel.due(2.0) == ["first"]
    wheel.add("second", 1.0)
    wheel.remove("first", bucket)

    assert wheel.due(2.0) == ["second"]
