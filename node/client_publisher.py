"""The windowed publisher of a client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from liminal_mesh.cluster import CHANNEL_SCOPE, Envelope

from .acks import check_ack, check_timeout
from .batch import BUSY_RETRY_S
from .client_sinks import CONFIRM, PublishKey, patience_ms
from .errors import Busy, OutcomeUnknown
from .names import check_name
from .publisher import Publisher

if TYPE_CHECKING:
    from .client_session import ClientSession

__all__ = ["ClientPublisher"]

GRACE_S: Final = 2.0
"""How much longer than the node we wait for its answers."""


class ClientPublisher(Publisher):
    """Publishes of a client with up to ``window`` of them in flight."""

    def __init__(self, client: ClientSession, channel: str, window: int, ack: str | None, timeout_s: float) -> None:
        super().__init__(channel, window, client.ledger)
        self._client = client
        self._patience_s = check_timeout(timeout_s) + GRACE_S
        self._key: PublishKey = (
            CHANNEL_SCOPE,
            check_name(channel),
            CONFIRM,
            check_ack(channel, ack),
            patience_ms(timeout_s),
        )

    def _admit(self, envelope: Envelope) -> None:
        self._client.raise_if_closed()
        self._client.ledger.check_size(envelope)

    def _crowded(self) -> bool:
        return self._client.ledger.crowded

    def _submit(self, envelopes: list[Envelope]) -> None:
        self._client.queue(self._key, envelopes, self)

    async def _wait_writable(self) -> None:
        while self._crowded():  # others that waited may have taken the room
            if not await self._client.room(self._patience_s):
                raise Busy(BUSY_RETRY_S, "the lane to the node")

    async def _below(self, bound: int) -> None:
        """Wait only while answers come: without a connection there are none, and there may never be one again."""
        while True:
            before = self._in_flight
            try:
                async with asyncio.timeout(self._patience_s):
                    return await super()._below(bound)
            except TimeoutError:
                if self._in_flight >= before:
                    raise OutcomeUnknown(f"no answer from the node within {self._patience_s:g} s") from None
