"""The windowed publisher of a client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liminal_mesh.cluster import Envelope

from .client_sinks import CONFIRM, PublishKey, patience_ms
from .names import check_name
from .publisher import Publisher

if TYPE_CHECKING:
    from .client import Client

__all__ = ["ClientPublisher"]


class ClientPublisher(Publisher):
    """Publishes of a client with up to ``window`` of them in flight."""

    def __init__(self, client: Client, channel: str, window: int, ack: str | None, timeout_s: float) -> None:
        super().__init__(channel, window, client.ledger)
        self._client = client
        self._key: PublishKey = (check_name(channel), CONFIRM, ack or "", patience_ms(timeout_s))

    def _admit(self, envelope: Envelope) -> None:
        self._client.raise_if_closed()
        self._client.ledger.check_size(envelope)

    def _submit(self, envelopes: list[Envelope]) -> bool:
        self._client.queue(self._key, envelopes, self)
        return not self._client.ledger.crowded

    async def _wait_writable(self) -> None:
        await self._client.room()
