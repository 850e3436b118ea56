"""The channels of recorded runs whose consumers are too slow, and what is done about it there."""

from __future__ import annotations

from typing import Any, Final

__all__ = ["PRESSED", "pressed_channels", "priority_of"]

PRESSED: Final = ("p.refuses", "p.sheds", "p.slows", "p.ends")

_INBOX: Final = {"messages": 20}


def pressed_channels() -> list[dict[str, Any]]:
    """Return their configuration."""
    refuses, sheds, slows, ends = PRESSED
    shed = [{"at": 0.4, "shed_below": 5}, {"at": 0.8, "shed_below": 8, "alert": "warning"}]
    return [
        {"name": refuses, "inbox": {**_INBOX, "overflow": "reject"}},
        {"name": sheds, "inbox": {**_INBOX, "overflow": "drop-newest"}, "pressure": shed},
        {"name": slows, "inbox": _INBOX, "pressure": [{"at": 0.4, "slow": 2.0}]},
        {"name": ends, "inbox": {**_INBOX, "overflow": "disconnect"}},
    ]


def priority_of(channel: str, n: int) -> int | None:
    """Return how important publish ``n`` says that it is; None where nobody asks, and for some that do not say."""
    return None if channel != PRESSED[1] or n % 11 == 0 else (9 - n) % 10
