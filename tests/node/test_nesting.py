"""How deep msgpack nests: as deep as what it was made from."""

from __future__ import annotations

import msgpack
from hypothesis import example, given
from hypothesis import strategies as st

from liminal_mesh.node.nesting import NESTING_MAX, nests_deeper

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(width=32)
    | st.text()
    | st.binary()
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary())
    | st.sampled_from([b"\x91" * 300, "\u0451" * 150, msgpack.ExtType(1, b"\x91" * 300)])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=20) | st.dictionaries(st.text() | st.integers(-9, 1 << 40), inner, max_size=20)
    ),
)
LONG = b"\x91" * 70_000


def depth(value: object) -> int:
    """Return how many lists and maps are within one another."""
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.integers(0, 5))
@example([1] * 70_000, 1)
@example({number: [number] for number in range(70_000)}, 1)
@example([[] for _ in range(100)], 2)
@example([[LONG], ["\u0451" * 40_000], [msgpack.ExtType(1, LONG)], [[1]]], 2)
def test_it_is_as_deep_as_what_it_was_made_from(value: object, most: int) -> None:
    """Whatever else it holds, and however long that is; single and double floats, too."""
    for single in (False, True):
        assert nests_deeper(msgpack.packb(value, use_single_float=single), most) == (depth(value) > most)


def test_the_bound_itself_is_not_too_deep() -> None:
    """One more is; and much more costs nothing."""
    assert not nests_deeper(b"\x91" * NESTING_MAX + b"\xc0")
    assert nests_deeper(b"\x91" * (NESTING_MAX + 1) + b"\xc0")
    assert nests_deeper(b"\x81\x01" * 60_000 + b"\xc0")
