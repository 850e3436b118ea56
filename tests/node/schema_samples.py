"""JSON Schemas and values made by chance that speak of each other: few names and small numbers, so that they meet.

They are made by a seeded generator and not by strategies: thousands of pairs in seconds, of which many are of use.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from liminal_mesh.node.schema import Schema

__all__ = ["Sampler"]

TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


class Sampler:
    """Makes schemas and values.

    Args:
        seed: decides them all.
        names: the properties that there are.
    """

    def __init__(self, seed: int, names: str = "abc") -> None:
        self.rng = Random(seed)
        self.names = names

    # --- values ---

    def leaf(self) -> Any:
        """Return a small value."""
        numbers = (self.rng.randint(-2, 4), self.rng.choice([0.5, 1.0, -1.5]))
        return self.rng.choice([None, True, False, *numbers, *numbers, "", "a", "ab", "ba"])

    def value(self, depth: int = 2) -> Any:
        """Return any value."""
        match self.rng.randrange(5) if depth else 0:
            case 0:
                return self.leaf()
            case 1:
                return [self.value(depth - 1) for _ in range(self.rng.randrange(4))]
            case _:
                return {name: self.value(depth - 1) for name in self._some_names(3)}

    def instance(self, document: Any, root: Any = None, depth: int = 4) -> Any:
        """Return a value that a schema often accepts: it is heeded as far as that is easy."""
        root = document if root is None else root
        if not isinstance(document, dict) or depth < 0 or self.rng.random() < 0.1:
            return self.value(1)
        if "$ref" in document:
            found: Any = root
            for step in document["$ref"].split("/")[1:]:
                found = found[step]
            return self.instance(found, root, depth - 1)
        if "const" in document or "enum" in document:
            return copy.deepcopy(self.rng.choice([document["const"]] if "const" in document else document["enum"]))
        cases = document.get("anyOf", document.get("oneOf"))
        if cases and "properties" not in document:
            return self.instance(self.rng.choice(cases), root, depth)
        return self._typed(document, root, depth)

    def _typed(self, document: dict[str, Any], root: Any, depth: int) -> Any:
        named = document.get("type", "object" if {"properties", "allOf"} & document.keys() else list(TYPES))
        match named if isinstance(named, str) else self.rng.choice(named):
            case "object":
                layers = [one for one in (document, *document.get("allOf", [])) if isinstance(one, dict)]
                parts = {name: part for layer in layers for name, part in layer.get("properties", {}).items()}
                return {
                    name: self.instance(part, root, depth - 1)
                    for name, part in parts.items()
                    if self.rng.random() < 0.7
                }
            case "array":
                return [
                    self.instance(document.get("items", True), root, depth - 1) for _ in range(self.rng.randrange(3))
                ]
            case "string":
                return self.rng.choice(["", "a", "b", "ab", "bab", "a@b.example"])[: document.get("maxLength")]
            case "integer":
                return self.rng.randint(-3, 8)
            case "number":
                return self.rng.randint(-6, 16) / 2
            case "boolean":
                return self.rng.random() < 0.5
            case _:
                return None

    # --- schemas ---

    def document(self) -> dict[str, Any]:
        """Return a schema, most likely of objects."""
        while True:
            typed = {"type": "object"} if self.rng.random() < 0.8 else {}
            document = {**typed, **self._object(2), **self._now_and_then(0.2, self._mixed, 1)}
            document["$defs"] = {"d": self.part(1)}
            if _is_schema(document):
                return document

    def part(self, depth: int = 2) -> Any:
        """Return a part of a schema."""
        rng = self.rng
        if rng.random() < 0.08:
            return rng.random() < 0.7
        kind = rng.choice(TYPES)
        made: dict[str, Any] = {"type": kind} if rng.random() < 0.7 else {}
        match kind:
            case "integer" | "number":
                made |= self._some(minimum=self._bound, maximum=self._bound, exclusiveMinimum=self._bound)
                made |= self._some(exclusiveMaximum=self._bound, multipleOf=lambda: rng.randint(1, 3))
            case "string":
                made |= self._some(minLength=lambda: rng.randrange(3), maxLength=lambda: rng.randrange(4))
                made |= self._some(pattern=lambda: rng.choice(["^a", "b$"]))
            case "array" if depth:
                made |= self._list(depth)
            case "object" if depth:
                made |= self._object(depth)
            case "boolean" if depth:
                made = self._mixed(depth)
            case _:
                made = {"enum": [self.value(1) for _ in range(rng.randint(1, 3))]} if rng.random() < 0.5 else made
        return made

    def _object(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        named = {name: self._property(depth - 1) for name in self._some_names(3)}
        return {
            **({"properties": named} if named else {}),
            **self._some(
                required=lambda: self._some_names(2),
                additionalProperties=lambda: rng.choice([False, False, True, self.part(depth - 1)]),
            ),
            **self._now_and_then(
                0.15,
                lambda: self._some(
                    minProperties=lambda: rng.randrange(3),
                    maxProperties=lambda: rng.randrange(4),
                    patternProperties=lambda: {rng.choice(["^a", "c"]): self.part(depth - 1)},
                    dependentRequired=lambda: {rng.choice(self.names): self._some_names(1)},
                    dependentSchemas=lambda: {rng.choice(self.names): self.part(depth - 1)},
                    unevaluatedProperties=lambda: rng.choice([False, self.part(depth - 1)]),
                    propertyNames=lambda: {"pattern": rng.choice(["^[ab]", "."])},
                ),
            ),
        }

    def _property(self, depth: int) -> Any:
        """Return what a property has to be, now and then with a default, which may be one that it does not accept."""
        made = {"$ref": self.rng.choice(["#", "#/$defs/d"])} if self.rng.random() < 0.15 else self.part(max(depth, 0))
        if isinstance(made, dict) and self.rng.random() < 0.3:
            made["default"] = self.rng.choice([self.leaf(), self.leaf(), {}, [{}]])
        return made

    def _list(self, depth: int) -> dict[str, Any]:
        rng = self.rng
        return {
            **self._some(items=lambda: self._property(depth - 1), maxItems=lambda: rng.randrange(4)),
            **self._now_and_then(
                0.3,
                lambda: self._some(
                    prefixItems=lambda: [self.part(depth - 1)],
                    minItems=lambda: rng.randrange(2),
                    uniqueItems=lambda: rng.random() < 0.7,
                    contains=lambda: self.part(depth - 1),
                ),
            ),
        }

    def _mixed(self, depth: int) -> dict[str, Any]:
        def some() -> list[Any]:
            return [self.part(depth - 1) for _ in range(self.rng.randint(1, 2))]

        def one() -> Any:
            return self.part(depth - 1)

        kinds: Sequence[Callable[[], dict[str, Any]]] = (
            lambda: {"anyOf": some()},
            lambda: {"anyOf": some()},
            lambda: {"allOf": some()},
            lambda: {"allOf": [self._object(depth), self._object(depth)]},
            lambda: {"oneOf": some()},
            lambda: {"not": one()},
            lambda: {"if": one(), "then": one(), "else": one()},
        )
        return self.rng.choice(kinds)()

    # --- new versions ---

    def evolved(self, document: dict[str, Any], names: str, part: Callable[[], Any]) -> Any:
        """Return a schema with some things changed here and there: a bound, a property, a default, a whole part."""
        rng = self.rng
        new = copy.deepcopy(document)
        for _ in range(rng.randint(1, 2)):
            place = rng.choice(_parts(new))
            keys = sorted(place.keys() - {"$defs"})
            bounds = [key for key in keys if type(place[key]) in {int, float}]
            match rng.choice(["drop", "bound", "add", "add", "types", "alternative", "require", "default"]):
                case "drop" if keys:
                    del place[rng.choice(keys)]
                case "bound" if bounds:
                    place[rng.choice(bounds)] += rng.choice([-1, 1])
                case "add":
                    made = part()
                    default = {"default": self.leaf()} if rng.random() < 0.6 else {}
                    inner = {**made, **default} if isinstance(made, dict) else made
                    place.setdefault("properties", {})[rng.choice(names)] = inner
                case "types":
                    place["type"] = rng.sample(TYPES, rng.randint(3, 6))
                case "alternative" if "$ref" not in place:
                    former = {key: place.pop(key) for key in keys}
                    place["anyOf"] = [former, part()]
                case "require":
                    place["required"] = self._some_names(1)
                case "default" if "default" in place:
                    place["default"] = self.leaf()
        return new

    # --- chance ---

    def _bound(self) -> float:
        return self.rng.choice([self.rng.randint(-2, 3), 0.5, 2.0])

    def _some_names(self, most: int) -> list[str]:
        return self.rng.sample(self.names, self.rng.randint(0, min(most, len(self.names))))

    def _some(self, **keywords: Callable[[], Any]) -> dict[str, Any]:
        return {name: make() for name, make in keywords.items() if self.rng.random() < 0.35}

    def _now_and_then(self, share: float, make: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        return make(*arguments) if self.rng.random() < share else {}


def _parts(document: Any) -> list[dict[str, Any]]:
    """Return the schemas in a schema."""
    found = [document] if isinstance(document, dict) else []
    for part in found:
        for key, value in part.items():
            if key in {"properties", "patternProperties", "$defs"}:
                found += [inner for inner in value.values() if isinstance(inner, dict)]
            elif key in {"items", "additionalProperties", "not", "if", "contains"} and isinstance(value, dict):
                found.append(value)
            elif key in {"anyOf", "oneOf", "allOf", "prefixItems"}:
                found += [inner for inner in value if isinstance(inner, dict)]
    return found


def _is_schema(document: Any) -> bool:
    try:
        Schema(document)
    except ValueError:
        return False
    return True
