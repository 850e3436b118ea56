"""When the names among the seeds are looked up, and what they stand for.

A name is looked up at the start, and then again and again, with jitter, for as long as the mesh is not whole or the
name may know more than we do: its last answer was a failure, or held an address where nobody is linked. A failed lookup
takes nothing away: whom the last good answer named is dialled on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .options import PeeringOptions
from .seeds import parse_seed

if TYPE_CHECKING:
    from random import Random

__all__ = ["Discovery", "SeedState"]


@dataclass(frozen=True, slots=True)
class SeedState:
    """What is known of a seed.

    ``addresses`` is what it stands for, by the last good answer; ``failure`` is why the last lookup gave none; ``at``
    is when that was (None: not yet, or there is nothing to look up).
    """

    seed: str
    addresses: tuple[str, ...]
    failure: str = ""
    at: float | None = None


@dataclass(slots=True)
class _Plan:
    """When a name is looked up."""

    due: float = -math.inf
    attempts: int = 0
    busy: bool = False


class Discovery:
    """The seeds of one node.

    Args:
        options: the first seeds, and the times.
        rng: for jitter.
        wanted: whether it would be good to know more than a seed told so far, although it could be looked up.
    """

    def __init__(self, options: PeeringOptions, rng: Random, wanted: Callable[[str], bool]) -> None:
        self._options = options
        self._rng = rng
        self._wanted = wanted
        self._states: dict[str, SeedState] = {}
        self._plans: dict[str, _Plan] = {}
        self.reseed(options.seeds)

    def reseed(self, seeds: Iterable[str]) -> list[str]:
        """Take other seeds, and return those that are none any more; of those that stay, what is known stays too."""
        wanted = {seed.text: seed for seed in map(parse_seed, seeds)}
        gone = [text for text in self._states if text not in wanted]
        names = [text for text, seed in wanted.items() if seed.kind != "static"]
        fresh = {text: SeedState(text, (text,) * (seed.kind == "static")) for text, seed in wanted.items()}
        self._states = {text: self._states.get(text, state) for text, state in fresh.items()}
        self._plans = {text: self._plans.get(text) or _Plan() for text in names}
        return gone

    def states(self) -> tuple[SeedState, ...]:
        """Return what is known of each seed, in the order in which they were given."""
        return tuple(self._states.values())

    def stop(self) -> None:
        """Look nothing up any more."""
        self._plans.clear()

    def due(self, now: float) -> list[str]:
        """Return the seeds to be looked up now; each is under way until :meth:`answered`."""
        seeds = [seed for seed, plan in self._plans.items() if plan.due <= now and not self._rests(seed, plan)]
        for seed in seeds:
            self._plans[seed].busy = True
        return seeds

    def next_due(self) -> float:
        """Return when :meth:`due` should be asked again, as things stand."""
        return min((plan.due for seed, plan in self._plans.items() if not self._rests(seed, plan)), default=math.inf)

    def answered(self, seed: str, addresses: Sequence[str], failure: str, now: float) -> SeedState | None:
        """Take what came of a lookup: addresses, or why there are none; returns the new state if that is news."""
        plan = self._plans.get(seed)
        if plan is None:  # it was given up meanwhile
            return None
        before = self._states[seed]
        known = before.addresses if failure else tuple(addresses[: self._options.peers_max])
        after = self._states[seed] = SeedState(seed, known, failure, now)
        news = (set(before.addresses), before.failure) != (set(known), failure)
        plan.attempts = 0 if news else plan.attempts + 1
        options = self._options
        pause = min(options.resolve_cap_s, options.resolve_base_s * 2.0 ** min(plan.attempts, 16))
        plan.busy, plan.due = False, now + pause * (0.5 + self._rng.random())
        return after if news else None

    def lost(self, now: float) -> None:
        """Note that a session has ended: its peer may come back elsewhere."""
        for plan in self._plans.values():
            soon = now + self._options.resolve_base_s * self._rng.random()
            # What has been due for long had no reason to be asked: all nodes have that reason since this moment.
            plan.attempts, plan.due = 0, min(plan.due, soon) if plan.due > now else soon

    def _rests(self, seed: str, plan: _Plan) -> bool:
        return plan.busy or not (self._states[seed].failure or self._wanted(seed))
