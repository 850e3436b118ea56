"""What is on its way to one client: subscriptions and mailboxes with something to hand over, in turns.

Each has a number of the client's choice, a credit, and an inbox that belongs to a process of this node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgpack

from liminal_mesh.cluster import BATCH_MAX, CLIENT_CODEC, Anchored, ClientGap, Deliver, Ended, NodeId, Pid

from .error_wire import to_wire
from .errors import LimitExceeded
from .exchange_statistics import ExchangeStatistics
from .inbox import Anchor, Budget, Inbox
from .values import Gap

__all__ = ["Deliveries", "Delivery", "Source"]


class Source(Protocol):
    """Something that has frames for the client now and then."""

    def next_frame(self) -> bytes | None:
        """Return the next frame, None when there is nothing to send, or no credit for it."""


class Delivery:
    """A subscription or a mailbox of a client, as the listener of its subscribers.

    Args:
        number: what the frames about it bear.
        owner: all deliveries of the client.
        over: called when it has overflowed for good, and everything was told.
    """

    def __init__(self, number: int, owner: Deliveries, over: Callable[[Delivery], None]) -> None:
        self.number = number
        self.pid: Pid | None = None
        """The process whose inbox it is, once there is one."""
        self.inbox: Inbox | None = None
        self.group = ""
        """With whose other members the client shares what comes, if with any."""
        self.farewell = b""
        """The frame that says why it is over, once everything that waits was written."""
        self.told = False
        """Whether the client knows that it is over."""
        self._owner = owner
        self._over = over
        self._next = 1

    def ready(self) -> None:
        """Something waits in the inbox, or there is credit again."""
        self._owner.ready(self)

    def anchored(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        """From these heads on, everything of an origin is delivered, or shows as a gap."""
        assert self.inbox is not None
        self.inbox.note_anchor(Anchor(origin, heads))
        self.ready()

    def next_frame(self) -> bytes | None:
        """Return the next frame for the client, None when nothing waits, or credit is used up."""
        inbox = self.inbox
        assert inbox is not None
        entry = inbox.take(min(_chunk(inbox), inbox.credit - inbox.lent))
        match entry:
            case None:
                return self._end(inbox)
            case Gap():
                gap = ClientGap(self.number, self._next, *(getattr(entry, name) for name in entry.__struct_fields__))
                self._next += 1
                return CLIENT_CODEC.encode(gap)
            case Anchor(origin, heads):
                return b"".join(
                    CLIENT_CODEC.encode(Anchored(self.number, *origin, part)) for part in _parts(list(heads.items()))
                )
            case (run, start, stop):
                fields = (self.number, self._next, run.channel, *run.origin)
                self._next += stop - start
                return CLIENT_CODEC.encode_batch(Deliver, fields, (run.part(start, stop),), stop - start)

    def _end(self, inbox: Inbox) -> bytes | None:
        """Return what ends it for the client, when it is over and nothing waits any more."""
        if inbox or self.told:
            return None
        if inbox.overflowed and not self.farewell:
            self._over(self)
            name, fields = to_wire(LimitExceeded(*inbox.overflowed))
            self.farewell = CLIENT_CODEC.encode(Ended(self.number, name, msgpack.packb(fields)))
        if not self.farewell:
            return None
        self.told = True
        self._owner.remove(self)
        return self.farewell


class Deliveries:
    """All deliveries of one client, and the order in which they are written.

    Args:
        bytes_max: what their inboxes may hold together.
        wake: says that there is something to write.
        statistics: where it counts.
    """

    def __init__(self, bytes_max: int, wake: Callable[[], None], statistics: ExchangeStatistics) -> None:
        self.budget = Budget(bytes_max)
        self.held: dict[int, Delivery] = {}
        self._ready: dict[Source, None] = {}
        self._wake = wake
        self._statistics = statistics

    @property
    def waiting(self) -> bool:
        """Whether anything waits for the client, be there credit for it or not."""
        return bool(self._ready) or any(one.inbox for one in self.held.values())

    def add(self, delivery: Delivery, inbox: Inbox) -> None:
        """Deliver what waits in an inbox, from now on."""
        delivery.inbox = inbox
        self.held[delivery.number] = delivery

    def remove(self, delivery: Delivery) -> bool:
        """Deliver no more of it; returns whether it was there."""
        self.forget(delivery)
        return self.held.pop(delivery.number, None) is not None

    def ready(self, source: Source) -> None:
        """A source may have something."""
        if self.budget.passed:
            self._evict()
        self._ready[source] = None
        self._wake()

    def forget(self, source: Source) -> None:
        """Ask a source no more."""
        self._ready.pop(source, None)

    def credit(self, number: int, count: int) -> None:
        """The client's program took ``count`` items; what it was never sent is counted, and changes nothing."""
        delivery = self.held.get(number)
        if delivery is not None and delivery.inbox is not None:
            matched = min(count, delivery.inbox.lent)
            self._statistics.unmatched += count > matched
            delivery.inbox.settle(matched)
            self.ready(delivery)

    def mark(self) -> Callable[[], bool]:
        """Return what tells whether everything that waits now was pulled, or its receiver is over."""
        waiting = [(one, one.inbox.passed + one.inbox.queued) for one in self.held.values() if one.inbox]

        def pulled() -> bool:
            nonlocal waiting
            waiting = [(one, end) for one, end in waiting if self._behind(one, end)]
            return not waiting

        return pulled

    def _behind(self, delivery: Delivery, end: int) -> bool:
        return self.held.get(delivery.number) is delivery and delivery.inbox is not None and delivery.inbox.passed < end

    def give_up(self) -> None:
        """Turn what waits into gaps, which need no credit: the client is told what it will not get."""
        for delivery in self.held.values():
            if delivery.inbox is not None:
                delivery.inbox.evict()
                self.ready(delivery)

    def pull(self, bytes_max: int) -> list[bytes]:
        """Return frames of sources that have something, in turns."""
        frames: list[bytes] = []
        size = 0
        while self._ready and size < bytes_max:
            source = next(iter(self._ready))
            del self._ready[source]
            frame = source.next_frame()
            if frame is not None:
                frames.append(frame)
                size += len(frame)
                self._ready[source] = None
        return frames

    def _evict(self) -> None:
        """Empty the largest inboxes of this client into gaps until they hold no more than they may together."""
        inboxes = [one.inbox for one in self.held.values() if one.inbox is not None]
        for inbox in sorted(inboxes, key=lambda one: one.bytes, reverse=True):
            if not self.budget.passed:
                return
            inbox.evict()


def _chunk(inbox: Inbox) -> int:
    """Return how many messages one frame may bear: a quarter of the credit, so that the rest is on its way."""
    return max(1, min(BATCH_MAX, inbox.credit // 4))


def _parts(entries: list[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    return [entries[start : start + BATCH_MAX] for start in range(0, len(entries), BATCH_MAX)] or [[]]
