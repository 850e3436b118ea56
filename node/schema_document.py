"""A JSON Schema as a document: its canonical text, and where its references lead.

References are followed within the document: ``#``, pointers such as ``#/$defs/address``, and ``$anchor``. Others lead
nowhere here, nor do those of a document whose parts have identifiers (``$id``) of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

__all__ = ["MISSING", "JsonSchema", "Keywords", "SchemaDocument", "canonical_text"]

JsonSchema: TypeAlias = "dict[str, Any] | bool"
"""A schema or a part of one, as JSON holds it."""

Keywords: TypeAlias = "dict[str, Any]"
"""The keywords of a schema."""

MISSING: Final[Any] = object()
"""Stands for no default at all, since None is one."""

_LONE_REF: Final = ("draft-03", "draft-04", "draft-06", "draft-07")
"""The drafts in which whatever stands beside a reference is ignored."""

_ONES: Final = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords that hold a schema; ``items`` may hold several."""

_LISTS: Final = frozenset({"allOf", "anyOf", "items", "oneOf", "prefixItems"})
"""Keywords that hold schemas in a row."""

_MAPS: Final = frozenset(
    {"$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"}
)
"""Keywords that hold schemas by names of the user's choice, which are no keywords."""

_PARTS_MAX: Final = 100_000


def canonical_text(document: object) -> str:
    """Return a document as JSON text, the same for documents that mean the same.

    Raises:
        ValueError: JSON cannot hold it.
    """
    try:
        return json.dumps(
            document, default=_plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"JSON cannot hold it: {error}") from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"there is a {type(value).__name__} in it")


class SchemaDocument:
    """A schema that is valid as such, and its parts.

    Args:
        root: the whole of it; it is not changed by anyone from here on.
    """

    def __init__(self, root: JsonSchema) -> None:
        self.root = root
        self.draft: Keywords = {"$schema": root["$schema"]} if isinstance(root, dict) and "$schema" in root else {}
        """What says of which draft it is, if anything does."""
        self.dialect = str(self.draft.get("$schema", "")).rstrip("#")
        self._lone_refs = any(draft in self.dialect for draft in _LONE_REF)
        self._has_prefixes = not self.dialect or "2020-12" in self.dialect
        self._pointers: dict[int, str] = {}
        self._anchors: dict[str, JsonSchema] = {}
        self.has_ids = False
        """Whether parts of it have identifiers of their own."""
        self._index()

    def pointer(self, schema: JsonSchema) -> str:
        """Return where a part of the document stands in it; a part that is ``true`` or ``false`` stands nowhere."""
        return self._pointers[id(schema)]

    def pointers(self) -> Iterable[str]:
        """Return where all of them stand."""
        return self._pointers.values()

    def resolve(self, reference: object) -> JsonSchema | None:
        """Return the part that a reference leads to, None when that is not in this document."""
        if not isinstance(reference, str) or not reference.startswith("#") or self.has_ids:
            return None
        fragment = unquote(reference[1:])
        found = self._at(fragment) if fragment.startswith("/") or not fragment else self._anchors.get(fragment)
        return found if isinstance(found, dict | bool) else None

    def keywords(self, schema: JsonSchema) -> Keywords:
        """Return the keywords of a part that count: a reference may leave no others."""
        if isinstance(schema, bool):
            return {} if schema else {"not": {}}
        return {"$ref": schema["$ref"]} if self._lone_refs and "$ref" in schema else schema

    def items(self, words: Keywords) -> tuple[list[JsonSchema], JsonSchema]:
        """Return what keywords demand of the items of a list: of the first ones, one by one, and of the rest."""
        leading, rest = words.get("prefixItems") if self._has_prefixes else [], words.get("items", True)
        if isinstance(rest, list):  # before 2020-12
            leading, rest = rest, words.get("additionalItems", True)
        return [_schema(one) for one in leading] if isinstance(leading, list) else [], _schema(rest)

    def conjuncts(self, schema: JsonSchema) -> tuple[JsonSchema, ...]:
        """Return all schemas that a value has to fulfil at once: this one, what it refers to, and its ``allOf``.

        A reference that leads nowhere stays where it is, for whoever has to know.
        """
        found: dict[int, JsonSchema] = {}
        self._collect(schema, found, set())
        return tuple(found.values())

    def default(self, schema: JsonSchema) -> Any:
        """Return the default that stands at a schema, at what it refers to, or in its ``allOf``; else MISSING."""
        if isinstance(schema, dict) and "default" in schema:  # beside a reference in any draft
            return schema["default"]
        parts = [part for part in self.conjuncts(schema) if isinstance(part, dict)]
        return next((part["default"] for part in parts if "default" in part), MISSING)

    def _collect(self, schema: JsonSchema, found: dict[int, JsonSchema], seen: set[int]) -> None:
        if id(schema) in seen:
            return
        seen.add(id(schema))
        target = self.resolve(schema["$ref"]) if isinstance(schema, dict) and "$ref" in schema else None
        if target is None or not (self._lone_refs or len(schema) == 1):  # type: ignore[arg-type]
            found[id(schema)] = schema
        if target is not None:
            self._collect(target, found, seen)
        for part in _schemas(self.keywords(schema).get("allOf")):
            self._collect(part, found, seen)

    def _index(self) -> None:
        """Note where each part stands, and the names that parts bear: first what is in its place, then what is not."""
        waiting: list[tuple[str, Any]] = [("", self.root)]
        references: list[str] = []
        while waiting or references:
            if not waiting:
                fragment = unquote(references.pop()[1:])
                waiting = [] if self.has_ids else [(fragment, self._at(fragment))]
                continue
            pointer, part = waiting.pop()
            if not isinstance(part, dict) or id(part) in self._pointers:
                continue
            self._pointers[id(part)] = pointer
            if len(self._pointers) > _PARTS_MAX:
                raise ValueError(f"it has more than {_PARTS_MAX} parts")
            self._name(pointer, part)
            waiting += _children(pointer, part)
            if str(part.get("$ref")).startswith("#/"):
                references.append(part["$ref"])

    def _at(self, pointer: str) -> Any:
        """Return what stands at a place in the document, None when there is nothing."""
        found: Any = self.root
        for step in pointer.split("/")[1:]:
            found = _child(found, step.replace("~1", "/").replace("~0", "~"))
        return found

    def _name(self, pointer: str, part: dict[str, Any]) -> None:
        identifier = part.get("id" if "draft-04" in self.dialect else "$id")
        self.has_ids |= bool(pointer) and isinstance(identifier, str)
        if isinstance(anchor := part.get("$anchor"), str):
            self._anchors.setdefault(anchor, part)


def _children(pointer: str, part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in part.items():
        if key in _MAPS and isinstance(value, dict):
            for name, inner in value.items():
                yield f"{pointer}/{key}/{name.replace('~', '~0').replace('/', '~1')}", inner
        elif key in _LISTS and isinstance(value, list):
            for index, inner in enumerate(value):
                yield f"{pointer}/{key}/{index}", inner
        elif key in _ONES:
            yield f"{pointer}/{key}", value


def _child(found: Any, step: str) -> Any:
    if isinstance(found, dict):
        return found.get(step)
    if isinstance(found, list) and step.isdecimal() and int(step) < len(found):
        return found[int(step)]
    return None


def _schema(value: Any) -> JsonSchema:
    """Return a schema as it is; whatever else stands in its place demands nothing."""
    return value if isinstance(value, dict | bool) else True


def _schemas(value: object) -> list[JsonSchema]:
    return [part for part in value if isinstance(part, dict | bool)] if isinstance(value, list) else []
