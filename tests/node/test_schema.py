"""Schemas: their ids, what they put in, what they refuse (SC1, SC2, SC3)."""

from __future__ import annotations

import copy
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from liminal_mesh.cluster import Encoding, Envelope, OptionKey
from liminal_mesh.node.conforming import conform
from liminal_mesh.node.errors import LimitExceeded, SchemaRejected
from liminal_mesh.node.exchange_statistics import ExchangeStatistics
from liminal_mesh.node.payload import decode_payload, encode_payload
from liminal_mesh.node.schema import Schema
from liminal_mesh.node.sizes import Sizes

from .schema_samples import Sampler

ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "currency": {"type": "string", "default": "EUR"},
        "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "required": ["id", "currency"],
    "$defs": {
        "item": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "count": {"type": "integer", "minimum": 1, "default": 1}},
        }
    },
}


def normalised(document: dict[str, Any], value: object) -> object:
    """Return what a schema makes of a value."""
    schema, value = Schema(document), copy.deepcopy(value)
    before = copy.deepcopy(value)
    assert schema.normalise(value) == (value != before)
    return value


# --- ids ---


def test_sc3_an_id_is_made_from_what_the_schema_says() -> None:
    """Not from how it is written; every difference counts."""
    turned = {key: ORDER[key] for key in reversed(ORDER)}

    assert Schema(ORDER).id == Schema(turned).id == Schema(json.loads(json.dumps(ORDER, indent=3))).id
    assert Schema(ORDER) == Schema(turned)
    assert Schema(ORDER) != Schema({**ORDER, "title": "an order"})
    assert len({hash(Schema(ORDER)), hash(Schema(turned))}) == 1


def test_sc3_an_id_is_the_same_in_every_process() -> None:
    """Whatever the seed of its hashes: nodes compare ids."""
    code = f"from liminal_mesh.node.schema import Schema; print(Schema({ORDER!r}).id)"
    made = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }

    assert made == {Schema(ORDER).id}


def test_a_schema_keeps_a_copy_of_what_it_was_made_of() -> None:
    """Whoever goes on changing the document changes no schema."""
    document = copy.deepcopy(ORDER)
    schema = Schema(document)
    document["required"].append("nothing of the kind")
    value = {"id": 1}

    assert schema.normalise(value)


# --- what is no schema ---


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ({"type": "strin"}, "/type"),
        ({"properties": {"a": {"minimum": "1"}}}, "/properties/a/minimum"),
        ([], "boolean"),
        (5, "boolean"),
        ({"$ref": "#/$defs/nothing"}, "nothing"),
        ({"$ref": "https://example.com/other.json"}, "other.json"),
        ({"$ref": "file:///etc/passwd"}, "passwd"),
        ({"$schema": "https://example.com/mine"}, "meta-schema"),
        ({"pattern": "(?=a)"}, "regex"),
        ({"enum": [{1, 2}]}, "a set in it"),
        ({"minimum": float("nan")}, "JSON"),
        ({"properties": {"a": {"type": "integer", "default": "x"}}}, "/properties/a: its default can never"),
        ({"properties": {"a": {"$ref": "#", "default": {}}}}, "without end"),
        ({"description": "x" * (1 << 20)}, "larger than 1 MiB"),
    ],
)
def test_what_is_no_schema_is_refused_and_the_text_says_why(document: Any, why: str) -> None:
    """Before any channel has it; nothing is ever fetched."""
    with pytest.raises(ValueError, match=why):
        Schema(document)


def test_no_file_is_read_for_a_reference(tmp_path: Path) -> None:
    """Even if it is there, and a schema."""
    (tmp_path / "there.json").write_text("{}")
    with pytest.raises(ValueError, match=r"there\.json"):
        Schema({"$ref": (tmp_path / "there.json").as_uri()})


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$schema", "$id"])
def test_nothing_is_asked_of_a_network(keyword: str) -> None:
    """Whoever is referred to does not hear of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        host, port = server.getsockname()
        document = {keyword: f"http://{host}:{port}/other.json", "properties": {"a": {"$ref": "more.json"}}}
        with pytest.raises(ValueError, match=r"\.json"):
            Schema(document)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    """And crashes nothing."""
    document: dict[str, Any] = {}
    for _ in range(400):
        document = {"properties": {"a": document}}
    with pytest.raises(ValueError, match=r"deep|[Rr]ecursion"):
        Schema(document)


def test_a_schema_may_have_many_parts_that_lead_to_each_other() -> None:
    """In a row as long as it may be, as long as each is a value within the other; what stands at its end is put in."""
    parts: dict[str, Any] = {f"n{one}": {"properties": {"a": {"$ref": f"#/$defs/n{one + 1}"}}} for one in range(2000)}
    parts["n2000"] = {"properties": {"b": {"default": 1}}}
    value: dict[str, Any] = {"a": {"a": {}}}

    assert normalised({"$ref": "#/$defs/n1998", "$defs": parts}, value) == {"a": {"a": {"b": 1}}}
    assert normalised({"$ref": "#/$defs/n0", "$defs": parts}, value) == value


@pytest.mark.parametrize("document", [True, {}, {"$ref": "https://json-schema.org/draft/2020-12/schema"}])
def test_what_json_schema_allows_is_a_schema(document: Any) -> None:
    """Also if it says little."""
    assert Schema(document).normalise({"type": "object"}) is False


# --- what is refused ---


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        ({}, "", '"id" is a required property'),
        ({"id": "7"}, "/id", '"7" is not of type "integer"'),
        ({"id": 1, "items": [{"count": 0}]}, "/items/0/count", "0 is less than the minimum of 1"),
        ({"id": 1, "items": [{}, {"name": 5}]}, "/items/1/name", '5 is not of type "string"'),
        ("text", "", '"text" is not of type "object"'),
        (None, "", 'null is not of type "object"'),
        ({"id": True}, "/id", 'true is not of type "integer"'),
        ({1: 2}, "", "JSON cannot hold it"),
        ({"id": b"x"}, "/id", "JSON cannot hold it"),
        ({"id": float("nan")}, "/id", "JSON cannot hold it: nan"),
    ],
)
def test_sc1_a_value_is_refused_with_the_path_and_the_reason(value: object, path: str, reason: str) -> None:
    """The path is a JSON pointer."""
    with pytest.raises(SchemaRejected) as refused:
        Schema(ORDER).normalise(value)

    assert refused.value.path == path
    assert reason in refused.value.reason


def test_sc1_a_path_escapes_what_pointers_mean_otherwise() -> None:
    """As RFC 6901 says."""
    with pytest.raises(SchemaRejected) as refused:
        Schema({"properties": {"a/b~c": {"type": "integer"}}}).normalise({"a/b~c": None})

    assert refused.value.path == "/a~1b~0c"


def test_sc1_a_reason_quotes_only_so_much() -> None:
    """A message may be large."""
    with pytest.raises(SchemaRejected) as refused:
        Schema(ORDER).normalise({"id": "x" * 100_000})

    assert len(refused.value.reason) < 400
    assert refused.value.reason.endswith('is not of type "integer"')


def test_sc1_formats_are_checked() -> None:
    """Those that are known."""
    schema = Schema({"properties": {"at": {"format": "date-time"}, "odd": {"format": "odd"}}})
    schema.normalise({"at": "2026-01-01T00:00:00Z", "odd": "x"})
    with pytest.raises(SchemaRejected, match="date-time"):
        schema.normalise({"at": "yesterday"})


def test_sc1_a_pattern_takes_linear_time() -> None:
    """Whatever is sent: this one takes engines that go back for ages."""
    schema = Schema({"type": "string", "pattern": "^(a+)+$"})
    with pytest.raises(SchemaRejected):
        schema.normalise("a" * 50_000 + "b")


@pytest.mark.parametrize("depth", [100, 1000])
def test_sc1_a_deep_value_is_checked_or_refused(depth: int) -> None:
    """And crashes nothing: as deep as msgpack goes."""
    schema = Schema(
        {"type": "object", "properties": {"a": {"$ref": "#"}, "b": {"default": 1}}, "additionalProperties": False}
    )
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    try:
        changed = schema.normalise(value)
    except SchemaRejected as refused:
        changed = refused.reason == "it is nested too deeply"
    assert changed


# --- what is put in ---


def test_sc2_defaults_are_put_in_before_the_check() -> None:
    """A property that is required may have one; what is there stays."""
    assert normalised(ORDER, {"id": 1}) == {"id": 1, "currency": "EUR"}
    assert normalised(ORDER, {"id": 1, "currency": "USD"}) == {"id": 1, "currency": "USD"}


@pytest.mark.parametrize(
    ("document", "value", "expected"),
    [
        (
            ORDER,
            {"id": 1, "items": [{}, {"count": 3}]},
            {"id": 1, "currency": "EUR", "items": [{"count": 1}, {"count": 3}]},
        ),
        # A default that is null, or an object that has defaults itself.
        ({"properties": {"a": {"default": None}}}, {}, {"a": None}),
        ({"properties": {"a": {"default": {}, "properties": {"b": {"default": [1]}}}}}, {}, {"a": {"b": [1]}}),
        # No object is made up that has no default.
        ({"properties": {"a": {"properties": {"b": {"default": 1}}}}}, {}, {}),
        ({"properties": {"a": {"properties": {"b": {"default": 1}}}}}, {"a": {}}, {"a": {"b": 1}}),
        ({"properties": {"a": {"properties": {"b": {"default": 1}}}}}, {"a": []}, {"a": []}),
        # References, anchors and allOf are followed; the first that names a default counts.
        ({"properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"default": 2}}}, {}, {"a": 2}),
        ({"properties": {"a": {"$ref": "#x"}}, "$defs": {"y": {"$anchor": "x", "default": 2}}}, {}, {"a": 2}),
        ({"properties": {"a": {"$ref": "#/$defs/x", "default": 1}}, "$defs": {"x": {"default": 2}}}, {}, {"a": 1}),
        ({"allOf": [{"properties": {"a": {"default": 1}}}, {"properties": {"a": {"default": 2}}}]}, {}, {"a": 1}),
        ({"properties": {"a": {"allOf": [{}, {"default": 1}]}}}, {}, {"a": 1}),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"properties": {"a": {"default": 1}}}}}, {}, {"a": 1}),
        # A schema that holds itself, as deep as the value goes.
        ({"properties": {"n": {"$ref": "#"}, "d": {"default": 0}}}, {"n": {}}, {"n": {"d": 0}, "d": 0}),
        # Lists: by place and the rest, in the words of both drafts.
        (
            {"prefixItems": [{"properties": {"a": {"default": 1}}}], "items": {"properties": {"b": {"default": 2}}}},
            [{}, {}],
            [{"a": 1}, {"b": 2}],
        ),
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "items": [{"properties": {"a": {"default": 1}}}],
                "additionalItems": {"properties": {"b": {"default": 2}}},
            },
            [{}, {}],
            [{"a": 1}, {"b": 2}],
        ),
        # Other properties, unless patterns tell them apart.
        ({"additionalProperties": {"properties": {"a": {"default": 1}}}}, {"x": {}}, {"x": {"a": 1}}),
        (
            {"additionalProperties": {"properties": {"a": {"default": 1}}}, "patternProperties": {"^y": {}}},
            {"x": {}},
            {"x": {}},
        ),
        # What one part puts in is completed by the others, whichever comes first.
        (
            {
                "allOf": [
                    {"properties": {"a": {"properties": {"b": {"default": 1}}}}},
                    {"properties": {"a": {"default": {}}}},
                ]
            },
            {},
            {"a": {"b": 1}},
        ),
        # What is no word of a draft counts for nothing there, and what is no schema names nothing.
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "prefixItems": [{"properties": {"a": {"default": 1}}}],
            },
            [{}],
            [{}],
        ),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "prefixItems": 5, "type": "array"}, [1], [1]),
        ({"properties": {"a": {"$ref": "#/x/y"}}, "x": {"y": {"items": 5, "default": 1}}}, {}, {"a": 1}),
        ({"properties": {"a": {"$ref": "#/enum/0"}}, "enum": [{"properties": {"a": {"default": 1}}}, {}]}, {}, {}),
        # What holds only for some values names none.
        ({"anyOf": [{"properties": {"a": {"default": 1}}}]}, {}, {}),
        ({"if": {}, "then": {"properties": {"a": {"default": 1}}}}, {}, {}),
        # Before 2019-09 nothing counts beside a reference, but a default does.
        (
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "properties": {"a": {"$ref": "#/definitions/x", "default": 5, "type": "string"}},
                "definitions": {"x": {"type": "integer"}},
            },
            {},
            {"a": 5},
        ),
        # A property may be called like a keyword.
        (
            {"properties": {"default": {"default": 1}, "enum": {"$ref": "#/properties/default"}}},
            {},
            {"default": 1, "enum": 1},
        ),
    ],
)
def test_sc2_where_defaults_are_put_in(document: dict[str, Any], value: object, expected: object) -> None:
    """Exactly where the module says."""
    assert normalised(document, value) == expected


def test_sc2_no_two_values_share_a_default() -> None:
    """Whoever changes the one does not change the other."""
    schema = Schema({"properties": {"a": {"default": {"b": []}}}})
    one: dict[str, Any] = {}
    two: dict[str, Any] = {}
    schema.normalise(one)
    one["a"]["b"].append(1)
    schema.normalise(two)

    assert two == {"a": {"b": []}}


@pytest.mark.parametrize("seed", range(4))
def test_sc1_what_is_accepted_is_what_another_implementation_accepts(seed: int) -> None:
    """Of the same JSON Schema, once the defaults are in; what it refuses is refused there.

    And what was made of a value is accepted as it stands.
    """
    sampler = Sampler(seed)
    accepted = refused = 0
    for _ in range(200):
        document = sampler.document()
        schema, other = Schema(document), Draft202012Validator(document)
        for value in [sampler.value(), *(sampler.instance(document) for _ in range(3))]:
            before = copy.deepcopy(value)
            try:
                assert schema.normalise(value) == (value != before)
                accepted += 1
                again = copy.deepcopy(value)
                assert schema.normalise(again) is False
                assert again == value
                assert other.is_valid(value), f"{value} by {document}"
            except SchemaRejected as error:
                refused += 1
                places = {"".join(f"/{step}" for step in one.absolute_path) for one in other.iter_errors(value)}
                # Of what may not stand there it may tell as of what holds that.
                path, nothing = error.path, error.reason == "nothing may stand there"
                found = path in places or (nothing and path.rpartition("/")[0] in places)
                assert found, f"{value} by {document}"

    assert min(accepted, refused) > 100


# --- publishes ---

SIZES = Sizes(64 << 10, 1 << 10)
STRICT = Schema({"additionalProperties": {"type": "integer"}, "uniqueItems": True})


def published(value: object, schema: Schema | None = None) -> Envelope:
    """Return a publish of a value that conforms to a schema."""
    encoding, body = encode_payload(value)
    envelope = Envelope(0, 0, 0, 0, encoding, body)
    conform([envelope], schema or Schema(ORDER), SIZES, ExchangeStatistics())
    return envelope


def test_sc2_subscribers_get_the_normalised_payload_and_the_version() -> None:
    """In the encoding in which it was published."""
    envelope = published({"id": 1})

    assert envelope.encoding == Encoding.MSGPACK
    assert decode_payload(envelope.encoding, envelope.body) == {"id": 1, "currency": "EUR"}
    assert envelope.options is not None
    assert msgpack.unpackb(envelope.options[OptionKey.SCHEMA]) == Schema(ORDER).id


def test_sc2_what_lacks_nothing_keeps_its_bytes() -> None:
    """They are the publisher's."""
    body = b' {"currency": "EUR" , "id":1}'
    envelope = published(body)

    assert (envelope.encoding, envelope.body) == (Encoding.JSON, body)


def test_sc2_bytes_are_json_text() -> None:
    """And are the value from then on."""
    envelope = published(b'{"id": 1}')

    assert decode_payload(envelope.encoding, envelope.body) == {"id": 1, "currency": "EUR"}
    for body in (b"\x00\xff", b"{", b"NaN", b""):
        with pytest.raises(SchemaRejected, match="bytes have to be JSON"):
            published(body)


@pytest.mark.parametrize("number", ["1", "1.0", "1e300", "-0.0", "0.1", "18446744073709551615", "-9223372036854775808"])
@pytest.mark.parametrize("as_json", [True, False])
def test_sc2_numbers_stay_what_they_are(number: str, as_json: bool) -> None:
    """Beside what is put in: a float that is whole stays one, and integers keep all of their digits."""
    schema = Schema({"properties": {"n": {"type": "number"}, "d": {"default": 0}}})
    value = json.loads(f'{{"n": {number}}}')
    envelope = published(f'{{"n": {number}}}'.encode() if as_json else value, schema)
    found = decode_payload(envelope.encoding, envelope.body)

    assert found == {**value, "d": 0}
    assert (type(found["n"]), repr(found["n"])) == (type(value["n"]), repr(value["n"]))


def test_sc2_integers_beyond_64_bits_are_for_json_alone() -> None:
    """Which has no end of them; the text keeps them, and so does what is put in beside."""
    schema = Schema({"properties": {"n": {"minimum": 10**30}, "d": {"default": 10**40}}})
    envelope = published(f'{{"n": {10**30}}}'.encode(), schema)

    assert decode_payload(envelope.encoding, envelope.body) == {"n": 10**30, "d": 10**40}
    with pytest.raises(SchemaRejected, match="/n"):
        published(f'{{"n": {10**30 - 1}}}'.encode(), schema)
    with pytest.raises(SchemaRejected, match="it cannot be encoded with its defaults"):
        published({"n": 1e31}, schema)


@pytest.mark.parametrize(
    "body", [b'{"n": 1e400}', b'{"n": NaN}', b'{"n": -Infinity}', b'{"n": "\\ud800"}', b'{"n": 1} {}']
)
def test_sc2_what_json_does_not_hold_is_refused(body: bytes) -> None:
    """And is not made into something else."""
    with pytest.raises(SchemaRejected, match="bytes have to be JSON text"):
        published(body, Schema({"properties": {"d": {"default": 0}}}))


def test_sc1_text_is_a_json_string() -> None:
    """And no JSON text."""
    assert published("x", Schema({"type": "string"})).body == b"x"
    with pytest.raises(SchemaRejected, match="not of type"):
        published('{"id": 1}')


@pytest.mark.parametrize("encoding", [Encoding.TEXT, Encoding.MSGPACK, Encoding.JSON, 77])
def test_sc1_what_is_not_what_it_says_it_is_is_refused(encoding: int) -> None:
    """A client may send anything."""
    with pytest.raises(SchemaRejected):
        conform([Envelope(0, 0, 0, 0, encoding, b"\xc1\xff")], Schema(True), SIZES, ExchangeStatistics())


def test_sc2_what_is_too_large_with_its_defaults_is_refused() -> None:
    """A peer would close the link over it."""
    schema = Schema({"properties": {"a": {"default": "x" * (63 << 10)}}})
    with pytest.raises(LimitExceeded):
        published({"b": "x" * 1024}, schema)


def test_sc3_other_options_stay() -> None:
    """The id comes beside them, in place of one that the publisher made up."""
    encoding, body = encode_payload({"id": 1})
    options = {OptionKey.HEADERS.value: msgpack.packb({"a": "b"}), OptionKey.SCHEMA.value: msgpack.packb("made up")}
    envelope = Envelope(0, 0, 0, 0, encoding, body, options)
    conform([envelope], Schema(ORDER), SIZES, ExchangeStatistics())

    assert envelope.options is not None
    assert msgpack.unpackb(envelope.options[OptionKey.SCHEMA]) == Schema(ORDER).id
    assert msgpack.unpackb(envelope.options[OptionKey.HEADERS]) == {"a": "b"}
    assert msgpack.unpackb(options[OptionKey.SCHEMA]) == "made up", "whose options these were is not concerned"


@given(st.binary(max_size=64), st.sampled_from([0, 1, 2, 3]))
def test_sc1_whatever_bytes_arrive_are_taken_or_refused(body: bytes, encoding: int) -> None:
    """With that error and no other."""
    envelope = Envelope(0, 0, 0, 0, encoding, body)
    try:
        conform([envelope], STRICT, SIZES, ExchangeStatistics())
    except SchemaRejected:
        return
    decode_payload(envelope.encoding, envelope.body)
