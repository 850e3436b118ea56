"""Whether values are what a JSON Schema, or a part of one, demands: yes or no, and soon, whatever a publisher sends.

The library that says so is asked nothing else. When it tells why, it tells of each way in which each alternative
fails, which may be more than there is time or memory for; its ``uniqueItems`` compares large numbers one by one.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Final
from urllib.parse import quote

import jsonschema_rs

from .schema_document import JsonSchema, Keywords, SchemaDocument

__all__ = ["PartChecks", "make_validator"]

_BASE: Final = "schema:///document.json"
"""Where a document stands for those who refer to its parts."""

_EACH: Final = "each "
"""Before the place of a part: values which all have to be what it demands."""


def make_validator(document: JsonSchema, registry: jsonschema_rs.Registry | None = None) -> jsonschema_rs.Validator:
    """Return what checks values.

    Args:
        document: the schema.
        registry: other documents to which it may refer.

    Raises:
        ValueError: it is no JSON Schema; if it is a ``jsonschema_rs.ValidationError``, that says where.
    """
    return jsonschema_rs.validator_for(
        document,
        registry=registry,
        offline=True,
        validate_formats=True,
        pattern_options=jsonschema_rs.RegexOptions(),  # of which none takes more than linear time
        keywords={"uniqueItems": _UniqueItems},
    )


class PartChecks:
    """Whether values are what parts of a document demand.

    One validator knows all parts, since they refer to each other: of many small ones each would hold the most of them.
    It is made when it is first asked.
    """

    def __init__(self, document: SchemaDocument) -> None:
        self._document = document
        self._validator: jsonschema_rs.Validator | None = None

    def accepts(self, part: JsonSchema, value: object) -> bool:
        """Whether a value is what a part demands; one that JSON cannot hold never is.

        Raises:
            ValueError: the document has parts that are no schemas.
        """
        return part if isinstance(part, bool) else self._check({self._document.pointer(part): value})

    def first_refused(self, part: JsonSchema, values: list[Any]) -> int | None:
        """Return the place of the first of some values that is not what a part demands, None if all are.

        Raises:
            ValueError: the document has parts that are no schemas.
        """
        if isinstance(part, bool):
            return None if part or not values else 0
        each = _EACH + self._document.pointer(part)
        if self._check({each: values}):
            return None
        start, stop = 0, len(values)
        while stop - start > 1:
            middle = (start + stop) // 2
            if self._check({each: values[start:middle]}):
                start = middle
            else:
                stop = middle
        return start

    def _check(self, asked: dict[str, Any]) -> bool:
        if self._validator is None:
            self._validator = self._make()
        try:
            return self._validator.is_valid(asked)
        except (ValueError, RecursionError):
            return False

    def _make(self) -> jsonschema_rs.Validator:
        parts: Keywords = {}
        for pointer in self._document.pointers():
            part = {"$ref": f"{_BASE}#{quote(pointer)}"}
            parts |= {pointer: part, _EACH + pointer: {"items": part}}
        registry = jsonschema_rs.Registry([(_BASE, self._document.root)])
        return make_validator({**self._document.draft, "properties": parts}, registry)


class _UniqueItems:
    """The keyword ``uniqueItems``, by hashes that nobody can foresee."""

    def __init__(self, schema: dict[str, Any], wanted: object, path: list[str | int]) -> None:
        del schema, path
        self._wanted = wanted is True

    def validate(self, instance: object) -> None:
        """Check a value.

        Raises:
            ValueError: two items are equal.
        """
        if not (self._wanted and isinstance(instance, list) and len(instance) > 1):
            return
        if len(set(map(_token, instance))) < len(instance):
            raise ValueError("it has equal items")


def _token(value: Any) -> Hashable:
    """Return what is equal for equal JSON values and no others: 1 and 1.0 are equal, 1 and true are not."""
    match value:
        case int() if not isinstance(value, bool):
            return (f"{value:x}",)  # hashes of numbers can be foreseen, and large ones be made to share one
        case float():
            return (f"{int(value):x}" if value.is_integer() else value.hex(),)
        case list():
            return ("list", *map(_token, value))
        case dict():
            return frozenset([(name, _token(inner)) for name, inner in value.items()])
    hashable: Hashable = value
    return hashable
