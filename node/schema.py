"""One version of a channel's schema: a JSON Schema with an id, which completes values and checks them.

It is JSON Schema 2020-12 unless its ``$schema`` names an earlier draft (4, 6, 7, 2019-09). ``format`` is checked as far
as the format is known. Nothing is ever fetched: a reference has to lead to somewhere within the document. Patterns are
matched in linear time, whatever a publisher sends, so they have no look-around and no references to groups.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import jsonschema_rs

from .errors import SchemaRejected
from .schema_checks import PartChecks, make_validator
from .schema_defaults import Defaults
from .schema_document import JsonSchema, SchemaDocument, canonical_text
from .schema_reasons import Path, find_reason, shortened

__all__ = ["SCHEMA_BYTES_MAX", "Schema"]

SCHEMA_BYTES_MAX: Final = 1 << 20
"""The longest text of a schema."""

_ID_DIGITS: Final = 16


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

    __slots__ = ("_checks", "_validator", "defaults", "document", "id")

    def __init__(self, document: Mapping[str, Any] | bool) -> None:
        text = canonical_text(document)
        if len(text) > SCHEMA_BYTES_MAX:
            raise ValueError(f"it is larger than {SCHEMA_BYTES_MAX >> 20} MiB")
        self.id = sha256(text.encode()).hexdigest()[:_ID_DIGITS]
        root = json.loads(text)
        try:
            self._validator = make_validator(root)
            self.document = SchemaDocument(root)
            self.defaults = Defaults(self.document)
            self._checks = PartChecks(self.document)
            self._check_defaults()
        except jsonschema_rs.ValidationError as error:
            where = _pointer(error.instance_path)
            raise ValueError(f"{where}: {error.message}" if where else error.message) from None
        except RecursionError:
            raise ValueError("its parts are nested too deeply") from None

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
            if self._validator.is_valid(value):
                return changed
        except RecursionError:
            raise SchemaRejected("", "it is nested too deeply") from None
        except ValueError:  # a key that is no text, or bytes where a JSON value is due
            pass
        try:
            path, reason = find_reason(self.document, self._checks, self.document.root, value)
        except ValueError:  # some of its parts are no schemas; whatever the root makes of them counts
            path, reason = [], "it is not what the schema demands"
        raise SchemaRejected(_pointer(path), reason)

    def refusal(self, part: JsonSchema, value: object) -> str:
        """Return why a part of the document does not accept a value, "" when it does."""
        if self._checks.accepts(part, value):
            return ""
        path, reason = find_reason(self.document, self._checks, part, value)
        return f"{_pointer(path)}: {reason}" if path else reason

    def _check_defaults(self) -> None:
        for fill in self.defaults.fills():
            if refusal := self.refusal(fill.schema, fill.make()):
                raise ValueError(f"{fill.where}: its default can never be accepted: {refusal}")


def _pointer(path: Path) -> str:
    """Return a place within a value as a JSON pointer, with its middle left out if it is very long."""
    return shortened("".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path))
