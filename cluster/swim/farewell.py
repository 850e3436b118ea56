"""Leaving: everybody is told, and the node waits, not for long, until some have confirmed it."""

from __future__ import annotations

import math

from ..swim_frames import RecordState, Rumour, SwimAck, SwimPing
from .board import Board
from .effects import Departed
from .record import in_state

__all__ = ["Farewell"]


class Farewell:
    """The goodbye of one node."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._number = 0
        self._awaited: set[str] = set()
        self._acks = 0
        self._deadline = math.inf

    def begin(self, now: float) -> None:
        """Leave: no suspicion of us matters from here on, and our record is final."""
        board = self._board
        if board.gone:
            return
        board.put(in_state(board.me, RecordState.LEFT), now)
        self._deadline, self._number = now + board.options.leave_s, board.number()
        self._awaited = set(board.live_links())
        goodbye = Rumour(board.me)
        for name in sorted(board.linked):
            board.send(name, SwimPing(self._number, [goodbye]))
        self._settle()

    def acked(self, ack: SwimAck, source: str) -> None:
        """Take a peer's confirmation."""
        if ack.id == self._number and source in self._awaited:
            self._awaited.discard(source)
            self._acks += 1
            self._settle()

    def tick(self, now: float) -> None:
        """Wait no longer."""
        if now >= self._deadline:
            self._end()

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        return self._deadline

    def _settle(self) -> None:
        if self._deadline < math.inf and (not self._awaited or self._acks >= self._board.options.leave_acks):
            self._end()

    def _end(self) -> None:
        self._deadline = math.inf
        self._board.out.append(Departed(self._acks))
