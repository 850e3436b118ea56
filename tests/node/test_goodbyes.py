"""When each client is told that its node leaves."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.goodbyes import EACH_S, SPREAD_S, goodbyes

COUNTS = st.integers(0, 300)


@given(COUNTS, COUNTS, st.floats(0.0, 60.0), st.integers())
def test_everybody_is_told_once_within_the_time_and_subscribers_first(
    subscribers: int, others: int, budget_s: float, seed: int
) -> None:
    """Within 2 s, half of the budget, and what so many clients are worth, whichever is least."""
    first = [f"s{number}" for number in range(subscribers)]
    second = [f"o{number}" for number in range(others)]
    told = goodbyes(first, second, budget_s, Random(seed))
    spread = min(SPREAD_S, budget_s / 2, EACH_S * (subscribers + others))

    assert sorted(client for _, client in told) == sorted(first + second)
    assert [at for at, _ in told] == sorted(at for at, _ in told)
    assert all(0.0 <= at <= spread for at, _ in told)
    assert all(at <= spread / 2 for at, client in told if client.startswith("s"))
    assert all(at >= spread / 2 for at, client in told if client.startswith("o"))


def test_many_are_spread_over_two_seconds() -> None:
    """So evenly that no tenth of a second has much more than its share."""
    told = goodbyes([], list(range(10_000)), 30.0, Random(7))
    tenths = [sum(1 for at, _ in told if low <= at * 10 < low + 1) for low in range(10, 20)]
    assert max(tenths) < 1.2 * min(tenths)
    assert max(at for at, _ in told) > 1.99


def test_one_is_not_kept_waiting_as_if_it_were_many() -> None:
    """And a node without a budget tells everybody at once."""
    [(at, _)] = goodbyes(["one"], [], 30.0, Random(7))
    assert at <= EACH_S
    assert {at for at, _ in goodbyes(["one", "two"], ["three"], 0.0, Random(7))} == {0.0}
    assert {at for at, _ in goodbyes(["one", "two"], ["three"], -1.0, Random(7))} == {0.0}
