"""Whether a new version of a schema takes what the former one took (SC4)."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from liminal_mesh.node.errors import SchemaRejected
from liminal_mesh.node.schema import Schema
from liminal_mesh.node.schema_compat import incompatibilities
from liminal_mesh.node.schema_places import Place

from .schema_samples import Sampler


def objects(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a schema of objects."""
    return {"type": "object", "properties": properties, **more}


def reasons(old: dict[str, Any], new: Any) -> str:
    """Return what speaks against a new version."""
    return "; ".join(incompatibilities(Schema(old), Schema(new)))


INT, TEXT, NUMBER = {"type": "integer"}, {"type": "string"}, {"type": "number"}
A = objects({"a": INT})
OPTIONAL = {"anyOf": [TEXT, {"type": "null"}]}
NODE = objects({"value": INT, "next": {"$ref": "#"}})
REFERRED = objects({"a": {"$ref": "#/$defs/x"}}, **{"$defs": {"x": INT}})

WIDER: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("the same", A, A),
    ("the same in other words", {**A, "title": "x"}, {**A, "description": "y", "examples": [1]}),
    ("a property with a default", A, objects({"a": INT, "b": {"type": "string", "default": ""}})),
    (
        "a property with a default that is required",
        A,
        objects({"a": INT, "b": {"type": "string", "default": ""}}, required=["b"]),
    ),
    ("a property that may be missing", A, objects({"a": INT, "b": TEXT})),
    (
        "a property where others are not accepted",
        {**A, "additionalProperties": False},
        objects({"a": INT, "b": {"default": 1}}, additionalProperties=False),
    ),
    ("a wider type", A, objects({"a": NUMBER})),
    ("another type beside", A, objects({"a": {"type": ["integer", "null"]}})),
    ("null beside, by anyOf", objects({"a": TEXT}), objects({"a": OPTIONAL})),
    ("one more alternative", objects({"a": OPTIONAL}), objects({"a": {"anyOf": [*OPTIONAL["anyOf"], INT]}})),
    ("types for alternatives", objects({"a": OPTIONAL}), objects({"a": {"type": ["string", "null"]}})),
    ("alternatives for types", objects({"a": {"oneOf": [INT, TEXT]}}), objects({"a": {"anyOf": [TEXT, INT]}})),
    ("no type", A, objects({"a": {}})),
    ("not required any more", {**A, "required": ["a"]}, A),
    ("required for a default", {**A, "required": ["a"]}, objects({"a": {**INT, "default": 1}}, required=["a"])),
    ("another default", objects({"a": {**INT, "default": 1}}), objects({"a": {**INT, "default": 2}})),
    ("lower", objects({"a": {"type": "number", "minimum": 2}}), objects({"a": {"type": "number", "minimum": 1}})),
    (
        "the bound itself",
        objects({"a": {"type": "number", "exclusiveMinimum": 2}}),
        objects({"a": {"type": "number", "minimum": 2}}),
    ),
    ("longer", objects({"a": {"type": "string", "maxLength": 2}}), objects({"a": {"type": "string", "maxLength": 3}})),
    ("a length of none", objects({"a": TEXT}), objects({"a": {"type": "string", "minLength": 0}})),
    (
        "a smaller step",
        objects({"a": {"type": "number", "multipleOf": 6}}),
        objects({"a": {"type": "number", "multipleOf": 3}}),
    ),
    ("integers in other words", A, objects({"a": {"type": "number", "multipleOf": 1}})),
    ("one more of a list", objects({"a": {"enum": ["x"]}}), objects({"a": {"enum": ["x", "y"]}})),
    ("a type for a list", objects({"a": {"enum": ["x", "y"]}}), objects({"a": {"type": "string", "maxLength": 1}})),
    ("a list for a constant", objects({"a": {"const": 1}}), objects({"a": {"enum": [0, 1.0]}})),
    ("no pattern", objects({"a": {"type": "string", "pattern": "^x"}}), objects({"a": TEXT})),
    ("no format", objects({"a": {"type": "string", "format": "email"}}), objects({"a": TEXT})),
    ("a format of what is no text", A, objects({"a": {"type": "integer", "format": "email"}})),
    ("open for others", {**A, "additionalProperties": False}, A),
    ("others of a wider type", {**A, "additionalProperties": INT}, {**A, "additionalProperties": NUMBER}),
    (
        "wider items",
        objects({"a": {"type": "array", "items": INT}}),
        objects({"a": {"type": "array", "items": NUMBER}}),
    ),
    ("a reference to the same", REFERRED, A),
    ("another name for it", REFERRED, objects({"a": {"$ref": "#/$defs/y"}}, **{"$defs": {"y": INT}})),
    ("wider behind a reference", REFERRED, {**REFERRED, "$defs": {"x": NUMBER}}),
    ("wider in a schema that holds itself", NODE, objects({"value": NUMBER, "next": {"$ref": "#"}})),
    ("parts put together", {"allOf": [A, objects({"b": INT})]}, objects({"a": INT, "b": INT})),
    (
        "what is not seen through stays",
        {**A, "not": {"required": ["z"]}},
        {**objects({"a": NUMBER}), "not": {"required": ["z"]}},
    ),
    (
        "alternatives at the root",
        {**A, "anyOf": [{"required": ["a"]}, {"maxProperties": 0}]},
        {**A, "anyOf": [{"maxProperties": 1}, {"required": ["a"]}]},
    ),
]

NARROWER: list[tuple[str, dict[str, Any], Any, str]] = [
    ("no object", A, INT, "describes no objects"),
    ("nothing at all", A, {}, "describes no objects"),
    ("true", A, True, "describes no objects"),
    ("another draft", A, {"$schema": "http://json-schema.org/draft-07/schema#", **A}, "of another draft"),
    (
        "draft 4",
        {"$schema": "http://json-schema.org/draft-04/schema#", **A},
        {"$schema": "http://json-schema.org/draft-04/schema#", **A, "title": "x"},
        "draft 4",
    ),
    ("an identifier within", A, objects({"a": {"$id": "https://example.com/a", **INT}}), "$id"),
    ("a property less", A, objects({}), "payload/a: is removed"),
    ("a property less, below", objects({"a": A}), objects({"a": objects({})}), "payload/a/a: is removed"),
    ("required", A, {**A, "required": ["a"]}, "payload/a: it is required now, and has no default"),
    ("required and new", A, objects({"a": INT, "b": TEXT}, required=["b"]), "payload/b: it is required now"),
    (
        "its default is gone",
        objects({"a": {**INT, "default": 1}}, required=["a"]),
        {**A, "required": ["a"]},
        "payload/a: its default is gone",
    ),
    ("a narrower type", objects({"a": NUMBER}), A, "may not be a number with a fraction any more"),
    ("another type", A, objects({"a": TEXT}), "may not be an integer any more"),
    ("a type at last", objects({"a": {}}), A, "may not be"),
    ("a list", A, objects({"a": {"enum": [1, 2]}}), "one of a list"),
    (
        "one less of a list",
        objects({"a": {"enum": [1, 2]}}),
        objects({"a": {"enum": [1, True]}}),
        "payload/a: 2 is not",
    ),
    ("null no more", objects({"a": OPTIONAL}), objects({"a": TEXT}), "payload/a: null is not of type"),
    ("one alternative less", objects({"a": OPTIONAL}), objects({"a": {"anyOf": [TEXT]}}), "'anyOf'"),
    ("higher", A, objects({"a": {"type": "integer", "minimum": 0}}), "minimum is raised to 0"),
    (
        "without the bound",
        objects({"a": {"type": "integer", "maximum": 5}}),
        objects({"a": {"type": "integer", "exclusiveMaximum": 5}}),
        "maximum is lowered to 5",
    ),
    ("a larger step", objects({"a": {"multipleOf": 2}}), objects({"a": {"multipleOf": 4}}), "multiple of 4"),
    ("another step", objects({"a": {"multipleOf": 0.5}}), objects({"a": {"multipleOf": 0.25}}), "multiple of 0.25"),
    ("shorter", objects({"a": TEXT}), objects({"a": {"type": "string", "maxLength": 3}}), "maxLength is lowered to 3"),
    ("a pattern", objects({"a": TEXT}), objects({"a": {"type": "string", "pattern": "x"}}), "'pattern'"),
    ("a format", objects({"a": TEXT}), objects({"a": {"type": "string", "format": "email"}}), "'format'"),
    ("closed", A, {**A, "additionalProperties": False}, "other properties are not accepted any more"),
    ("others of a type", A, {**A, "additionalProperties": INT}, "payload/*: may not be"),
    (
        "others of a narrower type",
        {**A, "additionalProperties": NUMBER},
        {**A, "additionalProperties": INT},
        "payload/*: may not be a number with a fraction",
    ),
    (
        "a new property, of which others spoke",
        {**A, "additionalProperties": NUMBER},
        objects({"a": INT, "b": TEXT}, additionalProperties=NUMBER),
        "payload/b: may not be",
    ),
    (
        "a name of which a pattern spoke",
        {**A, "additionalProperties": INT, "patternProperties": {"^b": TEXT}},
        objects({"a": INT, "b": INT}, additionalProperties=INT, patternProperties={"^b": TEXT}),
        "payload/b: may not be",
    ),
    (
        "closed where patterns opened",
        {**A, "additionalProperties": False, "patternProperties": {"^x": {}}},
        {**A, "additionalProperties": False},
        "other properties are not accepted",
    ),
    (
        "narrower items",
        objects({"a": {"type": "array", "items": NUMBER}}),
        objects({"a": {"type": "array", "items": INT}}),
        "payload/a/*: may not be",
    ),
    (
        "items that differ",
        objects({"a": {"type": "array"}}),
        objects({"a": {"type": "array", "uniqueItems": True}}),
        "differ",
    ),
    (
        "items by their places",
        objects({"a": {"type": "array", "items": INT}}),
        objects({"a": {"type": "array", "prefixItems": [INT], "items": INT}}),
        "one by one",
    ),
    ("narrower behind a reference", {**REFERRED, "$defs": {"x": NUMBER}}, REFERRED, "payload/a: may not be"),
    (
        "narrower in a schema that holds itself",
        objects({"value": NUMBER, "next": {"$ref": "#"}}),
        NODE,
        "payload/value",
    ),
    ("not", A, {**A, "not": {"required": ["b"]}}, "'not' is new"),
    ("if", A, {**A, "if": {}, "then": {"required": ["a"]}}, "'if' is new"),
    ("oneOf", A, {**A, "oneOf": [{"required": ["a"]}, {}]}, "'oneOf' is new"),
    ("names", A, {**A, "propertyNames": {"maxLength": 1}}, "'propertyNames' is new"),
    ("names that need others", A, {**A, "dependentRequired": {"a": ["b"]}}, "'dependentRequired' is new"),
    ("nothing beside", A, {**A, "unevaluatedProperties": False}, "'unevaluatedProperties' is new"),
    (
        "a reference that leads elsewhere",
        A,
        objects({"a": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}),
        "'$ref' is new",
    ),
    (
        "a dynamic reference",
        objects({"a": {"$dynamicRef": "#x"}, "b": {"$dynamicAnchor": "x"}}),
        objects({"a": {"$dynamicRef": "#x"}, "b": {"$dynamicAnchor": "x", **INT}}),
        "payload/a: '$dynamicRef'",
    ),
    (
        "a default that something else refuses",
        {**A, "not": {"required": ["b"]}},
        objects({"a": INT, "b": {"default": 1}}, **{"not": {"required": ["b"]}}),
        "'not' is new",
    ),
    (
        "a default that a part refuses",
        A,
        objects({"a": INT, "b": {"default": 1}}, allOf=[{"properties": {"b": TEXT}}]),
        "payload/b: its default is not accepted",
    ),
    (
        "a default that what is said of others makes wrong",
        objects({"o": {"additionalProperties": {"properties": {"x": {"default": 1}}}}}),
        objects(
            {
                "o": {
                    "additionalProperties": {"properties": {"x": {"default": 1}}},
                    "allOf": [{"properties": {"b": {"default": {}, "maxProperties": 0}}}],
                }
            }
        ),
        "payload/o/b: its default is not accepted",
    ),
    (
        "a default that is gone beside alternatives",
        objects({"a": {**INT, "default": 1}}, required=["a"], anyOf=[{"maxProperties": 5}, {"minProperties": 5}]),
        objects({"a": INT}, required=["a"]),
        "payload/a: its default is gone",
    ),
    (
        "too many with its default",
        {**A, "maxProperties": 1},
        objects({"a": INT, "b": {"default": 1}}, maxProperties=1),
        "too many properties",
    ),
    (
        "too few without a default",
        objects({"a": {**INT, "default": 1}}, minProperties=1),
        objects({"a": INT}, minProperties=1),
        "too few properties",
    ),
    (
        "items that a default makes the same",
        objects({"a": {"type": "array", "uniqueItems": True, "items": A}}),
        objects({"a": {"type": "array", "uniqueItems": True, "items": objects({"a": {**INT, "default": 1}})}}),
        "payload/a: its items have to differ",
    ),
    (
        "what an alternative spoke of",
        {"type": "object", "anyOf": [{"properties": {"b": INT}}, {"required": ["c"]}]},
        objects({"b": TEXT}),
        "payload/b: may not be",
    ),
]


@pytest.mark.parametrize(("old", "new"), [pair for _, *pair in WIDER], ids=[name for name, *_ in WIDER])
def test_sc4_what_widens_or_adds_is_compatible(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Nothing speaks against it."""
    assert reasons(old, new) == ""


@pytest.mark.parametrize(("old", "new", "why"), [row for _, *row in NARROWER], ids=[name for name, *_ in NARROWER])
def test_sc4_what_removes_or_narrows_is_explained(old: dict[str, Any], new: Any, why: str) -> None:
    """With its place."""
    assert why in reasons(old, new)


def test_sc4_every_reason_is_given() -> None:
    """Whoever mends a schema does not mend it in many steps."""
    old = objects({"a": NUMBER, "b": TEXT, "c": {"type": "array", "items": NUMBER}})
    new = objects({"a": INT, "c": {"type": "array", "items": INT}}, required=["c"])

    assert [reason.partition(":")[0] for reason in incompatibilities(Schema(old), Schema(new))] == [
        "payload/b",
        "payload/c",
        "payload/a",
        "payload/c/*",
    ]


def woven(count: int) -> dict[str, Any]:
    """Return a schema of many kinds of objects that hold each other in all ways."""
    kinds = {
        f"k{number}": objects(
            {
                "leaf": TEXT,
                "one": {"$ref": f"#/$defs/k{(number * 7 + 1) % count}"},
                "maybe": {"anyOf": [{"$ref": f"#/$defs/k{(number * 3 + 2) % count}"}, {"type": "null"}]},
                "many": {"type": "array", "items": {"$ref": f"#/$defs/k{(number + 1) % count}"}},
            }
        )
        for number in range(count)
    }
    return {**kinds["k0"], "$defs": kinds}


@pytest.mark.parametrize("count", [3, 20, 300])
def test_sc4_schemas_that_hold_each_other_in_many_ways_are_compared(count: int) -> None:
    """Each part once, however many ways lead to it, and however long they are; what is wrong is told near by."""
    old, wider, narrower = woven(count), woven(count), woven(count)
    wider["$defs"][f"k{count - 1}"]["properties"]["leaf"] = {"type": ["string", "null"]}
    narrower["$defs"]["k1"]["properties"]["leaf"] = INT

    assert reasons(old, wider) == ""
    assert "payload/one/leaf: may not be a string any more" in incompatibilities(Schema(old), Schema(narrower))
    assert "may not be null" in reasons(wider, old) or "null is not of type" in reasons(wider, old)


def test_sc4_a_comparison_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up when it takes too long."""
    old, new = woven(20), woven(20)
    new["$defs"]["k19"]["properties"]["leaf"] = {"type": ["string", "null"]}
    monkeypatch.setattr("liminal_mesh.node.schema_compat._STEPS_MAX", 20)

    assert "is too intricate to be compared" in reasons(old, new)


def test_sc4_what_can_be_itself_in_place_is_compared() -> None:
    """Alternatives that lead in circles demand nothing by that."""
    old = {f"n{one}": objects({f"p{other}": {"$ref": f"#/$defs/n{other}"} for other in range(9)}) for one in range(9)}
    new = copy.deepcopy(old)
    for part in new.values():
        part["anyOf"] = [{"$ref": f"#/$defs/{name}"} for name in new]

    assert reasons({**old["n0"], "$defs": old}, {**new["n0"], "$defs": new}) == ""
    assert Schema({**new["n0"], "$defs": new}).normalise({"p0": {"p8": {}}}) is False


# --- the promise ---


def accepts(schema: Schema, value: object) -> bool:
    """Whether a schema accepts a value, its defaults put in."""
    try:
        schema.normalise(copy.deepcopy(value))
    except SchemaRejected:
        return False
    return True


def held_to_the_promise(before: Schema, after: Schema, value: object) -> bool:
    """Whether the former version accepts a value; then the new one does, too, and also as it was delivered before."""
    normal = copy.deepcopy(value)
    if not accepts(before, value):
        return False
    before.normalise(normal)
    for one in (value, normal):
        assert accepts(after, one), f"{one} by {after.document.root}, after {before.document.root}"
    return True


@pytest.mark.parametrize(("old", "new"), [pair for _, *pair in WIDER], ids=[name for name, *_ in WIDER])
def test_sc4_a_wider_version_accepts_all_instances_of_the_former_one(old: dict[str, Any], new: dict[str, Any]) -> None:
    """Of the pairs above. What some of them add is called b there, and no value has it."""
    sampler, before, after = Sampler(1, "ac"), Schema(old), Schema(new)
    values = [value for value in (sampler.instance(old) for _ in range(100)) if '"b"' not in json.dumps(value)]

    assert sum(held_to_the_promise(before, after, value) for value in values) > 10


def evolve(sampler: Sampler, names: str, part: Callable[[], Any], *, strict: bool) -> bool | None:
    """Make a schema and another version of it, and hold them to the promise, unless something speaks against that.

    Returns whether some value was accepted by both; None if they are not compatible.
    """
    old = sampler.document()
    new = sampler.evolved(old, names, part)
    try:
        before, after = Schema(old), Schema(new)
    except ValueError:
        return None
    with pytest.MonkeyPatch.context() as patch:
        if strict:
            patch.setattr(Place, "speaks_of_others", True)
        if before == after or incompatibilities(before, after):
            return None
    values = [sampler.instance(old) if number % 2 else sampler.value() for number in range(20)]
    return sum(held_to_the_promise(before, after, value) for value in values) > 0


SIMPLE: list[Any] = [{}, {"type": "string"}, {"type": ["integer", "null"]}, {"minimum": 1}, {"enum": [1, "a"]}]
ROUNDS = 20 if os.environ.get("LIMINAL_PROVE") else 1


@pytest.mark.parametrize("seed", range(4))
def test_sc4_whatever_is_compatible_accepts_what_was_accepted(seed: int) -> None:
    """Of schemas that were changed here and there, with new names that no value has."""
    sampler = Sampler(seed)
    ends = [
        evolve(sampler, "xyz", lambda: copy.deepcopy(sampler.rng.choice(SIMPLE)), strict=False)
        for _ in range(500 * ROUNDS)
    ]

    assert ends.count(True) > 50


@pytest.mark.parametrize("seed", range(4))
def test_sc4_what_is_compatible_without_new_names_accepts_all_that_was_accepted(seed: int) -> None:
    """If a property of which the former version did not speak counts as one that it let be anything."""
    sampler = Sampler(seed)
    ends = [evolve(sampler, sampler.names, sampler.part, strict=True) for _ in range(500 * ROUNDS)]

    assert ends.count(True) > 50
