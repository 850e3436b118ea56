"""One control connection as the core sees it, and which frames it may carry when."""

from __future__ import annotations

from dataclasses import dataclass

from .control_frames import CONTROL_FRAMES, Greeting
from .errors import ProtocolError
from .frames import Refusal
from .handshake import Handshake, check_form
from .identity import NodeId
from .swim import DialAddress
from .swim_frames import MemberRecord, RecordState

__all__ = ["NEWCOMERS_MAX", "REDUNDANT", "ControlLink", "refusal_of"]

NEWCOMERS_MAX = 64
"""The most connections of others that are not links yet: whoever connects costs this much, and no more."""

REDUNDANT = Refusal("redundant", "another connection is the link")
"""What is said on a connection that is not needed, or not any more."""


@dataclass(slots=True)
class ControlLink:
    """A connection, from its first byte to its end.

    ``dial`` is what it was made by (None: the other side dialled), ``deadline`` until when it must be a link,
    ``opened_ms`` at what time of day it was made (milliseconds since 1970), ``greeting`` what the peer said of itself,
    ``ahead_s`` how far its clock is ahead of ours for sure: it has greeted between that time and when we heard it.
    ``g`` is the link's number (0: it is none yet), ``proved`` whether anything has come over it since it is one, which
    shows that the peer holds it for one too, and ``held`` that it waits while the bearer of its peer's name is asked.
    """

    conn: int
    handshake: Handshake
    dial: DialAddress | None
    deadline: float
    opened_ms: int
    greeting: Greeting | None = None
    ahead_s: float = 0.0
    g: int = 0
    proved: bool = False
    held: bool = False

    @property
    def node(self) -> NodeId:
        """The peer, by its proven word."""
        return self.handshake.node

    @property
    def record(self) -> MemberRecord:
        """The peer's own record: as it greeted with it, or else as its Hello implies."""
        if self.greeting is not None:
            return self.greeting.record
        hello = self.handshake.peer
        assert hello is not None, "nothing is asked of a stranger"
        return MemberRecord(hello.name, hello.epoch, 0, RecordState.ALIVE, hello.address)

    @property
    def state(self) -> str:
        """Where the connection stands, as the table of frames calls it."""
        if self.handshake.state != "done":
            return self.handshake.state
        return "session" if self.g or self.held else "greeting"

    @property
    def who(self) -> str:
        """Whom a log line should name: the peer by what it said, or what was dialled."""
        if self.handshake.peer is not None:
            return self.handshake.peer.name
        return (self.dial.name or self.dial.address) if self.dial is not None else ""

    def is_of(self, node: NodeId) -> bool:
        """Whether the peer has proved that it is this run."""
        return self.handshake.state == "done" and self.node == node

    def admit(self, kind: int) -> None:
        """Check a frame of type ``kind`` against the table.

        Raises:
            ProtocolError: the peer may not send it, or not now.
        """
        row = CONTROL_FRAMES[kind]
        if self.state not in row.states:
            raise ProtocolError(f"a {row.kind.__name__} frame in state {self.state!r} of a control link")
        if row.senders == self.handshake.role:
            raise ProtocolError(f"a {row.kind.__name__} frame from the wrong side")

    def greet(self, greeting: Greeting, now_ms: int) -> None:
        """Take the peer's greeting, at this time of day.

        Raises:
            ProtocolError: it is of somebody else, or of nobody who could be dialled, or comes twice.
        """
        record = greeting.record
        if NodeId(record.name, record.epoch) != self.node or record.state is not RecordState.ALIVE:
            raise ProtocolError("a greeting in the name of another node")
        check_form(record.name, record.address)
        if self.greeting is not None:
            raise ProtocolError("a second greeting")
        self.greeting = greeting
        self.ahead_s = (greeting.wall_ms - min(max(greeting.wall_ms, self.opened_ms), now_ms)) / 1000


def refusal_of(newcomer: NodeId, bearer: MemberRecord | None) -> Refusal:
    """Return what a newcomer is told whose name belongs to ``bearer`` (None: there is no room for one more name)."""
    if bearer is None:
        return Refusal("full", "no more names are kept here")
    if bearer.epoch > newcomer.epoch:
        reason = f"epoch {bearer.epoch} of that name is known here, and {newcomer.epoch} is over"
        return Refusal("stale-epoch", reason, bearer.epoch)
    reason = f"a live node of that name is at {bearer.address}"
    return Refusal("name-in-use", reason, bearer.epoch, bearer.address)
