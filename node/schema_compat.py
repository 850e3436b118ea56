"""Whether a new version of a schema accepts whatever the former one accepted.

What is proved, if nothing speaks against it: every payload that the former version accepts, its defaults put in, the
new one accepts with its own put in. Properties of which the former version did not speak are left out of that, or none
could ever be added to a schema that is open for others. To take away a property is a reason by itself, whatever the
new version makes of it.

The proof goes place by place. It is careful: what it cannot see through (``not``, ``if``, ``oneOf``, ``contains``,
``patternProperties``, ...) has to stay as it is, and no default may come near it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from .schema import Schema
from .schema_document import JsonSchema, Keywords
from .schema_facts import TYPE_NAMES, finite_values, narrowings, possible_types
from .schema_places import Place
from .schema_same import Sameness

__all__ = ["incompatibilities"]

_OBJECT_WORDS: Final = frozenset({"additionalProperties", "patternProperties", "properties", "required"})

_OPAQUE: Final = {
    "object": (
        ("dependencies",),
        ("dependentRequired",),
        ("dependentSchemas",),
        ("patternProperties",),
        ("propertyNames",),
        ("unevaluatedProperties",),
    ),
    "array": (("contains", "maxContains", "minContains"), ("unevaluatedItems",)),
    "string": (("contentEncoding", "contentMediaType"), ("format",), ("pattern",)),
    "": (("$dynamicRef",), ("$recursiveRef",), ("$ref",), ("anyOf",), ("if", "else", "then"), ("not",), ("oneOf",)),
}
"""Keywords that are not seen through, by the type that they speak of, with those that mean something beside them."""

_STEPS_MAX: Final = 20_000


def incompatibilities(old: Schema, new: Schema) -> list[str]:
    """Return what speaks against a new version of a schema, each with its place in a payload; nothing if all is well.

    A version has to describe objects, and to be of the same draft as the one before.
    """
    if old == new:
        return []
    if not _describes_objects(new):
        return ["it describes no objects: its type has to be 'object'"]
    if old.document.dialect != new.document.dialect:
        return [f"it is of another draft: $schema was {old.document.dialect!r} and is {new.document.dialect!r}"]
    if "draft-04" in new.document.dialect or "draft-03" in new.document.dialect:
        return ["schemas of draft 4 are not compared"]
    if old.document.has_ids or new.document.has_ids:
        return ["schemas with an $id within them are not compared"]
    olds, news = (schema.document.conjuncts(schema.document.root) for schema in (old, new))
    place = Place(old, new, olds, news, "payload", filling=True)
    try:
        return list(dict.fromkeys(_Comparison(old, new).reasons(place)))
    except RecursionError:
        return ["it is nested too deeply to be compared"]


def _describes_objects(schema: Schema) -> bool:
    parts = [schema.document.keywords(part) for part in schema.document.conjuncts(schema.document.root)]
    types = possible_types(parts)
    untyped = types == set(TYPE_NAMES)
    return types == {"object"} or (untyped and any(_OBJECT_WORDS & part.keys() for part in parts))


class _Comparison:
    """The walk through two versions.

    Args:
        old: the former one.
        new: what shall follow it.
    """

    def __init__(self, old: Schema, new: Schema) -> None:
        self._same = Sameness(old.document, new.document)
        self._under_way: set[object] = set()
        self._steps = 0

    def reasons(self, place: Place) -> list[str]:
        """Return what the new version takes away at a place and below it."""
        if False in place.olds or self._is_same(place) or place.key in self._under_way:
            return []  # the last: a schema that holds itself; it is well if it is well at every depth
        self._steps += 1
        if self._steps > _STEPS_MAX:
            return [f"{place.where}: is too intricate to be compared"]
        self._under_way.add(place.key)
        try:
            reasons = list(self._look(place))
            return [] if reasons and self._covered_by_cases(place) else reasons
        finally:
            self._under_way.discard(place.key)

    def _is_same(self, place: Place) -> bool:
        olds, news = place.olds, place.news
        return len(olds) == len(news) and all(map(self._same.of, olds, news))

    def _covered_by_cases(self, place: Place) -> bool:
        """Whether each alternative of which the former version wants one is well by itself."""
        if not place.still:
            return False
        for words in place.old_words:
            for alternatives in (words.get("anyOf"), words.get("oneOf")):
                if alternatives is None:
                    continue
                cases = [self._with(place, alternative) for alternative in alternatives]
                if not any(case is None or self.reasons(case) for case in cases):
                    return True
        return False

    def _with(self, place: Place, alternative: JsonSchema) -> Place | None:
        """Return a place with one more demand of the former version, None when that is there already."""
        parts = place.old.document.conjuncts(alternative)
        olds = tuple({id(part): part for part in (*place.olds, *parts)}.values())
        return place.unfilled(olds, place.news) if len(olds) > len(place.olds) else None

    def _look(self, place: Place) -> Iterator[str]:
        if not place.types:
            return
        finite = finite_values(place.old_words)
        if finite is not None and (place.still or not any(isinstance(value, dict | list) for value in finite)):
            yield from self._values(place, finite)
            return
        for part, words in zip(place.news, place.new_words, strict=True):
            if part is False:
                yield f"{place.where}: nothing may stand there any more"
            else:
                yield from (f"{place.where}: {narrowing}" for narrowing in narrowings(place.old_words, words))
                yield from self._opaque(place, words)
        if "object" in place.types:
            yield from self._objects(place)
        if "array" in place.types:
            yield from self._arrays(place)

    @staticmethod
    def _values(place: Place, values: Sequence[Any]) -> Iterator[str]:
        """Try each value of the former version, of which there are not many."""
        old, new = place.old, place.new
        for value in values:
            if any(old.refusal(part, value) for part in place.olds):
                continue
            refusal = next(filter(None, (new.refusal(part, value) for part in place.news)), "")
            if refusal:
                yield f"{place.where}: {refusal}"

    def _opaque(self, place: Place, words: Keywords) -> Iterator[str]:
        for kind, groups in _OPAQUE.items():
            for group in groups:
                speaks = group[0] in words and (not kind or kind in place.types)
                if speaks and not self._kept(place, words, group, still=kind == "string" or place.still):
                    yield f"{place.where}: '{group[0]}' is new, or not seen to accept what was accepted"

    def _kept(self, place: Place, words: Keywords, group: Sequence[str], *, still: bool) -> bool:
        """Whether what the new version says by a group of keywords is nothing new."""
        first = group[0]
        if first == "$ref" and place.new.document.resolve(words[first]) is not None:
            return True  # it was followed
        if not still or first.startswith("unevaluated"):
            return False
        if first == "anyOf" and self._accepted_by_any(place, words["anyOf"]):
            return True
        return any(all(self._same_word(old, words, key) for key in group) for old in place.old_words)

    def _same_word(self, old: Keywords, new: Keywords, key: str) -> bool:
        if key not in old or key not in new:
            return key not in old and key not in new
        return self._same.of_keyword(key, old[key], new[key])

    def _accepted_by_any(self, place: Place, alternatives: Sequence[JsonSchema]) -> bool:
        document = place.new.document
        return any(not self.reasons(place.unfilled(place.olds, document.conjuncts(one))) for one in alternatives)

    # --- objects ---

    def _objects(self, place: Place) -> Iterator[str]:
        yield from (f"{place.where}/{name}: is removed" for name in sorted(place.old_names - place.still_named))
        yield from _fills(place)
        yield from _required(place)
        yield from _sizes(place)
        for name in sorted(place.new_names):
            parts = place.property(name)
            unheard_of = name not in place.old_names and not parts[0] and not place.speaks_of_others
            if not unheard_of:
                yield from self.reasons(place.under(name, parts))
        others = place.others()
        if False in others[1] and False not in others[0]:
            yield f"{place.where}: other properties are not accepted any more"
        elif others[1]:
            yield from self.reasons(place.under("*", others))

    # --- arrays ---

    def _arrays(self, place: Place) -> Iterator[str]:
        unique = any(words.get("uniqueItems") for words in place.new_words)
        if unique and not (place.still and any(words.get("uniqueItems") for words in place.old_words)):
            yield f"{place.where}: its items have to differ now"
        if not place.tuples:
            items = place.items()
            if items[1]:
                yield from self.reasons(place.under("*", items))
            return
        group = ("prefixItems", "items", "additionalItems")
        for words in place.new_words:
            same = any(all(self._same_word(old, words, key) for key in group) for old in place.old_words)
            if any(key in words for key in group) and not (same and place.still):
                yield f"{place.where}: what is said of its items one by one has changed, and cannot be compared"


def _fills(place: Place) -> Iterator[str]:
    """Yield the defaults that the new version would not accept itself."""
    for name in sorted(place.new_fills):
        value = place.new.defaults.filled(place.news, name)
        refusals = (place.new.refusal(part, value) for part in place.property(name)[1])
        if refusal := next(filter(None, refusals), ""):
            yield f"{place.where}/{name}: its default is not accepted: {refusal}"


def _required(place: Place) -> Iterator[str]:
    """Yield the properties that the new version misses in what the former one accepts."""
    sure = {name for words in place.old_words for name in words.get("required", ())} - place.old_fills
    wanted = {name for words in place.new_words for name in words.get("required", ())} - place.new_fills
    for name in sorted(wanted - sure):
        why = "its default is gone" if name in place.old_fills else "it is required now, and has no default"
        yield f"{place.where}/{name}: {why}"


def _sizes(place: Place) -> Iterator[str]:
    more, fewer = len(place.new_fills - place.old_fills), place.old_fills - place.new_fills
    least = max((words.get("minProperties", 0) for words in place.new_words), default=0)
    if least and (fewer or least > max((words.get("minProperties", 0) for words in place.old_words), default=0)):
        yield f"{place.where}: it may have too few properties: 'minProperties' is {least}"
    most = min((words["maxProperties"] for words in place.new_words if "maxProperties" in words), default=None)
    former = min((words["maxProperties"] for words in place.old_words if "maxProperties" in words), default=None)
    if most is not None and (former is None or former + more > most):
        yield f"{place.where}: it may have too many properties: 'maxProperties' is {most}"
