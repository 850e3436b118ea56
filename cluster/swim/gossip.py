"""Gossip: now and then, while there are rumours, some of them are sent to a few members at random."""

from __future__ import annotations

import math

from ..swim_frames import SwimGossip
from .board import Board
from .judge import Judge

__all__ = ["Gossip"]


class Gossip:
    """The rounds of gossip of one node, at a random phase of its own."""

    def __init__(self, board: Board, judge: Judge) -> None:
        self._board = board
        self._judge = judge
        self._phase = board.rng.random()
        self._at = math.inf

    def plan(self, now: float) -> None:
        """Wait for the next round, if there is something to tell."""
        if not self._board.rumours:
            self._at = math.inf
        elif self._at == math.inf:
            every = self._board.options.gossip_s
            self._at = (math.floor(now / every - self._phase) + 1 + self._phase) * every

    def tick(self, now: float) -> None:
        """Tell a few, if a round is due."""
        if now < self._at:
            return
        self._at = now + self._board.options.gossip_s
        for name in self._targets(now):
            rumours = self._board.rumours.take(self._board.roster.live)
            if rumours:
                self._board.send(name, SwimGossip(rumours))

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        return self._at

    def _targets(self, now: float) -> list[str]:
        """Return whom to tell: the living, and as often as they would be met among them the newly dead.

        Not those whom we accused, to their face, and who are silent since: most of the mesh may be so behind a cut, and
        a rumour that is told so many times and no oftener would end there.
        """
        board, options = self._board, self._board.options
        silent = filter(self._judge.unanswered, self._judge.suspects()) if options.mesh else ()
        targets = board.roster.pick(board.rng, options.gossip_fanout, board.linked, (board.name, *silent))
        dead = [name for name in board.roster.newly_dead(now, options.gossip_dead_s) if name in board.linked]
        if dead:
            share = len(dead) / (len(dead) + board.roster.live)
            targets = [board.rng.choice(dead) if board.rng.random() < share else name for name in targets]
        return targets
