"""One channel in use: its settings, and who gets a publish, kept ready.

What a publish needs - the local subscribers, the routes to interested peers - is worked out once and kept until
something changes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from liminal_mesh.cluster import Envelope, NodeId, Pid

from .decisions import worst_pressure
from .inbox import Overflow, weight
from .pressure import PressurePolicy
from .restarts import RestartBudget, Restarts
from .subscribers import Group, Subscriber
from .values import Gap, Pressure

if TYPE_CHECKING:
    from .batch import Batch
    from .pressing import Pressing
    from .queues import Queue
    from .route import Route
    from .schema import Schema
    from .supervision import Crashed

__all__ = ["Channel", "ChannelSettings"]


@dataclass(frozen=True, slots=True)
class ChannelSettings:
    """What the configuration says of a channel, or of a family of them."""

    name: str
    messages: int = 4096
    size: int = 4 * 1024 * 1024
    overflow: Overflow = "drop-oldest"
    ack: str = "accepted"
    restart: RestartBudget = field(default_factory=RestartBudget)
    dedup_window_s: float = 600.0
    durable: bool = False
    schema: Schema | None = None
    former: tuple[str, ...] = ()
    """Versions before that of the schema, the latest first, whose payloads it takes."""
    pressure: tuple[PressurePolicy, ...] = ()


class Channel:
    """One channel in use.

    Attributes:
        sequence: this node's publishes on it so far.
        heads: the last sequence of each other origin that was delivered or told as lost.
        choosy: a publish may be refused for what it is, or for want of room; then each is looked at by itself.
    """

    __slots__ = (
        "choosy",
        "closed",
        "failed",
        "fresh",
        "groups",
        "heads",
        "held",
        "holder",
        "interested",
        "kept",
        "lost",
        "name",
        "pid",
        "posted",
        "press",
        "queues",
        "rejecting",
        "restarts",
        "routes",
        "sequence",
        "settings",
        "slowed",
        "stamp",
        "subscribers",
        "teams",
    )

    def __init__(self, name: str, settings: ChannelSettings) -> None:
        self.name = name
        self.settings = settings
        self.sequence = 0
        self.pid: Pid | None = None
        """Its process now; a process group has none."""
        self.restarts: Restarts | None = None
        self.closed = False
        """Whether its declaration was taken back; its numbers stay, for the case that it comes again."""
        self.failed = ""
        """Why it is refused, when it crashed too often."""
        self.holder: Batch | None = None
        self.posted: Batch | None = None
        """The node's own publishes of this turn without an answer."""
        self.kept = False
        """Whether the node's own program has a publisher, which goes on holding it, used or not."""
        self.heads: dict[NodeId, int] = {}
        self.stamp = -1
        self.fresh = -1
        """The stamp of what peers publish on it, while nobody may publish on it here."""
        self.groups: tuple[Group, ...] = ()
        self.subscribers: tuple[Subscriber, ...] = ()
        self.rejecting: tuple[Subscriber | Queue, ...] = ()
        """Those who may have no room, and refuse a publish then."""
        self.choosy = False
        self.teams: tuple[Group, ...] = ()
        self.queues: tuple[Queue, ...] = ()
        """Of groups here or at peers: each message goes to one member of each."""
        self.press: Pressing | None = None
        """What its pressure brings about; None when it has no policies."""
        self.slowed = False
        """Publishers are slowed: those of clients go on one by one."""
        self.held = False
        """They should wait now."""
        self.interested: frozenset[str] = frozenset()
        self.lost: frozenset[str] = frozenset()
        self.routes: tuple[Route, ...] = ()

    @property
    def crowded(self) -> bool:
        """Whether a publisher should wait: a peer that keeps up has half a lane of it before it."""
        for route in self.routes:  # no generator: this stands in front of every publish
            if route.lane.crowded:
                return True
        return bool(self.queues) and any(queue.crowded for queue in self.queues)

    @property
    def behind(self) -> bool:
        """Whether somebody who consumes it at this node has no credit left, and should get a turn."""
        return any(one.inbox.queued + one.inbox.lent >= one.inbox.credit for one in self.consumers)

    def pressure(self, envelope: Envelope) -> Pressure:
        """Return the worst decision that a publish of this envelope would meet now at the local subscribers."""
        if self.holder is not None:
            self.holder.flush()
        size = weight(envelope)
        inboxes = [one.inbox for one in self.subscribers]
        if self.queues:
            inboxes += [queue.inbox_for(size) for queue in self.queues if queue.members]
        return worst_pressure(inboxes, size)

    @property
    def consumers(self) -> list[Subscriber]:
        """Everyone at this node who gets what is published on it, or a share of it."""
        return [*self.subscribers, *(one for team in self.teams for one in team.subscribers.values())]

    def queue(self, group: str) -> Queue | None:
        """Return the queue of a group, None if nobody is in it."""
        return next((one for one in self.queues if one.group == group), None)

    @property
    def crashes(self) -> int:
        """How often a delivery on it crashed, and it was restarted or failed."""
        return (self.restarts.count if self.restarts is not None else 0) + bool(self.failed)

    @property
    def ended(self) -> bool:
        """Whether it was closed, or has failed."""
        return self.closed or bool(self.failed)

    @property
    def foreign(self) -> bool:
        """Whether it is there only since peers publish on it: this node has no such channel."""
        return not self.settings.name

    def fail(self, reason: str) -> None:
        """Refuse everything from here on."""
        self.failed, self.stamp = reason, -1

    def close(self) -> None:
        """Refuse everything until it is declared again."""
        self.closed, self.stamp = True, -1

    def reopen(self, settings: ChannelSettings) -> None:
        """Begin anew by another declaration; the numbers of its publishes go on."""
        self.settings, self.closed, self.failed, self.stamp = settings, False, "", -1

    def pass_over(self, origin: NodeId, last: int, reason: str, crashed: Crashed) -> int:
        """Count everything of ``origin`` up to ``last`` that did not arrive as lost; tell who waits for it.

        Returns how many messages some subscriber was told of; ``crashed`` hears of one that could not be told.
        """
        head = self.heads.get(origin, 0)
        if last <= head:
            return 0
        self.heads[origin] = last
        gap = Gap(self.name, origin.name, head + 1, last, last - head, reason, origin.epoch)
        anchored = [group for group in self.groups if origin in group.anchored]
        for group in anchored:
            for subscriber in tuple(group.subscribers.values()):
                try:
                    subscriber.note_gap(origin, gap)
                except Exception as error:  # noqa: BLE001 - it is the supervisor's
                    crashed(self, subscriber, error)
        return gap.count if anchored else 0
