"""Whether a new version of a schema accepts whatever the former one accepted.

What is proved, if nothing speaks against it: every payload that the former version accepts, its defaults put in, the
new one accepts with its own put in. Properties of which the former version did not speak are left out of that, or none
could ever be added to a schema that is open for others. To take away a property is a reason by itself, whatever the
new version makes of it.

The proof goes place by place. It is careful: what it cannot see through (``not``, ``if``, ``oneOf``, ``contains``,
``patternProperties``, ...) has to stay as it is, and no default may come near it.
"""

from __future__ import annotations

from collections import deque
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
    """The walk through two versions, from the outside to the inside.

    Args:
        old: the former one.
        new: what shall follow it.
    """

    def __init__(self, old: Schema, new: Schema) -> None:
        self._same = Sameness(old.document, new.document)
        self._well: dict[object, None] = {}
        """Places at which nothing speaks against the new version, unless something does so at those still to be seen.

        A schema that holds itself is well if it is well at every depth. If something is found, that is told, or the
        attempt has failed in which it was looked for; then what came to be well in that is so no more."""
        self._ill: dict[object, str] = {}
        """A reason for others, as it is told behind the place."""
        self._steps = 0

    def reasons(self, start: Place) -> Iterator[str]:
        """Yield what the new version takes away at a place and below it."""
        waiting = deque([start])
        while waiting:
            place = waiting.popleft()
            if place.key in self._ill:
                yield place.where + self._ill[place.key]
            elif not self._is_well(place):
                found, further = self._see(place)
                yield from found
                waiting += further

    def _is_well(self, place: Place) -> bool:
        return place.key in self._well or False in place.olds or self._is_same(place)

    def _is_same(self, place: Place) -> bool:
        olds, news = place.olds, place.news
        return len(olds) == len(news) and all(map(self._same.of, olds, news))

    def _see(self, place: Place) -> tuple[list[str], list[Place]]:
        """Return what speaks against the new version at a place, and at which others nothing may do so."""
        self._well[place.key] = None
        found, further = self._divided(place)
        splits = self._splits(place)
        if not splits or not (found or not self._attempt(further)):
            return found, further
        # What is not seen of all values together may be seen of each alternative of which the former version wants one.
        if len(splits) == 1:
            return [], splits[0]
        if any(map(self._attempt, splits)):
            return [], []
        return found, further

    def _attempt(self, places: Sequence[Place]) -> bool:
        """Whether nothing speaks against the new version at some places, where it may do so."""
        well = len(self._well)
        for place in places:
            reason = next(self.reasons(place), None)
            if reason is not None:
                self._ill[place.key] = reason.removeprefix(place.where)
                for key in list(self._well)[well:]:
                    del self._well[key]
                return False
        return True

    def _splits(self, place: Place) -> list[list[Place]]:
        """Return the places that together are this one, each with one alternative, for each keyword that has some."""
        found = []
        for words in place.old_words if place.still else ():
            for alternatives in filter(None, (words.get("anyOf"), words.get("oneOf"))):
                cases = [place.narrowed(alternative) for alternative in alternatives]
                if all(len(case.olds) > len(place.olds) for case in cases):  # else one of them was chosen before
                    found.append(cases)
        return found

    def _divided(self, place: Place) -> tuple[list[str], list[Place]]:
        self._steps += 1
        if self._steps > _STEPS_MAX:
            return [f"{place.where}: is too intricate to be compared"], []
        found, further = list[str](), list[Place]()
        for one in self._look(place):
            if isinstance(one, str):
                found.append(one)
            else:
                further.append(one)
        return found, further

    def _look(self, place: Place) -> Iterator[str | Place]:
        """Yield what speaks against the new version at a place, and at which others nothing may do so."""
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

    def _opaque(self, place: Place, words: Keywords) -> Iterator[str | Place]:
        for kind, groups in _OPAQUE.items():
            for group in groups:
                if group[0] not in words or (kind and kind not in place.types):
                    continue
                if self._kept(place, words, group, still=kind == "string" or place.still):
                    continue
                further = self._chosen(place, words["anyOf"]) if group[0] == "anyOf" and place.still else None
                if further is None:
                    yield f"{place.where}: '{group[0]}' is new, or not seen to accept what was accepted"
                else:
                    yield from further

    def _kept(self, place: Place, words: Keywords, group: Sequence[str], *, still: bool) -> bool:
        """Whether what the new version says by a group of keywords is nothing new."""
        first = group[0]
        if first == "$ref" and place.new.document.resolve(words[first]) is not None:
            return True  # it was followed
        if not still or first.startswith("unevaluated"):
            return False
        return any(all(self._same_word(old, words, key) for key in group) for old in place.old_words)

    def _same_word(self, old: Keywords, new: Keywords, key: str) -> bool:
        if key not in old or key not in new:
            return key not in old and key not in new
        return self._same.of_keyword(key, old[key], new[key])

    def _chosen(self, place: Place, alternatives: Sequence[JsonSchema]) -> list[Place] | None:
        """Return where nothing may speak against one of the new version's alternatives, None if each does."""
        candidates = [place.facing(alternative) for alternative in alternatives]
        if any(map(self._is_well, candidates)):
            return []
        if not self._splits(place):  # else it may be that none is seen to accept all, and one does
            seen = [(candidate, self._likely(candidate)) for candidate in candidates]
            likely = [(candidate, further) for candidate, further in seen if further is not None]
            if len(likely) == 1:
                return likely[0][1]
            candidates = [candidate for candidate, _ in likely]
        return [] if any(self._attempt([candidate]) for candidate in candidates) else None

    def _likely(self, candidate: Place) -> list[Place] | None:
        """Return where nothing may speak against an alternative, None if something does so right here."""
        if candidate.key in self._ill:
            return None
        self._well[candidate.key] = None  # it may be an alternative of its own
        found, further = self._divided(candidate)
        del self._well[candidate.key]
        if found:
            self._ill[candidate.key] = found[0].removeprefix(candidate.where)
        return None if found else further

    # --- objects ---

    def _objects(self, place: Place) -> Iterator[str | Place]:
        yield from (f"{place.where}/{name}: is removed" for name in sorted(place.old_names - place.still_named))
        yield from _fills(place)
        yield from _required(place)
        yield from _sizes(place)
        for name in sorted(place.new_names):
            parts = place.property(name)
            unheard_of = name not in place.old_names and not parts[0] and not place.speaks_of_others
            if not unheard_of:
                yield place.under(name, parts)
        others = place.others()
        if False in others[1] and False not in others[0]:
            yield f"{place.where}: other properties are not accepted any more"
        elif others[1]:
            yield place.under("*", others)

    # --- arrays ---

    def _arrays(self, place: Place) -> Iterator[str | Place]:
        unique = any(words.get("uniqueItems") for words in place.new_words)
        if unique and not (place.still and any(words.get("uniqueItems") for words in place.old_words)):
            yield f"{place.where}: its items have to differ now"
        if not place.tuples:
            items = place.items()
            if items[1]:
                yield place.under("*", items)
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
