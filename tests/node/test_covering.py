"""What patterns cover of many names."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.covering import covered, covered_by
from liminal_mesh.node.names import matches

TOKENS = st.sampled_from(["a", "b", "ab"])
NAMES = st.lists(TOKENS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda tokens, rest: ".".join([*tokens, *rest]),
    st.lists(TOKENS | st.just("*"), max_size=3),
    st.sampled_from(["*", ">", "a"]),
)


@given(st.lists(NAMES, unique=True), st.lists(NAMES | PATTERNS, unique=True, max_size=30))
def test_it_agrees_with_holding_each_against_each(names: list[str], patterns: list[str]) -> None:
    """However many there are of either; and the names keep their order."""
    held = {name: name for name in names}
    for pattern in patterns:
        assert covered(held, pattern) == [name for name in names if matches(pattern, name)]
    found = list(covered_by(held, patterns))
    assert sorted(found) == sorted((one, name) for one in patterns for name in names if matches(one, name))


def test_a_thousand_patterns_and_ten_thousand_names_are_no_matter_of_seconds() -> None:
    """As they would be if each was held against each."""
    held = {f"orders.region-{number}.incoming": number for number in range(10_000)}
    began = time.process_time()
    for patterns in ([f"orders.*.{number}" for number in range(1000)], [f"x{number}.>" for number in range(1000)]):
        assert list(covered_by(held, patterns)) == []
    assert time.process_time() - began < 2
