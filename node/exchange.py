"""The publish path: one plain call from a publish to inboxes and lanes, and the same for what arrives from peers.

**Losses.** Each origin numbers its publishes on a channel from 1 without holes. A receiving node keeps, per channel
and origin, the last number that it delivered or reported (the channel's ``heads``). A publish that continues it is
delivered; one that skips numbers makes a gap first; one that goes back is a duplicate and is dropped. So late,
repeated and lost frames of any cause end as a delivery or as a gap, once each.

What a number that never came means depends on whether the origin knew of our interest: a group is *anchored* at an
origin once that has applied the group's join and told where its channels stood (``Heads``). From then on every
missing number is a gap for the group's subscribers; before, it is none. Heads are told again when a link was made
again, which is how the losses of the time between become visible without another publish.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from liminal_mesh.cluster import Envelope, Heads, Lost, NodeId, Publish, ReceiptRun, Registry

from .channel import Channel, ChannelTable, Subscriber
from .errors import Rejected
from .exchange_statistics import ExchangeStatistics
from .inbox import Budget, Inbox, Run
from .route import Pending, Route
from .values import Pressure

__all__ = ["CHANNEL_SCOPE", "Exchange"]

CHANNEL_SCOPE = 0
"""The registry's scope of channels."""


class Exchange:
    """Where publishes meet subscribers and peers.

    Args:
        me: this node.
        registry: who is interested where.
        channels: the channels and local groups.
        clock_ns: nanoseconds since 1970.
        budget: what all inboxes here may hold together.
    """

    def __init__(
        self, me: NodeId, registry: Registry, channels: ChannelTable, clock_ns: Callable[[], int], budget: Budget
    ) -> None:
        self.me = me
        self.channels = channels
        self.statistics = ExchangeStatistics()
        self._registry = registry
        self._budget = budget
        self._clock_ns = clock_ns
        self._routes: dict[str, Route] = {}
        self._runs: dict[str, NodeId] = {}
        # Grows across restarts because the epoch does: a million ids for each of its milliseconds.
        self._last_id = me.epoch * 1_000_000
        self._stamp = 0

    # --- publishes of this node ---

    def resolve(self, name: str) -> Channel:
        """Return the channel of an exact name, ready to publish on.

        Raises:
            ChannelNotConfigured: no configuration covers it.
            LimitExceeded: too many channels are in use.
        """
        channel = self.channels.channels.get(name) or self.channels.channel(name)
        if channel.stamp != self._stamp:
            self._refresh(channel)
        return channel

    def accept(
        self,
        channel: Channel,
        items: list[Envelope],
        publisher: int,
        pending: Pending | None = None,
        receipts: bool = False,
    ) -> int:
        """Number publishes of one publisher, deliver them here, and queue them for every interested peer.

        Args:
            channel: from :meth:`resolve`, in this same turn.
            items: envelopes of which only encoding, body and options count so far.
            publisher: the number of the publishing process.
            pending: of all items, when somebody wants to hear of them: filled in as far as it is known.
            receipts: ask interested nodes for receipts; then a pending with ``left`` above 0 will be finished later.

        Returns:
            How many local subscribers accepted all of them.

        Raises:
            Rejected: a local subscriber with the policy ``reject`` has no room; nothing happened.
        """
        if channel.holder is not None:
            channel.holder.flush()
        if channel.rejecting:
            self._ask_room(channel, Run(channel.name, self.me, items))
        self._number(channel, items, publisher)
        run = Run(channel.name, self.me, items)
        local = self._deliver(channel, run) if channel.subscribers else 0
        if pending is not None:
            pending.message_id, pending.local = items[0].id, local
        if channel.routes:
            self._forward(channel, run, pending, receipts)
        return local

    def _number(self, channel: Channel, items: list[Envelope], publisher: int) -> None:
        now, sequence, number = self._clock_ns() // 1000, channel.sequence, self._last_id
        for item in items:
            sequence += 1
            number += 1
            item.id = number
            item.sequence = sequence
            item.published_at = now
            item.publisher = publisher
        channel.sequence, self._last_id = sequence, number
        self.statistics.published += len(items)

    def _deliver(self, channel: Channel, run: Run) -> int:
        count, local = len(run.items), 0
        for subscriber in channel.subscribers:
            accepted = subscriber.offer(run)
            self.statistics.delivered += accepted
            if accepted == count:
                local += 1
        if self._budget.passed:
            self._evict()
        return local

    def _forward(self, channel: Channel, run: Run, pending: Pending | None, receipts: bool) -> None:
        count = len(run.items)
        for route in channel.routes:
            if pending is not None and route.name in channel.interested:
                pending.nodes[route.name] = "sent"
            taken = route.publish(run, pending if receipts else None)
            if taken < count:
                self.statistics.lane_dropped += count - taken
                if pending is not None:
                    pending.nodes[route.name] = "dropped"

    def _ask_room(self, channel: Channel, run: Run) -> None:
        for subscriber in channel.rejecting:
            if not subscriber.inbox.room(run):
                self.statistics.rejected += len(run.items)
                pressure = replace(subscriber.inbox.pressure(), decision="reject")  # bytes can be full before numbers
                raise Rejected(f"subscription {subscriber.pid} is full", pressure)

    @staticmethod
    def crowded(channel: Channel) -> bool:
        """Whether a publisher on the channel should wait: a peer that keeps up has half a lane of it before it."""
        for route in channel.routes:  # noqa: SIM110 - no generator: this stands in front of every publish
            if route.lane.crowded:
                return True
        return False

    @staticmethod
    def pressure(channel: Channel) -> Pressure:
        """Return the worst decision that a publish made now would meet at the channel's local subscribers."""
        if channel.holder is not None:
            channel.holder.flush()
        if not channel.subscribers:
            return Pressure()
        return max((one.inbox for one in channel.subscribers), key=Inbox.fullness).pressure()

    # --- subscriptions of this node ---

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a local subscription, and join its group of the registry."""
        for channel in self.channels.matching(subscriber.pattern):
            if channel.holder is not None:  # what was published before is not for it, and it cannot refuse it
                channel.holder.flush()
        self._registry.join(CHANNEL_SCOPE, subscriber.pattern, subscriber.pid.number)
        group = self.channels.subscribe(subscriber, self._registry.position(CHANNEL_SCOPE))
        self.invalidate()
        subscriber.listener.anchored(self.me, self._own_heads(subscriber.pattern))
        for origin in group.anchored:
            subscriber.listener.anchored(origin, self._heads_of(subscriber.pattern, origin))

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove a local subscription, and leave its group."""
        self._registry.leave(CHANNEL_SCOPE, subscriber.pattern, subscriber.pid.number)
        self.channels.unsubscribe(subscriber)
        self.statistics.overflowed += subscriber.inbox.dropped
        self.invalidate()

    def invalidate(self) -> None:
        """Someone's interest, or a link, has changed: channels work out anew whom they serve."""
        self._stamp += 1

    # --- peers ---

    def link_up(self, route: Route) -> None:
        """A peer was linked; what was kept of an earlier run of it is over."""
        former = self._runs.get(route.name, route.peer)
        if former != route.peer:
            self.forget(former)
        self._runs[route.name] = route.peer
        self._routes[route.name] = route
        self.invalidate()

    def link_down(self, route: Route) -> None:
        """A peer's link is gone: receipts that it owes stay unknown."""
        if self._routes.get(route.peer.name) is route:
            del self._routes[route.peer.name]
            self.invalidate()
        route.close()

    def interest_gained(self, name: str, groups: Sequence[str], applied: int) -> None:
        """A linked peer has become interested in groups: tell it where our channels stand."""
        route = self._routes.get(name)
        if route is not None:
            heads = {one.name: one.sequence for group in groups for one in self.channels.matching(group)}
            route.lane.heads(applied, [entry for entry in heads.items() if entry[1]])
            route.wake()

    def receive(self, origin: NodeId, frame: Publish) -> list[ReceiptRun]:
        """Deliver a peer's publishes here; return what to answer, [] when it asked for no receipts."""
        items = frame.items
        count = len(items)
        self.statistics.received += count
        channel = self.channels.wanted(frame.channel)
        if channel is None:
            self.statistics.stale_forward += count
            self.channels.no_room(frame.channel, origin, items[0].sequence, items[-1].sequence, count)
            return [ReceiptRun(frame.receipt, count, delivered=False)] if frame.receipt else []
        if channel.stamp != self._stamp:
            self._refresh(channel)
        head = channel.heads.get(origin, 0)
        if items[0].sequence != head + 1 or items[-1].sequence != head + count:
            return self._receive_uneven(channel, origin, frame)
        channel.heads[origin] = head + count
        accepted = self._accepted(channel, Run(channel.name, origin, items))
        return _receipts(frame.receipt, [(accepted, True), (count - accepted, False)]) if frame.receipt else []

    def _receive_uneven(self, channel: Channel, origin: NodeId, frame: Publish) -> list[ReceiptRun]:
        """Deliver publishes that do not continue what was delivered: skip duplicates, report gaps, one by one."""
        fates: list[tuple[int, bool]] = []
        for item in frame.items:
            head = channel.heads.get(origin, 0)
            if item.sequence <= head:
                self.statistics.duplicates += 1
                fates.append((1, False))
                continue
            self._pass_over(channel, origin, item.sequence - 1)
            channel.heads[origin] = item.sequence
            accepted = self._accepted(channel, Run(channel.name, origin, [item]))
            fates.append((1, accepted == 1))
        return _receipts(frame.receipt, fates) if frame.receipt else []

    def _accepted(self, channel: Channel, run: Run) -> int:
        """Offer a run to every local subscriber; return how many of its messages the best of them accepted."""
        if not channel.subscribers:
            self.statistics.stale_forward += len(run.items)
        most = 0
        for subscriber in channel.subscribers:
            accepted = subscriber.offer(run)
            self.statistics.delivered += accepted
            most = max(most, accepted)
        if self._budget.passed:
            self._evict()
        return most

    def _evict(self) -> None:
        """Empty the largest inboxes into gaps until all together hold no more than they may."""
        while self._budget.passed:
            largest = max(self.channels.everyone(), key=lambda one: one.inbox.bytes)
            if not largest.inbox.bytes:
                return
            largest.inbox.evict()
            self.statistics.evicted += 1
            largest.listener.ready()

    def receive_lost(self, origin: NodeId, frame: Lost) -> None:
        """A peer had to drop publishes on the way here."""
        channel = self.channels.wanted(frame.channel)
        if channel is not None:
            self._pass_over(channel, origin, frame.last)

    def receive_heads(self, origin: NodeId, frame: Heads) -> None:
        """A peer tells where its channels stand, having applied our joins up to ``frame.applied``."""
        for name, sequence in frame.heads:
            channel = self.channels.wanted(name)
            if channel is not None:
                self._pass_over(channel, origin, sequence)
        for group in self.channels.groups.values():
            if group.joined_at <= frame.applied and origin not in group.anchored:
                group.anchored.add(origin)
                heads = self._heads_of(group.pattern, origin)
                for subscriber in group.subscribers:
                    subscriber.listener.anchored(origin, heads)

    def anchored(self, pattern: str, origin: NodeId) -> bool:
        """Whether a peer has told where its channels stand to the local group of a pattern (or there is none)."""
        group = self.channels.groups.get(pattern)
        return group is None or origin in group.anchored

    def forget(self, origin: NodeId) -> None:
        """A run of a node is over for good: drop what was kept of its numbers."""
        if self._runs.get(origin.name) == origin:
            del self._runs[origin.name]
        for channel in self.channels.channels.values():
            channel.heads.pop(origin, None)
        for group in self.channels.groups.values():
            group.anchored.discard(origin)

    # --- helpers ---

    def _own_heads(self, pattern: str) -> dict[str, int]:
        return {one.name: one.sequence for one in self.channels.matching(pattern) if one.sequence}

    def _heads_of(self, pattern: str, origin: NodeId) -> dict[str, int]:
        return {one.name: one.heads[origin] for one in self.channels.matching(pattern) if origin in one.heads}

    def _pass_over(self, channel: Channel, origin: NodeId, last: int) -> None:
        if channel.stamp != self._stamp:
            self._refresh(channel)
        self.statistics.link_lost += channel.pass_over(origin, last, "link")

    def _refresh(self, channel: Channel) -> None:
        self.channels.refresh(channel)
        channel.interested = self._registry.nodes_of(CHANNEL_SCOPE, channel.name)
        wanted = channel.interested | self._registry.unsynced(CHANNEL_SCOPE)
        channel.routes = tuple(route for name, route in self._routes.items() if name in wanted)
        channel.stamp = self._stamp


def _receipts(first: int, fates: Sequence[tuple[int, bool]]) -> list[ReceiptRun]:
    """Return runs of equal fate, numbered from ``first``."""
    runs: list[ReceiptRun] = []
    for count, delivered in fates:
        if runs and runs[-1].delivered == delivered:
            runs[-1] = ReceiptRun(runs[-1].first, runs[-1].count + count, delivered)
        elif count:
            runs.append(ReceiptRun(first, count, delivered))
        first += count
    return runs
