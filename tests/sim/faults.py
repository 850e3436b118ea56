"""What goes wrong in a simulated mesh: one record of options, drawn anew for each seed.

Most kinds of faults are off in any one world, and the others come at wild weights (swarm testing): a world with
nothing but restarts finds other things than one in which everything happens a little.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Literal

from liminal_mesh.cluster.frames import Ack, Heartbeat, LinkFrame, Range, SnapBegin, SnapChunk, SnapEnd, Sync

from .host import End
from .world import World

__all__ = ["ACTIONS", "Faults", "FrameFaults"]

ACTIONS = (
    "burst",
    "crash",
    "cut",
    "depart",
    "drain",
    "half_cut",
    "heal",
    "hole",
    "intrude",
    "move",
    "no_way",
    "one_way",
    "part",
    "pause",
    "restart",
    "revive",
    "same_epoch",
    "sever",
    "stall",
)
"""What may happen to nodes and connections, besides joins and leaves."""

_REGISTRY = (Sync, SnapBegin, SnapChunk, SnapEnd, Range, Ack)


@dataclass(frozen=True)
class Faults:
    """Which faults a world has.

    ``weights`` are those of actions, ``lose``, ``double``, ``swap`` and ``late`` chances of what happens to a registry
    frame or heartbeat, and ``loss`` that of a packet. ``eager`` nodes have the membership times of tests, others the
    shipped ones, and with ``threads`` the two cores of a node hear late of each other. ``named`` nodes know a name that
    stands for all, others addresses. ``clock`` is that of a restarted node, ``retransmit_s`` how long after the end of
    a hole its senders may wait, and ``down`` says that who is down at the end stays so.
    """

    nodes: int = 3
    steps: int = 60
    pause_s: float = 0.2
    ring_records: int = 1024
    everyone_is_a_seed: bool = True
    named: bool = False
    eager: bool = False
    threads: bool = False
    clock: Literal["steady", "behind", "ahead"] = "steady"
    down: bool = False
    loss: float = 0.0
    retransmit_s: float = 0.0
    weights: dict[str, float] = field(default_factory=dict)
    lose: float = 0.0
    double: float = 0.0
    swap: float = 0.0
    late: float = 0.0

    @property
    def alters_frames(self) -> bool:
        """Whether something happens to frames, or to what came of them, that no stream does."""
        return bool(self.lose or self.swap) or not self.weights.keys().isdisjoint(("corrupt", "reborn"))

    @classmethod
    def draw(cls, rng: Random) -> Faults:
        """Draw the faults of one world."""

        def chance(most: float) -> float:
            return rng.uniform(0, most) if rng.random() < 0.4 else 0.0

        weights = {action: rng.choice((0.3, 1.0, 3.0)) for action in ACTIONS if rng.random() < 0.35}
        # Who has another address is found by a name alone, and a mesh whose one seed is gone by nobody new.
        named = rng.random() < 0.3 or "move" in weights
        many = rng.random() < 0.5 or not weights.keys().isdisjoint(("crash", "depart"))
        return cls(
            nodes=rng.choice((2, 3, 3, 4, 5)),
            steps=rng.randrange(20, 60),
            pause_s=rng.choice((0.02, 0.1, 0.3, 1.0)),
            ring_records=rng.choice((4, 16, 1024)),
            everyone_is_a_seed=many,
            named=named,
            eager=rng.random() < 0.5,
            threads=rng.random() < 0.5,
            clock=rng.choice(("steady", "steady", "behind", "ahead")),
            down=rng.random() < 0.5,
            loss=rng.choice((0.0, 0.0, 0.05, 0.3)),
            retransmit_s=rng.choice((0.0, 1.0, 5.0)),
            weights=weights,
            lose=chance(0.3),
            double=chance(0.3),
            swap=chance(0.3),
            late=chance(0.2),
        )


class FrameFaults:
    """Loses, doubles, swaps and delays frames of the registry, and heartbeats, of sessions that stand.

    A stream of bytes does none of this; the registry must not need it. What it does need is that a frame of one
    session never arrives in the next, which is what a connection is for.
    """

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults
        self._held: dict[End, bytes] = {}

    def __call__(self, end: End, frame: LinkFrame, data: bytes) -> list[bytes]:
        """Return what is really sent in place of a frame."""
        if not isinstance(frame, (*_REGISTRY, Heartbeat)):
            return [data]
        rng, faults = self._world.rng, self._faults
        held = self._held.pop(end, None)
        after = [held] if held is not None else []
        if rng.random() < faults.lose:
            return after
        if held is None and rng.random() < faults.swap:
            self._held[end] = data
            return []
        if rng.random() < faults.late:
            self._world.later(rng.uniform(0.01, 3), self._again, end, data)
        return [data, *after, data] if rng.random() < faults.double else [data, *after]

    def _again(self, end: End, data: bytes) -> None:
        if end.open:
            self._world.transmit(end, data)
