"""One virtual clock, and the node that lives by it: a shipped machine, its timer, and the effects it asks for."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from random import Random

from liminal_mesh.cluster.identity import NodeId
from liminal_mesh.cluster.swim import Swim, SwimEffect

__all__ = ["Clock", "Node"]


AT_ONCE_MAX = 20_000
"""More than ever happens in one moment: a machine that asks to be woken and does nothing would take for ever."""


class Clock:
    """A heap of what happens, ordered by time and then by number, so that a run repeats exactly."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.now = 0.0
        self.events = 0
        self._at_once = 0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []

    def at(self, when: float, call: Callable[..., None], *arguments: object) -> None:
        """Do something at a time."""
        self.events += 1
        heapq.heappush(self._heap, (when, self.events, call, arguments))

    def run(self, until: float) -> None:
        """Let time pass up to a moment."""
        heap = self._heap
        while heap and heap[0][0] <= until:
            self._step()
        self.now = until

    def run_until(self, condition: Callable[[], bool], until: float, every: float = 0.0) -> bool:
        """Let time pass until something holds, looked at after each event or ``every`` so often; returns if it does."""
        look = self.now
        while True:
            if self.now >= look:
                if condition():
                    return True
                look = self.now + every
            if not self._heap or self._heap[0][0] > until:
                self.now = until
                return condition()
            self._step()

    def _step(self) -> None:
        when, _, call, arguments = heapq.heappop(self._heap)
        self._at_once = 0 if when > self.now else self._at_once + 1
        assert self._at_once < AT_ONCE_MAX, f"seed {self.seed}: time stands still at {self.now}: {call} {arguments}"
        self.now = max(self.now, when)
        call(*arguments)


class Node:
    """A node of a simulated network, driven as its driver would: effects are carried out in order."""

    def __init__(self, clock: Clock, swim: Swim, me: NodeId, carry_out: Callable[[Node, SwimEffect], None]) -> None:
        self.clock = clock
        self.swim = swim
        self.me = me
        self.alive = True
        self.stopped = False
        """Whether it does nothing at all now, though it exists: what comes to it waits."""
        self._carry_out = carry_out
        self._wake = math.inf
        self._planned = 0

    @property
    def name(self) -> str:
        """Its name."""
        return self.me.name

    def do(self, effects: list[SwimEffect]) -> None:
        """Carry out what the machine asks for, and wake it when it wants to be woken."""
        for effect in effects:
            self._carry_out(self, effect)
        due = self.swim.next_tick()
        if due < self._wake:
            self._wake = due
            self._planned += 1
            if due < math.inf:
                self.clock.at(max(due, self.clock.now), self._tick, self._planned)

    def tick(self) -> None:
        """Let the machine do what is due."""
        self._wake = math.inf
        self.do(self.swim.tick(self.clock.now))

    def _tick(self, plan: int) -> None:
        if plan != self._planned or not self.alive or self.stopped:
            return
        if self.swim.next_tick() > self.clock.now:  # what was due when this was planned is not any more
            self._wake = math.inf
            self.do([])
        else:
            self.tick()
