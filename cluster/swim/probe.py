"""The probe round: one member at a time is pinged, directly and then by others, and suspected if nobody hears of it.

::

    start        + timeout                       + interval
      ├── ping ──────┼── ping-requests to k others ──┤ no ack: suspect
      └ no link: the requests go out at once

Local health stretches both. Any byte from the member since the round began counts as an answer, but not as a round
trip. What fails to be sent is a failed probe: no error of our own side keeps a member alive.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..swim_frames import SwimAck, SwimPing, SwimPingRequest
from .board import Board
from .effects import Doubt
from .judge import Judge
from .options import SwimOptions
from .ring import Ring

__all__ = ["Prober", "probe_timeout"]

_SMOOTHING = 0.125
"""How much of a new round trip goes into the mean, as in TCP."""


_PATIENCE = 4
"""A slow link stretches the timeout at most so many times: an ack that waited for a retransmission is no round trip."""


def probe_timeout(options: SwimOptions, health: int, rtt_s: float) -> float:
    """Return what a direct ping has, given the mean round trip to that member."""
    slow = min(3 * rtt_s + 0.05, _PATIENCE * options.timeout_s) if options.mesh else 0.0
    return max(options.timeout_s, slow) * (health + 1)


@dataclass(slots=True)
class _Round:
    """The probe of one member. ``asked`` are the relays that have not said a word yet."""

    target: str
    number: int
    started: float
    relay_at: float
    ends_at: float
    relayed: bool = False
    asked: set[str] = field(default_factory=set)
    nacked: bool = False


class Prober:
    """One probe round after the other, each over before the next begins."""

    def __init__(self, board: Board, judge: Judge, now: float) -> None:
        self._board = board
        self._judge = judge
        self._ring = Ring(board.rng)
        self._round: _Round | None = None
        self._next_at = now + board.rng.random() * board.options.probe_s
        self._rtt_s: dict[str, float] = {}
        self._blamed: set[str] = set()
        """Relays whose silence we took for our own fault."""

    def acked(self, ack: SwimAck, source: str, now: float) -> None:
        """Take an ack: of the target, or by way of a relay."""
        current = self._round
        if current is None or ack.id != current.number:
            return
        if source == current.target:
            self._measure(source, now - current.started)
        self._succeed()

    def nacked(self, number: int, source: str) -> None:
        """Take a relay's word that it has no answer either: our own messages do come through."""
        current = self._round
        if current is not None and current.number == number and source in current.asked:
            current.asked.discard(source)
            current.nacked = True

    def tick(self, now: float) -> None:
        """Do what is due in the round, and begin the next."""
        current = self._round
        if current is not None and now >= current.relay_at and not current.relayed:
            if self._board.options.mesh and not self._board.heard_since(current.target, current.started):
                self._board.out.append(Doubt(current.target))
            self._relay(current)
        if current is not None and now >= current.ends_at:
            self._finish(current, now)
        if self._round is None and now >= self._next_at:
            self._begin(now)

    def next_due(self) -> float:
        """Return when :meth:`tick` is wanted."""
        current = self._round
        if current is None:
            return self._next_at
        return current.ends_at if current.relayed else current.relay_at

    def excuse(self, lateness: float) -> None:
        """Move all deadlines by the time for which we were stopped."""
        self._next_at += lateness
        if self._round is not None:
            self._round.started += lateness
            self._round.relay_at += lateness
            self._round.ends_at += lateness

    def forget(self, name: str) -> None:
        """Drop what is held of a name."""
        self._rtt_s.pop(name, None)
        self._blamed.discard(name)

    def _begin(self, now: float) -> None:
        board = self._board
        self._forgive()
        interval = board.options.interval(board.health.score)
        self._next_at = now + interval
        target = self._next()
        if target is None:
            return
        timeout = probe_timeout(board.options, board.health.score, self._rtt_s.get(target, 0.0))
        current = _Round(target, board.number(), now, now + timeout, now + max(interval, 2 * timeout))
        self._round = current
        first = self._judge.accusation(target) if board.options.buddy else None
        if target not in board.linked:
            if board.options.mesh:  # another way may lead to it, and what comes by it is an answer
                board.out.append(Doubt(target))
            self._relay(current)
        else:
            board.send(target, SwimPing(current.number, board.rumours.take(board.roster.live, first)))

    def _next(self) -> str | None:
        """Return whose turn it is.

        Whom we accused already and who is silent since has to refute: another probe would show nothing new, while
        behind the same cut there may be others whom nobody has probed yet.
        """
        board, judge, names = self._board, self._judge, self._board.roster.names

        def live(name: str) -> bool:
            return name != board.name and board.live(name)

        if board.options.mesh and judge.suspects():
            open_case = self._ring.next(names, lambda name: live(name) and not judge.unanswered(name))
            if open_case is not None:
                return open_case
        return self._ring.next(names, live)

    def _relay(self, current: _Round) -> None:
        board = self._board
        current.relayed = True
        around = {board.name, current.target, *self._judge.suspects()}
        for name in board.roster.pick(board.rng, board.options.relays, board.linked, around):
            request = SwimPingRequest(current.number, current.target, board.rumours.take(board.roster.live))
            board.send(name, request)
            current.asked.add(name)

    def _succeed(self) -> None:
        self._round = None
        self._board.statistics.probes["answered"] += 1
        self._blamed.clear()
        self._board.health.better()

    def _finish(self, current: _Round, now: float) -> None:
        board = self._board
        if board.options.mesh and board.heard_since(current.target, current.started):
            self._succeed()
            return
        self._round = None
        board.statistics.probes["failed"] += 1
        # A relay that answered shows that our messages go and come: the silence of the others is their own.
        excused = board.options.mesh and current.nacked
        silent = set() if excused else current.asked.difference(self._judge.suspects())
        board.health.worse(len(silent) if current.asked or current.nacked else 1)
        self._blamed |= silent
        self._judge.accuse(current.target, now)

    def _forgive(self) -> None:
        """Take back what we blamed on ourselves: a relay that is itself suspected may be on the far side of a cut."""
        if self._board.options.mesh:
            for name in self._blamed.intersection(self._judge.suspects()):
                self._blamed.discard(name)
                self._board.health.better()

    def _measure(self, name: str, rtt_s: float) -> None:
        self._board.statistics.round_trips += 1
        self._board.statistics.round_trip_s += rtt_s
        before = self._rtt_s.get(name, rtt_s)
        self._rtt_s[name] = before + _SMOOTHING * (rtt_s - before)
