"""One client of this node: its requests, its subscriptions, and what is written to it.

A frame is checked against the table of frames before it is looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgpack
import msgspec

from liminal_mesh.cluster import (
    BATCH_MAX,
    CLIENT_CODEC,
    CLIENT_FRAMES,
    CLIENT_PROTO,
    Anchored,
    ClientFrame,
    ClientGap,
    ClientPublish,
    Connect,
    Connected,
    Credit,
    Deliver,
    Disconnect,
    Ended,
    Failure,
    KeepAlive,
    KeepAliveReply,
    NodeId,
    Pid,
    ProtocolError,
    Reply,
    Request,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Wire,
)
from liminal_mesh.storage import LiminalError

from .channel import Subscriber
from .errors import LimitExceeded, to_wire
from .inbox import Anchor, Budget, Inbox
from .intake import Intake
from .values import Gap

if TYPE_CHECKING:
    from .server import Server

__all__ = ["Connection"]

log = logging.getLogger("liminal.server")


class _Held:
    """A subscription of a client, as the listener of its subscriber."""

    def __init__(self, connection: Connection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.delivery = 1
        self.subscriber: Subscriber | None = None

    def ready(self) -> None:
        self.connection.subscription_ready(self)

    def anchored(self, origin: NodeId, heads: Mapping[str, int]) -> None:
        assert self.subscriber is not None
        self.subscriber.inbox.note_anchor(Anchor(origin, dict(heads)))
        self.ready()


class Connection:
    """A client's connection.

    Args:
        server: owns it.
        wire: what it arrived on.
        pid: the process that it is.
    """

    def __init__(self, server: Server, wire: Wire, pid: Pid, since: float) -> None:
        self.pid = pid
        self.client = ""
        self.since = since
        self.state = "connect"
        self.heard_at = since
        self.wire = wire
        self._server = server
        self._held: dict[int, _Held] = {}
        self._ready: dict[int, _Held] = {}
        self._budget = Budget(server.limits.inbox_bytes_connection)
        self._intake = Intake(self, server.hub)
        self._waits: set[asyncio.Task[None]] = set()

    @property
    def subscriptions(self) -> int:
        """How many subscriptions it holds."""
        return len(self._held)

    @property
    def waiting(self) -> bool:
        """Whether anything waits for the client, be there credit for it or not."""
        return bool(self._ready) or any(one.subscriber.inbox for one in self._held.values() if one.subscriber)

    def give_up(self) -> None:
        """Turn what waits into gaps, which need no credit: the client is told what it will not get."""
        for held in self._held.values():
            if held.subscriber is not None:
                held.subscriber.inbox.evict()
                self.subscription_ready(held)

    # --- what arrives ---

    def frame(self, kind: int, body: memoryview) -> None:
        """Take a frame.

        Raises:
            ProtocolError: the client may not send this now.
        """
        row = CLIENT_FRAMES.get(kind)
        if row is None:
            if self.state != "open":
                raise ProtocolError(
                    f"frame type {kind:#04x} before the connection was opened: this is no liminal client"
                )
            self._server.unknown_frames += 1
            return
        if row.senders == "node" or self.state not in row.states:
            raise ProtocolError(f"{row.kind.__name__} from a client in state {self.state!r}")
        frame = CLIENT_CODEC.decode(kind, body)
        match frame:
            case ClientPublish():
                self._intake.publish(frame)
            case Credit():
                self._credit(frame)
            case Subscribe():
                self._subscribe(frame)
            case Unsubscribe():
                self._unsubscribe(frame)
            case Request():
                self._request(frame)
            case KeepAlive():
                self.send(KeepAliveReply(frame.id))
            case Connect():
                self._connect(frame)
            case Disconnect():
                self.wire.close(f"the client left: {frame.reason}")

    def send(self, frame: ClientFrame) -> None:
        """Send a control frame."""
        self.wire.send(CLIENT_CODEC.encode(frame))

    def _connect(self, frame: Connect) -> None:
        proto = min(frame.proto_max, CLIENT_PROTO[1])
        if proto < max(frame.proto_min, CLIENT_PROTO[0]):
            self.refuse(
                "version",
                f"the client speaks versions {frame.proto_min} to {frame.proto_max}, this node {CLIENT_PROTO[0]} to "
                f"{CLIENT_PROTO[1]}",
            )
            return
        self.client, self.state = frame.client, "open"
        self._server.opened(self)
        limits = self._server.limits
        self.send(
            Connected(
                proto,
                self._server.version,
                self.pid.node,
                self.pid.epoch,
                self.pid.number,
                {"max_frame": limits.max_frame},
            )
        )

    def refuse(self, code: str, reason: str) -> None:
        """End the connection with a reason that the client gets."""
        self._server.refused(code, self, reason)
        self.goodbye(code, reason, ())

    def goodbye(self, code: str, reason: str, others: Sequence[str]) -> None:
        """End the connection, naming other nodes' addresses to go to."""
        self.send(Disconnect(code, reason, list(others)))
        self.wire.close(reason)

    # --- subscriptions ---

    def _subscribe(self, frame: Subscribe) -> None:
        try:
            self._open_subscription(frame)
        except LiminalError as error:
            self.fail(frame.ref, error)

    def _open_subscription(self, frame: Subscribe) -> None:
        if frame.subscription in self._held:
            raise ProtocolError(f"subscription {frame.subscription} is open already")
        most = self._server.limits.subscriptions_per_connection
        if len(self._held) >= most:
            raise LimitExceeded("subscriptions_per_connection", most)
        self._server.hub.admit(self.pid, "subscribe", frame.channel)
        held = _Held(self, frame.subscription)
        try:
            held.subscriber = self._server.hub.make_subscriber(frame.channel, frame.max_in_flight, held, self._budget)
        except ValueError as error:  # our own clients look at patterns before they send them
            raise ProtocolError(str(error)) from error
        self._held[frame.subscription] = held
        self._server.hub.subscribe(held.subscriber)
        if frame.wait == "cluster":
            task = self._server.loop.create_task(self._barrier(frame, held))
            self._waits.add(task)
            task.add_done_callback(self._waits.discard)
        else:
            self._stands(frame, held)

    async def _barrier(self, frame: Subscribe, held: _Held) -> None:
        try:
            await self._server.hub.barrier("subscribe", frame.channel, frame.timeout_ms / 1000)
        except LiminalError as error:
            if self._held.pop(frame.subscription, None) is not None:
                self._drop(held)
            self.fail(frame.ref, error)
        else:
            self._stands(frame, held)

    def _stands(self, frame: Subscribe, held: _Held) -> None:
        assert held.subscriber is not None
        self.send(Subscribed(frame.ref, frame.subscription, held.subscriber.pid.number))

    def _unsubscribe(self, frame: Unsubscribe) -> None:
        held = self._held.pop(frame.subscription, None)
        if held is not None:
            self._drop(held)
            self.send(Ended(frame.subscription))

    def _drop(self, held: _Held) -> None:
        assert held.subscriber is not None
        self._ready.pop(held.number, None)
        try:
            self._server.hub.unsubscribe(held.subscriber)
        except Exception:  # it says so, and does not keep the client's others from being taken down
            facts = {"pattern": held.subscriber.pattern, "pid": str(held.subscriber.pid)}
            log.exception("unsubscribe_failed", extra={"fields": facts})

    def _credit(self, frame: Credit) -> None:
        held = self._held.get(frame.subscription)
        if held is not None and held.subscriber is not None:
            held.subscriber.inbox.settle(frame.count)
            self.subscription_ready(held)

    def subscription_ready(self, held: _Held) -> None:
        """Something waits in a subscription's inbox, or there is credit again."""
        if self._budget.passed:
            self._evict()
        self._ready[held.number] = held
        self.wire.wake()

    def _evict(self) -> None:
        """Empty the largest inboxes of this client into gaps until they hold no more than they may together."""
        inboxes = [one.subscriber.inbox for one in self._held.values() if one.subscriber is not None]
        for inbox in sorted(inboxes, key=lambda one: one.bytes, reverse=True):
            if not self._budget.passed:
                return
            inbox.evict()

    def _request(self, frame: Request) -> None:
        try:
            result = self._server.answer(self.pid, frame.verb)
        except LiminalError as error:
            self.fail(frame.ref, error)
        else:
            self.send(Reply(frame.ref, msgspec.msgpack.encode(result)))

    def fail(self, ref: int, error: LiminalError, count: int = 1) -> None:
        """Answer requests with an error."""
        name, fields = to_wire(error)
        self.send(Failure(ref, name, msgpack.packb(fields), count))

    # --- what is written ---

    def pull(self, bytes_max: int) -> list[bytes]:
        """Return frames of subscriptions that have something and have credit, in turns."""
        frames: list[bytes] = []
        size = 0
        while self._ready and size < bytes_max:
            number = next(iter(self._ready))
            held = self._ready.pop(number)
            frame = self._next_frame(held)
            if frame is not None:
                frames.append(frame)
                size += len(frame)
                self._ready[number] = held
        return frames

    def _next_frame(self, held: _Held) -> bytes | None:
        assert held.subscriber is not None
        inbox = held.subscriber.inbox
        entry = inbox.take(min(_chunk(inbox), inbox.credit - inbox.lent))
        match entry:
            case None:
                return self._overflowed(held, inbox) if inbox.overflowed and not inbox else None
            case Gap():
                gap = ClientGap(held.number, held.delivery, *(getattr(entry, name) for name in entry.__struct_fields__))
                held.delivery += 1
                return CLIENT_CODEC.encode(gap)
            case Anchor(origin, heads):
                return b"".join(
                    CLIENT_CODEC.encode(Anchored(held.number, *origin, part)) for part in _parts(list(heads.items()))
                )
            case (run, start, stop):
                fields = (held.number, held.delivery, run.channel, *run.origin)
                held.delivery += stop - start
                return CLIENT_CODEC.encode_batch(Deliver, fields, run.parts(start, stop), stop - start)

    def _overflowed(self, held: _Held, inbox: Inbox) -> bytes | None:
        if self._held.pop(held.number, None) is None:
            return None
        self._server.loop.call_soon(self._drop, held)
        name, fields = to_wire(LimitExceeded("inbox", inbox.limit))
        return CLIENT_CODEC.encode(Ended(held.number, name, msgpack.packb(fields)))

    # --- the end ---

    def closed(self) -> None:
        """The connection is gone: everything that was its own goes with it."""
        self.state = "closed"
        for task in self._waits:
            task.cancel()
        held, self._held = self._held, {}
        for one in held.values():
            if one.subscriber is not None:
                self._drop(one)


def _chunk(inbox: Inbox) -> int:
    """Return how many messages one frame may bear: a quarter of the credit, so that the rest is on its way."""
    return max(1, min(BATCH_MAX, inbox.credit // 4))


def _parts(entries: list[tuple[str, int]]) -> list[list[tuple[str, int]]]:
    return [entries[start : start + BATCH_MAX] for start in range(0, len(entries), BATCH_MAX)] or [[]]
