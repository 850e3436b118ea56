"""The signs of life of one session: what we ask for, and whether the answer comes.

An idle session costs nearly nothing: whether its peer lives is the membership's matter, over a connection of its own.
Only when something waits for the peer it is asked, with a ping: what was written and not answered for a moment, and
a doubt that came from elsewhere. It must answer that very ping; bytes alone do not show that it hears us. Now and then
it is asked in any case, and told where our logs stand, so that nothing stays wrong for long.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from .frames import Heartbeat, Peer
from .options import PeeringOptions

if TYPE_CHECKING:
    from random import Random

__all__ = ["Pulse"]


class Pulse:
    """The timers and counters of one session.

    ``beat_at`` is when the next heartbeat is due, ``ask_at`` the next ping (inf: nothing waits), ``rtt_s`` the last
    round trip, ``peers`` what the peer said it is linked with (None: it has not said yet).
    """

    def __init__(self, options: PeeringOptions, rng: Random, now: float) -> None:
        self.beat_at = now
        self.ask_at = math.inf
        self.rtt_s: float | None = None
        self.peers: tuple[Peer, ...] | None = None
        self._options = options
        self._rng = rng
        self._sent = 0
        self._sent_at = -math.inf
        self._heard = 0
        self._heard_at = now
        self._pings = 0
        self._asked_at = math.inf

    def hear(self, now: float) -> None:
        """Note that bytes came."""
        self._heard_at = now

    def excuse(self, lateness: float) -> None:
        """Push the deadlines back by the time for which we were stopped ourselves."""
        self._asked_at += lateness

    def hasten(self, now: float) -> None:
        """Bring the next heartbeat forward: there is news in it."""
        # Never into the past: a deadline that was missed when it was set looks as if this node had been stopped.
        self.beat_at = min(self.beat_at, max(now, self._sent_at + self._options.heartbeat_early_s))

    def beat(self, now: float) -> int:
        """Take the next heartbeat's number."""
        self._sent += 1
        self._sent_at = now
        self.beat_at = now + self._options.heartbeat_s * self._rng.uniform(0.5, 1.5)
        return self._sent

    def wait(self, now: float, patience_s: float) -> bool:
        """Note that something waits for the peer: ask it after so long; returns whether that is news."""
        if self.ask_at <= now + patience_s:
            return False
        self.ask_at = now + patience_s
        return True

    def ask(self, now: float) -> int | None:
        """Return the number of the ping to send, or None while one is under way."""
        self.ask_at = math.inf
        if self._asked_at < math.inf:
            return None
        self._pings, self._asked_at = self._pings + 1, now
        return self._pings

    def answered(self, ident: int, now: float) -> None:
        """Take the answer to a ping; one to an earlier ping says nothing."""
        if ident == self._pings and self._asked_at < math.inf:
            self.rtt_s, self._asked_at = max(0.0, now - self._asked_at), math.inf

    def received(self, beat: Heartbeat) -> bool:
        """Take a heartbeat; returns False for one that a later one has overtaken."""
        if beat.id <= self._heard:
            return False
        self._heard, self.peers = beat.id, tuple(beat.peers)
        return True

    def verdict(self, now: float) -> Literal["silence", "unheard"] | None:
        """Return why the session is dead, if it is."""
        if now < self._asked_at + self._options.silence_s:  # the sum of next_due, to the last bit
            return None
        return "silence" if self._heard_at <= self._asked_at else "unheard"

    def next_due(self) -> float:
        """Return when something is due: a heartbeat, a ping, or the verdict."""
        return min(self.beat_at, self.ask_at, self._asked_at + self._options.silence_s)
