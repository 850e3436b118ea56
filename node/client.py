"""A client: the Bus of a program that speaks with a node somewhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, repeat
from types import MappingProxyType, TracebackType
from typing import Final, Self

import msgpack
import msgspec

from liminal_mesh.cluster import (
    CLIENT_CODEC,
    Anchored,
    ClientFrame,
    ClientGap,
    ClientOutcome,
    ClientPublish,
    Confirm,
    Connected,
    Deliver,
    Ended,
    Envelope,
    Failure,
    Lane,
    Member,
    MemberState,
    Pid,
    ProtocolError,
    Reply,
    Request,
    Subscribed,
    encode_envelope,
)
from liminal_mesh.storage import LiminalError

from .batch import Batch
from .bus import Ack, Wait
from .client_sinks import Answered, Call, Nowait, Resubscription, Sink
from .client_subscription import ClientSubscription
from .deadlines import STEP_S, Deadlines
from .dialler import Dialler
from .errors import Busy, DeadlineExceeded, LimitExceeded, NoConnection, OutcomeUnknown, from_wire
from .message import encode_headers
from .names import check_name, check_pattern
from .payload import encode_payload
from .publisher import Publisher
from .subscription import Subscription
from .url import DEFAULT_URL, parse_url
from .values import Pressure, PublishOutcome

__all__ = ["Client", "connect"]

LANE_BYTES: Final = 8 * 1024 * 1024
"""What may wait to be written; half of it makes ``publish_nowait`` busy."""

UNCONFIRMED_MAX: Final = 65_536
"""How many publishes the node may owe an answer for."""

BUSY_RETRY_S: Final = 0.01
"""What a refused publisher is told to wait at least."""

FRAME_OVERHEAD_BYTES: Final = 1024
"""What a batch frame needs beside its one envelope."""

ENVELOPE_BYTES: Final = 64
"""What an envelope without options needs beside its body, at most."""

CLOSE_S: Final = 5.0
"""How long closing waits for answers that the node owes."""

GRACE_S: Final = 2.0
"""How much longer than the node we wait for its answer."""

REQUEST_S: Final = 5.0
"""How long a question to the node may take."""

_CONFIRM, _OUTCOME = 1, 2

_MEMBERS: Final = msgspec.msgpack.Decoder(list[tuple[str, int, int, MemberState, bool, bool, str]])

_Key = tuple[str, int, str, int]
"""Channel, mode, acknowledgement, patience in milliseconds."""


class ClientPublisher(Publisher):
    """A windowed publisher of a client."""

    def __init__(self, client: Client, channel: str, window: int, ack: str | None, timeout_s: float) -> None:
        super().__init__(channel, window, client)
        self._client = client
        self._key: _Key = (check_name(channel), _CONFIRM, ack or "", int(timeout_s * 1000))

    def _admit(self, envelope: Envelope) -> None:
        self._client.raise_if_closed()
        self._client.check_size(envelope)

    def _submit(self, envelopes: list[Envelope]) -> bool:
        self._client.queue(self._key, envelopes, self)
        return not self._client.crowded

    async def _wait_writable(self) -> None:
        await self._client.room()


def connect(url: str = DEFAULT_URL, *, name: str | None = None) -> Client:
    """Return a client of the node at ``url``, for ``async with``.

    Args:
        url: ``liminal://host:port[,host:port...]``; the addresses are tried in turn, now and after every loss.
        name: what the node shows for it; the host's name and the process by default.

    Entering it raises:
        NoConnection: no address answered.
        ValueError: ``url`` is none.
    """
    return Client(url, name=name)


class Client:
    """A client; made by :func:`connect`. It reconnects by itself, and its subscriptions come back with it."""

    def __init__(self, url: str = DEFAULT_URL, *, name: str | None = None) -> None:
        self._addresses = parse_url(url)
        self._name = name or f"{socket.gethostname()}-{os.getpid()}"
        self._dialler: Dialler | None = None
        self._task: asyncio.Task[None] | None = None
        self._pid: Pid | None = None
        self._max_frame = 1024 * 1024
        self._ref = 1
        self._written = 0
        self._sinks: dict[int, Sink] = {}
        self._nowait: dict[str, Nowait] = {}
        self._lane: Lane[_Key] = Lane(self._encode, LANE_BYTES, float("inf"))
        self._numbers = count(1)
        self._subscriptions: dict[int, ClientSubscription] = {}
        self._control: set[int] = set()
        """Requests among the sinks: they are written at once, and never wait for another connection."""
        self._deadlines: Deadlines[Call] = Deadlines()
        self._sweep: asyncio.TimerHandle | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._closed = False
        self.holder: Batch | None = None

    async def __aenter__(self) -> Self:
        assert self._dialler is None, "a client is entered once"
        dialler = self._dialler = Dialler(self._addresses, self, self._name)
        await dialler.connect()
        self._task = asyncio.create_task(dialler.run(), name="liminal-client")
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
        if self.holder is not None:
            self.holder.flush()
        self._closed = True
        for subscription in tuple(self._subscriptions.values()):
            subscription.end(None)
        with contextlib.suppress(TimeoutError):  # what is still owed then is told as unknown below
            async with asyncio.timeout(CLOSE_S):
                while dialler.connected and (self._lane or self._sinks):
                    await self._change()
        task.cancel()
        await asyncio.wait([task])
        self._fail(self._sinks, OutcomeUnknown("the client was closed"))
        if self._sweep is not None:
            self._sweep.cancel()

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
        key = (check_name(channel), _OUTCOME, ack or "", int(timeout * 1000))
        self.queue(key, [self._envelope(payload, headers)], call)
        # The node keeps the time of the receipts; this one is for a node that does not answer at all.
        frame = await self._answer(call, timeout + GRACE_S)
        assert isinstance(frame, ClientOutcome)
        return PublishOutcome(
            frame.message_id,
            frame.delivered,
            frame.local,
            False,
            None,
            MappingProxyType(frame.nodes),
            Pressure(*frame.pressure),
        )

    def publish_nowait(self, channel: str, payload: object, *, headers: Mapping[str, str] | None = None) -> None:
        """Publish without waiting; see :meth:`.Bus.publish_nowait`."""
        self.raise_if_closed()
        sink = self._nowait.get(channel)
        if sink is None:
            sink = self._nowait[channel] = self._make_nowait(check_name(channel))
        sink.raise_refusal()
        if self.crowded:
            raise Busy(BUSY_RETRY_S, "the lane to the node")
        sink.batch.add(self._envelope(payload, headers))

    async def writable(self, channel: str) -> None:
        """Wait until :meth:`publish_nowait` has room; see :meth:`.Bus.writable`."""
        self.raise_if_closed()
        sink = self._nowait.get(channel)
        while self.crowded:
            await self._change()
            self.raise_if_closed()
        if sink is not None:
            sink.raise_refusal()

    def publisher(
        self, channel: str, *, window: int = 4096, ack: Ack | None = None, timeout: float = 5.0
    ) -> Publisher:
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
        ref = self._expect(call)
        if not self.send(Request(ref, "members")):
            self._fail([ref], self._not_connected())
        frame = await self._answer(call, REQUEST_S)
        assert isinstance(frame, Reply)
        return tuple(Member(*member) for member in _MEMBERS.decode(frame.result))

    # --- for its publishers and subscriptions ---

    @property
    def crowded(self) -> bool:
        """Whether a publisher should wait."""
        return self._lane.crowded or len(self._sinks) >= UNCONFIRMED_MAX

    def raise_if_closed(self) -> None:
        """Refuse to work for a client that is not open.

        Raises:
            NoConnection: it was closed.
        """
        if self._closed or self._dialler is None:
            raise NoConnection(", ".join(map(str, self._addresses)), "the client is not open")

    async def room(self) -> None:
        """Wait for room for publishes."""
        while self.crowded:
            await self._change()

    def check_size(self, envelope: Envelope) -> None:
        """Check that a message fits into a frame of the node.

        Raises:
            LimitExceeded: it does not.
        """
        most = self._max_frame - FRAME_OVERHEAD_BYTES
        if envelope.options or len(envelope.body) > most - ENVELOPE_BYTES:
            if len(encode_envelope(envelope)) > most:
                raise LimitExceeded("max_frame", self._max_frame)

    def queue(self, key: _Key, envelopes: list[Envelope], sink: Sink) -> None:
        """Queue publishes; ``sink`` hears of the end of each.

        Raises:
            Busy: there is no room for all of them; none was queued.
        """
        encoded = [encode_envelope(envelope) for envelope in envelopes]
        if self._lane.bytes + sum(map(len, encoded)) > LANE_BYTES:
            raise Busy(BUSY_RETRY_S, "the lane to the node")
        if self.holder is not None:
            self.holder.flush()
        refs = range(self._ref, self._ref + len(encoded))
        self._ref = refs.stop
        waking = not self._lane
        self._lane.put(key, refs.start, encoded)
        self._sinks.update(zip(refs, repeat(sink), strict=False))
        if waking and self._dialler is not None:
            self._dialler.wake()

    def send(self, frame: ClientFrame) -> bool:
        """Send a control frame; False when no connection stands."""
        return self._dialler is not None and self._dialler.send(frame)

    async def open_subscription(self, subscription: ClientSubscription, timeout_s: float) -> None:
        """Make a subscription stand.

        Raises:
            LiminalError: the node refused it.
            NoConnection: no connection stands.
        """
        self.raise_if_closed()
        self._subscriptions[subscription.number] = subscription
        call = Call("subscribe")
        ref = self._expect(call)
        if not self.send(subscription.request(ref)):
            self._fail([ref], self._not_connected())
        frame = await self._answer(call, timeout_s + GRACE_S)
        assert isinstance(frame, Subscribed)
        subscription.stands(frame)

    def close_subscription(self, subscription: ClientSubscription) -> None:
        """Take a subscription down."""
        if self._subscriptions.pop(subscription.number, None) is not None:
            self.send(subscription.goodbye())

    # --- the connection's events ---

    def session_up(self, greeting: Connected) -> None:
        """A connection stands: subscriptions come back, and what waits is written."""
        self._pid = Pid(greeting.node, greeting.epoch, greeting.number)
        self._max_frame = greeting.limits.get("max_frame", self._max_frame)
        for subscription in self._subscriptions.values():
            subscription.begin()
            self.send(subscription.request(self._expect(Resubscription(subscription))))
        assert self._dialler is not None
        self._dialler.wake()
        self._changed()

    def session_down(self, reason: str) -> None:
        """It is gone: what was written and not answered is unknown, what was not written waits for the next one."""
        refs = [ref for ref in self._sinks if ref <= self._written or ref in self._control]
        self._fail(refs, OutcomeUnknown(f"the connection was lost: {reason}"))

    def session_frame(self, frame: ClientFrame) -> None:
        """A frame came."""
        match frame:
            case Deliver() | ClientGap() | Anchored():
                self._deliver(frame)
            case Confirm():
                self._confirmed(frame)
            case Failure():
                error = from_wire(frame.error, msgpack.unpackb(frame.fields))
                self._fail(range(frame.ref, frame.ref + frame.count), error)
            case ClientOutcome() | Subscribed() | Reply():
                sink = self._sinks.pop(frame.ref, None)
                self._control.discard(frame.ref)
                if not isinstance(sink, Answered):
                    raise ProtocolError(f"an answer to {frame.ref}, which asked for none")
                sink.answer(frame)
                self._changed()
            case Ended():
                self._ended(frame)

    def session_pull(self, bytes_max: int) -> list[bytes]:
        """Return publishes to write."""
        crowded = self.crowded
        frames = self._lane.take(bytes_max)
        if crowded and not self.crowded:
            self._changed()
        return frames

    def _deliver(self, frame: Deliver | ClientGap | Anchored) -> None:
        subscription = self._subscriptions.get(frame.subscription)
        if subscription is None:
            return  # it was closed while this was on its way
        if isinstance(frame, Deliver):
            subscription.deliver(frame)
        elif isinstance(frame, ClientGap):
            subscription.gap(frame)
        else:
            subscription.anchored(frame)

    def _ended(self, frame: Ended) -> None:
        subscription = self._subscriptions.pop(frame.subscription, None)
        if subscription is not None:
            subscription.end(from_wire(frame.error, msgpack.unpackb(frame.fields)) if frame.error else None)

    def _confirmed(self, frame: Confirm) -> None:
        """Tell each publisher of its part of a run; most runs are one publisher's."""
        runs: dict[Sink, int] = {}
        for ref in range(frame.ref, frame.ref + frame.count):
            sink = self._sinks.pop(ref, None)
            if sink is None:
                raise ProtocolError(f"publish {ref} was confirmed, which was not in flight")
            runs[sink] = runs.get(sink, 0) + 1
        undelivered = frame.undelivered
        for sink, number in runs.items():
            sink.acknowledged(number, min(number, undelivered))
            undelivered -= min(number, undelivered)
        self._changed()

    # --- helpers ---

    def _encode(self, key: _Key, ref: int, envelopes: Sequence[bytes]) -> bytes:
        channel, mode, ack, patience = key
        self._written = ref + len(envelopes) - 1
        return CLIENT_CODEC.encode_batch(ClientPublish, (ref, mode, channel, ack, patience), envelopes)

    def _expect(self, sink: Sink) -> int:
        ref, self._ref = self._ref, self._ref + 1
        self._sinks[ref] = sink
        self._control.add(ref)
        return ref

    def _fail(self, refs: Iterable[int], error: Exception) -> None:
        counts: dict[Sink, int] = {}
        for ref in tuple(refs):
            sink = self._sinks.pop(ref, None)
            self._control.discard(ref)
            if sink is not None:
                counts[sink] = counts.get(sink, 0) + 1
        for sink, number in counts.items():
            sink.failed(error, number)
        self._changed()

    async def _answer(self, call: Call, timeout_s: float) -> ClientFrame:
        bucket = self._deadlines.add(call, asyncio.get_running_loop().time() + timeout_s)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(STEP_S, self._expire)
        try:
            return await call.future
        finally:
            self._deadlines.remove(call, bucket)

    def _expire(self) -> None:
        self._sweep = None
        loop = asyncio.get_running_loop()
        for call in self._deadlines.due(loop.time()):
            node = self._pid.node if self._pid else ""
            call.failed(DeadlineExceeded(call.phase, node=node), 1)
        if self._deadlines:
            self._sweep = loop.call_later(STEP_S, self._expire)

    async def _change(self) -> None:
        """Wait for anything to come back from the node, or to be written."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _changed(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _not_connected(self) -> NoConnection:
        return NoConnection(", ".join(map(str, self._addresses)), "the connection was lost and is being made again")

    def _make_nowait(self, channel: str) -> Nowait:
        key: _Key = (channel, _CONFIRM, "accepted", 0)

        def submit(envelopes: list[Envelope]) -> None:
            try:
                self.queue(key, envelopes, sink)
            except LiminalError as error:
                sink.failed(error, len(envelopes))

        sink = Nowait(Batch(self, submit, asyncio.get_running_loop().call_soon))
        return sink

    def _envelope(self, payload: object, headers: Mapping[str, str] | None) -> Envelope:
        encoding, body = encode_payload(payload)
        envelope = Envelope(0, 0, 0, 0, encoding, body, encode_headers(headers) if headers else None)
        self.check_size(envelope)
        return envelope
