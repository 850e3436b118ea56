"""A subscription of a client: it outlives connections, and says what it missed between two of them.

Per origin and channel the client keeps the last sequence that it got or was told as lost. When a subscription stands
again, on the same node or on another, the node tells for each origin where its channels stand (``Anchored``), in order
with the messages. Until then, what is missing becomes a gap. What is older than what the last connection brought is
skipped for good: another node may lie behind the one before, and deliver for long what is known already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liminal_mesh.cluster import (
    BATCH_MAX,
    Anchored,
    ClientGap,
    Credit,
    Deliver,
    NodeId,
    Pid,
    ProtocolError,
    Subscribe,
    Subscribed,
    Unsubscribe,
)

from .client_sinks import patience_ms
from .errors import Draining, OutcomeUnknown
from .inbox import Inbox, Run
from .subscription import Subscription
from .values import Gap

if TYPE_CHECKING:
    from .client import Client

__all__ = ["ClientSubscription"]


class ClientSubscription(Subscription):
    """A subscription held by a client."""

    def __init__(
        self, client: Client, number: int, pattern: str, max_in_flight: int, wait: str | None, timeout_s: float
    ) -> None:
        super().__init__(pattern, max_in_flight)
        self.number = number
        self._client = client
        self._barrier = wait or ""
        self._timeout_s = timeout_s
        self._pid: Pid | None = None
        self._expected = 1
        self._stale = 0
        self._heads: dict[NodeId, dict[str, int]] = {}
        self._resuming: set[NodeId] = set()
        self._known: dict[NodeId, dict[str, int]] = {}
        """The heads at the end of the last connection."""

    @property
    def id(self) -> Pid:
        """The process of the bus that the subscription is, at the node that the client is connected to now."""
        assert self._pid is not None, "a subscription has an id once it was entered"
        return self._pid

    # --- opening, again and again ---

    async def _open(self) -> Inbox:
        # What one connection still owed us may wait beside what the next one sends.
        inbox = self._inbox = Inbox(self.max_in_flight, self.max_in_flight * 3, 1 << 62, "drop-newest")
        try:
            await self._client.open_subscription(self, self._timeout_s)
        except BaseException:
            self._close()
            raise
        return inbox

    def request(self, ref: int) -> Subscribe:
        """Return what asks the node for it."""
        return Subscribe(
            ref, self.number, self.pattern, self.max_in_flight, self._barrier, patience_ms(self._timeout_s)
        )

    def begin(self) -> None:
        """A new connection will carry it: deliveries count from 1, and what was known is compared with what comes."""
        assert self._inbox is not None
        self._expected = 1
        self._barrier = ""  # it was for the first time alone: whoever iterates does not wait for peers again
        self._stale = self._inbox.queued + self._size  # what was taken of the run in hand is not reported yet
        self._resuming = set(self._heads)
        self._known = {origin: dict(heads) for origin, heads in self._heads.items()}

    def stands(self, frame: Subscribed) -> None:
        """The node has opened it."""
        node = self._client.pid
        self._pid = Pid(node.node, node.epoch, frame.number)

    def refused(self, error: Exception) -> None:
        """The node would not open it again. If it leaves, or the connection was lost, another attempt follows."""
        if not isinstance(error, OutcomeUnknown | Draining):
            self.end(error)

    def _close(self) -> None:
        self._client.close_subscription(self)

    def _finished(self, count: int) -> None:
        stale = min(count, self._stale)
        self._stale -= stale
        if count > stale:
            self._client.send(Credit(self.number, count - stale))

    # --- what arrives ---

    def deliver(self, frame: Deliver) -> None:
        """Take messages."""
        self._count(frame.number, len(frame.items))
        origin = NodeId(frame.origin, frame.epoch)
        items = frame.items
        heads = self._heads.setdefault(origin, {})
        known = self._known_of(origin, frame.channel)
        if items[0].sequence <= known:
            repeated = sum(1 for item in items if item.sequence <= known)
            self._client.send(Credit(self.number, repeated))
            items = items[repeated:]
            if not items:
                return
        if origin in self._resuming:
            self._missed_until(origin, frame.channel, items[0].sequence - 1)
        heads[frame.channel] = items[-1].sequence
        assert self._inbox is not None
        kept = self._inbox.offer(Run(frame.channel, origin, items))
        if kept < len(items):  # what there is no room for became a gap, and is done
            self._client.send(Credit(self.number, len(items) - kept))
        self.ready()

    def gap(self, frame: ClientGap) -> None:
        """Take a gap that the node tells."""
        self._count(frame.number, 1)
        origin = NodeId(frame.origin, frame.epoch)
        heads = self._heads.setdefault(origin, {})
        known = self._known_of(origin, frame.channel)
        if frame.last <= known:
            return
        if origin in self._resuming:
            self._missed_until(origin, frame.channel, frame.first - 1)
        heads[frame.channel] = max(frame.last, heads.get(frame.channel, 0))
        first, count = max(frame.first, known + 1), min(frame.count, frame.last - known)
        gap = Gap(frame.channel, frame.origin, first, frame.last, count, frame.reason, frame.epoch)
        assert self._inbox is not None
        self._inbox.note_gap(origin, gap)
        self.ready()

    def anchored(self, frame: Anchored) -> None:
        """From these heads on, everything of an origin arrives or is told."""
        origin = NodeId(frame.origin, frame.epoch)
        heads = self._heads.setdefault(origin, {})
        for channel, sequence in frame.heads:
            if origin in self._resuming:
                self._missed_until(origin, channel, sequence)
            heads[channel] = max(sequence, heads.get(channel, 0))
        if len(frame.heads) < BATCH_MAX:  # else more of them follow
            self._resuming.discard(origin)
            self._forget_runs_before(origin)

    def _forget_runs_before(self, origin: NodeId) -> None:
        for former in [one for one in self._heads if one.name == origin.name and one.epoch < origin.epoch]:
            del self._heads[former]
            self._known.pop(former, None)
            self._resuming.discard(former)

    def _known_of(self, origin: NodeId, channel: str) -> int:
        known = self._known.get(origin)
        return 0 if known is None else known.get(channel, 0)

    def _missed_until(self, origin: NodeId, channel: str, last: int) -> None:
        first = self._heads[origin].get(channel, 0) + 1
        if last >= first:
            self._heads[origin][channel] = last
            assert self._inbox is not None
            self._inbox.note_gap(origin, Gap(channel, origin.name, first, last, last - first + 1, "link", origin.epoch))
            self.ready()

    def _count(self, number: int, count: int) -> None:
        if number != self._expected:
            raise ProtocolError(f"subscription {self.number}: delivery {number} where {self._expected} was due")
        self._expected += count

    def goodbye(self) -> Unsubscribe:
        """Return what ends it at the node."""
        return Unsubscribe(self.number)
