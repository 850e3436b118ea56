"""Values to bytes and back, at the edge where users hand them over; no node does this on the way."""

from __future__ import annotations

import dataclasses
from typing import Any, Final, TypeVar, cast

import msgpack
import msgspec
import pydantic

from liminal_mesh.cluster import Encoding, ProtocolError

__all__ = ["RAW", "Encoded", "convert_payload", "decode_payload", "encode_payload"]

T = TypeVar("T")

# Looked up once: a member of an enumeration costs as much as the rest of encoding bytes that are there already.
RAW: Final = Encoding.RAW.value
_TEXT: Final = Encoding.TEXT.value
_MSGPACK: Final = Encoding.MSGPACK.value


class Encoded(msgspec.Struct, frozen=True):
    """A payload that somebody has encoded already, and that travels as it stands."""

    encoding: Encoding
    body: bytes


def encode_payload(value: object) -> tuple[int, bytes]:
    """Return how a value is encoded, and its bytes.

    ``bytes`` and ``str`` travel as they are; anything that msgpack can hold, and pydantic models, dataclasses and
    msgspec structs, as msgpack.

    Raises:
        TypeError: the value, or something in it, cannot be encoded.
    """
    if type(value) is bytes:
        return RAW, value
    if isinstance(value, str):
        try:
            return _TEXT, value.encode()
        except UnicodeEncodeError as error:
            raise TypeError(f"this text cannot be encoded: {error}") from error
    if isinstance(value, bytes | bytearray | memoryview):
        return RAW, bytes(value)
    if isinstance(value, Encoded):
        return value.encoding.value, value.body
    try:
        return _MSGPACK, cast("bytes", msgpack.packb(value, default=_plain))
    except (ValueError, OverflowError) as error:
        raise TypeError(f"this payload cannot be encoded: {error}") from error


def decode_payload(encoding: int, body: bytes) -> Any:
    """Return the value that was published; bytes when the encoding is not known here.

    Raises:
        ProtocolError: the body is not what its encoding says.
    """
    try:
        if encoding == Encoding.TEXT:
            return body.decode()
        if encoding == Encoding.MSGPACK:
            return msgpack.unpackb(body, strict_map_key=False)
        if encoding == Encoding.JSON:
            return msgspec.json.decode(body)
    # Of msgpack a TypeError: a key of a map that cannot be one here.
    except (ValueError, TypeError, msgpack.UnpackException, msgspec.MsgspecError, RecursionError) as error:
        raise ProtocolError(f"the payload is not the {Encoding(encoding).name} it says it is: {error}") from error
    return body


def convert_payload(value: object, kind: type[T]) -> T:
    """Return a payload as a ``kind``: a pydantic model, a dataclass, a msgspec struct, or a plain type.

    Raises:
        TypeError: it does not fit; the message says where.
    """
    try:
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            return cast("T", kind.model_validate(value))
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, pydantic.ValidationError) as error:
        raise TypeError(f"the payload is no {getattr(kind, '__name__', kind)}: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, msgspec.Struct) or (dataclasses.is_dataclass(value) and not isinstance(value, type)):
        return msgspec.to_builtins(value)
    # msgpack asks for an integer only if it is too large for it.
    what = "an integer beyond 64 bits" if isinstance(value, int) else type(value).__name__
    raise TypeError(f"{what} cannot be encoded: publish bytes, text, or what msgpack can hold")
