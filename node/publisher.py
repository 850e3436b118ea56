"""The windowed publisher: sends without waiting for each acknowledgement, up to a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from liminal_mesh.cluster import Envelope
from liminal_mesh.storage import LiminalError

from .batch import Batch, Holder
from .message import Message, encode_headers, give_parent
from .payload import encode_payload
from .reference import Reference
from .values import PublisherStatistics

__all__ = ["Publisher"]


class Publisher:
    """Publishes on one channel with up to ``window`` publishes in flight.

    ``send`` waits only at the window. A failure surfaces, typed, at the next ``send``, at ``flush``, or at the end of
    the ``async with`` block, which flushes; each failure surfaces once.
    """

    def __init__(self, channel: str, window: int, owner: Holder) -> None:
        if window < 1:
            raise ValueError(f"window={window}: at least one publish must be allowed in flight")
        self.channel = channel
        self._window = window
        self._in_flight = 0
        self._sent = 0
        self._acknowledged = 0
        self._undelivered = 0
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._low = 0
        self._batch = Batch(owner, self._hand_over, asyncio.get_running_loop().call_soon)

    # --- what node and client fill in ---

    def _admit(self, envelope: Envelope) -> None:
        """Refuse what can never be sent."""
        raise NotImplementedError

    def _submit(self, envelopes: list[Envelope]) -> None:
        """Hand over publishes, each of whose end is told once."""
        raise NotImplementedError

    def _crowded(self) -> bool:
        """Whether others should get a turn before the next batch, or there is no room for it now."""
        raise NotImplementedError

    async def _wait_writable(self) -> None:
        """Let others have their turn, and wait for room, when there is none."""
        raise NotImplementedError

    # --- the user's side ---

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.flush()
        else:
            self._batch.flush()

    async def send(
        self,
        payload: object,
        *,
        headers: Mapping[str, str] | None = None,
        parent: Message | Reference | None = None,
    ) -> None:
        """Publish; waits while the window is full.

        Raises:
            TypeError: the payload or a header cannot be encoded, or the parent is no message; nothing was sent.
            LiminalError: an earlier publish failed.
        """
        # Room is looked for once a batch: until it is handed over, nothing gets fuller by it.
        if self._in_flight >= self._window or self._failure is not None or (not self._batch.items and self._crowded()):
            await self._make_room()
        encoding, body = encode_payload(payload)
        envelope = Envelope(0, 0, 0, 0, encoding, body, encode_headers(headers) if headers else None)
        if parent is not None:
            give_parent(envelope, parent)
        self._admit(envelope)
        self._in_flight += 1
        self._sent += 1
        self._batch.add(envelope)

    async def flush(self) -> None:
        """Wait until nothing is in flight.

        Raises:
            LiminalError: a publish failed.
        """
        self._batch.flush()
        await self._below(1)

    @property
    def statistics(self) -> PublisherStatistics:
        """What was done so far."""
        return PublisherStatistics(self._sent, self._acknowledged, self._undelivered, self._in_flight)

    # --- the bus's side ---

    def acknowledged(self, count: int, undelivered: int) -> None:
        """``count`` publishes were acknowledged, ``undelivered`` of them taken by no subscriber."""
        self._acknowledged += count
        self._undelivered += undelivered
        self._leave(count)

    def failed(self, error: Exception, count: int) -> None:
        """``count`` publishes failed."""
        if self._failure is None:
            self._failure = error
        self._leave(count)

    def _hand_over(self, envelopes: list[Envelope]) -> None:
        try:
            self._submit(envelopes)
        except LiminalError as error:
            self.failed(error, len(envelopes))

    async def _make_room(self) -> None:
        self._batch.flush()
        await self._below(self._window)
        if self._crowded():
            await self._wait_writable()

    def _leave(self, count: int) -> None:
        self._in_flight -= count
        waiter = self._waiter
        if waiter is not None and not waiter.done() and (self._in_flight < self._low or self._failure is not None):
            waiter.set_result(None)

    async def _below(self, bound: int) -> None:
        """Wait until fewer than ``bound`` are in flight, or a failure is to be told."""
        # A full window is refilled in large steps: one wake-up for a quarter of it, not one for each publish.
        self._low = bound if bound == 1 else max(1, bound - bound // 4)
        while self._in_flight >= bound and self._failure is None:
            if self._waiter is not None:
                raise RuntimeError(f"two tasks use the publisher of {self.channel!r}: open one for each")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
