"""One client of this node: its requests, its subscriptions, and what is written to it.

A frame is checked against the table of frames before it is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgpack
import msgspec

from liminal_mesh.cluster import (
    CLIENT_CODEC,
    CLIENT_FRAMES,
    CLIENT_PROTO,
    ClientFrame,
    ClientPublish,
    Connect,
    Connected,
    Credit,
    Disconnect,
    Ended,
    Failure,
    KeepAlive,
    KeepAliveReply,
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

from .deliveries import Deliveries, Delivery
from .errors import LimitExceeded, NoProcess, to_wire
from .guests import Guests
from .intake import Intake
from .interests import wait_s
from .processes import NO_CONNECTION, NORMAL, SHUTDOWN
from .reasons import error_reason

if TYPE_CHECKING:
    from .server import Server

__all__ = ["Connection"]


class Connection:
    """A client's connection.

    Args:
        server: owns it.
        wire: what it arrived on.
        since: when it arrived, in seconds of the loop's clock.
    """

    def __init__(self, server: Server, wire: Wire, since: float) -> None:
        self.pid = server.hub.processes.spawn("connection", self.exited, traps=True)
        self.client = ""
        self.since = since
        self.state = "connect"
        self.heard_at = since
        self.wire = wire
        self._server = server
        self.deliveries = Deliveries(server.limits.inbox_bytes_connection, wire.wake)
        self._reason = NO_CONNECTION
        """Why its process ends, if the connection ends now."""
        self._intake = Intake(self, server.hub)
        self._guests = Guests(self, server.hub, server.limits)
        self._waits: set[asyncio.Task[None]] = set()

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
                self.deliveries.credit(frame.subscription, frame.count)
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
                self._reason = NORMAL
                self.wire.close(f"the client left: {frame.reason}")
            case ClientFrame():
                self._guests.frame(frame)

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
        self._reason = f"error: {code}: {reason}"
        self._say_goodbye(code, reason, ())

    def goodbye(self, code: str, reason: str, others: Sequence[str]) -> None:
        """End the connection, since the node stops; it may name other nodes' addresses to go to."""
        self._reason = SHUTDOWN
        self._say_goodbye(code, reason, others)

    def _say_goodbye(self, code: str, reason: str, others: Sequence[str]) -> None:
        self.send(Disconnect(code, reason, list(others)))
        self.wire.close(reason)

    # --- subscriptions ---

    def _subscribe(self, frame: Subscribe) -> None:
        try:
            self._open_subscription(frame)
        except LiminalError as error:
            self.fail(frame.ref, error)

    def _open_subscription(self, frame: Subscribe) -> None:
        hub = self._server.hub
        if frame.wait == "cluster":
            self.check_waits()
        delivery = self.new_delivery(frame.subscription)
        hub.admit(self.pid, "subscribe", frame.channel)
        try:
            inbox = hub.interests.make_inbox(frame.channel, frame.max_in_flight, self.deliveries.budget)
        except ValueError as error:  # our own clients look at patterns before they send them
            raise ProtocolError(str(error)) from error
        self.deliveries.add(delivery, inbox)
        exited = partial(self.process_ended, delivery)
        try:
            delivery.pid = hub.interests.subscribe(frame.channel, inbox, delivery, exited, self.pid).pid
        except LiminalError:
            self.deliveries.remove(delivery)
            raise
        if frame.wait == "cluster":
            self.wait_for(self._barrier(frame, delivery))
        else:
            self.send(Subscribed(frame.ref, frame.subscription, delivery.pid.number))

    async def _barrier(self, frame: Subscribe, delivery: Delivery) -> None:
        assert delivery.pid is not None
        try:
            await self._server.hub.interests.barrier("subscribe", frame.channel, wait_s(frame.timeout_ms / 1000))
        except LiminalError as error:
            delivery.told = True
            self._server.hub.processes.exit(delivery.pid, NORMAL)
            self.fail(frame.ref, error)
        else:
            self.send(Subscribed(frame.ref, frame.subscription, delivery.pid.number))

    def _unsubscribe(self, frame: Unsubscribe) -> None:
        delivery = self.deliveries.held.get(frame.subscription)
        if self._guests.own(frame.subscription):
            raise ProtocolError("the connection's own mailbox ends with the connection")
        if delivery is None or delivery.pid is None or self._server.hub.processes.exit(delivery.pid, NORMAL):
            return
        self.deliveries.remove(delivery)  # it was over, and had still something to say
        self.send(Ended(frame.subscription))

    def new_delivery(self, number: int) -> Delivery:
        """Return a delivery that is not filled yet.

        Raises:
            LimitExceeded: the client has too many.
            ProtocolError: the number is taken.
        """
        if number in self.deliveries.held:
            raise ProtocolError(f"subscription {number} is open already")
        most = self._server.limits.subscriptions_per_connection
        if len(self.deliveries.held) >= most:
            raise LimitExceeded("subscriptions_per_connection", most)
        return Delivery(number, self.deliveries, self._overflowed)

    def process_ended(self, delivery: Delivery, pid: Pid, reason: str) -> None:
        """The process of a delivery is over, whatever ended it: the client is told, if it is there.

        If another's end has ended it, that is after what waits for the client.
        """
        if self.state == "open" and not delivery.told and reason not in {NORMAL, SHUTDOWN}:
            name, fields = to_wire(NoProcess(str(pid), reason))
            delivery.farewell = CLIENT_CODEC.encode(Ended(delivery.number, name, msgpack.packb(fields)))
            delivery.ready()
            return
        self.deliveries.remove(delivery)
        if self.state == "open" and not delivery.told:
            self.send(Ended(delivery.number))

    def _overflowed(self, delivery: Delivery) -> None:
        assert delivery.pid is not None
        self._server.loop.call_soon(self._server.hub.processes.exit, delivery.pid, NORMAL)

    def check_waits(self) -> None:
        """Check that one more may wait for peers on behalf of the client.

        Raises:
            LimitExceeded: it has too many that do.
        """
        most = self._server.limits.waits_per_connection
        if len(self._waits) >= most:
            raise LimitExceeded("waits_per_connection", most)

    def wait_for(self, waiting: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run what waits for peers, until the connection ends; :meth:`check_waits` comes before it."""
        task = self._server.loop.create_task(waiting)
        self._waits.add(task)
        task.add_done_callback(self._waits.discard)
        return task

    # --- requests ---

    def _request(self, frame: Request) -> None:
        try:
            result = self._server.answer(self.pid, frame.verb, frame.arguments)
            if isinstance(result, Coroutine):
                self._reply_later(frame.ref, result)
            else:
                self.send(Reply(frame.ref, msgspec.msgpack.encode(result)))
        except LiminalError as error:
            self.fail(frame.ref, error)

    def _reply_later(self, ref: int, result: Coroutine[None, None, object]) -> None:
        try:
            self.check_waits()
        except LimitExceeded:
            result.close()
            raise
        # Closed in any case: the connection may end before the task has begun, and nobody would ever await it.
        self.wait_for(self._reply(ref, result)).add_done_callback(lambda _: result.close())

    async def _reply(self, ref: int, result: Coroutine[None, None, object]) -> None:
        try:
            answer = await result
        except LiminalError as error:
            self.fail(ref, error)
        else:
            self.send(Reply(ref, msgspec.msgpack.encode(answer)))

    def fail(self, ref: int, error: LiminalError, count: int = 1) -> None:
        """Answer requests with an error."""
        name, fields = to_wire(error)
        self.send(Failure(ref, name, msgpack.packb(fields), count))

    # --- the end ---

    def crashed(self, error: Exception) -> None:
        """Something that the client sent met a defect of ours: this connection ends, and no other."""
        self._reason = error_reason(error)
        self._say_goodbye("internal", "the node met a defect, and logged it", ())

    def closed(self) -> None:
        """The connection is gone, and so is its process, with everything that was its own."""
        self._server.hub.processes.exit(self.pid, self._reason)

    def exited(self, reason: str) -> None:
        """Its process is over; what follows it is ended by that."""
        self.state = "closed"
        for task in self._waits:
            task.cancel()
        self._guests.close()
        self.wire.close(reason)
