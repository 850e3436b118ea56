"""Payloads, gaps and outcomes as JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.node.cli.documents import gap_document, plain
from liminal_mesh.node.values import Gap

leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.binary(), inner)
)


@given(values)
def test_any_payload_can_be_written(value: object) -> None:
    """Whatever msgpack holds becomes strict JSON."""
    json.dumps(plain(value), allow_nan=False)


def test_what_json_cannot_hold_is_told_apart() -> None:
    """Bytes that are no text, floats that are no numbers, keys that are no text."""
    assert plain({"b": b"\xff", "t": b"text", "n": float("nan"), 7: (1, 2)}) == {
        "b": {"base64": "/w=="},
        "t": "text",
        "n": None,
        "7": [1, 2],
    }


def test_a_gap_is_told_from_a_message_by_its_key() -> None:
    """With its positions as text."""
    assert gap_document(Gap("t.x", "a", 3, 5, 3, "overflow")) == {
        "gap": {"channel": "t.x", "origin": "a", "first": "3", "last": "5", "count": 3, "reason": "overflow"}
    }
