"""What all parts of a running node share: the exchange, the registry, the links, and who waits for what.

It is the bus that the mesh calls, and the one place where waits are kept: receipts with a deadline (one sweep, no
timer each), barriers on the registry, and publishers that wait for room.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from liminal_mesh.cluster import (
    Envelope,
    Heads,
    Joined,
    Left,
    Link,
    Lost,
    MemberChanged,
    NodeId,
    Pid,
    Publish,
    Purged,
    Receipt,
    Registry,
    encode_envelope,
)
from liminal_mesh.cluster import Interest as InterestGained
from liminal_mesh.storage import LiminalError

from .batch import Batch
from .channel import Channel, ChannelTable, Subscriber
from .environment import Environment
from .errors import DeadlineExceeded, Draining, LimitExceeded
from .exchange import CHANNEL_SCOPE, Exchange
from .inbox import Budget, Inbox
from .names import check_pattern
from .permission import Permit
from .route import Pending, Route
from .waits import Signal, Sweep, Turn

if TYPE_CHECKING:
    from liminal_mesh.cluster import Mesh

    from .channel import Listener
    from .subscription import Subscription

__all__ = ["Hub"]

log = logging.getLogger("liminal.node")

FRAME_OVERHEAD_BYTES: Final = 1024
"""What a batch frame needs beside its one envelope: channel and origin names, numbers."""

EVENTS_MAX: Final = 512
"""How many past events are kept for whoever asks."""


class Hub:
    """The shared middle of a node.

    Args:
        me: the node.
        registry: of process groups.
        channels: the configured channels.
        permit: the one permission check, which every verb calls.
        environment: the world around the node.
        frame_max: the largest frame; a message must fit into one.
        envelope_max: the largest envelope without its body.
        inbox_bytes: what all inboxes may hold together.
        entries_max: the most subscriptions of this node.
    """

    def __init__(
        self,
        me: NodeId,
        registry: Registry,
        channels: ChannelTable,
        permit: Permit,
        environment: Environment,
        frame_max: int,
        envelope_max: int,
        inbox_bytes: int,
        entries_max: int,
    ) -> None:
        self.me = me
        self.registry = registry
        self.budget = Budget(inbox_bytes)
        self.permit = permit
        self.environment = environment
        self.exchange = Exchange(me, registry, channels, environment.wall_ns, self.budget)
        self.mesh: Mesh | None = None
        self.draining = False
        self.failure: Exception | None = None
        self.subscriptions: WeakSet[Subscription] = WeakSet()
        """The program's own subscriptions, to be ended with the node; the program alone keeps them alive."""
        self.events: deque[dict[str, object]] = deque(maxlen=EVENTS_MAX)
        self.loop = asyncio.get_running_loop()
        self._frame_max = frame_max
        self._envelope_max = envelope_max
        self._entries_max = entries_max
        self.small_bytes = frame_max - FRAME_OVERHEAD_BYTES - 64
        """A body of so many bytes, without options, needs no further look at its size."""
        self._numbers = count(1)
        self.pid = self.next_pid()
        self._routes: dict[str, Route] = {}
        self._version = -1
        self._awaited: Sweep[Pending] = Sweep(lambda pending: pending.expire())
        self._changes = Signal()
        self.turn = Turn()
        self._on_room: set[Callable[[], None]] = set()
        self._unwatch = registry.watch(self._group_event)

    def close(self) -> None:
        """Wake whoever still waits, and stop the sweep."""
        self._unwatch()
        self._awaited.close()
        self.lane_room()

    def end_subscriptions(self) -> None:
        """End the program's own subscriptions: they hand out what waits, and then stop."""
        for subscription in tuple(self.subscriptions):
            subscription.end(None)

    def next_pid(self) -> Pid:
        """Return the pid of a new process."""
        return Pid(*self.me, next(self._numbers))

    def admit(self, who: Pid, verb: str, name: str) -> None:
        """Check that ``who`` may use the verb on ``name`` now.

        Raises:
            NotAuthorized: it may not.
            Draining: the node leaves.
        """
        self.permit(who, verb, name)
        if self.draining:
            raise Draining(())

    def note(self, kind: str, **facts: object) -> None:
        """Keep an event for whoever asks, and write its one log line."""
        self.events.append({"at": self.environment.wall_ns() / 1e9, "kind": kind, **facts})
        log.info(kind, extra={"fields": facts})

    # --- subscriptions ---

    def make_subscriber(
        self, pattern: str, credit: int, listener: Listener, budget: Budget | None = None
    ) -> Subscriber:
        """Return a subscriber that is not subscribed yet, with the inbox that its channel's configuration says.

        Raises:
            ChannelNotConfigured: nothing covers an exact name.
            LimitExceeded: peers would not take more entries of one node.
            ValueError: the pattern is none.
        """
        check_pattern(pattern)
        if self.exchange.channels.subscriptions >= self._entries_max:
            raise LimitExceeded("registry_entries", self._entries_max)
        settings = self.exchange.channels.settings(pattern)
        budgets = (self.budget,) if budget is None else (self.budget, budget)
        inbox = Inbox(credit, settings.messages, settings.size, settings.overflow, budgets)
        return Subscriber(self.next_pid(), pattern, inbox, listener)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Let a subscriber receive."""
        self.exchange.subscribe(subscriber)
        if self.mesh is not None:
            self.mesh.changed()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Let it receive no more."""
        try:
            self.exchange.unsubscribe(subscriber)
        finally:
            subscriber.inbox.release()
        if self.mesh is not None:
            self.mesh.changed()

    async def barrier(self, phase: str, pattern: str, timeout_s: float) -> None:
        """Wait until every peer that is linked now has applied this node's channel log as it stands now.

        It must also have told where its channels stand, for the group ``pattern``: only then does what it publishes
        show as a gap if the link breaks in the next moment. A peer whose session ends meanwhile is not waited for.

        Raises:
            DeadlineExceeded: ``missing`` names who has not.
        """
        position = self.registry.position(CHANNEL_SCOPE)
        routes = dict(self._routes)

        def reached(route: Route) -> bool:
            acknowledged = self.registry.acknowledged(route.name, CHANNEL_SCOPE)
            return acknowledged >= position and self.exchange.anchored(pattern, route.peer)

        def missing() -> list[str]:
            current = (name for name, route in routes.items() if self._routes.get(name) is route)
            return [name for name in current if not reached(routes[name])]

        if not await self.until(lambda: not missing(), self.loop.time() + timeout_s):
            raise DeadlineExceeded(phase, node=self.me.name, missing=sorted(missing()))

    async def until(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Wait until a condition holds, looked at after each change of the mesh; return whether it does."""
        return await self._changes.until(condition, deadline)

    # --- publishes ---

    def check_size(self, envelope: Envelope) -> None:
        """Check that a message fits into a frame.

        Raises:
            LimitExceeded: it does not.
        """
        if envelope.options or len(envelope.body) > self.small_bytes:
            size = len(encode_envelope(envelope))
            if size > self._frame_max - FRAME_OVERHEAD_BYTES:
                raise LimitExceeded("max_frame", self._frame_max)
            if size - len(envelope.body) > self._envelope_max:
                raise LimitExceeded("envelope", self._envelope_max)

    def expect(self, pending: Pending, timeout_s: float) -> None:
        """Expire a pending publish when its time is up."""
        pending.forget = partial(self._awaited.remove, pending, self._awaited.add(pending, timeout_s))

    def posted(self, channel: Channel) -> Batch:
        """Return the batch of the node's own publishes without an answer, made when it is first asked for."""

        def submit(envelopes: list[Envelope]) -> None:
            # Looked at again, since interest may have changed; it was admitted, so that it cannot be refused any more.
            self.exchange.accept(self.exchange.resolve(channel.name), envelopes, self.pid.number)

        channel.posted = Batch(channel, submit, self.loop.call_soon)
        return channel.posted

    async def writable(self, channel: Channel) -> None:
        """Wait until no peer that keeps up holds publishers on the channel back."""
        # Resolved each time: the lane of a link that ended stays as full as it was.
        while self.exchange.crowded(self.exchange.resolve(channel.name)):
            room = asyncio.Event()
            self._on_room.add(room.set)
            try:
                await room.wait()
            finally:
                self._on_room.discard(room.set)

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, the next time that a lane has room or is given up on."""
        self._on_room.add(callback)

    # --- what the mesh calls ---

    def link_up(self, link: Link) -> None:
        """A session with a peer stands."""
        route = Route(link.peer, link.lane, link.wake)
        self._routes[link.peer.name] = route
        self.exchange.link_up(route)
        self.note("link_up", peer=link.peer.name, epoch=str(link.peer.epoch), address=link.address)

    def link_down(self, link: Link, reason: str) -> None:
        """It ended."""
        route = self._routes.pop(link.peer.name)
        self.exchange.link_down(route)
        self.note("link_down", peer=link.peer.name, epoch=str(link.peer.epoch), reason=reason)
        self.lane_room()

    def link_frame(self, link: Link, frame: Publish | Lost | Heads | Receipt) -> None:
        """A frame with publishes, or about them."""
        if isinstance(frame, Publish):
            runs = self.exchange.receive(link.peer, frame)
            if runs:
                link.send(Receipt(runs))
        elif isinstance(frame, Receipt):
            self._routes[link.peer.name].receipts(frame.runs)
        elif isinstance(frame, Heads):
            self.exchange.receive_heads(link.peer, frame)
            self.mesh_changed()  # barriers wait for it
        else:
            self.exchange.receive_lost(link.peer, frame)

    def mesh_changed(self) -> None:
        """Something that was waited for may have come."""
        version = self.registry.version(CHANNEL_SCOPE)
        if version != self._version:
            self._version = version
            self.exchange.invalidate()
        self._changes.notify()

    def lane_room(self) -> None:
        """A lane has room again, or its peer is not waited for any more: whoever waits looks again."""
        callbacks, self._on_room = self._on_room, set()
        for callback in callbacks:
            callback()

    def mesh_failed(self, error: Exception) -> None:
        """The node cannot go on in this mesh."""
        if self.failure is None:
            self.failure = error
            facts = {"error": str(error) or type(error).__name__}
            self.events.append({"at": self.environment.wall_ns() / 1e9, "kind": "failed", **facts})
            log.error("failed", extra={"fields": facts}, exc_info=None if isinstance(error, LiminalError) else error)
            self._changes.notify()

    def member_changed(self, change: MemberChanged) -> None:
        """A node that was dead for long is forgotten: what was counted of it is dropped too."""
        if change.before is not None and change.after is None:
            self.exchange.forget(NodeId(change.before.name, change.before.epoch))

    def _group_event(self, event: Joined | Left | Purged | InterestGained) -> None:
        if isinstance(event, InterestGained):
            self.exchange.interest_gained(event.node.name, event.groups, event.applied)
        elif isinstance(event, Purged):
            self.note(
                "purged", node=event.node.name, epoch=str(event.node.epoch), reason=event.reason, members=event.members
            )
