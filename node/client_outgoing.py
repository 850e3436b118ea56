"""What a client publishes one by one: awaited, or without waiting for anything."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from liminal_mesh.cluster import ClientOutcome, Envelope

from .acks import check_ack
from .batch import BUSY_RETRY_S
from .client_sinks import OUTCOME, Call, Nowait, patience_ms
from .errors import Busy, DeadlineExceeded
from .message import Message, encode_headers, give_key, give_parent
from .names import check_name
from .payload import encode_payload
from .reference import Reference
from .values import Pressure, PublishOutcome

if TYPE_CHECKING:
    from .client_session import ClientSession

__all__ = ["Outgoing"]

CHANNELS: Final = 1024
"""On how many channels a client publishes without waiting before it forgets those where nothing is open."""


class Outgoing:
    """The single publishes of one client."""

    def __init__(self, client: ClientSession) -> None:
        self._client = client
        self._nowait: dict[str, Nowait] = {}
        self._tidy_at = CHANNELS
        """With so many of them it is looked for those that can be forgotten."""

    async def publish(
        self,
        scope: int,
        name: str,
        payload: object,
        headers: Mapping[str, str] | None,
        parent: Message | Reference | None,
        ack: str | None,
        timeout_s: float,
        key: str | None = None,
    ) -> PublishOutcome:
        """Publish on a channel, or to a group of another scope, and return how it fared; see :meth:`.Bus.publish`."""
        client = self._client
        client.raise_if_closed()
        call = Call("publish")
        batch = (scope, name, OUTCOME, check_ack(name, ack), patience_ms(timeout_s))
        envelope = self._envelope(payload, headers, parent, key)
        if not await client.connected(timeout_s):
            raise DeadlineExceeded("connect", node=client.where, sent=False)
        client.queue(batch, [envelope], call)
        frame = await client.requests.answer(call, timeout_s)
        assert isinstance(frame, ClientOutcome)
        nodes, pressure = MappingProxyType(frame.nodes), Pressure(*frame.pressure)
        return PublishOutcome(frame.message_id, frame.delivered, frame.local, frame.duplicate, None, nodes, pressure)

    def nowait(
        self,
        channel: str,
        payload: object,
        headers: Mapping[str, str] | None,
        parent: Message | Reference | None,
    ) -> None:
        """Publish without waiting; see :meth:`.Bus.publish_nowait`."""
        client = self._client
        client.raise_if_closed()
        sink = self._nowait.get(channel)
        if sink is None:
            sink = self._remember(Nowait(check_name(channel), client.ledger, client.queue), channel)
        sink.raise_refusal()
        # Looked at once a batch: until it is handed over, the lane does not get fuller.
        if not sink.batch.items and client.ledger.crowded:
            raise Busy(BUSY_RETRY_S, "the lane to the node")
        sink.batch.add(self._envelope(payload, headers, parent))

    async def writable(self, channel: str) -> None:
        """Wait until :meth:`nowait` has room; see :meth:`.Bus.writable`."""
        self._client.raise_if_closed()
        sink = self._nowait.get(channel)
        await self._client.room()
        self._client.raise_if_closed()
        if sink is not None:
            sink.raise_refusal()

    def _remember(self, sink: Nowait, channel: str) -> Nowait:
        """Keep it for the next publish on its channel; now and then those that nobody needs are forgotten."""
        if len(self._nowait) >= self._tidy_at:
            self._nowait = {name: one for name, one in self._nowait.items() if not one.idle}
            self._tidy_at = 2 * len(self._nowait) + CHANNELS
        self._nowait[channel] = sink
        return sink

    def _envelope(
        self,
        payload: object,
        headers: Mapping[str, str] | None,
        parent: Message | Reference | None,
        key: str | None = None,
    ) -> Envelope:
        encoding, body = encode_payload(payload)
        envelope = Envelope(0, 0, 0, 0, encoding, body, encode_headers(headers) if headers else None)
        if parent is not None:
            give_parent(envelope, parent)
        if key is not None:
            give_key(envelope, key)
        self._client.ledger.check_size(envelope)
        return envelope
