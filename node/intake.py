"""What a client publishes: handed to the exchange in the turn in which it arrives, and answered as it asked.

While a peer's lane is crowded nothing more is read from who publishes to it, so that the pressure reaches the
publisher's own lane; a peer that is too slow to wait for exerts none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from liminal_mesh.cluster import ClientOutcome, ClientPublish, Confirm, Envelope, ProtocolError
from liminal_mesh.storage import LiminalError

from .acks import check_ack
from .channel import Channel
from .errors import OutcomeUnknown
from .exchange import Exchange
from .hub import Hub
from .permission import PUBLISH_VERBS
from .route import Pending, missing_receipts
from .values import Pressure

if TYPE_CHECKING:
    from .connection import Connection

__all__ = ["Intake"]

_CONFIRM = 1
"""A publish's mode; the other one is to be answered with its outcome."""


class Intake:
    """The publishes of one connection.

    Args:
        connection: where they come from, and where the answers go.
        hub: the node's middle.
    """

    def __init__(self, connection: Connection, hub: Hub) -> None:
        self._connection = connection
        self._hub = hub
        self._number = connection.pid.number
        self._reading = True
        self._confirms: list[tuple[int, int, int]] = []

    def publish(self, frame: ClientPublish) -> None:
        """Take a batch."""
        exchange = self._hub.in_scope(frame.scope)
        done = 0
        try:
            self._hub.admit(self._connection.pid, PUBLISH_VERBS[frame.scope], frame.channel)
            self._check_sizes(frame.items)
            asked = check_ack(frame.channel, frame.ack)
            channel = self._resolve(exchange, frame.channel)
            receipts = (asked or channel.settings.ack) == "nodes"
            step = 1 if channel.rejecting else len(frame.items)
            while done < len(frame.items):
                self._publish_items(frame, frame.items[done : done + step], frame.ref + done, receipts)
                done += step
        except LiminalError as error:
            self._connection.fail(frame.ref + done, error, len(frame.items) - done)
            return
        if self._reading and channel.crowded:
            self._reading = False
            self._connection.wire.pause_reading()
            self._hub.room.then(self._resume)

    @staticmethod
    def _resolve(exchange: Exchange, name: str) -> Channel:
        try:
            return exchange.resolve(name)
        except ValueError as error:  # our own clients look at names before they send them
            raise ProtocolError(str(error)) from error

    def _check_sizes(self, items: list[Envelope]) -> None:
        """Refuse what would not fit into a frame once it is numbered: a peer would close the link over it."""
        small = self._hub.sizes.small_bytes
        for item in items:
            if item.options or len(item.body) > small:
                self._hub.sizes.check(item)

    def _resume(self) -> None:
        """Read again, since the lanes have room."""
        self._reading = True
        self._connection.wire.resume_reading()

    def _publish_items(self, frame: ClientPublish, items: list[Envelope], ref: int, receipts: bool) -> None:
        exchange = self._hub.in_scope(frame.scope)
        channel = exchange.resolve(frame.channel)
        if frame.mode == _CONFIRM and not (receipts and channel.routes):
            local = exchange.accept(channel, items, self._number)
            self.confirm(ref, len(items), 0 if local or channel.routes else len(items))
            return
        if frame.mode == _CONFIRM:
            pending = _Confirmed(self, self._connection, ref, len(items))
            self._publish_pending(exchange, channel, items, pending, frame.timeout_ms, receipts)
            return
        for index, item in enumerate(items):
            answered = _Answered(self, self._connection, ref + index)
            self._publish_pending(exchange, channel, [item], answered, frame.timeout_ms, receipts)

    def _publish_pending(
        self,
        exchange: Exchange,
        channel: Channel,
        items: list[Envelope],
        pending: _Confirmed,
        timeout_ms: int,
        receipts: bool,
    ) -> None:
        hub = self._hub
        if isinstance(pending, _Answered):
            pending.pressure = channel.pressure(items[0])
        exchange.accept(channel, items, self._number, pending, receipts)
        if pending.left:
            hub.expect(pending, timeout_ms / 1000)
        else:
            pending.finished()

    def confirm(self, ref: int, count: int, undelivered: int) -> None:
        """Confirm publishes; runs of them become one frame at the end of the turn."""
        confirms = self._confirms
        if confirms and confirms[-1][0] + confirms[-1][1] == ref:
            first, former, lost = confirms[-1]
            confirms[-1] = (first, former + count, lost + undelivered)
            return
        confirms.append((ref, count, undelivered))
        if len(confirms) == 1:
            self._hub.loop.call_soon(self.settle)

    def settle(self) -> None:
        """Send the confirmations that wait for the end of the turn."""
        confirms, self._confirms = self._confirms, []
        for ref, count, undelivered in confirms:
            self._connection.send(Confirm(ref, count, undelivered))


class _Confirmed(Pending):
    """Publishes of a client that are confirmed when their receipts are in."""

    __slots__ = ("_connection", "_intake", "_ref")

    def __init__(self, intake: Intake, connection: Connection, ref: int, count: int) -> None:
        super().__init__(count)
        self._intake = intake
        self._connection = connection
        self._ref = ref

    def finished(self) -> None:
        """Confirm them, or say that their outcome is unknown."""
        if "unknown" in self.nodes.values():
            self._connection.fail(self._ref, OutcomeUnknown(missing_receipts(self.nodes)), self.count)
        else:
            self._intake.confirm(self._ref, self.count, self.undelivered)


class _Answered(_Confirmed):
    """A publish of a client that is answered with its whole outcome."""

    __slots__ = ("pressure",)

    def __init__(self, intake: Intake, connection: Connection, ref: int) -> None:
        super().__init__(intake, connection, ref, 1)
        self.pressure = Pressure()

    def finished(self) -> None:
        """Answer it."""
        pressure = tuple(getattr(self.pressure, name) for name in self.pressure.__struct_fields__)
        outcome = ClientOutcome(self._ref, self.message_id, self.delivered, self.local, self.nodes, pressure)
        self._connection.send(outcome)
