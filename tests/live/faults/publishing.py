"""A recorded publisher: each publish has a content of its own, and its end is written down as far as it is known."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, Final

from msgspec.structs import astuple, replace

from liminal_mesh import LiminalError, Refused
from liminal_mesh.node.bus import Ack
from liminal_mesh.node.client import Client
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.pressure import PRIORITY_HEADER
from tests.history.events import Publish, Type
from tests.history.payloads import digest, nonce, payload, read
from tests.history.recorder import Recorder

from .placing import Place
from .pressed import priority_of
from .shapes import TYPED, shaped

__all__ = ["FAILURES", "PublishingClient", "how"]

FAILURES: Final = (LiminalError, RuntimeError)
"""What a publish may raise; see ``how``."""

NEVER: Final = 1 << 40
"""A number that no stream comes to."""


def how(error: Exception) -> Type:
    """Return how an operation ended that raised this: it certainly was not done, or nobody knows.

    Raises:
        RuntimeError: it was that, and not since the node has left.
    """
    if isinstance(error, RuntimeError):
        if "is not running" not in str(error):
            raise error
        return "fail"
    return "fail" if isinstance(error, Refused) else "info"


class PublishingClient:
    """Publishes on one channel; its own calls follow one another, so that their order is a promise.

    Args:
        bus: where.
        recorder: what is done.
        name: no other client of the history has it.
        channel: on what.
    """

    def __init__(self, bus: Node | Client, recorder: Recorder, name: str, channel: str) -> None:
        self._bus = bus
        self._recorder = recorder
        self._place = Place(bus, recorder)
        self._name = name
        self._channel = channel
        self._n = 0

    async def one(self) -> None:
        """Publish one message, which must succeed."""
        body = self._begin()
        await self._bus.publish(self._channel, body, headers=self._headers())
        self._end("ok", self._n)

    async def awaited(self, halted: asyncio.Event, pace: float, burst: int = 1, rounds: int = 0) -> None:
        """Publish and await, one after the other; every fourth with the receipts of all nodes."""
        for _ in _rounds(halted, rounds):
            for number in range(burst):
                ack: Ack = "accepted" if number % 4 else "nodes"
                body = self._begin(ack=ack)
                asked: dict[str, Any] = {"ack": ack, "headers": self._headers()}
                try:
                    outcome = await self._bus.publish(self._channel, body, **asked, timeout=2.0)
                except FAILURES as error:
                    self._end(how(error), self._n, error=error)
                else:
                    self._end("ok", self._n, nodes=dict(outcome.nodes), pressure=astuple(outcome.pressure))
            await asyncio.sleep(pace)

    async def unawaited(self, halted: asyncio.Event, pace: float, burst: int = 8, rounds: int = 0) -> None:
        """Publish without waiting. A node has accepted all of a turn when the turn is over; a client never hears."""
        for _ in _rounds(halted, rounds):
            taken = []
            for _ in range(burst):
                body = self._begin()
                try:
                    self._bus.publish_nowait(self._channel, body, headers=self._headers())
                except FAILURES as error:  # a client's may be about an earlier one: this one was not sent
                    how(error)
                    self._end("fail", self._n, error=error, earlier=isinstance(self._bus, Client))
                else:
                    taken.append(self._n)
            await asyncio.sleep(0)
            for n in taken:
                self._end("ok" if isinstance(self._bus, Node) else "info", n)
            await asyncio.sleep(pace)

    async def windowed(self, halted: asyncio.Event, pace: float, burst: int = 8, rounds: int = 0) -> None:
        """Publish through a window, and flush after each burst: all of it is acknowledged, or unknown."""
        publisher = self._bus.publisher(self._channel, window=64, timeout=2.0)
        for _ in _rounds(halted, rounds):
            first, sent, failure = self._n + 1, self._n, None
            for _ in range(burst):
                body = self._begin()
                try:
                    await publisher.send(body, headers=self._headers())
                    sent = self._n
                except FAILURES as error:  # of an earlier one: this one was not sent
                    self._end("fail", self._n, error=error, earlier=True)
                    failure = error
                    break
            try:
                await publisher.flush()
            except FAILURES as error:
                failure = error
            if sent >= first:
                self._end("info" if failure else "ok", first, sent - first + 1, error=failure)
            await asyncio.sleep(pace)

    async def answered(self, heard: asyncio.Queue[Message | None]) -> None:
        """Publish an answer to each message that was heard, which names it as its parent, until there is none.

        Every tenth names one that will never be published.
        """
        while (message := await heard.get()) is not None:
            parent, content = message.reference, read(message.body)[:2]
            if self._n % 10 == 0:
                parent = replace(parent, id=1, sequence=NEVER)
                content = ("nobody", 1)
            body = self._begin(
                ack="accepted", parent=content, cause=(parent.channel, parent.origin, parent.epoch, parent.id)
            )
            try:
                await self._bus.publish(self._channel, body, parent=parent, timeout=2.0)
            except FAILURES as error:
                self._end(how(error), self._n, error=error)
            else:
                self._end("ok", self._n)

    def _begin(self, **more: Any) -> object:
        """Make the next content; return what is to be published."""
        self._n += 1
        unique = nonce()
        content = payload(self._name, self._n, unique)
        body, fields = shaped(self._n, content) if self._channel == TYPED else (content, None)
        made: dict[str, Any] = {"nonce": unique, "hash": digest(content), "fields": fields, **more}
        where: dict[str, Any] = {"channel": self._channel, "priority": priority_of(self._channel, self._n)}
        self._recorder.write(Publish(**self._at(), id=self._n, type="invoke", **where, **made))
        return body

    def _headers(self) -> dict[str, str]:
        """Return the headers of the publish that was begun."""
        priority = priority_of(self._channel, self._n)
        return {} if priority is None else {PRIORITY_HEADER: str(priority)}

    def _end(
        self, kind: Type, n: int, count: int = 1, error: Exception | None = None, *, earlier: bool = False, **told: Any
    ) -> None:
        text = "" if error is None else f"{'earlier: ' * earlier}{type(error).__name__}: {error}"[:200]
        self._recorder.write(Publish(**self._at(), id=n, type=kind, count=count, error=text, **told))

    def _at(self) -> dict[str, Any]:
        return {**self._place.at(), "client": self._name, "session": self._place.session}


def _rounds(halted: asyncio.Event, rounds: int) -> Iterator[int]:
    """Count until halted, or up to ``rounds`` if that is above 0."""
    number = 0
    while not halted.is_set() and (not rounds or number < rounds):
        yield number
        number += 1
