"""Whether values are what parts of a schema demand: soon, whatever is sent (SC1)."""

from __future__ import annotations

from typing import Any

import pytest

from liminal_mesh.node.schema_checks import PartChecks, make_validator
from liminal_mesh.node.schema_document import SchemaDocument

DOCUMENT: dict[str, Any] = {
    "properties": {"a/b c~%": {"type": "integer"}, "next": {"$ref": "#"}},
    "$defs": {"never": False},
}


def checks(document: dict[str, Any]) -> tuple[dict[str, Any], PartChecks]:
    """Return a document as it is held, and what checks its parts."""
    held = SchemaDocument(document)
    assert isinstance(held.root, dict)
    return held.root, PartChecks(held)


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"$id": "https://example.com/order.json"},
        {"$id": "https://example.com/order.json#"},
        {"$id": "order.json"},
        {"$id": "urn:example:order"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "$id": "http://example.com/root.json#"},
        {"$schema": "http://json-schema.org/draft-04/schema#", "id": "http://example.com/root.json#"},
    ],
)
def test_parts_are_found_whatever_the_document_calls_itself(names: dict[str, str]) -> None:
    """And whatever their properties are called."""
    root, parts = checks({**names, **DOCUMENT})
    integer = root["properties"]["a/b c~%"]

    assert [parts.accepts(integer, value) for value in (1, "x", b"x")] == [True, False, False]
    assert [parts.accepts(root, {"next": {"a/b c~%": value}}) for value in (1, "x")] == [True, False]
    assert [parts.accepts(part, 1) for part in (True, False)] == [True, False]


@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_the_first_of_many_that_is_refused_is_found(count: int) -> None:
    """Wherever it stands, and however many follow."""
    root, parts = checks(DOCUMENT)
    integer = root["properties"]["a/b c~%"]
    for place in range(count):
        assert parts.first_refused(integer, [1] * place + ["x"] * (count - place)) == place
        assert parts.first_refused(integer, [1] * place + [b"x"] + [1] * (count - place - 1)) == place
    assert parts.first_refused(integer, [1] * count) is None
    assert (parts.first_refused(True, [1]), parts.first_refused(False, [1]), parts.first_refused(False, [])) == (
        None,
        0,
        None,
    )


@pytest.mark.parametrize(
    ("items", "differ"),
    [
        ([1, 1.0], False),
        ([1, True, "1", None, [1], {"1": 1}], True),
        ([0, False, "", [], {}], True),
        ([[], []], False),
        ([{"a": 1, "b": [2.0]}, {"b": [2], "a": 1.0}], False),
        ([2**53, 2**53 + 1, float(2**53 + 2)], True),
        ([10**20, 1e20], False),
        ([10**23, 1e23], True),
        ([0.5, 0.25, -0.5], True),
        ([0.5, 0.5], False),
        ([0.0, -0.0], False),
        (["a"], True),
        ("aa", True),
    ],
)
def test_items_differ_as_json_values_do(items: object, differ: bool) -> None:
    """Numbers by their value, and true is none."""
    assert make_validator({"uniqueItems": True}).is_valid(items) == differ
    assert make_validator({"uniqueItems": False}).is_valid(items)


@pytest.mark.parametrize(
    "items",
    [
        range(2**63, 2**63 + 100_000),  # they are close to each other
        range(2**70, 2**70 + 30_000),
        range(0, 30_000 * (2**61 - 1), 2**61 - 1),  # they share their hash
    ],
    ids=["close", "large", "one hash"],
)
def test_sc1_many_items_are_looked_at_once(items: range) -> None:
    """And not one beside another, which would take minutes: whatever numbers a publisher has chosen."""
    assert make_validator({"type": "array", "uniqueItems": True}).is_valid(list(items))
