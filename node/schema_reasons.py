"""Why a JSON Schema refuses a value: the first thing that is wrong with it, and where.

It is looked for from the outside to the inside, as long as the value of one property or item is to blame. What is wrong
there is in the words of the library, which is shown that place alone: instead of each schema that alternatives and the
like consist of it gets ``true`` or ``false``, by whether that accepts the value. So this takes as long as some checks
of the value, however often its schema repeats itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import jsonschema_rs

from .schema_checks import PartChecks, make_validator
from .schema_document import JsonSchema, Keywords, SchemaDocument

__all__ = ["Path", "find_reason", "shortened"]

Path: TypeAlias = "list[str | int]"
"""Names and places from the outside to the inside."""

Blamed: TypeAlias = "tuple[str | int, JsonSchema, object]"
"""The step to a value within another one, what it has to be, and what it is."""

_YES: Final[Keywords] = {}
_NO: Final[Keywords] = {"not": {}}
"""What accepts anything and nothing, in the words of any draft."""

_QUOTED_MAX: Final = 300
"""A reason quotes what is wrong, which may be as large as a message; so may the names be that lead there."""

_STEPS_MAX: Final = 64
"""So many steps inside are looked at: each may take another check of the value."""

_PLAIN: Final = frozenset(
    {
        "const",
        "dependentRequired",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "required",
        "type",
        "uniqueItems",
    }
)
"""Keywords that hold no schemas."""

_UNSEEN: Final = (
    "$dynamicRef",
    "$recursiveRef",
    "$ref",
    "contains",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Keywords that may refuse what nothing else refuses."""


def find_reason(document: SchemaDocument, checks: PartChecks, part: JsonSchema, value: object) -> tuple[Path, str]:
    """Return where a value is not what a part demands, which does not accept it, and why it is not.

    Raises:
        ValueError: the document has parts that are no schemas.
    """
    search = _Search(document, checks)
    path: Path = []
    while len(path) < _STEPS_MAX and (found := search.within(part, value)):
        step, part, value = found
        path.append(step)
    rest, reason = search.here(part, value)
    return path + rest, shortened(reason)


def shortened(text: str) -> str:
    """Return what is told of a text that may be as large as a message."""
    half = _QUOTED_MAX // 2
    return text if len(text) <= _QUOTED_MAX else f"{text[:half]} ... {text[-half:]}"


class _Search:
    def __init__(self, document: SchemaDocument, checks: PartChecks) -> None:
        self._document = document
        self._checks = checks

    def within(self, part: JsonSchema, value: object) -> Blamed | None:
        """Return the step to a property or an item that is to blame, what it has to be, and what it is."""
        for words in self._demands(part, value, set()):
            found = None
            if isinstance(value, dict):
                found = self._property(words, value)
            elif isinstance(value, list):
                found = self._item(words, value)
            if found is not None:
                return found
        return None

    def here(self, part: JsonSchema, value: object) -> tuple[Path, str]:
        """Return why a value is refused, of which no property and no item is to blame by itself."""
        if isinstance(value, float) and not math.isfinite(value):
            return [], f"JSON cannot hold it: {value}"
        unseen: dict[str, None] = {}
        for words in self._demands(part, value, set()):
            if words == _NO:
                return [], "nothing may stand there"
            if "not" in words and self._checks.accepts(words["not"], value):
                return [], "it is what 'not' forbids"
            try:
                make_validator(self._judged(words, value)).validate(value)
            except jsonschema_rs.ValidationError as error:
                return error.instance_path, error.message
            except ValueError as error:  # a key that is no text, or bytes where a JSON value is due
                return [], f"JSON cannot hold it: {error}"
            if isinstance(value, dict) and (found := self._name(words.get("propertyNames", True), list(value))):
                return [], found
            unseen |= {repr(word): None for word in _UNSEEN if self._is_unseen(word, words)}
        return [], f"it is not what {' or '.join(unseen) or 'the schema'} demands"

    def _demands(self, part: JsonSchema, value: object, seen: set[int]) -> Iterator[Keywords]:
        """Yield the keywords of all schemas that the value has to fulfil."""
        for one in self._document.conjuncts(part):
            if id(one) in seen:
                continue
            seen.add(id(one))
            words = self._document.keywords(one)
            yield words
            if "if" in words:
                branch = words.get("then" if self._checks.accepts(words["if"], value) else "else", True)
                yield from self._demands(branch, value, seen)
            if isinstance(value, dict):
                depending = {**words.get("dependencies", {}), **words.get("dependentSchemas", {})}
                for name, inner in depending.items():
                    if name in value and isinstance(inner, dict | bool):
                        yield from self._demands(inner, value, seen)

    def _property(self, words: Keywords, value: dict[str, Any]) -> Blamed | None:
        named = words.get("properties", {})
        for name, inner in named.items():
            if name in value and not self._checks.accepts(inner, value[name]):
                return name, inner, value[name]
        others = dict.fromkeys(name for name in value if name not in named)
        for pattern, inner in words.get("patternProperties", {}).items():
            fits = make_validator({"pattern": pattern}).is_valid
            fitting = [name for name in value if isinstance(name, str) and fits(name)]
            for name in fitting:
                others.pop(name, None)
            if (index := self._checks.first_refused(inner, [value[name] for name in fitting])) is not None:
                return fitting[index], inner, value[fitting[index]]
        rest, names = words.get("additionalProperties", True), list(others)
        if rest is False or (index := self._checks.first_refused(rest, [value[name] for name in names])) is None:
            return None  # false has words of its own
        return names[index], rest, value[names[index]]

    def _item(self, words: Keywords, value: list[Any]) -> Blamed | None:
        leading, rest = self._document.items(words)
        for index, (inner, item) in enumerate(zip(leading, value, strict=False)):
            if not self._checks.accepts(inner, item):
                return index, inner, item
        found = self._checks.first_refused(rest, value[len(leading) :])
        return None if found is None else (len(leading) + found, rest, value[len(leading) + found])

    def _judged(self, words: Keywords, value: object) -> Keywords:
        """Return keywords with an answer in the place of each schema that has to do with the value as a whole."""
        judged = {**self._document.draft, **{word: words[word] for word in _PLAIN & words.keys()}}
        for word in ("anyOf", "oneOf"):
            if word in words:
                judged[word] = [_YES if self._checks.accepts(one, value) else _NO for one in words[word]]
        depending = words.get("dependencies", {})
        judged["dependencies"] = {name: names for name, names in depending.items() if isinstance(names, list)}
        if words.get("additionalProperties") is False:
            judged["additionalProperties"] = False
            for word in ("patternProperties", "properties"):
                judged[word] = dict.fromkeys(words.get(word, {}), _YES)
        return judged

    def _name(self, demanded: JsonSchema, names: list[str]) -> str:
        """Return what is wrong with the first name of a property that is not as demanded, "" if all are."""
        index = self._checks.first_refused(demanded, names)
        return "" if index is None else f"the name {names[index]!r}: {self.here(demanded, names[index])[1]}"

    def _is_unseen(self, word: str, words: Keywords) -> bool:
        return word in words and (word != "$ref" or self._document.resolve(words["$ref"]) is None)
