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
from liminal_mesh.cluster.control_frames import CONTROL_CODEC
from liminal_mesh.cluster.errors import ProtocolError

from ..golden.make import CLIENT, CONTROL, LINK
from .mutations import mutate

FRAMES = int(os.environ.get("LIMINAL_FUZZ_FRAMES", "50000"))
FRAME_BYTES_MAX = 64 * 1024
GROWTH_BYTES_MAX = 20 * 1024 * 1024


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


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
    """Bit flips, cuts, splices, lying headers and deep nesting, on every codec."""
    seed = int(os.environ.get("LIMINAL_FUZZ_SEED") or random.SystemRandom().randrange(2**32))
    rng, accepted, floor, peak = random.Random(seed), 0, 0, 0
    corpora = [
        (codec, [codec.encode(frame) for frame in frames])
        for codec, frames in ((LINK_CODEC, LINK), (CLIENT_CODEC, CLIENT), (CONTROL_CODEC, CONTROL))
    ]
    for number in range(FRAMES):
        codec, corpus = corpora[number % len(corpora)]
        wire = mutate(rng, corpus)
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
