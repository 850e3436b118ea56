"""Frames to bytes and back, and everything that is refused on the way."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw
from msgspec.structs import replace

from liminal_mesh.cluster.client_frames import ClientPublish, Deliver
from liminal_mesh.cluster.codec import CLIENT_CODEC, HEADER_BYTES, LINK_CODEC, Codec, encode_envelope
from liminal_mesh.cluster.envelope import BATCH_MAX, Envelope
from liminal_mesh.cluster.errors import ProtocolError
from liminal_mesh.cluster.frame import Frame, late_defaults
from liminal_mesh.cluster.frames import Heartbeat, Ping, Range
from liminal_mesh.cluster.offer_frames import Offer
from liminal_mesh.cluster.publish_frames import Heads, Lost, Publish
from liminal_mesh.cluster.scopes import CHANNEL_SCOPE, GROUP_SCOPE, SCOPES

from .strategies import frames, plain_values

CASES = [
    pytest.param(codec, kind, id=row.kind.__name__)
    for codec in (LINK_CODEC, CLIENT_CODEC)
    for kind, row in codec.table.items()
]
every_frame = pytest.mark.parametrize(("codec", "kind"), CASES)
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _decode(codec: Codec, data: bytes) -> Frame:
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    return codec.decode(data[4], data[HEADER_BYTES:])


def _kind(codec: Codec, frame: type[Frame]) -> int:
    return next(kind for kind, row in codec.table.items() if row.kind is frame)


def _envelope(body: bytes = b"body", options: dict[int, Raw] | None = None) -> Envelope:
    return Envelope(1, 2, 3, 4, 0, body, options)


@every_frame
@quick
@given(st.data())
def test_a_frame_comes_back_as_it_was_sent(codec: Codec, kind: int, data: st.DataObject) -> None:
    """Every frame of both tables, with any values its types allow."""
    frame = data.draw(frames(codec.table[kind].kind))
    wire = codec.encode(frame)
    assert wire[4] == kind
    again = _decode(codec, wire)
    assert type(again) is type(frame)
    assert codec.encode(again) == wire
    if "items" not in frame.__struct_fields__:
        assert again == frame


@every_frame
@quick
@given(st.data())
def test_a_frame_cut_anywhere_is_a_protocol_error(codec: Codec, kind: int, data: st.DataObject) -> None:
    """No prefix of a frame's body reads as a frame."""
    body = codec.encode(data.draw(frames(codec.table[kind].kind)))[HEADER_BYTES:]
    for cut in range(len(body)):
        with pytest.raises(ProtocolError, match=codec.table[kind].kind.__name__):
            codec.decode(kind, body[:cut])


@every_frame
@quick
@given(st.data())
def test_fields_that_a_newer_version_adds_are_ignored(codec: Codec, kind: int, data: st.DataObject) -> None:
    """Neighbouring versions talk: what comes after the known fields is skipped, whatever it is."""
    frame = data.draw(frames(codec.table[kind].kind))
    body = codec.encode(frame)[HEADER_BYTES:]
    # Whoever writes later fields writes all that come before them.
    missing = len(frame.__struct_fields__) - (body[0] - 0x90)
    padding = [msgpack.packb(default) for default in late_defaults(type(frame)).values()][-missing:] if missing else []
    assert 0x90 < body[0] + missing < 0x9F
    longer = bytes([body[0] + missing + 1]) + body[1:] + b"".join(padding) + msgpack.packb({"new": [1, b"2", None]})
    assert codec.encode(codec.decode(kind, longer)) == codec.encode(frame)


@every_frame
@quick
@given(st.data())
def test_bytes_after_a_frame_are_refused(codec: Codec, kind: int, data: st.DataObject) -> None:
    """A length that is larger than its frame lies."""
    body = codec.encode(data.draw(frames(codec.table[kind].kind)))[HEADER_BYTES:]
    for junk in (b"\xc0", b"\x90", b"\xc1", bytes(64)):
        with pytest.raises(ProtocolError):
            codec.decode(kind, body + junk)


@pytest.mark.parametrize("kind", [Publish, Offer, ClientPublish, Deliver])
@quick
@given(st.data())
def test_a_batch_of_encoded_envelopes_is_the_very_frame_that_encode_makes(
    kind: type[Frame], data: st.DataObject
) -> None:
    """Encoding once and joining is a short cut, not a second format."""
    codec = LINK_CODEC if kind in {Publish, Offer} else CLIENT_CODEC
    frame = data.draw(frames(kind))
    names = kind.__struct_fields__
    fields = [getattr(frame, name) for name in names[: names.index("items") + 1]]
    items, scope = fields.pop(), getattr(frame, "scope", CHANNEL_SCOPE)
    envelopes = [encode_envelope(item) for item in items]
    assert codec.encode_batch(kind, fields, envelopes, scope=scope) == codec.encode(frame)


@pytest.mark.parametrize("kind", [Publish, Lost, Heads, ClientPublish])
@quick
@given(st.data())
def test_a_scope_that_is_not_known_is_refused(kind: type[Frame], data: st.DataObject) -> None:
    """What was published there would else be taken for a channel's."""
    codec = CLIENT_CODEC if kind is ClientPublish else LINK_CODEC
    body = codec.encode(replace(data.draw(frames(kind)), scope=GROUP_SCOPE))[HEADER_BYTES:]
    assert body[-1] == GROUP_SCOPE
    with pytest.raises(ProtocolError, match=f"<= {len(SCOPES) - 1}"):
        codec.decode(_kind(codec, kind), body[:-1] + bytes([len(SCOPES)]))


@pytest.mark.parametrize("count", [1, 15, 16, 17, 255, 256, BATCH_MAX])
def test_a_batch_has_the_right_array_header_at_every_size(count: int) -> None:
    """Msgpack changes its header at 16 items."""
    envelopes = [_envelope(b"%d" % number) for number in range(count)]
    frame = Publish(1, "news", 0, envelopes)
    assert LINK_CODEC.encode_batch(Publish, (1, "news", 0), [encode_envelope(one) for one in envelopes]) == (
        LINK_CODEC.encode(frame)
    )


@quick
@given(st.integers(10, 2**63 - 1), plain_values())
def test_option_keys_that_we_do_not_know_are_forwarded_byte_for_byte(key: int, value: object) -> None:
    """A newer neighbour's options pass through us, in their order and in their form."""
    known = b"\x01" + msgpack.packb("k") + b"\x08\xcd\x00\x01"
    item = b"\x97\x01\x02\x03\x04\x00\xc4\x04body\x83" + msgpack.packb(key) + msgpack.packb(value) + known
    wire = LINK_CODEC.encode_batch(Publish, (1, "news", 0), [item])
    frame = _decode(LINK_CODEC, wire)
    assert isinstance(frame, Publish)
    assert encode_envelope(frame.items[0]) == item
    assert LINK_CODEC.encode(frame) == wire


def test_kept_options_do_not_keep_the_buffer_they_came_in_alive() -> None:
    """A subscriber that holds one message must not hold a megabyte that was read with it."""
    wire = bytearray(LINK_CODEC.encode(Publish(1, "news", 0, [_envelope(options={1: Raw(msgpack.packb("key"))})])))
    frame = LINK_CODEC.decode(wire[4], memoryview(wire)[HEADER_BYTES:])
    wire[:] = bytes(len(wire))
    wire += b"it may be resized, so no view of it is left"
    assert isinstance(frame, Publish)
    assert frame.items[0].options is not None
    assert bytes(frame.items[0].options[1]) == msgpack.packb("key")


def _array(count: int) -> bytes:
    return b"\xdd" + count.to_bytes(4, "big")


LYING = {
    "more fields than there are bytes": lambda: (Ping, b"\xdd\xff\xff\xff\xff\x01"),
    "a text of 4 GiB": lambda: (Publish, b"\x94\x01\xdb\xff\xff\xff\xff" + b"x" * 50),
    "bytes of 4 GiB": lambda: (Publish, b"\x94\x01\xa1c\x00\x91\x96\x01\x01\x01\x01\x00\xc6\xff\xff\xff\xff"),
    "an array of 4 G items": lambda: (Publish, b"\x94\x01\xa1c\x00" + _array(2**32 - 1)),
    "a map of 4 G items": lambda: (
        Publish,
        b"\x94\x01\xa1c\x00\x91\x97\x01\x01\x01\x01\x00\xc4\x00\xdf\xff\xff\xff\xff",
    ),
    "an unknown field of 4 G items": lambda: (Ping, b"\x92\x01\xdf\xff\xff\xff\xff"),
    "an extension type": lambda: (Ping, b"\x91\xd6\x01\x00\x00\x00\x00"),
    "a reserved byte": lambda: (Ping, b"\x91\xc1"),
    "a negative number": lambda: (Ping, b"\x91\xff"),
    "a float": lambda: (Ping, b"\x91\xcb" + bytes(8)),
    "text that is no UTF-8": lambda: (Publish, b"\x94\x01\xa2\xc3\x28\x00\x90"),
    "no items": lambda: (Publish, b"\x94\x01\xa1c\x00\x90"),
    "a hundred thousand nested arrays": lambda: (Ping, b"\x92\x01" + b"\x91" * 100_000 + b"\xc0"),
    "a hundred thousand nested maps": lambda: (Ping, b"\x92\x01" + b"\x81\xc0" * 100_000 + b"\xc0"),
}


@pytest.mark.parametrize("make", LYING.values(), ids=LYING)
def test_a_lie_is_a_protocol_error_and_costs_no_memory(make: Callable[[], tuple[type[Frame], bytes]]) -> None:
    """What a header promises is not taken on trust."""
    kind, body = make()
    number = _kind(LINK_CODEC, kind)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError):
            LINK_CODEC.decode(number, body)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("count", [BATCH_MAX + 1, 1_000_000])
def test_an_array_of_more_than_1024_items_is_refused_before_it_is_read(count: int) -> None:
    """Even if every item is really there."""
    item = encode_envelope(_envelope(b""))
    batches: dict[type[Frame], bytes] = {
        Publish: b"\x94\x01\xa1c\x00" + _array(count) + item * count,
        Heartbeat: b"\x94\x01\x01\x90" + _array(count) + b"\x93\xa1n\x01\xa1a" * count,
        Range: b"\x97\x00\x01\x01\x01\x91\x92\xa1g" + _array(count) + b"\x01" * count + b"\x90\x00",
    }
    for kind, body in batches.items():
        number = _kind(LINK_CODEC, kind)
        tracemalloc.start()
        try:
            with pytest.raises(ProtocolError, match="1024"):
                LINK_CODEC.decode(number, body)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


def test_a_type_that_is_not_in_the_table_is_unknown_and_not_guessed() -> None:
    """The caller decides what an unknown type means in its state."""
    with pytest.raises(KeyError):
        LINK_CODEC.decode(_kind(CLIENT_CODEC, Deliver), b"\x90")
    with pytest.raises(KeyError):
        LINK_CODEC.encode(Deliver(1, 1, "c", "n", 1, [_envelope()]))
