"""Who receives at this node: one subscription, and the group of those with the same pattern."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from liminal_mesh.cluster import NodeId, Pid
from liminal_mesh.storage import LiminalError

from .inbox import Inbox, Run
from .values import Gap

__all__ = ["Group", "Listener", "Subscriber"]


class Listener(Protocol):
    """The shell of a subscriber. Called from within a publish: must be quick, and must not publish."""

    def ready(self) -> None:
        """Something waits in the inbox."""

    def anchored(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        """From ``heads`` on, which never change, everything of ``origin`` arrives or shows as a gap."""


class Subscriber:
    """One subscription of this node, whoever holds it."""

    __slots__ = ("failure", "inbox", "listener", "parting", "pattern", "pid", "queue", "schemas")

    def __init__(
        self,
        pid: Pid,
        pattern: str,
        inbox: Inbox,
        listener: Listener,
        queue: str = "",
        schemas: tuple[str, ...] = (),
    ) -> None:
        self.pid = pid
        self.pattern = pattern
        self.inbox = inbox
        self.listener = listener
        self.queue = queue
        """The group with which it shares what is published; "" if it gets all of that."""
        self.schemas = schemas
        """The versions of a schema that it accepts; none if it takes what the channel has."""
        self.parting: LiminalError | None = None
        """What it is told when it ends, if it is neither asked for nor the end of another process."""
        self.failure: Exception | None = None
        """What went wrong when it was taken down."""

    def __str__(self) -> str:
        return f"subscription {self.pid}"

    def offer(self, run: Run) -> int:
        """Take what the inbox accepts of a run; return how many messages."""
        accepted = self.inbox.offer(run)
        self.listener.ready()
        return accepted

    def note_gap(self, origin: NodeId, gap: Gap) -> None:
        """Take a gap."""
        self.inbox.note_gap(origin, gap)
        self.listener.ready()

    def room(self, run: Run) -> bool:
        """Whether its inbox has room for all of a run."""
        return self.inbox.room(run)

    def inbox_for(self, size: int) -> Inbox:
        """Return the inbox that a message of so many bytes goes to."""
        return self.inbox


@dataclass(slots=True)
class Group:
    """This node's subscribers of one pattern, or those of one pattern and one ``queue``: one group of the registry.

    ``joined_at`` is the position of this node's log at which the group came to be; an origin in ``anchored`` has
    applied it and said where its channels stood, so that from there on whatever is missing is a gap; none is in that of
    a queue, whose members get what others do not.
    """

    pattern: str
    joined_at: int
    queue: str = ""
    subscribers: dict[Pid, Subscriber] = field(default_factory=dict)
    anchored: set[NodeId] = field(default_factory=set)
