"""Whether a part of one JSON Schema says the same as a part of another: references are compared by where they lead."""

from __future__ import annotations

from typing import Any, Final, TypeAlias

from .schema_document import JsonSchema, Keywords, SchemaDocument

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


Pair: TypeAlias = "tuple[Keywords, Keywords]"
"""A part of the one document, and a part of the other."""


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
        self._answers: dict[tuple[int, int], bool] = {}
        """What is known of pairs."""

    def of(self, old: JsonSchema, new: JsonSchema) -> bool:
        """Whether two schemas say the same."""
        if isinstance(old, dict) and isinstance(new, dict):
            return self._are_same((old, new))
        return old is new

    def of_keyword(self, key: str, old: Any, new: Any) -> bool:
        """Whether a keyword says the same in two schemas."""
        if key == "$ref":  # one that leads nowhere within the documents
            return bool(old == new) and str(old).startswith(_STANDARD)
        pairs = _pairs(key, old, new)
        return key not in _MOVING and pairs is not None and all(map(self._are_same, pairs))

    def _are_same(self, pair: Pair) -> bool:
        if _id(pair) not in self._answers:
            self._find_out(pair)
        return self._answers[_id(pair)]

    def _find_out(self, pair: Pair) -> None:
        """Find out of a pair, and of all those on which it depends, whether they say the same.

        They do unless something in them differs, at whatever depth: so it is well if they hold themselves.
        """
        waiting, seen = [pair], set[tuple[int, int]]()
        holders: dict[tuple[int, int], list[tuple[int, int]]] = {}
        differing: list[tuple[int, int]] = []
        while waiting:
            pair = waiting.pop()
            if _id(pair) in seen:
                continue
            seen.add(_id(pair))
            within = self._within(*pair)
            if within is None:
                differing.append(_id(pair))
                continue
            for one in within:
                holders.setdefault(_id(one), []).append(_id(pair))
                if self._answers.get(_id(one), True) is False:
                    differing.append(_id(pair))
                elif _id(one) not in self._answers:
                    waiting.append(one)
        self._answers.update(dict.fromkeys(seen, True))
        while differing:
            one_id = differing.pop()
            if self._answers[one_id]:
                self._answers[one_id] = False
                differing += holders.get(one_id, ())

    def _within(self, old: Keywords, new: Keywords) -> list[Pair] | None:
        """Return the pairs on which it depends whether a pair says the same, None if it does not anyway."""
        keys = old.keys() | new.keys()
        found = None if _MOVING & keys else self._targets(old, new)
        for key in keys - _SILENT - {"$ref"}:
            pairs = _pairs(key, old[key], new[key]) if key in old and key in new else None
            if found is None or pairs is None:
                return None
            found += pairs
        return found

    def _targets(self, old: Keywords, new: Keywords) -> list[Pair] | None:
        """Return what two schemas refer to, None if it cannot be the same."""
        if "$ref" not in old and "$ref" not in new:
            return []
        if not self._comparable or "$ref" not in old or "$ref" not in new:
            return None
        one, other = self._old.resolve(old["$ref"]), self._new.resolve(new["$ref"])
        if isinstance(one, dict) and isinstance(other, dict):
            return [(one, other)]
        same = one is other and (one is not None or self.of_keyword("$ref", old["$ref"], new["$ref"]))
        return [] if same else None


def _id(pair: Pair) -> tuple[int, int]:
    return id(pair[0]), id(pair[1])


def _pairs(key: str, old: Any, new: Any) -> list[Pair] | None:
    """Return the pairs of schemas on which it depends whether a keyword says the same, None if it does not anyway."""
    if key in _VALUES or type(old) is not type(new):
        return [] if equal_values(old, new) else None
    if key in _MAPS and isinstance(old, dict):
        return _zipped(list(old.values()), [new[name] for name in old]) if old.keys() == new.keys() else None
    if isinstance(old, list):
        return _zipped(old, new) if len(old) == len(new) else None
    return _zipped([old], [new])


def _zipped(olds: list[Any], news: list[Any]) -> list[Pair] | None:
    """Return the pairs of schemas, None if others differ that stand beside them."""
    found: list[Pair] = []
    for old, new in zip(olds, news, strict=True):
        if isinstance(old, dict) and isinstance(new, dict):
            found.append((old, new))
        elif not equal_values(old, new):
            return None
    return found


def equal_values(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal_values(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal_values, one, other))
    return bool(one == other)
