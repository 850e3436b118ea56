"""How long a suspicion lasts: as a pure formula, and as the state of one suspicion.

A lone accuser waits long, since it may itself be what is broken. Each further member whose own probe or link failed
shortens the wait, logarithmically, down to the shortest (Lifeguard's dogpile).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..swim_frames import MemberRecord
from .options import SwimOptions

__all__ = ["Suspicion", "refutation_s", "shortest", "suspicion_s"]


def shortest(options: SwimOptions, live: int) -> float:
    """Return the shortest suspicion in a mesh of ``live`` members, in seconds."""
    return options.alpha * max(1.0, math.log10(max(live, 1))) * options.probe_s


def refutation_s(options: SwimOptions, live: int) -> float:
    """Return how long a member has to refute before a death notice by somebody else is believed."""
    return shortest(options, live) / 2


def suspicion_s(options: SwimOptions, live: int, confirmations: int) -> float:
    """Return how long a suspicion lasts.

    Args:
        options: the times and bounds.
        live: the members alive or suspected, this node included.
        confirmations: how many accused it after the first.
    """
    least = shortest(options, live)
    expected = min(options.confirmations, live - 2)
    if expected <= 0:
        return least
    most = options.beta * least
    return max(least, most - (most - least) * math.log(confirmations + 1) / math.log(expected + 1))


@dataclass(slots=True)
class Suspicion:
    """One member under suspicion.

    ``accusers`` are those whose own probe or link failed, the first one included. ``noticed`` says that somebody
    already holds it for dead: then it has only the time that a refutation needs. ``deadline`` is never moved into the
    past: what ends a suspicion at once must not look as if this node had slept over it.
    """

    record: MemberRecord
    started: float
    live: int
    penalty: int = 1
    extra_s: float = 0.0
    noticed: bool = False
    accusers: set[str] = field(default_factory=set)
    deadline: float = 0.0

    def confirm(self, by: str, options: SwimOptions, now: float) -> bool:
        """Take an accusation; returns whether it is a new one, and worth telling."""
        if by in self.accusers or len(self.accusers) > options.confirmations:
            return False
        if by:
            self.accusers.add(by)
        self.plan(options, now)
        return True

    def extend(self, by_s: float) -> None:
        """Let it last longer."""
        self.extra_s += by_s
        self.deadline += by_s

    def plan(self, options: SwimOptions, now: float) -> None:
        """Work the deadline out anew."""
        length = suspicion_s(options, self.live, max(0, len(self.accusers) - 1))
        if self.noticed:
            length = min(length, refutation_s(options, self.live))
        self.deadline = max(min(now, self.deadline), self.started + self.penalty * length + self.extra_s)
