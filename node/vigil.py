"""The watch over the clients of a node: who has not greeted, who is silent, and who does not read.

Nothing is told to it when bytes come or are taken: that happens all the time, and a deadline hardly ever passes. What
it goes by is read when a deadline comes, and usually a later one is set then. So a client that lives costs a look in
half a minute, together with others, and a client that has nothing to say or to hear costs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, Protocol, get_args

from .wheel import Wheel

__all__ = ["SILENCE_S", "Overdue", "Vigil", "Watched"]

SILENCE_S: Final = 45.0
"""A client that sent nothing for so long, not even a keepalive, is gone: it sends one every 15 s."""

SLACK_S: Final = 5.0
"""By how much that may be noticed later, so that many clients are looked at in one go."""

LEAVE_S: Final = 2.0
"""How long a client may take to leave by itself, once it was told that the node does."""

Lapse = Literal["handshake", "keepalive", "write-deadline", "leave"]
"""What has not come in time: a greeting, a sign of life, room for what was written, or the client's own goodbye."""


class Watched(Protocol):
    """A connection, as it is when somebody looks."""

    @property
    def heard_at(self) -> float:
        """When it last sent anything."""

    @property
    def blocked_since(self) -> float | None:
        """Since when it has not taken what is written to it; None while it does."""


class Overdue(NamedTuple):
    """A connection of which something has not come in time."""

    tag: int
    lapse: Lapse


class Vigil:
    """The deadlines of all connections, on one wheel.

    Args:
        watched: the connections that are there, by their tags; read when a deadline comes.
        handshake_s: how long a greeting may take.
        write_s: how long something that was written may be left unread.
    """

    def __init__(self, watched: Mapping[int, Watched], handshake_s: float, write_s: float) -> None:
        self._watched = watched
        self._handshake_s = handshake_s
        self._write_s = write_s
        self._wheel: Wheel[Overdue] = Wheel()
        self._held: dict[Overdue, tuple[Overdue, int]] = {}

    @property
    def next_at(self) -> float:
        """When :meth:`due` is wanted next; infinity when nothing is watched."""
        return self._wheel.next_at

    def arrived(self, tag: int, now: float) -> None:
        """Wait for the greeting of a newcomer."""
        self._hold(Overdue(tag, "handshake"), now + self._handshake_s)

    def let_in(self, tag: int, now: float) -> None:
        """It has greeted: wait for signs of life."""
        self._release(Overdue(tag, "handshake"))
        self._hold(Overdue(tag, "keepalive"), now + SILENCE_S, SLACK_S)

    def blocked(self, tag: int, now: float) -> None:
        """It does not take what is written: wait for that, unless it is waited for already."""
        entry = Overdue(tag, "write-deadline")
        if entry not in self._held:
            self._hold(entry, now + self._write_s)

    def told(self, tag: int, now: float) -> None:
        """It was told that the node leaves: wait for it to go."""
        self._hold(Overdue(tag, "leave"), now + LEAVE_S)

    def gone(self, tag: int) -> None:
        """Watch over it no more."""
        for lapse in get_args(Lapse):
            self._release(Overdue(tag, lapse))

    def due(self, now: float) -> list[Overdue]:
        """Return what has not come in time, one thing of a connection, which is not watched over any more."""
        overdue = []
        for entry in self._wheel.due(now):
            if self._held.pop(entry, None) is not None and self._passed(entry, now):
                overdue.append(entry)
                self.gone(entry.tag)
        return overdue

    def _passed(self, entry: Overdue, now: float) -> bool:
        """Whether a deadline that has come still stands; else its successor is set, if there is one."""
        watched = self._watched[entry.tag]
        since: float | None
        match entry.lapse:
            case "handshake" | "leave":
                return True
            case "keepalive":
                since, patience_s, slack_s = watched.heard_at, SILENCE_S, SLACK_S
            case "write-deadline":
                since, patience_s, slack_s = watched.blocked_since, self._write_s, 0.0
        if since is None:
            return False
        if now < since + patience_s:
            self._hold(entry, since + patience_s, slack_s)
            return False
        return True

    def _hold(self, entry: Overdue, deadline: float, slack_s: float = 0.0) -> None:
        self._held[entry] = (entry, self._wheel.add(entry, deadline, slack_s))

    def _release(self, entry: Overdue) -> None:
        held = self._held.pop(entry, None)
        if held is not None:
            self._wheel.remove(*held)
