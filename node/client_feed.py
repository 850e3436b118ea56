"""What a node delivers to a client for one receiver, followed over many connections.

Per origin and channel the client keeps the last sequence that it got or was told as lost. When a receiver stands
again, on the same node or on another, the node tells for each origin where its channels stand (``Anchored``), in order
with the messages. Until then, what is missing becomes a gap. What is older than what the last connection brought is
skipped for good: another node may lie behind the one before, and deliver for long what is known already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from liminal_mesh.cluster import BATCH_MAX, Anchored, ClientGap, Credit, Deliver, Envelope, NodeId, ProtocolError

from .inbox import Anchor, Inbox, Run
from .values import Gap

__all__ = ["ClientFeed"]

ORIGINS_MAX: Final = 4096
"""Of so many runs of nodes is known up to where all came: of many more than a mesh has, not of all that ever were."""


class ClientFeed:
    """Follows the deliveries for one receiver of a client, and says what it missed between two connections.

    Args:
        number: of the receiver, unique within the client.
        inbox: where messages and gaps go; nothing else puts anything there.
        wake: called when something waits there.
        send: sends a control frame; what it is given while no connection stands is dropped.
        exact: an anchor speaks for the channels that it names, as those of a mailbox do, whose groups are anchored one
            by one; else for all channels of its origin.
        anchors: put them into the inbox, too, in their place.
        shared: others get what it does not: numbers skip, and nothing is known of what is missing.
    """

    def __init__(
        self,
        number: int,
        inbox: Inbox,
        wake: Callable[[], None],
        send: Callable[[Credit], object],
        *,
        exact: bool = False,
        anchors: bool = False,
        shared: bool = False,
    ) -> None:
        self._number = number
        self._inbox = inbox
        self._wake = wake
        self._send = send
        self._unreported = 0
        """Messages that were taken and whose credit was not given back."""
        self._stale = 0
        """How many of them an earlier connection brought: no node waits for their credit any more."""
        self._expected = 1
        self._heads: dict[NodeId, dict[str, int]] = {}
        """Up to where all came; of whom nothing was heard for longest is first."""
        self._exact = exact
        self._anchors = anchors
        self._shared = shared
        self._resuming: set[NodeId] = set()
        """Origins that have not told yet where they stand, on the present connection."""
        self._owed: set[tuple[NodeId, str]] = set()
        """The same of single channels, where anchors are exact."""
        self._known: dict[NodeId, dict[str, int]] = {}
        """The heads at the end of the last connection."""

    def begin(self) -> None:
        """A new connection will carry it: deliveries count from 1, and what was known is compared with what comes."""
        self._expected = 1
        self._stale = self._unreported
        self._resuming = set() if self._exact else set(self._heads)
        self._owed = {(one, name) for one, heads in self._heads.items() for name in heads} if self._exact else set()
        self._known = {origin: dict(heads) for origin, heads in self._heads.items()}

    def finished(self, count: int) -> None:
        """The receiver is done with ``count`` messages."""
        self._unreported -= count
        stale = min(count, self._stale)
        self._stale -= stale
        if count > stale:
            self._send(Credit(self._number, count - stale))

    def deliver(self, frame: Deliver) -> None:
        """Take messages."""
        self._count(frame.number, len(frame.items))
        origin = NodeId(frame.origin, frame.epoch)
        items = frame.items if self._shared else self._new(origin, frame)
        if not items:
            return
        kept = self._inbox.offer(Run(frame.channel, origin, items))
        self._unreported += kept
        if kept < len(items):  # what there is no room for became a gap, and is done
            self._send(Credit(self._number, len(items) - kept))
        self._wake()

    def _new(self, origin: NodeId, frame: Deliver) -> list[Envelope]:
        """Return what is not known already; whatever is missing before it is told."""
        items = frame.items
        heads = self._heads_of(origin)
        known = self._known_of(origin, frame.channel)
        if items[0].sequence <= known:
            repeated = sum(1 for item in items if item.sequence <= known)
            self._send(Credit(self._number, repeated))
            items = items[repeated:]
            if not items:
                return items
        if self._resumes(origin, frame.channel):
            self._missed_until(origin, frame.channel, items[0].sequence - 1)
        heads[frame.channel] = items[-1].sequence
        return items

    def gap(self, frame: ClientGap) -> None:
        """Take a gap that the node tells."""
        self._count(frame.number, 1)
        origin = NodeId(frame.origin, frame.epoch)
        known = 0 if self._shared else self._pass_to(origin, frame)
        if frame.last <= known:
            return
        first, count = max(frame.first, known + 1), min(frame.count, frame.last - known)
        gap = Gap(frame.channel, frame.origin, first, frame.last, count, frame.reason, frame.epoch)
        self._inbox.note_gap(origin, gap)
        self._wake()

    def _pass_to(self, origin: NodeId, frame: ClientGap) -> int:
        """Return up to where all is known already; whatever is missing before the gap is told."""
        heads = self._heads_of(origin)
        known = self._known_of(origin, frame.channel)
        if frame.last > known:
            if self._resumes(origin, frame.channel):
                self._missed_until(origin, frame.channel, frame.first - 1)
            heads[frame.channel] = max(frame.last, heads.get(frame.channel, 0))
        return known

    def anchored(self, frame: Anchored) -> None:
        """From these heads on, everything of an origin arrives or is told."""
        origin = NodeId(frame.origin, frame.epoch)
        heads = self._heads_of(origin)
        for channel, sequence in frame.heads:
            if self._resumes(origin, channel):
                self._missed_until(origin, channel, sequence)
                self._owed.discard((origin, channel))
            heads[channel] = max(sequence, heads.get(channel, 0))
        if len(frame.heads) < BATCH_MAX:  # else more of them follow
            self._resuming.discard(origin)
            self._forget_runs_before(origin)
        if self._anchors:
            self._inbox.note_anchor(Anchor(origin, dict(frame.heads)))
            self._wake()

    def forget(self, channel: str) -> None:
        """Nothing of a channel is owed any more."""
        for heads in (*self._heads.values(), *self._known.values()):
            heads.pop(channel, None)
        self._owed = {pair for pair in self._owed if pair[1] != channel}

    def _resumes(self, origin: NodeId, channel: str) -> bool:
        """Whether what is missing was missed between two connections."""
        return origin in self._resuming or (origin, channel) in self._owed

    def _heads_of(self, origin: NodeId) -> dict[str, int]:
        """Return an origin's heads, of whom something is heard now."""
        heads = self._heads[origin] = self._heads.pop(origin, {})
        if len(self._heads) > ORIGINS_MAX:
            self._forget(next(iter(self._heads)))
        return heads

    def _forget_runs_before(self, origin: NodeId) -> None:
        for former in [one for one in self._heads if one.name == origin.name and one.epoch < origin.epoch]:
            self._forget(former)

    def _forget(self, origin: NodeId) -> None:
        del self._heads[origin]
        self._known.pop(origin, None)
        self._resuming.discard(origin)
        self._owed = {pair for pair in self._owed if pair[0] != origin}

    def _known_of(self, origin: NodeId, channel: str) -> int:
        known = self._known.get(origin)
        return 0 if known is None else known.get(channel, 0)

    def _missed_until(self, origin: NodeId, channel: str, last: int) -> None:
        first = self._heads[origin].get(channel, 0) + 1
        if last >= first:
            self._heads[origin][channel] = last
            gap = Gap(channel, origin.name, first, last, last - first + 1, "link", origin.epoch)
            self._inbox.note_gap(origin, gap)
            self._wake()

    def _count(self, number: int, count: int) -> None:
        if number != self._expected:
            raise ProtocolError(f"subscription {self._number}: delivery {number} where {self._expected} was due")
        self._expected += count
