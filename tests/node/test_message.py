"""Messages: what a subscriber reads of an envelope."""

from __future__ import annotations

import msgspec
import pytest

from liminal_mesh.cluster import Encoding, Envelope, NodeId, OptionKey, Pid, ProtocolError
from liminal_mesh.node.inbox import Run
from liminal_mesh.node.message import Message, encode_headers


class Counter:
    """Counts nacks."""

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
    one = message({**options, OptionKey.PARENT: msgspec.Raw(msgspec.msgpack.encode(76)), 99: msgspec.Raw(b"\xc0")})

    assert (one.headers, one.causal) == ({"h": "v"}, 76)


@pytest.mark.parametrize("raw", [b"\xc0", b"\x01", b"\x81\xa1h\x01"], ids=["nil", "number", "no text"])
def test_bad_headers_of_another_program_are_a_protocol_error(raw: bytes) -> None:
    """The rest of the message can still be read."""
    one = message({OptionKey.HEADERS: msgspec.Raw(raw)})

    with pytest.raises(ProtocolError, match="headers"):
        assert one.headers
    assert one.payload == "hello"


def test_a_bad_parent_of_another_program_is_a_protocol_error() -> None:
    """As bad headers are."""
    with pytest.raises(ProtocolError, match="parent"):
        assert message({OptionKey.PARENT: msgspec.Raw(b"\xa1x")}).causal


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
