"""Notices that repeat are told once in a while, with how many were held back."""

from __future__ import annotations

from typing import Final

from .effects import Level, Notice

__all__ = ["Notices"]

EVERY_S: Final = 10.0
"""A refused peer redials for ever; its line in the log need not come as often."""

KEYS_MAX: Final = 1024
"""The most kinds of notices that are counted apart; whoever connects can make new ones."""


class Notices:
    """Decides which notices are told."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], tuple[float, int]] = {}

    def take(self, level: Level, event: str, key: str, now: float, **fields: object) -> Notice | None:
        """Return the notice if one of this event and key was not told just now."""
        at, held_back = self._told.get((event, key), (None, 0))
        if at is not None and now - at < EVERY_S:
            self._told[event, key] = (at, held_back + 1)
            return None
        if len(self._told) >= KEYS_MAX:
            self._told.clear()
        self._told[event, key] = (now, 0)
        return Notice(level, event, fields | ({"held_back": held_back} if held_back else {}))
