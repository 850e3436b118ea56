"""The channel of recorded runs that has a schema: its versions, and what is published on it."""

from __future__ import annotations

import json
from typing import Any, Final

from liminal_mesh.node.schema import Schema
from tests.history.versions import CONTENT

__all__ = ["NARROW", "ONE", "TWO", "TYPED", "fields", "shaped"]

TYPED: Final = "s.orders"


def _version(**properties: dict[str, Any]) -> Schema:
    properties = {CONTENT: {"type": "string"}, **properties}
    return Schema({"type": "object", "properties": properties, "required": list(properties)})


ONE: Final = _version(amount={"type": "integer"}, unit={"type": "string", "default": "EUR"})
TWO: Final = _version(
    amount={"type": "integer"},
    unit={"type": "string", "default": "USD"},
    rush={"type": "boolean", "default": False},
)
NARROW: Final = _version(
    amount={"type": "integer", "minimum": 10},
    unit={"type": "string", "default": "USD"},
    rush={"type": "boolean", "default": True},
)
"""Refuses what the others take, and can only be forced."""


def fields(n: int) -> dict[str, Any]:
    """Return what publish ``n`` holds beside its content: some of them are complete, and some can never be accepted."""
    made: dict[str, Any] = {"amount": (n + 20) % 40}
    if n % 3 == 0:
        made["unit"] = "GBP"
    if n % 5 == 0:
        made["rush"] = True
    if n % 7 == 3:
        made["amount"] = str(n)
    if n % 11 == 5:
        del made["amount"]
    return made


def shaped(n: int, content: bytes) -> tuple[object, dict[str, Any]]:
    """Return what is published as publish ``n``, and its fields; every other one is the text of that in JSON."""
    made = fields(n)
    value = {CONTENT: content.decode(), **made}
    return (json.dumps(value).encode() if n % 2 else value), made
