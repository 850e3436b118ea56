"""Mutated frames raise nothing but ``ProtocolError``, and cost no memory.

``LIMINAL_FUZZ_FRAMES`` says how many frames (1,000,000 in ``make prove``), ``LIMINAL_FUZZ_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from liminal_mesh.cluster.buffer import FrameBuffer
from liminal_mesh.cluster.codec import CLIENT_CODEC, HEADER_BYTES, LINK_CODEC, Codec
from liminal_mesh.cluster.errors import ProtocolError

from ..golden.make import CLIENT, LINK

FRAMES = int(os.environ.get("LIMINAL_FUZZ_FRAMES", "50000"))
FRAME_BYTES_MAX = 64 * 1024
GROWTH_BYTES_MAX = 20 * 1024 * 1024
# Headers that promise much: arrays, maps, texts, bytes and extensions of all widths.
LIES = [
    bytes([header]) + count
    for header, width in (
        (0xDC, 2),
        (0xDD, 4),
        (0xDE, 2),
        (0xDF, 4),
        (0xDA, 2),
        (0xDB, 4),
        (0xC5, 2),
        (0xC6, 4),
        (0xC9, 4),
    )
    for count in (b"\xff" * width, b"\x7f" + b"\xff" * (width - 1), b"\x00" * (width - 2) + b"\x04\x01")
]
NESTS = [b"\x91", b"\x81\x01", b"\x92\x01", b"\xdd\x00\x00\x00\x01"]


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _mutate(rng: random.Random, corpus: list[bytes]) -> bytes:
    """One to four changes to a frame; half of the results get a true length again, to reach the decoder."""
    wire = bytearray(rng.choice(corpus))
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(wire)) if wire else 0
        match rng.randrange(8):
            case 0 | 1:
                if wire:
                    wire[place] ^= 1 << rng.randrange(8)
            case 2:
                if wire:
                    wire[place] = rng.randrange(256)
            case 3:
                del wire[place:]
            case 4:
                other = rng.choice(corpus)
                start = rng.randrange(len(other))
                wire[place : place + rng.randrange(9)] = other[start : start + rng.randrange(40)]
            case 5:
                wire[place : place + rng.randrange(5)] = rng.choice(LIES)
            case 6:
                del wire[place : place + rng.randrange(1, 5)]
            case _:
                depth = rng.choice((2, 20, 200)) if rng.randrange(50) else 10_000
                wire[place:place] = rng.choice(NESTS) * depth
    if rng.random() < 0.8 and len(wire) >= HEADER_BYTES:
        wire[:4] = (len(wire) - 4).to_bytes(4, "big")
    return bytes(wire)


def _read(codec: Codec, rng: random.Random, wire: bytes) -> bool:
    """Read one connection's bytes as a node does; whether a frame was accepted, which must be sendable again."""
    buffer, accepted = FrameBuffer(FRAME_BYTES_MAX), False
    cut = rng.randrange(len(wire) + 1)
    try:
        for piece in (wire[:cut], wire[cut:]):
            for kind, body in buffer.feed(piece):
                if kind in codec.table:
                    frame = codec.decode(kind, body)
                    again = codec.encode(frame)
                    assert codec.encode(codec.decode(kind, again[HEADER_BYTES:])) == again
                    accepted = True
    except ProtocolError:
        pass
    assert len(buffer) <= FRAME_BYTES_MAX + 4
    return accepted


@pytest.mark.timeout(900)
def test_mutated_frames_raise_nothing_but_protocol_errors_with_flat_memory() -> None:
    """Bit flips, cuts, splices, lying headers and deep nesting, on both codecs."""
    seed = int(os.environ.get("LIMINAL_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    rng, accepted, floor, peak = random.Random(seed), 0, 0, 0
    corpora = [
        (codec, [codec.encode(frame) for frame in frames])
        for codec, frames in ((LINK_CODEC, LINK), (CLIENT_CODEC, CLIENT))
    ]
    for number in range(FRAMES):
        codec, corpus = corpora[number % 2]
        wire = _mutate(rng, corpus)
        try:
            accepted += _read(codec, rng, wire)
        except BaseException as error:
            error.add_note(f"LIMINAL_FUZZ_SEED={seed}, frame {number}: {wire[:200].hex()} ({len(wire)} bytes)")
            raise
        if number % 1000 == 0:
            # The first frames warm the allocator up; what counts is what comes after.
            floor = _resident_bytes() if number <= 5000 else floor
            peak = max(peak, _resident_bytes())
    assert 0 < accepted < FRAMES, f"seed {seed}: the mutations are too weak or too strong"
    assert peak - floor < GROWTH_BYTES_MAX, f"seed {seed}: memory grew by {(peak - floor) >> 20} MiB"
