"""One client of this node: its requests, its subscriptions, and what is written to it.

A frame is checked against the table of frames before it is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgpack

from liminal_mesh.cluster import (
    CHANNEL_SCOPE,
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
    Request,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Wire,
)
from liminal_mesh.storage import LiminalError

from .deliveries import Deliveries, Delivery
from .errands import Errands
from .error_wire import to_wire
from .errors import LimitExceeded, NoProcess
from .guests import Guests
from .heirs import hand_down
from .inbox import Budget
from .intake import Intake
from .interests import wait_s
from .names import check_name
from .processes import NORMAL, SHUTDOWN
from .reasons import clean_reason, error_reason
from .values import ClientConnection

if TYPE_CHECKING:
    from .server import Server

__all__ = ["Connection"]


class Connection:
    """A client's connection.

    Args:
        server: owns it.
        wire: what it arrived on.
        since: when it arrived, in seconds since 1970.
        now: the same moment by the loop's clock.
    """

    def __init__(self, server: Server, wire: Wire, since: float, now: float) -> None:
        self.pid = server.bus.processes.spawn("connection", self.exited, traps=True)
        self.client = ""
        self.since = since
        self.state = "connect"
        self.heard_at = now
        self.wire = wire
        self.leaving = False
        """Whether the client was told that the node leaves, and may still leave by itself."""
        self._server = server
        self._bus = server.bus
        self._over = False
        """Whether it has ended, or is about to."""
        self.deliveries = Deliveries(server.limits.inbox_bytes_connection, wire.wake, server.bus.shared.statistics)
        slowed = Budget(server.limits.slowed_bytes_connection), server.slowed
        self._intake = Intake(self, server.bus, slowed)
        self._guests = Guests(self, server.bus, server.limits)
        limits = server.limits
        ask, waits_max = partial(server.answer, self.pid), limits.waits_per_connection
        self.errands = Errands(ask, self.send, self.fail, self.crashed, waits_max)

    @property
    def blocked_since(self) -> float | None:
        """Since when it has not taken what is written to it; None while it does."""
        return self.wire.blocked_since

    def view(self) -> ClientConnection:
        """Return what there is to know of it."""
        wire, guests = self.wire, self._guests
        who = self.pid, self.client, wire.peer_address, self.since, self.state
        has = len(self.deliveries.held) - guests.mailboxes, *guests.counts()
        return ClientConnection(*who, *has, wire.queued_bytes, wire.bytes_in, wire.bytes_out)

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
                self.errands.request(frame)
            case KeepAlive():
                self.send(KeepAliveReply(frame.id))
            case Connect():
                self._connect(frame)
            case Disconnect():
                self._intake.settle()
                self.end(NORMAL)
            case ClientFrame():
                self._guests.frame(frame)

    def send(self, frame: ClientFrame) -> None:
        """Send a control frame; nothing follows the last word."""
        if not self._over:
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
                {
                    "max_frame": limits.max_frame,
                    "causal_wait_ms": round(limits.causal_wait * 1000),
                    "causal_messages": limits.causal_messages,
                    "causal_bytes": limits.causal_bytes,
                },
            )
        )

    # --- subscriptions ---

    def _subscribe(self, frame: Subscribe) -> None:
        try:
            self._open_subscription(frame)
        except LiminalError as error:
            self.fail(frame.ref, error)

    def _open_subscription(self, frame: Subscribe) -> None:
        bus = self._bus
        if frame.wait == "cluster":
            self.errands.check()
        delivery = self.new_delivery(frame.subscription)
        bus.admit(self.pid, "subscribe", frame.channel)
        try:
            inbox = bus.interests.make_inbox(frame.channel, frame.max_in_flight, self.deliveries.budget)
            group = frame.group and check_name(frame.group, "group")
        except ValueError as error:  # our own clients look at patterns before they send them
            raise ProtocolError(str(error)) from error
        schema = bus.interests.select_version(frame.channel, frame.schemas)
        self.deliveries.add(delivery, inbox)
        exited = partial(self.process_ended, delivery)
        try:
            subscriber = bus.interests.subscribe(frame.channel, inbox, delivery, exited, self.pid, group, frame.schemas)
        except LiminalError:
            self.deliveries.remove(delivery)
            raise
        delivery.pid, delivery.group = subscriber.pid, group
        stands = Subscribed(frame.ref, frame.subscription, delivery.pid.number, schema or "")
        if frame.wait == "cluster":
            self.errands.run(self._barrier(frame, delivery, stands))
        else:
            self.send(stands)

    async def _barrier(self, frame: Subscribe, delivery: Delivery, stands: Subscribed) -> None:
        assert delivery.pid is not None
        try:
            patience = wait_s(frame.timeout_ms / 1000)
            await self._bus.interests.barrier("subscribe", frame.channel, patience, group=frame.group)
        except LiminalError as error:
            delivery.told = True
            self._bus.processes.exit(delivery.pid, NORMAL)
            self.fail(frame.ref, error)
        else:
            self.send(stands)

    def _unsubscribe(self, frame: Unsubscribe) -> None:
        delivery = self.deliveries.held.get(frame.subscription)
        if self._guests.own(frame.subscription):
            raise ProtocolError("the connection's own mailbox ends with the connection")
        if delivery is None or delivery.pid is None or self._bus.processes.exit(delivery.pid, NORMAL):
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

    def process_ended(self, delivery: Delivery, pid: Pid, reason: str, parting: LiminalError | None = None) -> None:
        """The process of a delivery is over, whatever ended it: the client is told, if it is there.

        If the bus or another's end has ended it, that is after what waits for the client.
        """
        if self.state == "open" and not delivery.told and reason not in {NORMAL, SHUTDOWN}:
            name, fields = to_wire(parting or NoProcess(str(pid), reason))
            delivery.farewell = CLIENT_CODEC.encode(Ended(delivery.number, name, msgpack.packb(fields)))
            delivery.ready()
            return
        self.deliveries.remove(delivery)
        if delivery.group and delivery.inbox is not None:
            hand_down(self._bus.shared, self._bus.in_scope(CHANNEL_SCOPE), delivery.group, delivery.inbox)
        if self.state == "open" and not delivery.told:
            self.send(Ended(delivery.number))

    def _overflowed(self, delivery: Delivery) -> None:
        assert delivery.pid is not None
        self._server.loop.call_soon(self._bus.processes.exit, delivery.pid, NORMAL)

    def fail(self, ref: int, error: LiminalError, count: int = 1) -> None:
        """Answer requests with an error."""
        name, fields = to_wire(error)
        self.send(Failure(ref, name, msgpack.packb(fields), count))

    # --- the end ---

    def refuse(self, code: str, reason: str) -> None:
        """Cut the client off, with a reason that it gets and that is counted."""
        if not self._over:
            self._server.refused(code, self, reason)
            self.close(code, reason, f"error: {code}: {reason}")

    def crashed(self, error: Exception, **facts: object) -> None:
        """Something that the client asked for met a defect of ours: this connection ends, and no other."""
        self._bus.events.broke("connection_crashed", error, pid=str(self.pid), **facts)
        self.close("internal", "the node met a defect, and logged it", error_reason(error))

    def close(self, code: str, reason: str, exit_reason: str, others: Sequence[str] = ()) -> None:
        """End the connection with one last word, behind the answers to all that was accepted.

        Args:
            code: why, in a word.
            reason: why, in a sentence.
            exit_reason: of its process.
            others: addresses of other nodes that the client may go to.
        """
        self._say(code, reason, others)
        self.end(exit_reason)

    def take_leave(self, reason: str, others: Sequence[str]) -> None:
        """Tell the client that the node leaves, once it has all that waits for it now; then it may go by itself.

        Until it does, it is here as before, and what it has asked is answered.
        """
        self.wire.when_written(self.deliveries.mark(), partial(self._take_leave, reason, others))

    def _take_leave(self, reason: str, others: Sequence[str]) -> None:
        if not (self._over or self.leaving):
            self._say("draining", reason, others)
            self.leaving = True
            self._server.told(self)

    def _say(self, code: str, reason: str, others: Sequence[str]) -> None:
        """Say the last word, unless it was said."""
        self._intake.settle()
        if not self.leaving:
            self.send(Disconnect(code, clean_reason(reason), list(others)))

    def end(self, reason: str) -> None:
        """End its process, and everything that was its own, for this reason; what was sent is still written."""
        self._over = True
        self._bus.processes.exit(self.pid, SHUTDOWN if self.leaving else reason)

    def exited(self, reason: str) -> None:
        """Its process is over; what follows it is ended by that."""
        self._over, self.state = True, "closed"
        self.errands.close()
        self._guests.close()
        self._intake.close()
        self._server.left(self)
        self.wire.close(reason)
