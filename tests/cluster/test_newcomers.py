"""Who makes room when newcomers wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster.newcomers import Newcomers, Yielding

PATIENCE_S = 1.0


def test_the_source_with_the_most_gives_up_its_oldest() -> None:
    """Not the oldest of all, if that is the only one of its source."""
    newcomers = Newcomers(PATIENCE_S)
    assert newcomers.next() is None
    for key, source in enumerate("abbba"):
        newcomers.came(key, source, float(key))
    assert newcomers.next() == Yielding(1, 2.0)
    assert newcomers.gone(1)
    assert newcomers.next() == Yielding(0, 1.0)  # two of each: the oldest of them all
    assert not newcomers.gone(1)
    assert len(newcomers) == 4


steps = st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.sampled_from("abc"), st.floats(0, 2)))


@given(steps)
def test_whoever_makes_room_is_the_oldest_of_a_largest_source(steps: list[tuple[bool, int, str, float]]) -> None:
    """Whatever came and went, and it has had its time from when it came."""
    newcomers, there, now = Newcomers(PATIENCE_S), dict[int, tuple[str, float]](), 0.0
    for comes, key, source, after in steps:
        now += after
        if comes and key not in there:
            newcomers.came(key, source, now)
            there[key] = source, now
        elif not comes:
            assert newcomers.gone(key) == (there.pop(key, None) is not None)
        assert len(newcomers) == len(there)
        following = newcomers.next()
        if following is None:
            assert not there
            continue
        source, came = there[following.key]
        assert following.since == came + PATIENCE_S
        sources = [one for one, _ in there.values()]
        assert sources.count(source) == max(map(sources.count, sources))
        rivals = [at for one, at in there.values() if sources.count(one) == sources.count(source)]
        assert came == min(rivals)
