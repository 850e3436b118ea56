"""The publish path: one plain call from a publish to inboxes and lanes.

What arrives from peers is :mod:`.arrivals`'.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from liminal_mesh.cluster import CHANNEL_SCOPE, QUEUE_SCOPE, Envelope, NodeId, queue_name, split_queue

from .arrivals import Arrivals, heads_at
from .channel import Channel
from .channel_table import ChannelTable
from .conforming import conform
from .covering import covered_by
from .decisions import pressure_of
from .errors import Rejected
from .inbox import Run
from .offers import Offers
from .queues import Queues
from .route import Pending, Route
from .shared import Shared
from .subscribers import Subscriber

__all__ = ["Exchange"]


class Exchange:
    """Where the publishes of one scope meet subscribers and peers.

    Args:
        shared: what it has in common with the node's other exchanges.
        channels: the channels and local groups.
        scope: the registry's scope of both.
    """

    def __init__(self, shared: Shared, channels: ChannelTable, scope: int = CHANNEL_SCOPE) -> None:
        self.me = shared.me
        self.channels = channels
        self.scope = scope
        self.statistics = shared.statistics
        self._shared = shared
        self._registry = shared.registry
        self._budget = shared.budget
        self._clock_ns = shared.clock_ns
        self._routes: dict[str, Route] = {}
        self._runs: dict[str, NodeId] = {}
        self._stamp = 0
        self._version = (-1, -1)
        self._queues = Queues(shared.me, shared.registry, self._routes)
        self.offers = Offers(shared, self._routes, self.current)
        self.arrivals = Arrivals(shared, channels, self.current)
        shared.tables.append(channels)

    # --- publishes of this node ---

    def resolve(self, name: str) -> Channel:
        """Return the channel of an exact name, ready to publish on.

        Raises:
            ChannelClosed: it was closed.
            ChannelNotConfigured: no configuration covers it.
            ChannelFailed: it crashed too often.
            LimitExceeded: too many channels are in use.
        """
        channel = self.channels.channels.get(name) or self.channels.channel(name)
        if channel.stamp != self._stamp:
            self.channels.check_open(name)
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
            How many local subscribers, and, if ``pending``, groups at this node, accepted all of them.

        Raises:
            LimitExceeded, SchemaRejected: as :meth:`examine`; nothing happened.
            Rejected: a subscriber with the policy ``reject`` has no room, or this is shed; nothing happened.
        """
        if channel.holder is not None:
            channel.holder.flush()
        run = self._admit(channel, items, pending) if channel.choosy else Run(channel.name, self.me, items)
        self._number(channel, items, publisher)
        local = self._deliver(channel, run) if channel.subscribers else 0
        if pending is not None:
            pending.message_id, pending.local = items[0].id, local
            pending.nodes.update(dict.fromkeys(channel.lost, "lost"))
        if channel.queues:
            local += self.offers.publish(channel, run, pending, receipts)
        elif channel.routes:
            self._forward(channel, run, pending, receipts)
        if channel.press is not None:
            channel.press.published(len(items))
        return local

    def accept_once(self, channel: Channel, item: Envelope, publisher: int, pending: Pending) -> None:
        """Publish what has a key, unless that was delivered within the channel's window: then the pending says so.

        Args:
            channel: from :meth:`resolve`, in this same turn.
            item: as in :meth:`accept`.
            publisher: the number of the publishing process.
            pending: of this publish alone; with ``left`` above 0 it will be finished later.

        Raises:
            InFlight: another publish with this key is under way.
            KeyReused: the key was given to another message.
            LimitExceeded: the key is too long, or no more keys can be remembered.
            ProtocolError: the key is no text.
            Rejected: as of :meth:`accept`; the key is free again.
            SchemaRejected: as of :meth:`examine`; the key was not touched.
        """
        self.examine(channel, [item])
        if not self._shared.keys.begin(channel, item, pending):
            return
        keyed = pending.keyed
        assert keyed is not None
        try:
            self.accept(channel, [item], publisher, pending, receipts=True)
        except BaseException:
            pending.keyed = None
            keyed.release()
            raise
        keyed.accepted(pending)

    def examine(self, channel: Channel, items: list[Envelope]) -> None:
        """Let publishes be what the channel's schema demands, before anything else comes of them.

        What it makes of them takes their place.

        Raises:
            LimitExceeded: a payload is too large with its defaults.
            SchemaRejected: a payload is not what the schema demands.
        """
        schema = channel.settings.schema
        if schema is not None:
            conform(items, schema, self._shared.sizes, self.statistics)

    def _number(self, channel: Channel, items: list[Envelope], publisher: int) -> None:
        now, sequence, number = self._clock_ns() // 1000, channel.sequence, self._shared.last_id
        for item in items:
            sequence += 1
            number += 1
            item.id = number
            item.sequence = sequence
            item.published_at = now
            item.publisher = publisher
        channel.sequence, self._shared.last_id = sequence, number
        self.statistics.published += len(items)

    def _deliver(self, channel: Channel, run: Run) -> int:
        count, local = len(run.items), 0
        for subscriber in channel.subscribers:
            try:
                accepted = subscriber.offer(run)
            except Exception as error:  # noqa: BLE001 - it is the supervisor's
                self._shared.supervisor.crashed(channel, subscriber, error)
                continue
            self.statistics.delivered += accepted
            if accepted == count:
                local += 1
        if self._budget.passed:
            self._shared.evict()
        return local

    def _forward(self, channel: Channel, run: Run, pending: Pending | None, receipts: bool) -> None:
        count = len(run.items)
        for route in channel.routes:
            if pending is not None and route.name in channel.interested:
                pending.nodes[route.name] = "sent"
            taken = route.publish(run, pending if receipts else None, self.scope)
            if taken < count:
                self.statistics.lane_dropped += count - taken
                if pending is not None:
                    pending.nodes[route.name] = "dropped"

    def _admit(self, channel: Channel, items: list[Envelope], pending: Pending | None) -> Run:
        """Look at what is published on a channel that does not take everything, and return it as it is taken."""
        if pending is None or pending.keyed is None:  # else that was done before its key was claimed
            self.examine(channel, items)
        run = Run(channel.name, self.me, items)
        if channel.press is not None:
            channel.press.ask(items)
        for one in channel.rejecting:
            if not one.room(run):
                self.statistics.rejected += len(run.items)
                pressure = pressure_of(one.inbox_for(run.size), run.size)  # of the whole run
                raise Rejected(f"{one} is full", replace(pressure, decision="reject"))
        return run

    # --- subscriptions of this node ---

    def subscribe(self, subscriber: Subscriber) -> None:
        """Add a local subscription, and join its group of the registry."""
        pattern = subscriber.pattern
        channels = self.channels.matching(pattern)
        for channel in channels:
            if channel.holder is not None:  # what was published before is not for it, and it cannot refuse it
                channel.holder.flush()
        scope, name = self._place(subscriber)
        self._registry.join(scope, name, subscriber.pid.number)
        group = self.channels.subscribe(subscriber, self._registry.position(scope))
        self.invalidate()
        if subscriber.queue:  # what others of its group get is no gap of its own: it has no anchors
            return
        own = {one.name: one.sequence for one in channels if one.sequence or one.name == pattern}
        subscriber.listener.anchored(self.me, own)
        for origin in group.anchored:
            subscriber.listener.anchored(origin, heads_at(origin, channels, pattern))

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Remove a local subscription, and leave its group; nothing happens when that was done before."""
        if self.channels.unsubscribe(subscriber):
            self._registry.leave(*self._place(subscriber), subscriber.pid.number)
            self.invalidate()

    def mesh_changed(self) -> None:
        """The registry may know of other members than before."""
        version = self._registry.version(self.scope), self._registry.version(QUEUE_SCOPE)
        if version != self._version:
            self._version = version
            self.invalidate()

    def invalidate(self) -> None:
        """Someone's interest, or a link, has changed: channels work out anew whom they serve."""
        self._stamp += 1

    # --- peers ---

    def link_up(self, route: Route) -> None:
        """A peer was linked; what was kept of an earlier run of it is over."""
        if self._runs.get(route.name) != route.peer:
            self.forget(route.name)
        self._runs[route.name] = route.peer
        self._routes[route.name] = route
        self.invalidate()

    def link_down(self, route: Route) -> None:
        """A peer's link is gone: receipts that it owes stay unknown."""
        if self._routes.get(route.peer.name) is route:
            del self._routes[route.peer.name]
            self.invalidate()
        route.close()
        self.offers.link_down(route)

    def interest_gained(self, name: str, groups: Sequence[str], applied: int) -> None:
        """A linked peer has become interested in groups: tell it where our channels stand."""
        route = self._routes.get(name)
        if route is not None:
            heads = {one.name: one.sequence for _, one in covered_by(self.channels.channels, groups) if one.sequence}
            route.lane.heads(applied, list(heads.items()), self.scope)
            route.wake()

    def anchored(self, pattern: str, origin: NodeId) -> bool:
        """Whether a peer has told where its channels stand to the local group of a pattern (or there is none)."""
        group = self.channels.groups.get(pattern)
        return group is None or origin in group.anchored

    def barrier(self, pattern: str, queue: str = "") -> Callable[[], list[str]]:
        """Return what tells which of the peers that are linked now have not reached the group ``pattern`` yet.

        They reach it by applying our log as it stands now, and by telling where their channels stand, which they need
        not do for a ``queue``. Who is linked no more is not named.
        """
        scope = QUEUE_SCOPE if queue else self.scope
        position, routes = self._registry.position(scope), tuple(self._routes.values())

        def missing() -> list[str]:
            linked = [route for route in routes if self._routes.get(route.name) is route]
            return [
                route.name
                for route in linked
                if self._registry.acknowledged(route.name, scope) < position
                or not (queue or self.anchored(pattern, route.peer))
            ]

        return missing

    def forget(self, name: str) -> None:
        """The run of a peer that was linked last is over for good: drop what was kept of its numbers."""
        former = self._runs.pop(name, None)
        if former is not None:
            self.channels.forget(former)

    # --- helpers ---

    def _place(self, subscriber: Subscriber) -> tuple[int, str]:
        """Return the scope and the name of a subscriber's group in the registry."""
        if subscriber.queue:
            return QUEUE_SCOPE, queue_name(subscriber.pattern, subscriber.queue)
        return self.scope, subscriber.pattern

    def current(self, channel: Channel) -> None:
        """See to it that the channel knows whom it serves now."""
        if channel.stamp == self._stamp:
            return
        # What may not be published on here must not look as if it was ready for that, whatever peers publish on it.
        if channel.failed:
            self.channels.refresh(channel)
        elif not (channel.closed or channel.foreign):
            self._refresh(channel)
        elif channel.fresh != self._stamp:
            self._serve(channel)
            channel.fresh = self._stamp

    def _refresh(self, channel: Channel) -> None:
        self._serve(channel)
        channel.stamp = self._stamp

    def _serve(self, channel: Channel) -> None:
        """Work out whom the channel serves."""
        self.channels.refresh(channel)
        channel.interested = self._registry.nodes_of(self.scope, channel.name)
        wanted = channel.interested | self._registry.unsynced(self.scope)
        channel.lost = self._registry.lost(self.scope, channel.name)
        channel.routes = tuple(route for name, route in self._routes.items() if name in wanted)
        if self.scope == CHANNEL_SCOPE:
            self._refresh_queues(channel)

    def _refresh_queues(self, channel: Channel) -> None:
        channel.queues = self._queues.of(channel.name, channel.teams, self._stamp)
        channel.rejecting += tuple(queue for queue in channel.queues if queue.rejecting)
        channel.choosy |= bool(channel.rejecting)
        groups = {queue.group for queue in channel.queues}
        lost = self._registry.lost_queues(channel.name)
        # A group that has members elsewhere loses nothing with a node.
        alone = (node for node, names in lost.items() if any(split_queue(name)[1] not in groups for name in names))
        channel.lost |= frozenset(alone)
