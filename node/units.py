"""Durations and sizes as people write them: ``250ms``, ``5s``, ``10m``, ``7d``; ``4KiB``, ``64MiB``."""

from __future__ import annotations

import math
import re
from typing import Final

__all__ = ["format_duration", "format_size", "parse_duration", "parse_size"]

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)\Z")


def parse_duration(value: object) -> float:
    """Return seconds. A plain number is seconds already.

    Raises:
        ValueError: it is no duration, or not above zero.
    """
    seconds = _number(value)
    if seconds is None:
        seconds = _quantity(value, _SECONDS, "duration", "250ms, 5s, 10m, 2h, 7d")
    if not 0 < seconds < math.inf:
        raise ValueError(f"{value!r} is no duration: it has to be above zero, and finite")
    return seconds


def parse_size(value: object) -> int:
    """Return bytes. A plain whole number is bytes already.

    Raises:
        ValueError: it is no size, or not above zero.
    """
    size = _number(value)
    if size is None:
        size = _quantity(value, _BYTES, "size", "512B, 4KiB, 64MiB, 1GiB")
    if not (0 < size < math.inf and size == int(size)):
        raise ValueError(f"{value!r} is no size: it has to be a whole number of bytes above zero")
    return int(size)


def format_duration(seconds: float) -> str:
    """Write a duration in the largest unit that keeps it whole, so that it reads back as the same."""
    for unit, factor in reversed(_SECONDS.items()):
        count = round(seconds / factor)
        if count >= 1 and math.isclose(count, seconds / factor):
            return f"{count}{unit}"
    return f"{seconds * 1000:f}ms"


def format_size(size: int) -> str:
    """Write a size in the largest unit that keeps it whole."""
    for unit, factor in reversed(_BYTES.items()):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def _number(value: object) -> float | None:
    # A bool is an int in Python, and never a quantity.
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.match(r"[0-9]+(\.[0-9]+)?\Z", value):
        return float(value)
    return None


def _quantity(value: object, units: dict[str, float] | dict[str, int], what: str, examples: str) -> float:
    found = _QUANTITY.match(value) if isinstance(value, str) else None
    if found is None or found[2] not in units:
        raise ValueError(f"{value!r} is no {what}: write it like {examples}")
    return float(found[1]) * units[found[2]]
