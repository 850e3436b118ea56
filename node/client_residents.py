"""The processes of a program that holds a client, as the client keeps them: holders of a feed, with their groups."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from liminal_mesh.cluster import ClientFrame, ExitProcess, Join, OpenMailbox, Pid, Subscribed

from .client_feed import ClientFeed
from .client_sinks import Answered, Call
from .errors import Draining, NoConnection, OutcomeUnknown
from .inbox import Inbox
from .lines import write_line
from .mailbox import CREDIT, Mailbox
from .process import Process
from .processes import NORMAL

if TYPE_CHECKING:
    from .client_session import ClientSession

__all__ = ["Resident", "Stay"]

log = logging.getLogger("liminal.client")


class _ClientMailbox(Mailbox):
    """A mailbox that gives credit back to the node."""

    feed: ClientFeed

    def _finished(self, count: int) -> None:
        self.feed.finished(count)


class Stay:
    """One time of a process in one group, from its join to its leave, over however many connections.

    Attributes:
        group: the name of the group.
        waiting: how many wait for an answer to a join.
        sure: whether one of them had it.
    """

    __slots__ = ("group", "sure", "waiting")

    def __init__(self, group: str) -> None:
        self.group = group
        self.waiting = 0
        self.sure = False


class Resident:
    """A process of this program: a holder of a feed.

    Args:
        client: its bus.
        number: of its mailbox.
        spawned: whether it is a process of its own, and not the client's.

    Attributes:
        groups: where it is, or may soon be.
        waiting: who waits for the client's own mailbox to stand for the first time.
        asked: whether the node was asked for it on this connection: what is sent now is looked at after that.
        stood: whether it has ever stood; from then on each new connection asks for it, and nobody else.
        refused_with: why the node would not let it stand again, if so; it is over then.
    """

    def __init__(self, client: ClientSession, number: int, *, spawned: bool) -> None:
        self.number = number
        self.spawned = spawned
        self.groups: dict[str, Stay] = {}
        self.waiting: set[Call] = set()
        self.process: Process | None = None
        self.asked = False
        self.stood = False
        self.refused_with: Exception | None = None
        self.reason = NORMAL
        inbox = Inbox(CREDIT, CREDIT * 3, 1 << 62, "drop-newest")
        self.mailbox = _ClientMailbox(Pid("", 0, 0), inbox)
        self.feed = self.mailbox.feed = ClientFeed(number, inbox, self.mailbox.bell.ready, client.send, exact=True)
        self._client = client

    def request(self, ref: int) -> OpenMailbox:
        """Return what asks the node for it."""
        self.asked = True
        return OpenMailbox(ref, self.number, CREDIT, self.spawned)

    def stands(self, frame: Subscribed) -> None:
        """The node has opened it; the groups that it was in before are joined again."""
        node = self._client.pid
        self.stood = True
        self.mailbox.pid = Pid(node.node, node.epoch, frame.number)
        if self.spawned:
            self.process = Process(self.mailbox.pid, self.mailbox, self._client.processes)
            self._client.processes.stands(self, self.process)
        for stay in sorted(self.groups.values(), key=lambda stay: stay.group):
            if stay.sure:
                ref = self._client.ledger.request(_Rejoin(self, stay))
                self._client.send(Join(ref, self.number, stay.group, "", 0))
        for call in tuple(self.waiting):
            call.answer(frame)

    def refused(self, error: Exception) -> None:
        """The node would not open the client's own mailbox, or the connection was lost before it answered."""
        self.asked = False
        if not isinstance(error, NoConnection | OutcomeUnknown | Draining):  # else another connection asks once more
            self._client.feeds.forget(self)
            if self.stood:
                facts = {"groups": sorted(self.groups), "why": str(error)}
                write_line(log, logging.ERROR, "mailbox_lost", facts)
                self.groups.clear()
                self.refused_with = error
                self.mailbox.end(error)
        for call in tuple(self.waiting):
            call.failed(error, 1)

    def end(self, error: Exception | None) -> None:
        """It is over."""
        if self.process is not None:
            self.process.exited(self.reason)
        else:
            self.mailbox.end(error)

    def goodbye(self) -> ClientFrame:
        """Return what ends it at the node."""
        return ExitProcess(self.number, self.reason)

    def forget(self, stay: Stay) -> bool:
        """Be in a group no more; False if that is over already, whatever stay has followed since."""
        if self.groups.get(stay.group) is not stay:
            return False
        del self.groups[stay.group]
        self.feed.forget(stay.group)
        return True


class _Rejoin(Answered):
    """A group that is joined again on a new connection."""

    def __init__(self, resident: Resident, stay: Stay) -> None:
        self._resident = resident
        self._stay = stay

    def failed(self, error: Exception, count: int) -> None:
        """The node refuses it, which nobody waits to hear; or the connection was lost again."""
        if isinstance(error, OutcomeUnknown | Draining):
            return  # another connection will try once more
        if self._stay.waiting:
            self._stay.sure = False  # those who join it now will hear for themselves
        elif self._resident.forget(self._stay):
            facts = {"group": self._stay.group, "why": str(error)}
            write_line(log, logging.ERROR, "membership_lost", facts)

    def answer(self, frame: ClientFrame) -> None:
        """It is a member again."""
