"""A publish on a channel with a schema: its payload is completed and checked, and bears the version's id from then on.

What the schema sees is the payload as JSON would hold it: what was published as msgpack, text as a JSON string, and
bytes as the JSON text that they have to be. Bytes stay JSON from then on, so that subscribers get the value; if
anything was put in, the payload is encoded anew, and else its bytes are the publisher's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import msgpack
import msgspec

from liminal_mesh.cluster import Encoding, Envelope, OptionKey, ProtocolError

from .errors import SchemaRejected
from .payload import RAW, decode_payload
from .sizes import Sizes

if TYPE_CHECKING:
    from .exchange_statistics import ExchangeStatistics
    from .schema import Schema

__all__ = ["conform"]

_JSON: Final = Encoding.JSON.value
_MSGPACK: Final = Encoding.MSGPACK.value
_TEXT: Final = Encoding.TEXT.value
_SCHEMA: Final = OptionKey.SCHEMA.value
_KNOWN: Final = frozenset(int(encoding) for encoding in Encoding)

_TEXT_IS_TEXT: Final = "text is one JSON string here: publish a value, or JSON as bytes (liminal pub --encoding json)"

_OPTION_BYTES: Final = 64
"""What a publish without options grows by at most, by the id."""


def conform(items: list[Envelope], schema: Schema, sizes: Sizes, statistics: ExchangeStatistics) -> None:
    """Let publishes be what the schema demands.

    Raises:
        LimitExceeded: with the defaults in it, one is too large.
        SchemaRejected: one cannot be.
    """
    try:
        for item in items:
            _conform(item, schema, sizes)
    except SchemaRejected:
        statistics.schema_rejected += len(items)
        raise


def _conform(envelope: Envelope, schema: Schema, sizes: Sizes) -> None:
    value = _value(envelope)
    try:
        changed = schema.normalise(value)
    except SchemaRejected as refused:
        if envelope.encoding == _TEXT:
            raise SchemaRejected(refused.path, f"{refused.reason} ({_TEXT_IS_TEXT})") from None
        raise
    if changed:
        envelope.body = _encoded(envelope.encoding, value)
    mark = msgspec.Raw(msgspec.msgpack.encode(schema.id))
    if envelope.options is None:
        envelope.options = {_SCHEMA: mark}
        if len(envelope.body) <= sizes.small_bytes - _OPTION_BYTES:
            return
    else:
        envelope.options = {**envelope.options, _SCHEMA: mark}
    sizes.check(envelope)


def _value(envelope: Envelope) -> Any:
    if envelope.encoding == RAW:
        try:
            value = decode_payload(_JSON, envelope.body)
        except ProtocolError:
            raise SchemaRejected("", "bytes have to be JSON text here") from None
        envelope.encoding = _JSON
        return value
    if envelope.encoding not in _KNOWN:
        raise SchemaRejected("", f"its encoding {envelope.encoding} is not known here")
    try:
        return decode_payload(envelope.encoding, envelope.body)
    except ProtocolError as error:
        raise SchemaRejected("", str(error)) from None


def _encoded(encoding: int, value: Any) -> bytes:
    try:
        return cast("bytes", msgpack.packb(value)) if encoding == _MSGPACK else msgspec.json.encode(value)
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise SchemaRejected("", f"it cannot be encoded with its defaults: {error}") from None
