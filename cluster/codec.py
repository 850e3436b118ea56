"""Frames to bytes and back; limits are checked before anything is allocated.

The wire format is plain msgpack (the golden files are read by the ``msgpack`` package in the tests);
msgspec is what reads and writes it, because decoding into typed arrays checks every field in the same pass
(0.11 µs a publish) and takes no count of elements on trust: an array grows as elements really arrive.

A batch of publishes is put together from envelopes that were encoded before, by writing the array's
header in front of them: a publish is encoded once, in one go with those that were made in the same turn,
however many peers and clients receive it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, cast

import msgspec

from .client_frames import CLIENT_FRAMES
from .envelope import Envelope
from .errors import ProtocolError
from .frame import Frame, Row, late_defaults
from .frames import LINK_FRAMES
from .scopes import CHANNEL_SCOPE

__all__ = ["CLIENT_CODEC", "HEADER_BYTES", "LINK_CODEC", "Codec", "encode_envelope", "encode_envelopes"]

HEADER_BYTES: Final = 5
"""A frame's length (4 bytes, big-endian, of the type and the body) and its type."""

_HEADER = struct.Struct(">IB")
_encoder = msgspec.msgpack.Encoder()
_pack = _encoder.encode

encode_envelope = _encoder.encode
"""Encode one :class:`Envelope` for the batches it will travel in."""


def encode_envelopes(envelopes: list[Envelope]) -> bytes:
    """Encode 1 to ``BATCH_MAX`` envelopes, one behind the other as a batch holds them."""
    return _pack(envelopes)[1 if len(envelopes) < 16 else 3 :]


class Codec:
    """One table of frames, as encoders and decoders.

    Args:
        table: type byte to row; a type that is not in it is unknown to this codec.
    """

    def __init__(self, table: Mapping[int, Row]) -> None:
        self.table = table
        self._types = {row.kind: kind for kind, row in table.items()}
        self._decoders = {kind: msgspec.msgpack.Decoder(row.kind) for kind, row in table.items()}
        self._batches = {kind for kind, row in table.items() if "items" in row.kind.__struct_fields__}
        self._late = {row.kind: _late_fields(row.kind) for row in table.values() if row.kind.LATE}

    def encode(self, frame: Frame) -> bytes:
        """Return the whole frame: length, type, body."""
        body = _pack(frame)
        left_out = size = 0
        for field in self._late.get(type(frame), ()):
            if getattr(frame, field.name) != field.default:
                break
            left_out += 1
            size += field.size
        if left_out:
            body = bytes([body[0] - left_out]) + body[1:-size]
        return _HEADER.pack(len(body) + 1, self._types[type(frame)]) + body

    def encode_batch(
        self,
        kind: type[Frame],
        fields: Sequence[object],
        envelopes: Sequence[bytes],
        count: int | None = None,
        scope: int = CHANNEL_SCOPE,
    ) -> bytes:
        """Return a frame of type ``kind`` with an array of envelopes that are encoded already.

        Args:
            kind: a frame with the field ``items``.
            fields: the fields before it, in order.
            envelopes: results of :func:`encode_envelope` and of :func:`encode_envelopes`, in order.
            count: how many envelopes these are, 1 to ``BATCH_MAX``; when absent, each is one.
            scope: what follows the items, left out when it is that of channels.
        """
        number = len(envelopes) if count is None else count
        tail = b"" if scope == CHANNEL_SCOPE else _pack(scope)
        head = bytes([0x91 + len(fields) + len(tail)]) + b"".join(map(_pack, fields)) + _array_header(number)
        size = len(head) + sum(map(len, envelopes)) + len(tail)
        return b"".join((_HEADER.pack(size + 1, self._types[kind]), head, *envelopes, tail))

    def decode(self, kind: int, body: bytes | memoryview) -> Frame:
        """Read the body of a frame of a known type.

        Raises:
            ProtocolError: it is not what the table says, or holds more than is allowed.
            KeyError: the type is not in the table.
        """
        try:
            frame: Frame = self._decoders[kind].decode(body)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError) as error:
            raise ProtocolError(f"bad {self.table[kind].kind.__name__} frame: {error}") from error
        if kind in self._batches:
            _own(cast("_Batch", frame).items)
        return frame


class _LateField(NamedTuple):
    """A field that is not written while it has its default, which takes ``size`` bytes."""

    name: str
    default: object
    size: int


def _late_fields(kind: type[Frame]) -> list[_LateField]:
    """Return the late fields of a frame, the last first."""
    defaults = reversed(late_defaults(kind).items())
    return [_LateField(name, default, len(_pack(default))) for name, default in defaults]


class _Batch(Frame, frozen=True):
    """What the frames with items have in common, for the type checker."""

    items: list[Envelope]


def _own(items: Iterable[Envelope]) -> None:
    """Copy the options out of the buffer they were read from, which a kept message would else keep alive."""
    for item in items:
        if item.options is not None:
            item.options = {key: value.copy() for key, value in item.options.items()}


def _array_header(count: int) -> bytes:
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + count.to_bytes(2, "big")


LINK_CODEC: Final = Codec(LINK_FRAMES)
"""What two nodes speak."""

CLIENT_CODEC: Final = Codec(CLIENT_FRAMES)
"""What a client and its node speak."""
