"""How deep msgpack nests. Whoever reads it needs a part of the interpreter's stack for each level, and some have less.

A node lets options through that it does not know, so what nests too deep for a peer or for a subscriber has to be found
where it enters: there it costs its sender a message, behind it would cost others a link.
"""

from __future__ import annotations

from itertools import chain
from typing import Final, NamedTuple

__all__ = ["NESTING_MAX", "nests_deeper"]

NESTING_MAX: Final = 16
"""The most arrays and maps within one another."""

_CONTAINERS: Final = bytes(chain(range(0x80, 0xA0), range(0xDC, 0xE0)))
"""The first bytes of arrays and maps."""


class _Kind(NamedTuple):
    """What a first byte says of its value."""

    length_bytes: int = 0
    """How many bytes behind it are a length."""
    length: int = 0
    """What is to be added to that length."""
    values: int = 0
    """How many values each of that length stands for; 0 when it is counted in bytes."""


_KINDS: Final = [
    *[_Kind()] * 0x80,
    *(_Kind(0, count, 2) for count in range(16)),  # small maps
    *(_Kind(0, count, 1) for count in range(16)),  # small arrays
    *(_Kind(0, count) for count in range(32)),  # short texts
    *[_Kind()] * 4,
    *(_Kind(size) for size in (1, 2, 4)),  # bytes
    *(_Kind(size, 1) for size in (1, 2, 4)),  # extensions
    *(_Kind(0, size) for size in (4, 8, 1, 2, 4, 8, 1, 2, 4, 8)),  # numbers
    *(_Kind(0, size) for size in (2, 3, 5, 9, 17)),  # extensions of fixed lengths
    *(_Kind(size) for size in (1, 2, 4)),  # texts
    *(_Kind(size, 0, 1) for size in (2, 4)),  # arrays
    *(_Kind(size, 0, 2) for size in (2, 4)),  # maps
    *[_Kind()] * 0x20,
]
"""By first byte."""


def nests_deeper(data: bytes, most: int = NESTING_MAX) -> bool:
    """Whether well-formed msgpack has more than so many arrays and maps within one another."""
    if len(data) - len(data.translate(None, _CONTAINERS)) <= most:  # whatever these bytes are, they are not enough
        return False
    left = [1]  # how many values are still to come: of the whole, and of each array and map around
    position = 0
    while left:
        length_bytes, length, values = _KINDS[data[position]]
        position += 1 + length_bytes
        if length_bytes:
            length += int.from_bytes(data[position - length_bytes : position], "big")
        left[-1] -= 1
        if values:
            if len(left) > most:
                return True
            left.append(values * length)
        else:
            position += length
        while left and not left[-1]:
            left.pop()
    return False
