"""The bytes of the wire, per protocol version, read by a second implementation of msgpack."""

from __future__ import annotations

import json

import msgpack
import msgspec
import pytest

from liminal_mesh.cluster.codec import HEADER_BYTES, Codec
from liminal_mesh.cluster.frame import Frame, late_defaults

from .make import FILES, HERE, name_of

SAMPLES = [
    pytest.param(name, codec, frame, id=name_of(frame)) for name, (codec, frames) in FILES.items() for frame in frames
]
every_sample = pytest.mark.parametrize(("name", "codec", "frame"), SAMPLES)


def _golden(name: str, frame: Frame) -> bytes:
    table: dict[str, str] = json.loads((HERE / name).read_text())
    return bytes.fromhex(table[name_of(frame)])


def _plain(value: object) -> object:
    """What a msgpack reader sees that knows nothing of our classes."""
    match value:
        case msgspec.Raw():
            return msgpack.unpackb(bytes(value))
        case msgspec.Struct():
            late = late_defaults(type(value)) if isinstance(value, Frame) else {}
            fields = list(value.__struct_fields__)
            while fields[-1] in late and getattr(value, fields[-1]) == late[fields[-1]]:
                fields.pop()
            return [_plain(getattr(value, field)) for field in fields]
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case _:
            return value


@pytest.mark.parametrize("name", FILES)
def test_every_frame_of_a_table_has_a_golden_sample(name: str) -> None:
    """A new frame comes with its bytes."""
    codec, frames = FILES[name]
    table: dict[str, str] = json.loads((HERE / name).read_text())
    assert list(table) == [name_of(frame) for frame in frames]
    assert list(dict.fromkeys(map(type, frames))) == [row.kind for row in codec.table.values()]


@every_sample
def test_a_frame_is_encoded_to_its_golden_bytes(name: str, codec: Codec, frame: Frame) -> None:
    """Byte by byte."""
    assert codec.encode(frame).hex() == _golden(name, frame).hex()


@every_sample
def test_golden_bytes_are_decoded_to_the_frame(name: str, codec: Codec, frame: Frame) -> None:
    """The way back."""
    wire = _golden(name, frame)
    assert _plain(codec.decode(wire[4], wire[HEADER_BYTES:])) == _plain(frame)


@every_sample
def test_golden_bytes_mean_the_same_to_the_msgpack_package(name: str, codec: Codec, frame: Frame) -> None:
    """Plain msgpack: a length, a type, and an array of fields, without late ones that have their defaults."""
    wire = _golden(name, frame)
    assert int.from_bytes(wire[:4], "big") == len(wire) - 4
    assert codec.table[wire[4]].kind is type(frame)
    assert msgpack.unpackb(wire[HEADER_BYTES:], strict_map_key=False) == _plain(frame)
