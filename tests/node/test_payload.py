"""Payloads: values to bytes and back."""

from __future__ import annotations

import contextlib
import dataclasses
import enum

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster import Encoding, ProtocolError
from liminal_mesh.node.payload import Encoded, convert_payload, decode_payload, encode_payload

KEYS = st.text(max_size=4) | st.integers(-5, 5) | st.binary(max_size=3)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
)
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@dataclasses.dataclass
class Inner:
    """A dataclass in something else."""

    name: str


class Outer(pydantic.BaseModel):
    """A model with a model in it."""

    inner: Inner
    count: int = 0


class Struct(msgspec.Struct):
    """A struct with a dataclass in it."""

    inner: Inner
    raw: bytes


class Colour(enum.Enum):
    """Something that msgpack has no type for."""

    RED = "red"


@given(VALUES)
def test_whatever_msgpack_holds_comes_back(value: object) -> None:
    """Bytes and text travel as they are."""
    encoding, body = encode_payload(value)

    assert decode_payload(encoding, body) == value
    assert (encoding == Encoding.RAW) == isinstance(value, bytes)
    assert (encoding == Encoding.TEXT) == isinstance(value, str)


@pytest.mark.parametrize("value", [bytearray(b"x"), memoryview(b"x")], ids=["bytearray", "memoryview"])
def test_what_is_like_bytes_is_bytes(value: object) -> None:
    """A copy, so that nobody changes it on the way."""
    assert encode_payload(value) == (Encoding.RAW, b"x")


@pytest.mark.parametrize(
    "value",
    [Inner("x"), Outer(inner=Inner("x"), count=3), Struct(Inner("x"), b"\xff")],
    ids=lambda one: type(one).__name__,
)
def test_models_travel_as_their_fields(value: object) -> None:
    """At the top, and in something else."""
    plain = decode_payload(*encode_payload(value))
    nested = decode_payload(*encode_payload({"list": [value]}))

    assert convert_payload(plain, type(value)) == value
    assert nested == {"list": [plain]}


@pytest.mark.parametrize(
    "value", [object(), 2**64, Inner, {"deep": [object()]}, {1, 2}], ids=lambda one: type(one).__name__
)
def test_what_cannot_travel_is_a_type_error(value: object) -> None:
    """With the type's name, or what is wrong."""
    with pytest.raises(TypeError, match="encoded"):
        encode_payload(value)


def test_what_was_encoded_already_travels_as_it_stands() -> None:
    """Whatever its encoding."""
    assert encode_payload(Encoded(Encoding.JSON, b'{"a":1}')) == (Encoding.JSON, b'{"a":1}')
    assert decode_payload(Encoding.JSON, b'{"a":1}') == {"a": 1}


def test_an_encoding_of_a_later_version_is_bytes() -> None:
    """Who knows it can read it."""
    assert decode_payload(99, b"\x01") == b"\x01"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (Encoding.TEXT, b"\xff"),
        (Encoding.MSGPACK, b""),
        (Encoding.MSGPACK, b"\xc1"),
        (Encoding.MSGPACK, b"\x01\x02"),
        (Encoding.MSGPACK, b"\x91" * 5000),
        (Encoding.MSGPACK, b"\x81\x90\x01"),
        (Encoding.JSON, b"{"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_a_protocol_error(encoding: int, body: bytes) -> None:
    """And nothing else, whatever the library raises."""
    with pytest.raises(ProtocolError, match=Encoding(encoding).name):
        decode_payload(encoding, body)


@given(st.sampled_from(list(Encoding)), st.binary(max_size=40))
def test_bytes_of_anyone_raise_nothing_but_protocol_errors(encoding: int, body: bytes) -> None:
    """A subscriber must not fall over what another program published."""
    with contextlib.suppress(ProtocolError):
        decode_payload(encoding, body)


@pytest.mark.parametrize("kind", [Outer, Struct, Inner, int, list[int], dict[str, str]], ids=str)
def test_a_payload_that_does_not_fit_is_a_type_error(kind: type[object]) -> None:
    """Which says where."""
    with pytest.raises(TypeError, match="the payload is no"):
        convert_payload({"inner": 7}, kind)


def test_plain_types_convert() -> None:
    """Generic ones too."""
    assert convert_payload([1, 2], list[int]) == [1, 2]
    assert convert_payload({"red": "red"}, dict[Colour, Colour]) == {Colour.RED: Colour.RED}
