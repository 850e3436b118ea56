"""What is known of every value that fulfils some JSON Schemas at once, and what one more of them would take away.

More may be true of such values than what is known here, never less.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from .schema_document import Keywords

__all__ = ["TYPE_NAMES", "finite_values", "lower_bound", "narrowings", "possible_types", "upper_bound"]

_TYPES: Final = {
    "array": {"array"},
    "boolean": {"boolean"},
    "integer": {"integer"},
    "null": {"null"},
    "number": {"fraction", "integer"},
    "object": {"object"},
    "string": {"string"},
}
"""Types as JSON Schema names them, in types that have no value in common."""

TYPE_NAMES: Final = {
    "array": "an array",
    "boolean": "a boolean",
    "fraction": "a number with a fraction",
    "integer": "an integer",
    "null": "null",
    "object": "an object",
    "string": "a string",
}
"""What a type is called in a sentence; all of them."""


class _Bound(NamedTuple):
    """A limit, which is excluded itself if it is strict."""

    value: float
    strict: bool


def possible_types(parts: Iterable[Keywords]) -> set[str]:
    """Return the types that a value may have."""
    found = set(TYPE_NAMES)
    for part in parts:
        if "type" in part:
            found &= _named(part["type"])
        listed = _listed(part)
        if listed is not None:
            found &= set(map(_type_of, listed))
    return found


def _named(named: str | list[str]) -> set[str]:
    names = [named] if isinstance(named, str) else named
    return set().union(*(_TYPES[name] for name in names))


def finite_values(parts: Sequence[Keywords]) -> list[Any] | None:
    """Return values of which any has to be one, None when there is no end of them."""
    for part in parts:
        listed = _listed(part)
        if listed is not None:
            return listed
    types = possible_types(parts)
    return (
        [*([None] if "null" in types else []), *([False, True] if "boolean" in types else [])]
        if (types <= {"null", "boolean"})
        else None
    )


def lower_bound(parts: Iterable[Keywords], inclusive: str, exclusive: str = "") -> _Bound | None:
    """Return what values are at least, by two keywords, None when they have no such end."""
    bounds = [bound for part in parts for bound in _bounds(part, inclusive, exclusive)]
    return max(bounds, default=None)


def upper_bound(parts: Iterable[Keywords], inclusive: str, exclusive: str = "") -> _Bound | None:
    """Return what values are at most, by two keywords, None when they have no such end."""
    bounds = [bound for part in parts for bound in _bounds(part, inclusive, exclusive)]
    return min(bounds, key=_ceiling, default=None)


def narrowings(olds: Sequence[Keywords], new: Keywords) -> Iterator[str]:
    """Return what a schema takes away from the values of others, as far as one can tell without looking into them."""
    types = possible_types(olds)
    if "type" in new and (lost := types - _named(new["type"])):
        yield f"may not be {' or '.join(sorted(TYPE_NAMES[one] for one in lost))} any more"
    if _listed(new) is not None:
        yield "has to be one of a list now"
    if "integer" in types:  # as of every number, unless they are listed
        yield from _bound_narrowings(olds, new, "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
        step = new.get("multipleOf")
        whole = step == 1 and "fraction" not in types
        if step is not None and not (
            whole or any(_divides(step, old["multipleOf"]) for old in olds if "multipleOf" in old)
        ):
            yield f"has to be a multiple of {step} now"
    for kind, measure in (("string", "Length"), ("array", "Items")):
        if kind in types:
            yield from _bound_narrowings(olds, new, f"min{measure}", f"max{measure}")


def _bound_narrowings(
    olds: Sequence[Keywords], new: Keywords, least: str, most: str, above: str = "", below: str = ""
) -> Iterator[str]:
    lower, upper = lower_bound([new], least, above), upper_bound([new], most, below)
    old_lower, old_upper = lower_bound(olds, least, above), upper_bound(olds, most, below)
    if old_lower is None and not above:  # a length
        old_lower = _Bound(0, False)
    if lower is not None and (old_lower is None or old_lower < lower):
        yield f"{least} is raised to {lower.value}"
    if upper is not None and (old_upper is None or _ceiling(old_upper) > _ceiling(upper)):
        yield f"{most} is lowered to {upper.value}"


def _ceiling(bound: _Bound) -> tuple[float, bool]:
    return bound.value, not bound.strict


def _divides(step: float, former: float) -> bool:
    """Whether every multiple of the former step is one of this; of fractions only if they are the same."""
    return step == former or (float(step).is_integer() and float(former).is_integer() and int(former) % int(step) == 0)


def _bounds(part: Keywords, inclusive: str, exclusive: str) -> list[_Bound]:
    return [_Bound(part[key], strict) for key, strict in ((inclusive, False), (exclusive, True)) if key and key in part]


def _listed(part: Keywords) -> list[Any] | None:
    if "const" in part:
        return [part["const"]]
    return part.get("enum")


def _type_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case list():
            return "array"
        case dict():
            return "object"
        case int():
            return "integer"
        case float() if value.is_integer():
            return "integer"
        case _:
            return "fraction"
