"""What a subscriber gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Protocol, TypeVar

import msgspec

from liminal_mesh.cluster import CHANNEL_SCOPE, Envelope, OptionKey, Pid

from .inbox import Run
from .options import headers_of, read
from .payload import convert_payload, decode_payload
from .reference import Reference, encode_parent, parent_of
from .trace import TraceContext, trace_of

__all__ = ["Message", "Nacked", "alone", "encode_headers", "give_key", "give_parent", "orphan", "owned"]

T = TypeVar("T")

_text = msgspec.msgpack.Decoder(str)


class Nacked(Protocol):
    """Whoever counts what was not handled, of what was published in one scope."""

    scope: ClassVar[int]

    def note_nack(self) -> None:
        """Count one."""


class Message(msgspec.Struct, eq=False, repr_omit_defaults=True):
    """One message, as one subscription got it. Made by the bus; its attributes do not change."""

    _envelope: Envelope
    _run: Run
    _subscription: Nacked

    def __repr__(self) -> str:
        return f"<Message {self.channel} {self.origin}#{self.sequence} {len(self._envelope.body)} bytes>"

    @property
    def channel(self) -> str:
        """The channel it was published on."""
        return self._run.channel

    @property
    def payload(self) -> Any:
        """The value that was published; decoded anew each time it is asked for."""
        return decode_payload(self._envelope.encoding, self._envelope.body)

    @property
    def body(self) -> bytes:
        """The payload as it travelled."""
        return self._envelope.body

    def decode(self, kind: type[T]) -> T:
        """Return the payload as a ``kind``.

        Raises:
            TypeError: it does not fit.
        """
        return convert_payload(self.payload, kind)

    @property
    def id(self) -> int:
        """Grows with every publish of its origin; unique together with :attr:`origin`."""
        return self._envelope.id

    @property
    def origin(self) -> str:
        """The name of the node that it was published at."""
        return self._run.origin.name

    @property
    def epoch(self) -> int:
        """The run of the origin."""
        return self._run.origin.epoch

    @property
    def log(self) -> int | None:
        """The stored stream it belongs to; None on an ephemeral channel."""
        return None

    @property
    def sequence(self) -> int:
        """Counts the origin's publishes on this channel, from 1."""
        return self._envelope.sequence

    @property
    def publisher(self) -> Pid:
        """The process that published it: a connection of the origin, or the origin itself."""
        return Pid(*self._run.origin, self._envelope.publisher)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers it was published with.

        Raises:
            ProtocolError: they are not a map of texts.
        """
        return headers_of(self._envelope)

    @property
    def trace(self) -> TraceContext | None:
        """The W3C trace context it was published with, as it stands in its headers; None when it has none.

        A publish with ``headers=message.trace.headers()`` belongs to the same trace.

        Raises:
            ProtocolError: the headers are not a map of texts.
        """
        return trace_of(self.headers)

    @property
    def schema(self) -> str | None:
        """The version of the channel's schema that it was checked by where it was published; None without a schema.

        Raises:
            ProtocolError: it is no text.
        """
        raw = (self._envelope.options or {}).get(OptionKey.SCHEMA)
        return None if raw is None else read(_text, raw, "schema")

    @property
    def causal(self) -> Reference | None:
        """The message that caused this one, when its publisher named one (``parent=``).

        Raises:
            ProtocolError: it is no reference.
        """
        return parent_of(self._envelope)

    @property
    def reference(self) -> Reference:
        """This message as a value: what a publish may name as its ``parent``."""
        run, envelope = self._run, self._envelope
        return Reference(run.channel, *run.origin, envelope.id, envelope.sequence, self._subscription.scope)

    @property
    def orphaned(self) -> bool:
        """Whether it was handed out before its parent, which did not come in time; only where causal order is kept."""
        return False

    @property
    def published_at(self) -> float:
        """When, in seconds since 1970 by the origin's clock."""
        return self._envelope.published_at / 1_000_000

    async def ack(self) -> None:
        """Say that the message is done. On an ephemeral channel taking the next item says it already."""

    async def nack(self, delay: float = 0.0) -> None:
        """Say that the message was not handled. On an ephemeral channel this only counts; nothing is redelivered."""
        del delay
        self._subscription.note_nack()

    @property
    def redelivered(self) -> bool:
        """Whether it may have been delivered before; never on an ephemeral channel."""
        return False

    @property
    def attempt(self) -> int:
        """How often it was delivered, this time included; 1 on an ephemeral channel."""
        return 1


class _Orphan(Message):
    """One that waited for its parent in vain."""

    @property
    def orphaned(self) -> bool:
        return True


class _Nobody:
    """Stands for the subscription of a message that was not handed out."""

    scope: ClassVar[int] = CHANNEL_SCOPE

    def note_nack(self) -> None:
        """Never comes: nobody has it."""


_NOBODY: Final = _Nobody()


def alone(message: Message) -> tuple[Message, int]:
    """Return a message that keeps alive neither what it came with nor who will get it, and its weight in bytes."""
    former = message._run  # noqa: SLF001 - the fields are ours
    run = Run(former.channel, former.origin, [message._envelope])  # noqa: SLF001
    return Message(message._envelope, run, _NOBODY), run.size  # noqa: SLF001


def owned(message: Message, subscription: Nacked) -> Message:
    """Return a message as one that a subscription hands out."""
    if message._subscription is subscription:  # noqa: SLF001
        return message
    return type(message)(message._envelope, message._run, subscription)  # noqa: SLF001


def orphan(message: Message) -> Message:
    """Return a message as one that waited for its parent in vain."""
    return _Orphan(message._envelope, message._run, message._subscription)  # noqa: SLF001


def encode_headers(headers: Mapping[str, str]) -> dict[int, msgspec.Raw] | None:
    """Return headers as an envelope's options.

    Raises:
        TypeError: they are no mapping, or a name or a value is not text.
    """
    if not headers:
        return None
    try:
        pairs = headers.items()
    except AttributeError:
        raise TypeError(f"headers={headers!r}: give a mapping of names to values") from None
    for name, value in pairs:
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"header {name!r}: names and values are text")
    return {OptionKey.HEADERS.value: msgspec.Raw(msgspec.msgpack.encode(dict(headers)))}


def give_parent(envelope: Envelope, parent: Message | Reference) -> None:
    """Let an envelope name the message that has caused it.

    Raises:
        TypeError: that is neither a message nor a reference.
    """
    if isinstance(parent, Message):
        parent = parent.reference
    elif not isinstance(parent, Reference):
        raise TypeError(f"parent={parent!r}: give the message that caused this one, or its reference")
    envelope.options = (envelope.options or {}) | encode_parent(parent)


def give_key(envelope: Envelope, key: str) -> None:
    """Put a key into an envelope.

    Raises:
        TypeError: the key is not text.
        ValueError: it is empty, or cannot be written as UTF-8.
    """
    if not isinstance(key, str):
        raise TypeError(f"key={key!r}: a key is text")
    if not key:
        raise ValueError("key='': a key has at least one character; a publish without a key has None")
    option = {OptionKey.KEY.value: msgspec.Raw(msgspec.msgpack.encode(key))}
    envelope.options = option | (envelope.options or {})
