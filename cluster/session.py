"""How two nodes agree which one of their connections is their session.

One of the two decides: the one with the lower name. It alone numbers sessions (``g``, counted upwards in its
epoch) and offers one with Adopt; the other may only accept. Whatever else is connected is redundant. So two
nodes that dial each other at once get one session, and both mean the same one:

- The decider offers a connection when it has no session. While it has one, it offers another only on proof
  that the other side has lost it: the other says that none stands and that the last one it saw is the very one
  that stands here. (Two NATS routes could lock each other out behind a stale link for want of that proof.)
- The other accepts only numbers above the last it saw, and then ends whatever it had.
- An offer that is not answered in time is void, with its connection.

Numbers grow and neither side goes back, so both end at the greatest number that was accepted. Who a session is
with is ``(name, epoch, run)``; a later run of the peer starts with nothing seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from .errors import ProtocolError
from .frames import Adopt, AdoptAck, Hello, Redundant
from .handshake import NO_FACTS, Facts
from .identity import NodeId

__all__ = ["NameCheck", "Pair"]


@dataclass(slots=True)
class NameCheck:
    """Newcomers that wait while the live bearer of their name is asked for a sign of life until ``deadline``."""

    incumbent: int
    deadline: float
    heard: bool = False
    waiting: list[int] = field(default_factory=list)


class Pair:
    """Our side of the agreement with the nodes of one name.

    ``conn`` is the connection that was offered or accepted (None: none), ``g`` its number, and ``up`` whether
    both sides have it.
    """

    def __init__(self, me: NodeId, name: str) -> None:
        assert me.name != name, "nobody has sessions with himself"
        self.decides = me.name < name
        self.node: NodeId | None = None
        self.run = b""
        self.address = ""
        self.conn: int | None = None
        self.g = 0
        self.up = False
        self.check: NameCheck | None = None
        self._epoch = me.epoch
        self._minted = 0
        self._last_seen = (0, 0)

    def next_due(self) -> float:
        """Return when this pair wants a tick."""
        return self.check.deadline if self.check is not None else math.inf

    def knows(self, hello: Hello) -> bool:
        """Whether this is the very run of the node that we last had to do with."""
        return (self.node, self.run) == (NodeId(hello.name, hello.epoch), hello.run)

    def outdates(self, hello: Hello) -> bool:
        """Whether a later epoch of this name is known."""
        return self.node is not None and hello.epoch < self.node.epoch

    def become(self, hello: Hello) -> None:
        """Take another run for the bearer of the name: it has seen nothing, and nothing of it was seen."""
        assert self.conn is None, "the session with the former run must end first"
        assert not self.outdates(hello)
        self.node, self.run, self.address = NodeId(hello.name, hello.epoch), hello.run, hello.address
        self._last_seen = (0, 0)

    def facts(self, hello: Hello) -> Facts:
        """Return what we know of our sessions with the sender of this Hello."""
        if not self.knows(hello):
            return NO_FACTS
        return Facts(*self._last_seen, self.g if self.up else 0)

    def decide(self, conn: int, theirs: Facts) -> tuple[Adopt | Redundant, int | None]:
        """Decide upon a proven connection; returns what to answer, and the connection that it replaces."""
        assert self.decides
        replaced = self.conn
        if replaced is not None and not self._lost_there(theirs):
            return Redundant("another connection is the session, or will be"), None
        self._minted += 1
        self.conn, self.g, self.up = conn, self._minted, False
        return Adopt(self._epoch, self.g), replaced

    def acknowledge(self, conn: int, ack: AdoptAck) -> None:
        """Take the other's answer to our offer: the session is up.

        Raises:
            ProtocolError: nothing of that number was offered on this connection.
        """
        if conn != self.conn or ack.g != self.g or self.up:
            raise ProtocolError("an answer to a session that was not offered")
        self.up, self._last_seen = True, (self._epoch, self.g)

    def passed(self, offer: Adopt) -> bool:
        """Whether the offer came too late: a later one was accepted, or it was void when it was on its way.

        Raises:
            ProtocolError: it offers for another run than the one that sent it.
        """
        assert self.node is not None
        if offer.decider_epoch != self.node.epoch:
            raise ProtocolError("an offer in the name of another run")
        return (offer.decider_epoch, offer.g) <= self._last_seen

    def accept(self, conn: int, offer: Adopt) -> int | None:
        """Take the decider's offer: the session is up; returns the connection that it replaces."""
        assert not self.decides
        assert not self.passed(offer)
        replaced = self.conn
        self.conn, self.g, self.up = conn, offer.g, True
        self._last_seen = (offer.decider_epoch, offer.g)
        return replaced

    def release(self, conn: int) -> None:
        """Forget the connection if it is the one in use; what was seen remains."""
        if conn == self.conn:
            self.conn, self.g, self.up = None, 0, False

    def _lost_there(self, theirs: Facts) -> bool:
        return theirs.current == 0 and (theirs.decider_epoch, theirs.last_seen) == (self._epoch, self.g)
