"""Bytes in, whole frames out."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.errors import ProtocolError

bodies = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=8)


def _frame(kind: int, body: bytes) -> bytes:
    return (len(body) + 1).to_bytes(4, "big") + bytes([kind]) + body


def _feed(buffer: FrameBuffer, data: bytes) -> list[tuple[int, bytes]]:
    return [(kind, bytes(body)) for kind, body in buffer.feed(data)]


@given(bodies, st.lists(st.integers(0, 400), max_size=12))
def test_frames_come_out_whole_however_the_stream_is_cut(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    """TCP has no frames; a cut changes nothing."""
    stream = b"".join(_frame(*frame) for frame in frames)
    buffer, got = FrameBuffer(100), []
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    for start, stop in itertools.pairwise(edges):
        got += _feed(buffer, stream[start:stop])
    assert got == frames
    assert len(buffer) == 0


@given(bodies)
def test_frames_come_out_whole_byte_by_byte(frames: list[tuple[int, bytes]]) -> None:
    """The slowest of senders."""
    buffer, got = FrameBuffer(100), []
    for byte in b"".join(_frame(*frame) for frame in frames):
        got += _feed(buffer, bytes([byte]))
    assert got == frames


def test_a_frame_cut_anywhere_waits_and_is_completed_by_the_rest() -> None:
    """One frame, cut at each of its positions."""
    data = _frame(7, b"some body")
    for cut in range(len(data)):
        buffer = FrameBuffer(100)
        assert _feed(buffer, data[:cut]) == []
        assert len(buffer) == cut
        assert _feed(buffer, data[cut:]) == [(7, b"some body")]


def test_a_frame_of_exactly_the_limit_passes_and_one_more_byte_does_not() -> None:
    """The limit counts the type and the body."""
    assert _feed(FrameBuffer(10), _frame(1, bytes(9))) == [(1, bytes(9))]
    with pytest.raises(ProtocolError, match=r"11 bytes, where 10 are allowed \(limits.preauth_frame\)"):
        _feed(FrameBuffer(10), _frame(1, bytes(10)))


@pytest.mark.parametrize("size", [2**32 - 1, 2**31, 4097])
def test_a_large_promise_is_refused_by_its_four_bytes_alone(size: int) -> None:
    """Nothing is kept or allocated for it."""
    buffer = FrameBuffer(4096)
    with pytest.raises(ProtocolError, match=str(size)):
        _feed(buffer, size.to_bytes(4, "big"))
    assert len(buffer) == 0


def test_a_large_promise_is_refused_when_its_length_comes_in_pieces() -> None:
    """The check does not depend on how the length arrives."""
    buffer = FrameBuffer(4096)
    assert _feed(buffer, b"\xff") == []
    assert _feed(buffer, b"\xff\xff") == []
    with pytest.raises(ProtocolError):
        _feed(buffer, b"\xff")


def test_an_empty_frame_is_refused() -> None:
    """A frame has at least its type."""
    with pytest.raises(ProtocolError, match="empty"):
        _feed(FrameBuffer(100), bytes(4))


def test_frames_before_a_bad_one_are_still_given() -> None:
    """What was sent before the fault counts."""
    got: list[tuple[int, bytes]] = []
    with pytest.raises(ProtocolError):
        got.extend((kind, bytes(body)) for kind, body in FrameBuffer(100).feed(_frame(1, b"a") + bytes(4)))
    assert got == [(1, b"a")]


def test_a_limit_raised_between_two_frames_of_one_read_holds_for_the_second() -> None:
    """The last frame of a handshake and the first large one may come together."""
    buffer = FrameBuffer(10)
    stream = buffer.feed(_frame(1, b"a") + _frame(2, bytes(50)))
    assert next(stream)[0] == 1
    buffer.let_in(100)
    assert next(stream)[0] == 2


def test_a_limit_lowered_holds_for_a_frame_that_is_half_here() -> None:
    """Lowering it is never a promise that was given."""
    buffer = FrameBuffer(100)
    data = _frame(1, bytes(60))
    assert _feed(buffer, data[:20]) == []
    buffer.let_in(50)
    with pytest.raises(ProtocolError):
        _feed(buffer, data[20:])


def test_no_more_is_kept_than_one_frame() -> None:
    """Whatever the sender does, what waits is smaller than the limit and its length."""
    rng, buffer = random.Random(1), FrameBuffer(1000)
    stream = b"".join(_frame(1, bytes(rng.randrange(999))) for _ in range(200))
    while stream:
        cut = rng.randrange(1, 3000)
        for _ in buffer.feed(stream[:cut]):
            pass
        stream = stream[cut:]
        assert len(buffer) < 1004


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"GET / HTTP/1.1", "HTTP"),
        (b"POST /x HTTP/1.1", "HTTP"),
        (b"HTTP/1.1 400 Bad Request", "HTTP"),
        (b"PRI * HTTP/2.0", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"SSH-2.0-OpenSSH", ""),
        (b"\xff\xff\xff\xff", ""),
    ],
)
def test_who_speaks_another_protocol_is_told_so_as_far_as_it_is_known(start: bytes, says: str) -> None:
    """A wrong port is the usual reason."""
    with pytest.raises(ProtocolError) as raised:
        _feed(FrameBuffer(64 << 20), start)
    assert (f"the other side speaks {says}" in str(raised.value)) is bool(says)
    assert ("speaks" in str(raised.value)) is bool(says)
