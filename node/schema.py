"""One version of a channel's schema: a JSON Schema with an id, which completes values and checks them.

It is JSON Schema 2020-12 unless its ``$schema`` names an earlier draft (4, 6, 7, 2019-09). ``format`` is checked as far
as the format is known. Nothing is ever fetched: a reference has to lead to somewhere within the document. Patterns are
matched in linear time, whatever a publisher sends, so they have no look-around and no references to groups.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote

import jsonschema_rs

from .errors import SchemaRejected
from .schema_defaults import Defaults
from .schema_document import JsonSchema, SchemaDocument, canonical_text

__all__ = ["SCHEMA_BYTES_MAX", "Schema"]

SCHEMA_BYTES_MAX: Final = 1 << 20
"""The longest text of a schema."""

_ID_DIGITS: Final = 16
_BASE: Final = "schema:///document.json"
"""Where a document that says nothing of it stands for those who refer to its parts."""

_REASON_MAX: Final = 300
"""A reason quotes what is wrong, which may be as large as a message."""


class Schema:
    """One version of a schema.

    Args:
        document: the JSON Schema, as JSON holds it; it is copied.

    Raises:
        ValueError: it is none, or one of its defaults can never be accepted.

    Attributes:
        id: what it is known by: made from what it says, so that it is the same at every node and at every time.
        document: what it says.
        defaults: what it puts into values.
    """

    __slots__ = ("_parts", "_validate", "defaults", "document", "id")

    def __init__(self, document: Mapping[str, Any] | bool) -> None:
        text = canonical_text(document)
        if len(text) > SCHEMA_BYTES_MAX:
            raise ValueError(f"it is larger than {SCHEMA_BYTES_MAX >> 20} MiB")
        self.id = sha256(text.encode()).hexdigest()[:_ID_DIGITS]
        root = json.loads(text)
        self._validate = _validator(root)
        self._parts: dict[str, Callable[[object], None]] = {}
        try:
            self.document = SchemaDocument(root)
            self.defaults = Defaults(self.document)
        except RecursionError:
            raise ValueError("its parts are nested too deeply") from None
        for fill in self.defaults.fills():
            if refusal := self.refusal(fill.schema, fill.value):
                raise ValueError(f"{fill.where}: its default can never be accepted: {refusal}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and other.id == self.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"<Schema {self.id}>"

    def normalise(self, value: object) -> bool:
        """Put the defaults into a value, in place, and check it; return whether it lacked any.

        Raises:
            SchemaRejected: the first thing that is wrong with it, and where.
        """
        try:
            changed = self.defaults.complete(value)
            self._validate(value)
        except jsonschema_rs.ValidationError as error:
            raise SchemaRejected(_pointer(error.instance_path), _short(error.message)) from None
        except ValueError as error:  # a key that is no text, or bytes where a JSON value is due
            raise SchemaRejected("", f"JSON cannot hold it: {_short(str(error))}") from None
        except RecursionError:
            raise SchemaRejected("", "it is nested too deeply") from None
        return changed

    def refusal(self, part: JsonSchema, value: object) -> str:
        """Return why a part of the document does not accept a value, "" when it does."""
        if isinstance(part, bool):
            return "" if part else "nothing may stand there"
        pointer = self.document.pointer(part)
        if pointer not in self._parts:
            self._parts[pointer] = self._part(pointer)
        try:
            self._parts[pointer](value)
        except ValueError as error:
            return _short(getattr(error, "message", str(error)))
        return ""

    def _part(self, pointer: str) -> Callable[[object], None]:
        root = self.document.root
        assert isinstance(root, dict), "true and false have no parts"
        base = root["$id"] if "://" in root.get("$id", "") else _BASE
        dialect = {"$schema": root["$schema"]} if "$schema" in root else {}
        return _validator({**dialect, "$ref": f"{base}#{quote(pointer)}"}, jsonschema_rs.Registry([(base, root)]))


def _validator(document: dict[str, Any] | bool, registry: Any = None) -> Callable[[object], None]:
    """Return what checks values.

    Raises:
        ValueError: the document is no JSON Schema; the text says where.
    """
    make = partial(jsonschema_rs.validator_for, registry=registry, offline=True, validate_formats=True)
    try:
        return make(document, pattern_options=jsonschema_rs.RegexOptions()).validate
    except jsonschema_rs.ValidationError as error:
        where = _pointer(error.instance_path)
        raise ValueError(f"{where}: {_short(error.message)}" if where else _short(error.message)) from None


def _pointer(path: list[str | int]) -> str:
    """Return a place within a value as a JSON pointer."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def _short(text: str) -> str:
    half = _REASON_MAX // 2
    return text if len(text) <= _REASON_MAX else f"{text[:half]} ... {text[-half:]}"
