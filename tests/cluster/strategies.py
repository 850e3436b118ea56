"""Hypothesis strategies for frames, built from the types of their fields."""

from __future__ import annotations

from typing import cast

import msgpack
import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from liminal_mesh.cluster.frame import Frame

U64_MAX = 2**64 - 1


def frames(kind: type[Frame]) -> st.SearchStrategy[Frame]:
    """Every value that frame type ``kind`` can have, up to a few items an array."""
    return cast("st.SearchStrategy[Frame]", _of(inspect.type_info(kind)))


def _of(info: inspect.Type) -> st.SearchStrategy[object]:
    match info:
        case inspect.StructType(cls=cls, fields=fields):
            return st.builds(cls, *(_of(field.type) for field in fields))
        case inspect.IntType(ge=low, le=high):
            return st.integers(0 if low is None else low, U64_MAX if high is None else high)
        case inspect.FloatType(ge=low, le=high):
            return st.floats(low, high, allow_nan=False)
        case inspect.StrType(max_length=longest):
            return st.text(max_size=min(longest or 8, 8))
        case inspect.BytesType(min_length=shortest, max_length=longest):
            return st.binary(min_size=shortest or 0, max_size=longest or 64)
        case inspect.BoolType():
            return st.booleans()
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.NoneType():
            return st.none()
        case inspect.RawType():
            return plain_values().map(lambda value: msgspec.Raw(msgpack.packb(value)))
        case inspect.ListType(item_type=item, min_length=shortest):
            return st.lists(_of(item), min_size=shortest or 0, max_size=3)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of(key), _of(value), max_size=3)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(_of, items))
        case inspect.UnionType(types=types):
            return st.one_of(*map(_of, types))
    raise AssertionError(f"no strategy for {info}")


def plain_values() -> st.SearchStrategy[object]:
    """Whatever msgpack can carry, a few levels deep."""
    leaves = st.none() | st.booleans() | st.integers(-(2**63), U64_MAX) | st.text(max_size=8) | st.binary(max_size=8)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    )
