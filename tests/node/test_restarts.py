"""Tests of the budget of restarts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.restarts import RestartBudget, Restarts


def test_so_many_restarts_are_allowed_within_the_time_and_no_more() -> None:
    """The one too many is refused; it does not count."""
    restarts = Restarts(RestartBudget(2, 10.0))

    assert [restarts.allow(now) for now in (0.0, 1.0, 2.0)] == [True, True, False]
    assert restarts.count == 2


def test_restarts_are_forgotten_when_their_time_is_over() -> None:
    """Ten seconds after the first there is room for one."""
    restarts = Restarts(RestartBudget(2, 10.0))

    assert [restarts.allow(now) for now in (0.0, 5.0, 9.9, 10.0, 10.1, 15.0)] == [True, True, False, True, False, True]


def test_a_budget_of_none_restarts_never() -> None:
    """That is the policy 'never'."""
    assert not Restarts(RestartBudget(0, 10.0)).allow(0.0)


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(0, 4))
def test_no_window_ever_holds_more_than_the_budget(pauses: list[float], attempts: int) -> None:
    """Whatever the moments of the crashes."""
    restarts, now, allowed = Restarts(RestartBudget(attempts, 10.0)), 0.0, []
    for pause in pauses:
        now += pause
        if restarts.allow(now):
            allowed.append(now)

    for end in allowed:
        assert sum(end - 10.0 < one <= end for one in allowed) <= attempts
