"""Text of others, made fit for a log and a terminal."""

from __future__ import annotations

from typing import Final

__all__ = ["printable"]

TEXT_MAX: Final = 1024
"""The longest text that is shown whole."""


def printable(text: str, length_max: int = TEXT_MAX) -> str:
    """Escape what could move a cursor, forge a line or hide something, and cut what is too long."""
    cut = text[:length_max]
    if not cut.isprintable():
        cut = "".join(character if character.isprintable() else _escape(character) for character in cut)
    return cut if len(text) <= length_max else f"{cut}... ({len(text)} characters)"


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
