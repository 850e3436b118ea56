"""A node's own subscriptions and publishers: no connection between the program and the bus."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from liminal_mesh.cluster import Envelope, NodeId, Pid

from .channel import Subscriber
from .errors import OutcomeUnknown
from .hub import Hub
from .inbox import Inbox
from .publisher import Publisher
from .route import Pending, missing_receipts
from .subscription import Subscription

__all__ = ["FuturePending", "NodePublisher", "NodeSubscription"]


class NodeSubscription(Subscription):
    """A subscription of an embedded node."""

    def __init__(self, hub: Hub, pattern: str, max_in_flight: int, wait: str | None, timeout_s: float) -> None:
        super().__init__(pattern)
        self._hub = hub
        self._max_in_flight = max_in_flight
        self._barrier = wait
        self._timeout_s = timeout_s
        self._subscriber: Subscriber | None = None

    @property
    def id(self) -> Pid:
        """The process of the bus that the subscription is."""
        assert self._subscriber is not None, "a subscription has an id once it was entered"
        return self._subscriber.pid

    def anchored(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        """A peer knows of it; gaps come through the inbox, so there is nothing to do."""

    async def _open(self) -> Inbox:
        self._hub.admit("subscribe", self.pattern)
        subscriber = self._subscriber = self._hub.make_subscriber(self.pattern, self._max_in_flight, self)
        self._hub.subscribe(subscriber)
        self._hub.subscriptions.add(self)
        if self._barrier == "cluster":
            try:
                await self._hub.barrier("subscribe", self._timeout_s)
            except BaseException:
                self._close()
                raise
        return subscriber.inbox

    def _close(self) -> None:
        assert self._subscriber is not None
        self._hub.subscriptions.discard(self)
        self._hub.unsubscribe(self._subscriber)


class FuturePending(Pending):
    """One awaited publish."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[None]) -> None:
        super().__init__()
        self.future = future

    def finished(self) -> None:
        """Wake who awaits it."""
        if not self.future.done():
            self.future.set_result(None)


class NodePublisher(Publisher):
    """A windowed publisher of an embedded node."""

    def __init__(self, hub: Hub, channel: str, window: int, ack: str | None, timeout_s: float) -> None:
        super().__init__(channel, window)
        self._hub = hub
        self._timeout_s = timeout_s
        self._receipts = (ack or hub.exchange.channels.settings(channel).ack) == "nodes"
        self._awaited: deque[_Windowed] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._progress = 0

    async def _submit(self, envelope: Envelope) -> None:
        hub = self._hub
        hub.admit("publish", self.channel)
        channel = hub.exchange.resolve(self.channel)
        hub.check_size(envelope)
        if hub.exchange.crowded(channel):
            await hub.writable(channel)
            channel = hub.exchange.resolve(self.channel)
        pending = _Windowed(self)
        hub.exchange.accept(channel, [envelope], hub.pid.number, (pending,), self._receipts)
        if pending.left:
            self._awaited.append(pending)
            if self._timer is None:
                self._watch()
        else:
            self.settled(pending)

    def settled(self, pending: _Windowed) -> None:
        """All that was awaited of one publish is known."""
        awaited = self._awaited
        while awaited and not awaited[0].left:
            awaited.popleft()
        if "unknown" in pending.nodes.values():
            self.failed(OutcomeUnknown(missing_receipts(pending.nodes)), 1)
        else:
            self.acknowledged(1, 1 if pending.delivered is False else 0)

    def _watch(self) -> None:
        """Give up on what is in flight when nothing has come back for a whole timeout: one timer for the window."""
        self._timer = None
        if not self._awaited:
            return
        done = self._acknowledged
        if done == self._progress:
            for pending in tuple(self._awaited):
                pending.expire()
        self._progress = done
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._watch)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


class _Windowed(Pending):
    """One publish of a window."""

    __slots__ = ("_publisher",)

    def __init__(self, publisher: NodePublisher) -> None:
        super().__init__()
        self._publisher = publisher

    def finished(self) -> None:
        """Tell the publisher."""
        self._publisher.settled(self)
