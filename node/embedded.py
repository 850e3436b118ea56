"""A node's own subscriptions and publishers: no connection between the program and the bus."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from liminal_mesh.cluster import Envelope, Pid
from liminal_mesh.storage import LiminalError, Refused

from .acks import check_ack, check_timeout
from .batch import BUSY_RETRY_S, Batch
from .causal import CausalBounds
from .channel import Channel
from .errors import Busy, OutcomeUnknown
from .hub import Hub
from .inbox import Inbox
from .passage import writable
from .predicate import Where
from .publisher import Publisher
from .route import Pending, missing_receipts
from .subscribers import Subscriber
from .subscription import Subscription
from .waits import TURN_PUBLISHES

__all__ = ["FuturePending", "NodePublisher", "NodeSubscription", "busy", "posted"]


class NodeSubscription(Subscription):
    """A subscription of an embedded node."""

    def __init__(
        self,
        hub: Hub,
        pattern: str,
        group: str | None,
        where: Where | None,
        max_in_flight: int,
        causal: CausalBounds | None,
        schemas: Sequence[str],
        wait: str | None,
        timeout_s: float,
    ) -> None:
        super().__init__(pattern, max_in_flight, group, where, causal, schemas, wait, timeout_s)
        self._hub = hub
        self._schema: str | None = None
        self._subscriber: Subscriber | None = None

    @property
    def id(self) -> Pid:
        """The process of the bus that the subscription is."""
        if self._subscriber is None:
            raise RuntimeError(f"{self.title} is not entered: it has no id yet")
        return self._subscriber.pid

    @property
    def schema(self) -> str | None:
        """The version of the channel's schema that was selected."""
        return self._schema

    async def _open(self) -> tuple[Inbox, Callable[[], None]]:
        hub = self._hub
        hub.admit(hub.pid, "subscribe", self.pattern)
        inbox = hub.interests.make_inbox(self.pattern, self.max_in_flight)
        self._schema = hub.interests.select_version(self.pattern, self.schemas)
        if self._order is not None:
            self.bell.anchored_in = inbox
        group = self.group or ""
        subscriber = self._subscriber = hub.interests.subscribe(
            self.pattern, inbox, self.bell, self.bell.exited, group=group, schemas=self.schemas
        )
        if self._barrier == "cluster":
            try:
                await hub.interests.barrier("subscribe", self.pattern, self._timeout_s, group=group)
            except BaseException:
                hub.interests.unsubscribe(subscriber)
                raise
        return inbox, partial(hub.interests.unsubscribe, subscriber)


def posted(hub: Hub, channel: Channel) -> Batch:
    """Return the batch of the node's own publishes without an answer, made when it is first asked for."""

    def submit(envelopes: list[Envelope]) -> None:
        start = 0
        while start < len(envelopes):
            # Looked at again, since interest may have changed, or one of them was too much for a subscriber; it was
            # admitted, and only the channel's end can refuse it.
            if channel.ended:
                hub.shared.statistics.rejected += len(envelopes) - start
                return
            resolved = hub.exchange.resolve(channel.name)
            stop = start + 1 if resolved.choosy else len(envelopes)
            with suppress(Refused):  # it was not choosy when they were published; they are counted
                hub.exchange.accept(resolved, envelopes[start:stop], hub.pid.number)
            start = stop

    channel.posted = Batch(channel, submit, hub.loop.call_soon)
    return channel.posted


def busy(channel: Channel) -> Busy:
    """Return why a publish on a crowded channel is not taken now, and when to try again."""
    if channel.held and channel.press is not None:
        return Busy(max(BUSY_RETRY_S, channel.press.throttle.wait_s), f"the pressure on channel {channel.name!r}")
    return Busy(BUSY_RETRY_S, "the lane to a peer")


class FuturePending(Pending):
    """One awaited publish."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[None]) -> None:
        super().__init__(1)
        self.future = future

    def finished(self) -> None:
        """Wake who awaits it."""
        if not self.future.done():
            self.future.set_result(None)


class NodePublisher(Publisher):
    """A windowed publisher of an embedded node."""

    def __init__(self, hub: Hub, channel: str, window: int, ack: str | None, timeout_s: float) -> None:
        hub.permit(hub.pid, "publish", channel)
        resolved = hub.exchange.resolve(channel)
        resolved.kept = True
        super().__init__(channel, window, resolved)
        self._hub = hub
        self._rested = 0
        """How many it had sent when others got a turn."""
        self._timeout_s = check_timeout(timeout_s)
        self._receipts = (check_ack(channel, ack) or resolved.settings.ack) == "nodes"

    def _admit(self, envelope: Envelope) -> None:
        self._hub.check(envelope)

    async def _wait_writable(self) -> None:
        channel = self._hub.exchange.resolve(self.channel)
        if channel.behind or self._tireless:
            self._rested = self._sent
            await asyncio.sleep(0)
        await writable(self._hub, channel)

    def _crowded(self) -> bool:
        channel = self._hub.exchange.resolve(self.channel)
        return channel.crowded or channel.held or channel.behind or self._tireless

    @property
    def _tireless(self) -> bool:
        return self._sent - self._rested >= TURN_PUBLISHES

    def _submit(self, envelopes: list[Envelope]) -> None:
        hub = self._hub
        hub.admit(hub.pid, "publish", self.channel)
        step = 1 if hub.exchange.resolve(self.channel).choosy else len(envelopes)
        for start in range(0, len(envelopes), step):
            self._publish(envelopes[start : start + step])

    def _publish(self, envelopes: list[Envelope]) -> None:
        pending = _Windowed(self, len(envelopes))
        try:
            channel = self._hub.exchange.resolve(self.channel)
            self._hub.exchange.accept(channel, envelopes, self._hub.pid.number, pending, self._receipts)
        except LiminalError as error:
            self.failed(error, len(envelopes))
            return
        if pending.left:
            self._hub.expect(pending, self._timeout_s)
        else:
            pending.finished()


class _Windowed(Pending):
    """Some publishes of a window."""

    __slots__ = ("_publisher",)

    def __init__(self, publisher: NodePublisher, count: int) -> None:
        super().__init__(count)
        self._publisher = publisher

    def finished(self) -> None:
        """Tell the publisher."""
        if "unknown" in self.nodes.values():
            self._publisher.failed(OutcomeUnknown(missing_receipts(self.nodes)), self.count)
        else:
            self._publisher.acknowledged(self.count, self.undelivered)
