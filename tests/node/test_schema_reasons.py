"""Why a schema refuses a value, and where: told soon, however the schema repeats itself (SC1)."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from liminal_mesh.node.errors import SchemaRejected
from liminal_mesh.node.schema import Schema

INT, TEXT, LIST = {"type": "integer"}, {"type": "string"}, {"type": "array", "items": {"type": "integer"}}
DRAFT_4 = {"$schema": "http://json-schema.org/draft-04/schema#"}
DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}
META = "https://json-schema.org/draft/2020-12/schema"


def refusal(document: dict[str, Any], value: object) -> tuple[str, str]:
    """Return where and why a schema refuses a value."""
    with pytest.raises(SchemaRejected) as refused:
        Schema(document).normalise(value)
    return refused.value.path, refused.value.reason


@pytest.mark.parametrize(
    ("document", "value", "path", "reason"),
    [
        # As far inside as one value is to blame: properties of all kinds, items of all kinds.
        ({"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": INT}}, {"a": "x"}, "/a", '"x" is not of type'),
        ({"allOf": [{}, {"properties": {"a": {"allOf": [INT]}}}]}, {"a": "x"}, "/a", '"x" is not of type "integer"'),
        ({"properties": {"a": INT}, "additionalProperties": TEXT}, {"a": 1, "b": 2}, "/b", "2 is not of type"),
        ({"patternProperties": {"^a": INT}}, {"a1": 1, "a2": "x"}, "/a2", '"x" is not of type "integer"'),
        ({"patternProperties": {"^a": INT}, "additionalProperties": TEXT}, {"a": 1, "b": 2}, "/b", "2 is not of type"),
        ({"items": LIST}, [[1], [1, "x"]], "/1/1", '"x" is not of type "integer"'),
        ({"prefixItems": [TEXT], "items": INT}, ["x", 1, "y"], "/2", '"y" is not of type "integer"'),
        ({"prefixItems": [TEXT], "items": False}, ["x", 1], "/1", "nothing may stand there"),
        ({**DRAFT_7, "items": [TEXT], "additionalItems": INT}, ["x", 1, "y"], "/2", '"y" is not of type "integer"'),
        ({"if": {"required": ["a"]}, "then": {"properties": {"b": INT}}}, {"a": 1, "b": "x"}, "/b", "is not of type"),
        ({"if": {"required": ["a"]}, "else": {"required": ["b"]}}, {}, "", '"b" is a required property'),
        ({"dependentSchemas": {"a": {"properties": {"b": INT}}}}, {"a": 1, "b": "x"}, "/b", "is not of type"),
        ({**DRAFT_7, "dependencies": {"a": {"properties": {"b": INT}}}}, {"a": 1, "b": "x"}, "/b", "is not of type"),
        # What is wrong there, in the words of the library.
        ({"properties": {"a": False}}, {"a": 1}, "/a", "nothing may stand there"),
        ({"properties": {}, "additionalProperties": False}, {"b": 1}, "", "('b' was unexpected)"),
        (
            {"patternProperties": {"^a": {}}, "additionalProperties": False},
            {"a": 1, "b": 1},
            "",
            "('b' was unexpected)",
        ),
        ({"properties": {"a": {"anyOf": [LIST, {"type": "null"}]}}}, {"a": ["x"]}, "/a", "the 'anyOf' keyword"),
        ({"oneOf": [INT, {"minimum": 0}]}, 1, "", "1 is valid under more than one of the schemas"),
        ({"oneOf": [INT, TEXT]}, None, "", "null is not valid under any of the schemas listed in the 'oneOf' keyword"),
        ({"not": {"properties": {"a": INT}}}, {"a": 1}, "", "it is what 'not' forbids"),
        (
            {"propertyNames": {"maxLength": 1}},
            {"a": 1, "ab": 1},
            "",
            "the name 'ab': \"ab\" is longer than 1 character",
        ),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "", '"b" is a required property'),
        ({**DRAFT_7, "dependencies": {"a": ["b"]}}, {"a": 1}, "", '"b" is a required property'),
        ({**DRAFT_4, "minimum": 1, "exclusiveMinimum": True, "anyOf": [INT]}, 1, "", "1 is less than or equal to"),
        ({**DRAFT_4, "anyOf": [INT]}, "x", "", "the 'anyOf' keyword"),
        ({"uniqueItems": True}, [1, 1.0], "", "it has equal items"),
        # Else the keywords that may be to blame.
        ({"contains": TEXT}, [1], "", "it is not what 'contains' demands"),
        ({"unevaluatedProperties": False}, {"a": 1}, "", "it is not what 'unevaluatedProperties' demands"),
        ({"properties": {"a": {"$ref": META}}}, {"a": {"type": 5}}, "/a", "it is not what '$ref' demands"),
        # What JSON cannot hold, where it stands.
        ({"items": INT}, [1, float("-inf")], "/1", "JSON cannot hold it: -inf"),
        (
            {"properties": {"a": {"items": INT}}},
            {"a": [1, b"x"]},
            "/a/1",
            "JSON cannot hold it: Unsupported type: 'bytes'",
        ),
        ({"properties": {"a": {"additionalProperties": INT}}}, {"a": {1: "x"}}, "/a/1", "is not of type"),
        ({"required": ["a"]}, {1: 2}, "", "JSON cannot hold it"),
        # Parts of another draft, which count for nothing.
        (
            {**DRAFT_7, "prefixItems": [{"type": 5}], "properties": {"a": INT}},
            {"a": "x"},
            "",
            "it is not what the schema",
        ),
    ],
)
def test_sc1_the_first_thing_that_is_wrong_is_told_with_its_place(
    document: dict[str, Any], value: object, path: str, reason: str
) -> None:
    """The outermost value that is wrong as a whole, or the innermost that is wrong by itself."""
    found = refusal(document, value)

    assert found[0] == path
    assert reason in found[1]


def nested(depth: int, leaf: object) -> object:
    """Return a value that holds itself, so to speak."""
    for _ in range(depth):
        leaf = {"op": "not", "of": leaf}
    return leaf


def unary(name: str) -> dict[str, Any]:
    """Return a schema of one kind of what an expression can be."""
    return {"type": "object", "properties": {"of": {"$ref": "#"}, "op": {"const": name}}, "required": ["of", "op"]}


TWICE = {"properties": {"of": {"$ref": "#"}}}


@pytest.mark.parametrize(
    "document",
    [
        {"anyOf": [unary("neg"), unary("not"), INT]},
        {"oneOf": [unary("neg"), unary("not"), INT]},
        {"allOf": [TWICE, TWICE], "type": ["object", "integer"]},
        {"allOf": [TWICE], "patternProperties": {"^o": {"type": ["object", "integer", "string"]}}, **TWICE},
        {"if": TWICE, "then": TWICE, "else": {"not": TWICE}, "type": ["object", "integer"]},
        {"anyOf": [TWICE, TWICE], "unevaluatedProperties": {"type": "string"}, "type": ["object", "integer"]},
        {"dependentSchemas": {"of": TWICE, "op": TWICE}, "type": ["object", "integer"]},
    ],
    ids=["anyOf", "oneOf", "allOf", "pattern", "if", "unevaluated", "dependent"],
)
@pytest.mark.parametrize("leaf", [1, "bad", {"op": "nor", "of": 1}])
def test_sc1_a_schema_that_holds_itself_is_as_quick_as_others(document: dict[str, Any], leaf: object) -> None:
    """Not twice as slow with each level, in which case this would take longer than anybody lives."""
    schema = Schema(document)
    with suppress(SchemaRejected):
        schema.normalise(nested(100, leaf))


def test_sc1_a_long_list_that_no_alternative_accepts_is_refused_at_once() -> None:
    """Nobody is told of each of its items, and each alternative."""
    document = {"properties": {"a": {"anyOf": [LIST, {"items": {"anyOf": [LIST, {"type": "null"}]}}]}}}

    path, reason = refusal(document, {"a": [["x"]] * 200_000})
    assert (path, len(reason) < 400) == ("/a", True)
    assert refusal({"items": LIST}, [[1]] * 200_000 + [["x"]])[0] == "/200000/0"


def test_sc1_what_is_told_is_bounded() -> None:
    """Names are the publisher's, too, and what lies very deep is told from further outside."""
    path, reason = refusal({"additionalProperties": INT}, {"x" * 100_000: "x" * 100_000})
    assert max(len(path), len(reason)) < 400
    deep = nested(200, "x")
    path, reason = refusal(
        {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"of": {"$ref": "#/$defs/n"}}, "type": "object"}}}, deep
    )
    assert (path, reason) == ("/of" * 64, "it is not what the schema demands")
