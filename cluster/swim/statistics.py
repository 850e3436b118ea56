"""What has happened in the membership of one node, counted where it happens; numbers only grow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Outcome", "SwimStatistics"]

Outcome = Literal["refuted", "dead", "left", "restarted"]
"""How a suspicion ended: the member spoke, or it was held for dead, or it said goodbye, or another run came."""


@dataclass(slots=True)
class SwimStatistics:
    """Counters of one node.

    ``suspicions`` are those that ended, by how; ``probes`` the rounds by ``answered`` (directly, or by way of others)
    and ``failed``; ``round_trips`` and ``round_trip_s`` are the number and the sum of direct round trips, in seconds;
    ``refutations`` how often this node contradicted an accusation of itself; ``fenced`` the frames that came from a
    run of a node to which there was no link (any more).
    """

    suspicions: dict[Outcome, int] = field(default_factory=lambda: {"refuted": 0, "dead": 0, "left": 0, "restarted": 0})
    probes: dict[Literal["answered", "failed"], int] = field(default_factory=lambda: {"answered": 0, "failed": 0})
    round_trips: int = 0
    round_trip_s: float = 0.0
    refutations: int = 0
    fenced: int = 0
