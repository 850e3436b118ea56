"""One place in the payloads of a channel, and what two versions of a schema demand there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Final, TypeAlias

from .schema import Schema
from .schema_document import JsonSchema, Keywords
from .schema_facts import possible_types

__all__ = ["Parts", "Place"]

Parts: TypeAlias = "tuple[JsonSchema, ...]"
"""What a value has to fulfil at once; none of them has an ``allOf`` or a reference that was not followed."""

_IN_PLACE: Final = frozenset(
    {
        "$dynamicRef",
        "$recursiveRef",
        "anyOf",
        "dependencies",
        "dependentSchemas",
        "if",
        "not",
        "oneOf",
        "patternProperties",
    }
)
"""Keywords that may speak of properties which ``properties`` does not name."""


class Place:
    """What two versions demand of the values at one place.

    Args:
        old: the former version.
        new: the one that shall follow it.
        olds: the parts of the former one that speak of the place.
        news: those of the new one.
        where: the place, for people.
        filling: defaults are put into the values here.
        beside: properties of which the new version speaks in other parts that concern the place.
    """

    def __init__(
        self,
        old: Schema,
        new: Schema,
        olds: Parts,
        news: Parts,
        where: str,
        *,
        filling: bool,
        beside: frozenset[str] = frozenset(),
    ) -> None:
        self.old = old
        self.new = new
        self.olds = olds
        self.news = news
        self.where = where
        self.filling = filling
        self._beside = beside
        self.old_words: list[Keywords] = [old.document.keywords(part) for part in olds]
        self.new_words: list[Keywords] = [new.document.keywords(part) for part in news]

    @cached_property
    def types(self) -> set[str]:
        """The types that a value of the former version may have."""
        return possible_types(self.old_words)

    @cached_property
    def still(self) -> bool:
        """Whether no default of either version is ever put into anything here."""
        return not self.filling or not (
            any(map(self.old.defaults.active_in, self.olds)) or any(map(self.new.defaults.active_in, self.news))
        )

    @cached_property
    def key(self) -> object:
        """Two places with the same demands have the same."""
        return frozenset(map(id, self.olds)), frozenset(map(id, self.news)), self.filling, self._beside

    @cached_property
    def old_fills(self) -> set[str]:
        """The properties that the former version puts in."""
        return {name for part in self.olds for name in self.old.defaults.fills_of(part)} if self.filling else set()

    @cached_property
    def new_fills(self) -> set[str]:
        """The properties that the new version puts in."""
        return {name for part in self.news for name in self.new.defaults.fills_of(part)} if self.filling else set()

    @property
    def old_names(self) -> set[str]:
        """The properties that the former version names."""
        return {name for words in self.old_words for name in words.get("properties", {})}

    @property
    def new_names(self) -> set[str]:
        """The properties that the new version names."""
        return {name for words in self.new_words for name in words.get("properties", {})}

    @cached_property
    def still_named(self) -> frozenset[str]:
        """The properties that the new version names at this place, be it only in one case or another."""
        return self._beside | {name for words in self.new_words for name in _names(self.new, words, set())}

    @property
    def tuples(self) -> bool:
        """Whether either version tells the items of a list by their places."""
        return any("prefixItems" in words or isinstance(words.get("items"), list) for words in self._all_words())

    @property
    def speaks_of_others(self) -> bool:
        """Whether the former version may speak of properties that it does not name."""
        return any(_IN_PLACE & words.keys() for words in self.old_words)

    def property(self, name: str) -> tuple[Parts, Parts]:
        """Return what the two versions demand of a property."""
        # Of a name that fits a pattern less may be demanded than that, or more: so nothing is known of it.
        olds = [_property(words, name, "patternProperties" not in words) for words in self.old_words]
        news = [_property(words, name, True) for words in self.new_words]
        return self._parts(olds, news)

    def others(self) -> tuple[Parts, Parts]:
        """Return what the two versions demand of properties that they do not name."""
        known = [self._same_patterns(words) for words in self.old_words]
        olds = [
            words.get("additionalProperties") if sure else None
            for words, sure in zip(self.old_words, known, strict=True)
        ]
        return self._parts(olds, [words.get("additionalProperties") for words in self.new_words])

    def items(self) -> tuple[Parts, Parts]:
        """Return what the two versions demand of the items of a list."""
        return self._parts(*([one.get("items") for one in words] for words in (self.old_words, self.new_words)))

    def under(self, step: str, parts: tuple[Parts, Parts]) -> Place:
        """Return a place within this one."""
        olds, news = parts
        return Place(self.old, self.new, olds, news, f"{self.where}/{step}", filling=self.filling)

    def narrowed(self, alternative: JsonSchema) -> Place:
        """Return this place with one more demand of the former version."""
        parts = self.old.document.conjuncts(alternative)
        return self._unfilled(tuple({id(part): part for part in (*self.olds, *parts)}.values()), self.news)

    def facing(self, alternative: JsonSchema) -> Place:
        """Return this place with another demand of the new version, in the place of all others."""
        return self._unfilled(self.olds, self.new.document.conjuncts(alternative))

    def _unfilled(self, olds: Parts, news: Parts) -> Place:
        """Return this place with other demands, of which none puts anything in."""
        return Place(self.old, self.new, olds, news, self.where, filling=False, beside=self.still_named)

    def _all_words(self) -> list[Keywords]:
        return [*self.old_words, *self.new_words]

    def _same_patterns(self, words: Keywords) -> bool:
        """Whether what is said of other properties is said of the same names by the new version."""
        pattern = words.get("patternProperties")
        bounded = [one for one in self.new_words if "additionalProperties" in one]
        return pattern is None or all(one.get("patternProperties", {}).keys() == pattern.keys() for one in bounded)

    def _parts(self, olds: Iterable[JsonSchema | None], news: Iterable[JsonSchema | None]) -> tuple[Parts, Parts]:
        return _conjuncts(self.old, olds), _conjuncts(self.new, news)


def _property(words: Keywords, name: str, others: bool) -> JsonSchema | None:
    named: JsonSchema | None = words.get("properties", {}).get(name)
    return named if named is not None or not others else words.get("additionalProperties")


def _names(schema: Schema, words: Keywords, seen: set[int]) -> Iterator[str]:
    """Yield the properties that are named in a part, or in what may count beside it."""
    if id(words) in seen:
        return
    seen.add(id(words))
    yield from words.get("properties", {})
    for key in ("allOf", "anyOf", "oneOf", "if", "then", "else"):
        inner = words.get(key, [])
        for part in inner if isinstance(inner, list) else [inner]:
            for one in schema.document.conjuncts(part):
                yield from _names(schema, schema.document.keywords(one), seen)


def _conjuncts(schema: Schema, parts: Iterable[JsonSchema | None]) -> Parts:
    found = [inner for part in parts if part is not None for inner in schema.document.conjuncts(part)]
    return tuple({id(inner): inner for inner in found}.values())
