"""Whether a part of one JSON Schema says the same as a part of another: references are compared by where they lead."""

from __future__ import annotations

from typing import Any, Final

from .schema_document import SchemaDocument

__all__ = ["Sameness", "equal_values"]

_SILENT: Final = frozenset(
    {
        "$anchor",
        "$comment",
        "$defs",
        "$id",
        "$schema",
        "definitions",
        "deprecated",
        "description",
        "examples",
        "readOnly",
        "title",
        "writeOnly",
    }
)
"""Keywords that demand nothing."""

_MAPS: Final = frozenset({"dependencies", "dependentSchemas", "patternProperties", "properties"})
_VALUES: Final = frozenset({"const", "default", "enum", "required", "type"})
_MOVING: Final = frozenset({"$dynamicRef", "$recursiveRef"})
"""References that lead elsewhere according to the way by which they were reached."""

_STANDARD: Final = ("http://json-schema.org/", "https://json-schema.org/")


class Sameness:
    """Compares parts of two documents.

    Args:
        old: the one.
        new: the other.
    """

    def __init__(self, old: SchemaDocument, new: SchemaDocument) -> None:
        self._old = old
        self._new = new
        self._comparable = not (old.has_ids or new.has_ids)

    def of(self, old: object, new: object) -> bool:
        """Whether two schemas say the same."""
        return self._schemas(old, new, set())

    def of_keyword(self, key: str, old: Any, new: Any) -> bool:
        """Whether a keyword says the same in two schemas."""
        if key == "$ref":  # one that leads nowhere within the documents
            return bool(old == new) and str(old).startswith(_STANDARD)
        return key not in _MOVING and self._keyword(key, old, new, set())

    def _schemas(self, old: Any, new: Any, assumed: set[tuple[int, int]]) -> bool:
        if not (isinstance(old, dict) and isinstance(new, dict)):
            return isinstance(old, bool) and old is new
        if _MOVING & (old.keys() | new.keys()) or not self._references(old, new, assumed):
            return False
        keys = (old.keys() | new.keys()) - _SILENT - {"$ref"}
        return all(key in old and key in new and self._keyword(key, old[key], new[key], assumed) for key in keys)

    def _keyword(self, key: str, old: Any, new: Any, assumed: set[tuple[int, int]]) -> bool:
        if key in _VALUES:
            return equal_values(old, new)
        if key in _MAPS and isinstance(old, dict) and isinstance(new, dict):
            return old.keys() == new.keys() and all(self._inner(old[name], new[name], assumed) for name in old)
        return self._inner(old, new, assumed)

    def _inner(self, old: Any, new: Any, assumed: set[tuple[int, int]]) -> bool:
        if isinstance(old, dict) and isinstance(new, dict):
            return self._schemas(old, new, assumed)
        if isinstance(old, list) and isinstance(new, list):
            return len(old) == len(new) and all(map(self._inner, old, new, [assumed] * len(old)))
        return equal_values(old, new)

    def _references(self, old: dict[str, Any], new: dict[str, Any], assumed: set[tuple[int, int]]) -> bool:
        """Whether two schemas refer to the same, or both to nothing."""
        if "$ref" not in old and "$ref" not in new:
            return True
        if not self._comparable or "$ref" not in old or "$ref" not in new:
            return False
        targets = self._old.resolve(old["$ref"]), self._new.resolve(new["$ref"])
        if targets == (None, None):
            return self.of_keyword("$ref", old["$ref"], new["$ref"])
        pair = id(targets[0]), id(targets[1])
        if pair in assumed:
            return True
        assumed.add(pair)
        return self._schemas(*targets, assumed)


def equal_values(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal_values(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal_values, one, other))
    return bool(one == other)
