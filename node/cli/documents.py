"""What a verb prints as JSON: messages, gaps and outcomes, with 64-bit numbers as text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..message import Message
    from ..values import Gap, PublishOutcome

__all__ = ["gap_document", "message_document", "outcome_document", "plain"]


def message_document(message: Message) -> dict[str, Any]:
    """Return a message as JSON can hold it."""
    return {
        "channel": message.channel,
        "origin": message.origin,
        "epoch": str(message.epoch),
        "sequence": str(message.sequence),
        "id": str(message.id),
        "publisher": str(message.publisher),
        "headers": dict(message.headers),
        "payload": plain(message.payload),
        "published_at": message.published_at,
    }


def gap_document(gap: Gap) -> dict[str, Any]:
    """Return a gap as JSON can hold it; its one key tells it from a message."""
    facts = {"channel": gap.channel, "origin": gap.origin, "first": str(gap.first), "last": str(gap.last)}
    return {"gap": {**facts, "count": gap.count, "reason": gap.reason}}


def outcome_document(outcome: PublishOutcome) -> dict[str, Any]:
    """Return an outcome as JSON can hold it."""
    pressure = outcome.pressure
    return {
        "message_id": str(outcome.message_id),
        "delivered": outcome.delivered,
        "local": outcome.local,
        "duplicate": outcome.duplicate,
        "position": None if outcome.position is None else str(outcome.position),
        "nodes": dict(outcome.nodes),
        "pressure": {name: getattr(pressure, name) for name in pressure.__struct_fields__},
    }


def plain(value: object) -> Any:
    """Return a payload as JSON can hold it: bytes that are text as text, others as ``{"base64": ...}``."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case bytes():
            return _text(value)
        case Mapping():
            return {key if isinstance(key, str) else str(plain(key)): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return str(value)


def _text(value: bytes) -> str | dict[str, str]:
    try:
        return value.decode()
    except UnicodeDecodeError:
        from base64 import b64encode

        return {"base64": b64encode(value).decode()}
