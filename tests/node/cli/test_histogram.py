"""Percentiles of many durations, in little memory."""

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.cli.histogram import Histogram


def test_without_values_everything_is_zero() -> None:
    assert Histogram().percentile(99) == Histogram().largest == 0


@given(st.lists(st.integers(0, 10**12), min_size=1), st.sampled_from([50, 90, 99, 99.9, 100]))
def test_a_percentile_is_the_value_at_its_place_to_within_one_percent(values: list[int], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)

    exact = next(value for at, value in enumerate(sorted(values), 1) if at >= len(values) * percent / 100 - 1e-9)

    assert exact <= histogram.percentile(percent) <= exact * 1.01
    assert histogram.largest == max(values)
    assert histogram.count == len(values)
