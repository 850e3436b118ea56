"""When each client is told that its node leaves.

Not all at once, for they all come back somewhere at once: each has a moment of its own. Those who subscribe are told
first, since they lose something with each message that is published before they are back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from random import Random

__all__ = ["EACH_S", "SPREAD_S", "goodbyes"]

SPREAD_S: Final = 2.0
"""Over how much time goodbyes are spread, at most."""

EACH_S: Final = 0.02
"""How much of it a client is worth: a few clients are no herd, and need not be kept waiting as if they were one."""

Client = TypeVar("Client")


def goodbyes(
    subscribers: Sequence[Client], others: Sequence[Client], budget_s: float, rng: Random
) -> list[tuple[float, Client]]:
    """Return when to tell whom, in seconds from now, in order: those who subscribe in the first half of the time.

    Args:
        subscribers: clients that subscribe to something.
        others: all other clients.
        budget_s: how long the node has; half of it is left for what waits for them.
        rng: draws the moments.
    """
    spread_s = max(0.0, min(SPREAD_S, EACH_S * (len(subscribers) + len(others)), budget_s / 2))
    first = [(rng.uniform(0.0, spread_s / 2), client) for client in subscribers]
    second = [(rng.uniform(spread_s / 2, spread_s), client) for client in others]
    return sorted(first + second, key=lambda told: told[0])
