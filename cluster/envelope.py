"""The envelope: one publish as it travels, from the node it enters to whoever takes it.

It is a fixed array and one optional map with small integer keys. It is encoded once, where it enters a node,
and what a subscriber gets is the same array. Its body is opaque to every node on the way.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct

__all__ = ["BATCH_MAX", "U64", "Encoding", "Envelope", "Items", "Name", "OptionKey", "Text"]

BATCH_MAX: Final = 1024
"""The most items in any array of a frame (``security.md`` 4.3)."""

Text = Annotated[str, Meta(max_length=4096)]
"""Text for humans."""

Name = Annotated[str, Meta(max_length=256)]
"""A name of anything."""

U64 = Annotated[int, Meta(ge=0)]
"""A number that never goes below zero."""


class Encoding(IntEnum):
    """How a body's bytes are to be read by whoever takes them; no node does."""

    RAW = 0
    TEXT = 1
    MSGPACK = 2
    JSON = 3


class OptionKey(IntEnum):
    """The small integer keys of an envelope's options. Unknown keys are kept and forwarded.

    A trace context has none: it stands in the headers, where every tracer's propagator looks for it.
    """

    KEY = 1
    ACK = 2
    DEADLINE = 3
    SESSION = 4
    SESSION_SEQUENCE = 5
    PARENT = 6
    SCHEMA = 8
    HEADERS = 9


class Envelope(Struct, array_like=True, gc=False):
    """One publish: a fixed array, and one optional map with small integer keys.

    ``id`` grows with every publish that its origin accepts. ``sequence`` counts the origin's publishes on
    this channel, from 1 without holes. ``published_at`` is microseconds since 1970 by the origin's clock.
    ``publisher`` is the number of the publishing process at the origin. ``options`` maps
    :class:`OptionKey` (or a key that we do not know) to msgpack that was checked but not decoded.
    """

    id: U64
    sequence: U64
    published_at: U64
    publisher: U64
    encoding: Annotated[int, Meta(ge=0, le=255)]
    body: bytes
    options: Annotated[dict[int, Raw], Meta(max_length=256)] | None = None


Items = Annotated[list[Envelope], Meta(max_length=BATCH_MAX, min_length=1)]
"""The items of a batch."""
