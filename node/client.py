"""A client: the Bus of a program that speaks with a node somewhere."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from itertools import count
from types import MappingProxyType, TracebackType
from typing import Final, Self

import msgspec

from liminal_mesh.cluster import (
    Anchored,
    ClientFrame,
    ClientGap,
    ClientOutcome,
    Confirm,
    Connected,
    Deliver,
    Ended,
    Envelope,
    Failure,
    Member,
    MemberState,
    Pid,
    Reply,
    Request,
    Subscribe,
    Subscribed,
)

from .acks import check_ack
from .batch import BUSY_RETRY_S
from .bus import Ack, Wait
from .client_publisher import ClientPublisher
from .client_sinks import OUTCOME, Call, Nowait, PublishKey, Sink, error_of, patience_ms
from .client_subscription import ClientSubscription, StandingSubscription
from .dialler import Dialler
from .environment import REAL, Environment
from .errors import Busy, DeadlineExceeded, NoConnection, OutcomeUnknown
from .feed_table import FeedTable
from .ledger import Ledger
from .message import encode_headers
from .names import check_name, check_pattern
from .payload import encode_payload
from .publisher import Publisher
from .subscription import Subscription
from .url import DEFAULT_URL, parse_url
from .values import Pressure, PublishOutcome
from .waits import FOREVER_S, Signal, Sweep

__all__ = ["Client"]

CLOSE_S: Final = 5.0
"""How long closing waits for answers that the node owes."""

GRACE_S: Final = 2.0
"""How much longer than the node we wait for its answer."""

REQUEST_S: Final = 5.0
"""How long a question to the node may take."""

_MEMBERS: Final = msgspec.msgpack.Decoder(list[tuple[str, int, int, MemberState, bool, bool, str]])


class Client:
    """A client; made by :func:`.connect.connect`. It reconnects by itself, and its subscriptions come back with it."""

    def __init__(self, url: str = DEFAULT_URL, *, name: str | None = None, environment: Environment = REAL) -> None:
        self._addresses = parse_url(url)
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._environment = environment
        self._dialler: Dialler | None = None
        self._task: asyncio.Task[None] | None = None
        self._pid: Pid | None = None
        self.ledger = Ledger()
        self._nowait: dict[str, Nowait] = {}
        self._numbers = count(1)
        self.feeds = FeedTable(self.ledger, self.send)
        self._calls: Sweep[Call] = Sweep(self._expire)
        self._changes = Signal()
        self._closed = False

    async def __aenter__(self) -> Self:
        assert self._dialler is None, "a client is entered once"
        dialler = self._dialler = Dialler(self._addresses, self, self._name, self._environment)
        await dialler.connect()
        self._task = asyncio.create_task(dialler.run(), name="liminal-client")
        self._task.add_done_callback(self._broke)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Write what waits, if a connection stands, wait for the answers that are owed, and end everything."""
        dialler, task = self._dialler, self._task
        if dialler is None or task is None or self._closed:
            return
        if self.ledger.holder is not None:
            self.ledger.holder.flush()
        self._closed = True
        self.feeds.end(None)
        deadline = asyncio.get_running_loop().time() + CLOSE_S
        try:
            await self._changes.until(lambda: not (dialler.connected and self.ledger.open), deadline)
        finally:
            task.cancel()
            self.ledger.close(OutcomeUnknown("the client was closed"))
            self._changes.notify()
            self._calls.close()
        await asyncio.wait([task])

    @property
    def pid(self) -> Pid:
        """The process that this client's connection is, at the node it is connected to now."""
        if self._pid is None:
            raise RuntimeError("the client is not connected: use it within 'async with'")
        return self._pid

    # --- the Bus ---

    async def publish(
        self,
        channel: str,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        ack: Ack | None = None,
        timeout: float = 5.0,
    ) -> PublishOutcome:
        """Publish, and return how it fared; see :meth:`.Bus.publish`.

        Raises, beside what is said there:
            DeadlineExceeded: the node did not answer in time.
            OutcomeUnknown: the connection was lost before the node answered.
        """
        self.raise_if_closed()
        call = Call("publish")
        key = (check_name(channel), OUTCOME, check_ack(channel, ack), patience_ms(timeout))
        if not await self._connected(timeout):
            raise DeadlineExceeded("connect", node=", ".join(map(str, self._addresses)), sent=False)
        self.queue(key, [self._envelope(payload, headers)], call)
        # The node keeps the time of the receipts; this one is for a node that does not answer at all.
        frame = await self._answer(call, timeout + GRACE_S)
        assert isinstance(frame, ClientOutcome)
        nodes, pressure = MappingProxyType(frame.nodes), Pressure(*frame.pressure)
        return PublishOutcome(frame.message_id, frame.delivered, frame.local, False, None, nodes, pressure)

    def publish_nowait(self, channel: str, payload: object, *, headers: Mapping[str, str] | None = None) -> None:
        """Publish without waiting; see :meth:`.Bus.publish_nowait`."""
        self.raise_if_closed()
        sink = self._nowait.get(channel)
        if sink is None:
            sink = self._nowait[channel] = Nowait(check_name(channel), self.ledger, self.queue)
        sink.raise_refusal()
        # Looked at once a batch: until it is handed over, the lane does not get fuller.
        if not sink.batch.items and self.ledger.crowded:
            raise Busy(BUSY_RETRY_S, "the lane to the node")
        sink.batch.add(self._envelope(payload, headers))

    async def writable(self, channel: str) -> None:
        """Wait until :meth:`publish_nowait` has room; see :meth:`.Bus.writable`."""
        self.raise_if_closed()
        sink = self._nowait.get(channel)
        await self.room()
        self.raise_if_closed()
        if sink is not None:
            sink.raise_refusal()

    def publisher(self, channel: str, *, window: int = 4096, ack: Ack | None = None, timeout: float = 5.0) -> Publisher:
        """Return a windowed publisher; see :meth:`.Bus.publisher`."""
        return ClientPublisher(self, channel, window, ack, timeout)

    def subscribe(
        self, channel: str, *, max_in_flight: int = 256, wait: Wait | None = None, timeout: float = 5.0
    ) -> Subscription:
        """Return a subscription; see :meth:`.Bus.subscribe`. It comes back by itself after a lost connection."""
        check_pattern(channel)
        return ClientSubscription(self, next(self._numbers), channel, max_in_flight, wait, timeout)

    async def members(self) -> tuple[Member, ...]:
        """Return the nodes of the mesh as the client's node sees them."""
        self.raise_if_closed()
        call = Call("members")
        self._ask(Request(self.ledger.request(call), "members"))
        frame = await self._answer(call, REQUEST_S)
        assert isinstance(frame, Reply)
        return tuple(Member(*member) for member in _MEMBERS.decode(frame.result))

    # --- for its publishers and subscriptions ---

    def raise_if_closed(self) -> None:
        """Refuse to work for a client that is not open.

        Raises:
            NoConnection: it was closed.
        """
        if self._closed or self._dialler is None:
            raise NoConnection(", ".join(map(str, self._addresses)), "the client is not open")

    async def room(self, timeout_s: float | None = None) -> bool:
        """Wait for room for publishes, or for the end; False when neither came in time."""
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        return await self._changes.until(lambda: self._closed or not self.ledger.crowded, deadline)

    def queue(self, key: PublishKey, envelopes: list[Envelope], sink: Sink) -> None:
        """Queue publishes; ``sink`` hears of the end of each.

        Raises:
            Busy: there is no room for all of them; none was queued.
        """
        if self.ledger.publish(key, envelopes, sink) and self._dialler is not None:
            self._dialler.wake()

    def send(self, frame: ClientFrame) -> bool:
        """Send a control frame; False when no connection stands."""
        return self._dialler is not None and self._dialler.send(frame)

    async def open_subscription(self, subscription: StandingSubscription, timeout_s: float) -> None:
        """Make a subscription stand.

        Raises:
            LiminalError: the node refused it.
            NoConnection: no connection stands.
        """
        self.raise_if_closed()
        self.feeds.add(subscription)
        call = Call("subscribe")
        self._ask(subscription.request(self.ledger.request(call)))
        frame = await self._answer(call, timeout_s + GRACE_S)
        assert isinstance(frame, Subscribed)
        subscription.stands(frame)

    # --- the connection's events ---

    def session_up(self, greeting: Connected) -> None:
        """A connection stands: subscriptions come back, and what waits is written."""
        self._pid = Pid(greeting.node, greeting.epoch, greeting.number)
        self.ledger.limit_frames(greeting.limits.get("max_frame", self.ledger.frame_max))
        self.feeds.begin()
        assert self._dialler is not None
        self._dialler.wake()
        self._changes.notify()

    def session_down(self, reason: str) -> None:
        """It is gone: what was written and not answered is unknown, what was not written waits for the next one."""
        self.ledger.lost(OutcomeUnknown(f"the connection was lost: {reason}"))
        self._changes.notify()

    def session_frame(self, frame: ClientFrame) -> None:
        """A frame came."""
        match frame:
            case Deliver() | ClientGap() | Anchored():
                self.feeds.take(frame)
                return
            case Confirm():
                self.ledger.confirm(frame)
            case Failure():
                self.ledger.fail(range(frame.ref, frame.ref + frame.count), error_of(frame.error, frame.fields))
            case ClientOutcome() | Subscribed() | Reply():
                self.ledger.answered(frame.ref).answer(frame)
            case Ended():
                self.feeds.ended(frame)
        self._changes.notify()

    def session_pull(self, bytes_max: int) -> list[bytes]:
        """Return publishes to write."""
        crowded = self.ledger.crowded
        frames = self.ledger.take(bytes_max)
        if crowded and not self.ledger.crowded:
            self._changes.notify()
        return frames

    # --- helpers ---

    def _broke(self, task: asyncio.Task[None]) -> None:
        """The keeper of the connection broke: that is a defect, and nobody may wait for it in vain."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._closed = True
            self.ledger.close(error)
            self.feeds.end(error)
            self._changes.notify()

    def _ask(self, frame: Request | Subscribe) -> None:
        if not self.send(frame):
            reason = "the connection was lost and is being made again"
            self.ledger.fail([frame.ref], NoConnection(", ".join(map(str, self._addresses)), reason))

    async def _connected(self, timeout_s: float) -> bool:
        """Wait for a connection, if it is being made again: what is given up meanwhile was never queued."""
        dialler = self._dialler
        assert dialler is not None
        if dialler.connected:
            return True
        deadline = asyncio.get_running_loop().time() + min(timeout_s, FOREVER_S)
        await self._changes.until(lambda: self._closed or dialler.connected, deadline)
        self.raise_if_closed()
        return dialler.connected

    async def _answer(self, call: Call, timeout_s: float) -> ClientFrame:
        bucket = self._calls.add(call, timeout_s)
        try:
            return await call.future
        finally:
            self._calls.remove(call, bucket)

    def _expire(self, call: Call) -> None:
        call.failed(DeadlineExceeded(call.phase, node=self._pid.node if self._pid else ""), 1)

    def _envelope(self, payload: object, headers: Mapping[str, str] | None) -> Envelope:
        encoding, body = encode_payload(payload)
        envelope = Envelope(0, 0, 0, 0, encoding, body, encode_headers(headers) if headers else None)
        self.ledger.check_size(envelope)
        return envelope
