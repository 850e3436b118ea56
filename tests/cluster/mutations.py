"""Frames changed at random: bit flips, cuts, splices, lying headers and deep nesting, as hostile senders would do."""

from __future__ import annotations

import random

from liminal_mesh.cluster.codec import HEADER_BYTES

__all__ = ["mutate"]

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


def mutate(rng: random.Random, corpus: list[bytes]) -> bytes:
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
