"""What other programs have written as msgpack: the options of an envelope, and whatever else is read by its type.

A frame that could be read says nothing about what stands in it undecoded, which may be anything.
"""

from __future__ import annotations

from typing import Final, TypeVar

import msgspec

from liminal_mesh.cluster import Envelope, OptionKey, ProtocolError

__all__ = ["headers_of", "read"]

Value = TypeVar("Value")

_headers: Final = msgspec.msgpack.Decoder(dict[str, str])


def read(decoder: msgspec.msgpack.Decoder[Value], raw: bytes | msgspec.Raw, what: str) -> Value:
    """Return what the decoder makes of it.

    Raises:
        ProtocolError: it is nothing of that type; ``what`` says what is bad.
    """
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # the latter of a text that is no UTF-8
        raise ProtocolError(f"bad {what}: {error}") from error


def headers_of(envelope: Envelope) -> dict[str, str]:
    """Return the headers of an envelope, empty when it has none.

    Raises:
        ProtocolError: they are not a map of texts.
    """
    raw = None if envelope.options is None else envelope.options.get(OptionKey.HEADERS)
    return {} if raw is None else read(_headers, raw, "headers")
