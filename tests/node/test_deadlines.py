"""Deadlines, beside a list of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.deadlines import STEP_S, Deadlines

TIMES = st.floats(0, 10)


@given(st.lists(TIMES, max_size=30), st.sets(st.integers(0, 29)), st.lists(TIMES, max_size=10).map(sorted))
def test_each_is_due_once_never_early_and_hardly_late(
    times: list[float], removed: set[int], looks: list[float]
) -> None:
    """What was removed is not due at all."""
    deadlines: Deadlines[list[float]] = Deadlines()
    items = [[time] for time in times]
    buckets = [deadlines.add(item, item[0]) for item in items]
    for index in removed:
        if index < len(items):
            deadlines.remove(items[index], buckets[index])
            deadlines.remove(items[index], buckets[index])
    left = [item for index, item in enumerate(items) if index not in removed]
    for now in looks:
        due = deadlines.due(now)
        assert all(item[0] <= now for item in due)
        assert [int(item[0] / STEP_S) for item in due] == sorted(int(item[0] / STEP_S) for item in due)
        left = [item for item in left if not any(item is one for one in due)]
        assert all(item[0] > now - 2 * STEP_S for item in left)

    assert bool(deadlines) == bool(left)
    assert sorted(deadlines.due(float("inf"))) == sorted(left)
    assert not deadlines


def test_removing_after_the_time_was_up_changes_nothing() -> None:
    """Not even when another has taken its place."""
    deadlines: Deadlines[str] = Deadlines()
    bucket = deadlines.add("first", 1.0)
    assert deadlines.due(2.0) == ["first"]
    deadlines.add("second", 1.0)
    deadlines.remove("first", bucket)

    assert deadlines.due(2.0) == ["second"]
