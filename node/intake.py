"""What a client publishes: handed to the exchange in the turn in which it arrives, and answered as it asked.

While a peer's lane is crowded nothing more is read from who publishes to it, so that the pressure reaches the
publisher's own lane; a peer that is too slow to wait for exerts none.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from msgspec.structs import replace

from liminal_mesh.cluster import CHANNEL_SCOPE, ClientOutcome, ClientPublish, Confirm, Envelope, ProtocolError
from liminal_mesh.storage import LiminalError

from .acks import check_ack
from .backing import Backing
from .channel import Channel
from .deferred import Deferred
from .errors import DeadlineExceeded, OutcomeUnknown
from .exchange import Exchange
from .inbox import Budget
from .keyed import has_key
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
        budgets: what may wait on channels that are slowed, of this connection and of all.
    """

    def __init__(self, connection: Connection, hub: Backing, budgets: tuple[Budget, Budget]) -> None:
        self._connection = connection
        self._hub = hub
        self._number = connection.pid.number
        self._reading = True
        self._confirms: list[tuple[int, int, int]] = []
        self._budgets = budgets
        self._deferred: Deferred | None = None
        """What waits on channels that are slowed; None as long as nothing ever did."""

    def publish(self, frame: ClientPublish) -> None:
        """Take a batch."""
        exchange = self._hub.in_scope(frame.scope)
        try:
            self._hub.admit(self._connection.pid, PUBLISH_VERBS[frame.scope], frame.channel)
            special = self._check_sizes(frame.items)
            asked = check_ack(frame.channel, frame.ack)
            channel = self._resolve(exchange, frame.channel)
            if channel.slowed or (self._deferred is not None and self._deferred.has(channel)):
                self._defer(frame, channel)
                return
        except LiminalError as error:
            self._connection.fail(frame.ref, error, len(frame.items))
            return
        receipts = (asked or channel.settings.ack) == "nodes"
        keyed = special and frame.scope == CHANNEL_SCOPE and has_key(frame.items)
        # Each is answered by itself, unless all are confirmed alike.
        step = 1 if keyed or channel.choosy or frame.mode != _CONFIRM else len(frame.items)
        for start in range(0, len(frame.items), step):
            self._publish(frame, start, start + step, receipts, keyed)
        self._look_at_lanes(frame, channel)

    def close(self) -> None:
        """The connection is gone."""
        if self._deferred is not None:
            self._deferred.close()

    def _defer(self, frame: ClientPublish, channel: Channel) -> None:
        """Let publishes wait for their turn on a channel that is slowed."""
        if self._deferred is None:
            self._deferred = Deferred(self._go_on, self._budgets)
        waits_s = inf if frame.mode == _CONFIRM else frame.timeout_ms / 1000
        self._deferred.add(frame, channel, self._hub.loop.time() + waits_s)

    def _go_on(self, frame: ClientPublish, index: int, until: float) -> None:
        """Publish what has waited; nobody is there to hear of a defect, as there is when a frame comes."""
        try:
            self._publish_later(frame, index, until)
        except Exception as error:  # noqa: BLE001 - it costs this connection, and no other
            self._connection.crashed(error, frame=type(frame).__name__)

    def _publish_later(self, frame: ClientPublish, index: int, until: float) -> None:
        """Publish what has waited for its turn, if somebody still waits for it."""
        left_s = until - self._hub.loop.time()
        try:
            if left_s < 0:
                raise DeadlineExceeded("publish", node=self._connection.pid.node, sent=False)
            self._hub.admit(self._connection.pid, PUBLISH_VERBS[frame.scope], frame.channel)
            channel = self._hub.in_scope(frame.scope).resolve(frame.channel)
        except LiminalError as error:
            self._connection.fail(frame.ref + index, error)
            return
        receipts = (check_ack(frame.channel, frame.ack) or channel.settings.ack) == "nodes"
        if left_s < inf:  # receipts have what is left
            frame = replace(frame, timeout_ms=int(left_s * 1000))
        self._publish(frame, index, index + 1, receipts, frame.scope == CHANNEL_SCOPE)
        self._look_at_lanes(frame, channel)

    def _publish(self, frame: ClientPublish, start: int, stop: int, receipts: bool, keyed: bool) -> None:
        """Publish a part of a frame, and answer for it."""
        items, ref = frame.items[start:stop], frame.ref + start
        try:
            if keyed and has_key(items):
                self._publish_once(frame, items[0], ref)
            else:
                self._publish_items(frame, items, ref, receipts)
        except LiminalError as error:  # the refusal of these is none of the others'
            self._connection.fail(ref, error, len(items))

    @staticmethod
    def _resolve(exchange: Exchange, name: str) -> Channel:
        try:
            return exchange.resolve(name)
        except ValueError as error:  # our own clients look at names before they send them
            raise ProtocolError(str(error)) from error

    def _check_sizes(self, items: list[Envelope]) -> bool:
        """Refuse what would not fit into a frame once it is numbered: a peer would close the link over it.

        Returns whether any of them is large or has options.
        """
        small, special = self._hub.sizes.small_bytes, False
        for item in items:
            if item.options or len(item.body) > small:
                self._hub.check(item)
                special = True
        return special

    def _look_at_lanes(self, frame: ClientPublish, channel: Channel) -> None:
        """Read no more, while a lane is crowded that this client publishes into."""
        if self._reading and channel.crowded:
            self._reading = False
            self._connection.wire.pause_reading()
            self._hub.room.then(partial(self._resume, frame.scope, frame.channel))

    def _resume(self, scope: int, name: str) -> None:
        """Read again, if these lanes have room."""
        with suppress(LiminalError):  # whatever is refused is not waited for
            if self._connection.state == "open" and self._hub.in_scope(scope).resolve(name).crowded:
                self._hub.room.then(partial(self._resume, scope, name))
                return
        self._reading = True
        self._connection.wire.resume_reading()

    def _publish_once(self, frame: ClientPublish, item: Envelope, ref: int) -> None:
        exchange = self._hub.in_scope(frame.scope)
        channel = exchange.resolve(frame.channel)
        pending = self._pending(frame, channel, [item], ref)
        exchange.accept_once(channel, item, self._number, pending)
        self._await(pending, frame.timeout_ms)

    def _publish_items(self, frame: ClientPublish, items: list[Envelope], ref: int, receipts: bool) -> None:
        exchange = self._hub.in_scope(frame.scope)
        channel = exchange.resolve(frame.channel)
        if frame.mode == _CONFIRM and not channel.queues and not (receipts and channel.routes):
            local = exchange.accept(channel, items, self._number)
            self.confirm(ref, len(items), 0 if local or channel.routes else len(items))
            return
        pending = self._pending(frame, channel, items, ref)
        exchange.accept(channel, items, self._number, pending, receipts)
        self._await(pending, frame.timeout_ms)

    def _pending(self, frame: ClientPublish, channel: Channel, items: list[Envelope], ref: int) -> _Confirmed:
        """Return what hears of the end of one or more publishes, and answers as the client asked."""
        if frame.mode == _CONFIRM:
            return _Confirmed(self, self._connection, ref, len(items))
        return _Answered(self, self._connection, ref, channel.pressure(items[0]))

    def _await(self, pending: _Confirmed, timeout_ms: int) -> None:
        if pending.left:
            self._hub.expect(pending, timeout_ms / 1000)
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
        if self.failure is not None:
            self._connection.fail(self._ref, self.failure)
        elif self.keyed is None and "unknown" in self.nodes.values():
            self._connection.fail(self._ref, OutcomeUnknown(missing_receipts(self.nodes)), self.count)
        else:
            self._intake.confirm(self._ref, self.count, self.undelivered)


class _Answered(_Confirmed):
    """A publish of a client that is answered with its whole outcome."""

    __slots__ = ("pressure",)

    def __init__(self, intake: Intake, connection: Connection, ref: int, pressure: Pressure) -> None:
        super().__init__(intake, connection, ref, 1)
        self.pressure = pressure

    def finished(self) -> None:
        """Answer it."""
        if self.failure is not None:
            self._connection.fail(self._ref, self.failure)
            return
        pressure = tuple(getattr(self.pressure, name) for name in self.pressure.__struct_fields__)
        outcome = ClientOutcome(
            self._ref, self.message_id, self.delivered, self.local, self.nodes, pressure, self.duplicate
        )
        self._connection.send(outcome)
