"""Messages: what a subscriber reads of an envelope."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import pytest

from liminal_mesh.cluster import CHANNEL_SCOPE, Encoding, Envelope, NodeId, OptionKey, Pid, ProtocolError
from liminal_mesh.node.inbox import Run
from liminal_mesh.node.message import Message, encode_headers, give_parent
from liminal_mesh.node.reference import Reference, encode_parent, parent_of


class Counter:
    """Counts nacks."""

    scope: ClassVar[int] = CHANNEL_SCOPE

    def __init__(self) -> None:
        self.nacks = 0

    def note_nack(self) -> None:
        """Count one."""
        self.nacks += 1


def message(options: dict[int, msgspec.Raw] | None = None, counter: Counter | None = None) -> Message:
    """Return a message."""
    envelope = Envelope(77, 5, 1_500_000, 3, Encoding.TEXT, b"hello", options)
    return Message(envelope, Run("ticks", NodeId("a", 9), [envelope]), counter or Counter())


def test_a_message_reads_its_envelope() -> None:
    """And its run."""
    one = message()

    assert (one.channel, one.origin, one.epoch, one.log) == ("ticks", "a", 9, None)
    assert (one.id, one.sequence, one.publisher, one.published_at) == (77, 5, Pid("a", 9, 3), 1.5)
    assert (one.payload, one.body, one.headers, one.causal) == ("hello", b"hello", {}, None)
    assert (one.redelivered, one.attempt) == (False, 1)
    assert repr(one) == "<Message ticks a#5 5 bytes>"


def test_options_are_read_when_they_are_asked_for() -> None:
    """Those that are not known are passed over."""
    options = encode_headers({"h": "v"})
    assert options is not None
    one = message({**options, **encode_parent(Reference("ticks", "b", 3, 76, 4)), 99: msgspec.Raw(b"\xc0")})

    assert one.headers == {"h": "v"}
    assert one.causal == Reference("ticks", "b", 3, 76, 4, CHANNEL_SCOPE)


def test_a_message_has_a_reference_that_another_can_name() -> None:
    """CO1: all that tells it from any other, and whether it has come; a message names itself by it, too."""
    one = message()
    envelope = Envelope(78, 6, 0, 3, Encoding.RAW, b"", encode_headers({"h": "v"}))
    give_parent(envelope, one)
    other = Envelope(79, 7, 0, 3, Encoding.RAW, b"")
    give_parent(other, one.reference)

    assert one.reference == Reference("ticks", "a", 9, 77, 5, CHANNEL_SCOPE)
    assert parent_of(envelope) == parent_of(other) == one.reference
    assert Message(envelope, Run("ticks", NodeId("a", 9), [envelope]), Counter()).headers == {"h": "v"}
    assert parent_of(Envelope(80, 8, 0, 3, Encoding.RAW, b"")) is None


@pytest.mark.parametrize("parent", [7, "a", ("a", 9, 77)])
def test_only_a_message_can_be_a_parent(parent: Any) -> None:
    """CO1: said to who publishes."""
    envelope = Envelope(78, 6, 0, 3, Encoding.RAW, b"")
    with pytest.raises(TypeError, match="parent="):
        give_parent(envelope, parent)
    assert envelope.options is None


def test_a_reference_of_a_later_version_can_be_read() -> None:
    """What it adds at the end is left out; a short one takes the defaults."""
    longer = msgspec.msgpack.encode(["ticks", "b", 3, 76, 4, 0, "more"])
    shorter = msgspec.msgpack.encode(["ticks", "b", 3, 76, 4])
    expected = Reference("ticks", "b", 3, 76, 4)

    assert [message({OptionKey.PARENT: msgspec.Raw(raw)}).causal for raw in (longer, shorter)] == [expected] * 2


@pytest.mark.parametrize(
    "raw", [b"\xc0", b"\x01", b"\x81\xa1h\x01", b"\x81\xa1\xff\xa0"], ids=["nil", "number", "no text", "bytes"]
)
def test_bad_headers_of_another_program_are_a_protocol_error(raw: bytes) -> None:
    """The rest of the message can still be read."""
    one = message({OptionKey.HEADERS: msgspec.Raw(raw)})

    with pytest.raises(ProtocolError, match="headers"):
        assert one.headers
    assert one.payload == "hello"


@pytest.mark.parametrize(
    "raw",
    [b"\xa1x", b"\x4c", b"\x90", b"\xc0", b"\x95\xa1x\x01\x01\x01\x01", b"\x95\xa1\xff\xa1x\x01\x01\x01"]
    + [msgspec.msgpack.encode([*names, 1, 1, 1]) for names in (["x" * 257, "b"], ["x", "b" * 257])],
)
def test_a_bad_parent_of_another_program_is_a_protocol_error(raw: bytes) -> None:
    """As bad headers are."""
    with pytest.raises(ProtocolError, match="parent"):
        assert message({OptionKey.PARENT: msgspec.Raw(raw)}).causal


async def test_a_nack_is_counted_and_an_ack_is_not() -> None:
    """On an ephemeral channel neither does more."""
    counter = Counter()
    one = message(counter=counter)
    await one.ack()
    await one.nack(delay=3.0)
    await one.nack()

    assert counter.nacks == 2


def test_messages_are_compared_by_identity() -> None:
    """Two deliveries of one publish are two messages."""
    one = message()

    assert one == one
    assert one != message()
    assert len({one, message()}) == 2


@pytest.mark.parametrize("headers", [{"a": 1}, {1: "a"}, {"a": None}, {"a": b"x"}])
def test_headers_are_texts(headers: dict[str, str]) -> None:
    """On both sides of the colon."""
    with pytest.raises(TypeError, match="text"):
        encode_headers(headers)


def test_no_headers_take_no_room() -> None:
    """Most messages have none."""
    assert encode_headers({}) is None
