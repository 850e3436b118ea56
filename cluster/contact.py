"""One connection as the session core sees it, and which frames it may carry when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from .errors import ProtocolError
from .frames import LINK_FRAMES, Adopt, Hello
from .handshake import Handshake
from .heartbeat import Pulse
from .identity import NodeId
from .session import NameCheck

__all__ = ["Contact", "Session"]


class Session(NamedTuple):
    """A session that stands, for whoever asks.

    ``rtt_s`` is None until it was measured, ``clients`` is where the peer's clients connect ("": it does not tell).
    """

    peer: NodeId
    conn: int
    address: str
    g: int
    since: float
    rtt_s: float | None
    clients: str


@dataclass(slots=True)
class Contact:
    """A connection, from its first byte to its end.

    ``target`` is what was dialled ("" when the other side did), ``deadline`` until when the next state must be
    reached, ``offer`` a decider's Adopt that cannot be answered yet, ``check`` the question to this session
    whether it lives, ``flowing`` that the lane was given registry frames and owes us word of room, ``clients`` where
    the peer's clients connect.
    """

    conn: int
    handshake: Handshake
    target: str
    deadline: float
    adopting: bool = False
    offer: Adopt | None = None
    check: NameCheck | None = None
    pulse: Pulse | None = None
    g: int = 0
    since: float = 0.0
    flowing: bool = False
    clients: str = ""

    @property
    def name(self) -> str:
        """The peer's name."""
        return self.handshake.node.name

    @property
    def hello(self) -> Hello:
        """What the peer said of itself."""
        assert self.handshake.peer is not None
        return self.handshake.peer

    @property
    def who(self) -> str:
        """Whom a log line should name: the peer by what it said, or what was dialled."""
        peer = self.handshake.peer
        return peer.name if peer is not None else self.target

    @property
    def live(self) -> Pulse:
        """The pulse of the session."""
        assert self.pulse is not None
        return self.pulse

    @property
    def state(self) -> str:
        """Where the connection stands, as the table of frames calls it."""
        if self.pulse is not None:
            return "session"
        return "adopting" if self.adopting else self.handshake.state

    def admit(self, kind: int, me: str) -> None:
        """Check a frame of type ``kind`` against the table.

        Raises:
            ProtocolError: the peer may not send it, or not now.
        """
        row = LINK_FRAMES[kind]
        if self.state not in row.states:
            raise ProtocolError(f"a {row.kind.__name__} frame in state {self.state!r}")
        match row.senders:
            case "dialler" | "listener":
                wrong = row.senders == self.handshake.role
            case "decider":
                wrong = me < self.name
            case "other":
                wrong = self.name < me
            case _:
                wrong = False
        if wrong:
            raise ProtocolError(f"a {row.kind.__name__} frame from the wrong side")

    @property
    def key(self) -> str:
        """What notices of this connection are counted under: never a name that a stranger has chosen."""
        return self.name if self.adopting else self.target

    def excuse(self, lateness: float) -> None:
        """Push the deadlines back by the time for which this node was stopped."""
        self.deadline += lateness
        if self.pulse is not None:
            self.pulse.excuse(lateness)

    def next_due(self) -> float:
        """Return when this connection wants a tick."""
        return self.pulse.next_due() if self.pulse is not None else self.deadline

    def establish(self, pulse: Pulse, g: int, now: float) -> None:
        """Make this connection a session."""
        self.pulse, self.g, self.since, self.deadline = pulse, g, now, math.inf

    def view(self) -> Session:
        """Return what there is to know of the session."""
        return Session(
            self.handshake.node, self.conn, self.hello.address, self.g, self.since, self.live.rtt_s, self.clients
        )
