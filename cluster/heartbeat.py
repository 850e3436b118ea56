"""The signs of life of one session: what we send, what we hear, and whether we are heard.

Any byte shows that the peer lives. That it hears us as well is shown only by its echo of our heartbeats: over
a link that is dead in one direction, bytes keep coming and the echo stands still.
"""

from __future__ import annotations

from typing import Literal

from .errors import ProtocolError
from .frames import Heartbeat, Peer
from .options import PeeringOptions

__all__ = ["Pulse"]

PROBE_EVERY = 5
"""Every so many heartbeats the round trip is measured; an echo waits for the next heartbeat, so it does not tell."""


class Pulse:
    """The timers and counters of one session.

    ``beat_at`` is when the next heartbeat is due, ``rtt_s`` the last round trip, ``peers`` what the peer said it
    is linked with (None: it has not said yet).
    """

    def __init__(self, options: PeeringOptions, now: float) -> None:
        self.beat_at = now
        self.rtt_s: float | None = None
        self.peers: tuple[Peer, ...] | None = None
        self._options = options
        self._sent = 0
        self._sent_at = -options.heartbeat_s
        self._heard = 0
        self._heard_at = now
        self._echoed = 0
        self._echoed_at = now
        self._probe: tuple[int, float] | None = None

    def hear(self, now: float) -> None:
        """Note that bytes came."""
        self._heard_at = now

    def excuse(self, lateness: float) -> None:
        """Push the deadlines back by the time for which we were stopped ourselves."""
        self._heard_at += lateness
        self._echoed_at += lateness

    def hasten(self, now: float) -> None:
        """Bring the next heartbeat forward: there is news in it."""
        # Never into the past: a deadline that was missed when it was set looks as if this node had been stopped.
        self.beat_at = min(self.beat_at, max(now, self._sent_at + self._options.heartbeat_early_s))

    def beat(self, now: float) -> tuple[int, int]:
        """Take the next heartbeat's number; returns it, and the one to echo."""
        self._sent += 1
        self._sent_at = now
        self.beat_at = now + self._options.heartbeat_s
        return self._sent, self._heard

    def probe(self, now: float) -> int | None:
        """Return the number of a ping to send along with the heartbeat, now and then."""
        if self._sent % PROBE_EVERY != 1:
            return None
        self._probe = (self._sent, now)
        return self._sent

    def answered(self, ident: int, now: float) -> None:
        """Take the answer to a ping."""
        if self._probe is not None and self._probe[0] == ident:
            self.rtt_s, self._probe = now - self._probe[1], None

    def received(self, beat: Heartbeat, now: float) -> bool:
        """Take a heartbeat; returns False for one that a later one has overtaken.

        Raises:
            ProtocolError: it echoes what was never sent.
        """
        if beat.echo > self._sent:
            raise ProtocolError("an echo of a heartbeat that was never sent")
        if beat.echo > self._echoed:
            self._echoed, self._echoed_at = beat.echo, now
        if beat.id <= self._heard:
            return False
        self._heard, self.peers = beat.id, tuple(beat.peers)
        return True

    def verdict(self, now: float) -> Literal["silence", "unheard"] | None:
        """Return why the session is dead, if it is."""
        if now >= self._heard_at + self._options.silence_s:  # the sum of next_due, to the last bit
            return "silence"
        if now >= self._echoed_at + self._options.silence_s:
            return "unheard"
        return None

    def next_due(self) -> float:
        """Return when something is due: a heartbeat, or the verdict."""
        return min(self.beat_at, min(self._heard_at, self._echoed_at) + self._options.silence_s)
