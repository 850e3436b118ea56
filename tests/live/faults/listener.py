"""A recorded subscription: each item is written down as it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from liminal_mesh import LiminalError
from liminal_mesh.node.bus import Wait
from liminal_mesh.node.client import Client
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.subscription import Subscription
from tests.history import events
from tests.history.payloads import digest, read
from tests.history.recorder import Recorder
from tests.history.records import Key
from tests.history.versions import CONTENT

from .placing import Place

__all__ = ["CAUSAL_S", "Listener"]

CAUSAL_S = 1.0
"""How long messages wait for their parents, by the configuration of the nodes."""


class Listener:
    """One subscription of a recorded process.

    Args:
        bus: where.
        recorder: what is seen.
        number: of the subscription, in its process.
        pattern: what it covers.
        group: with whose other members it shares that, if with any.
        wait: for what it waits before it stands.
        where: what its predicate wants, if it has one, as in the history.
        schemas: the versions that it takes, if it takes only some.
        causal: whether messages come after their parents.

    Attributes:
        pause: seconds between two items.
        heard: is given each message that is handed out.
    """

    def __init__(
        self,
        bus: Node | Client,
        recorder: Recorder,
        number: int,
        pattern: str,
        group: str = "",
        wait: Wait | None = None,
        where: tuple[int, int] | None = None,
        schemas: Sequence[str] = (),
        causal: bool = False,
    ) -> None:
        self.pattern = pattern
        self.group = group
        self._wait: Wait | None = wait
        self._where = where
        self._schemas = schemas
        self._causal = causal
        self.pause = 0.0
        self.heard: Callable[[Message], None] = lambda message: None
        self._bus = bus
        self._recorder = recorder
        self._place = Place(bus, recorder)
        self._number = number
        self._subscription: Subscription | None = None
        self._task: asyncio.Task[None] | None = None
        self._left = False
        self._got: set[Key] = set()
        self._arrived = asyncio.Event()

    async def open(self, max_in_flight: int = 256, pause: float = 0.0) -> None:
        """Subscribe, and read from now on."""
        self.pause = pause
        self._recorder.write(
            events.Subscribe(
                **self._at(), type="invoke", pattern=self.pattern, wait=self._wait or "", group=self.group,
                where=self._where, schemas=list(self._schemas), causal_s=CAUSAL_S if self._causal else 0.0,
            )
        )  # fmt: skip
        subscription = self._bus.subscribe(
            self.pattern,
            group=self.group or None,
            where=None if self._where is None else self._wants,
            max_in_flight=max_in_flight,
            causal=self._causal,
            schemas=self._schemas,
            wait=self._wait,
        )
        try:
            self._subscription = await subscription.__aenter__()
        except LiminalError as error:
            self._left = True
            self._recorder.write(events.Subscribe(**self._at(), type="fail", error=_text(error)))
            return
        version = subscription.schema or ""
        self._recorder.write(events.Subscribe(**self._at(), type="ok", wait=self._wait or "", version=version))
        self._task = asyncio.create_task(self._read(subscription))

    async def leave(self) -> None:
        """Unsubscribe, and read what waits."""
        if self._left:
            return
        assert self._subscription is not None
        assert self._task is not None
        self._left, self.pause = True, 0.0
        self._recorder.write(events.Unsubscribe(**self._at(), type="invoke"))
        await self._subscription.__aexit__(None, None, None)
        await self._task
        # What its own node has accepted is in the inbox of an embedded subscription; a client's may be on its way.
        drained = isinstance(self._bus, Node)
        self._recorder.write(events.Unsubscribe(**self._at(), type="ok", drained=drained))

    async def finish(self) -> None:
        """Read what waits, until the end that its bus has put to it."""
        self.pause = 0.0
        if self._task is not None:
            await self._task

    async def settle(self, wanted: set[Key], timeout: float) -> list[Key]:
        """Wait for the last messages; return those that did not come."""
        if self._left:
            return []
        self._recorder.write(events.Settle(**self._at(), type="invoke"))
        try:
            async with asyncio.timeout(timeout):
                while not wanted <= self._got:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            missing = sorted(wanted - self._got)
            self._recorder.write(events.Settle(**self._at(), type="info", missing=missing))
            return missing
        self._recorder.write(events.Settle(**self._at(), type="ok"))
        return []

    async def _read(self, subscription: Subscription) -> None:
        try:
            async for item in subscription:
                if isinstance(item, Message):
                    self._message(item)
                    self.heard(item)
                else:
                    self._recorder.write(
                        events.Gap(
                            **self._at(), channel=item.channel, origin=item.origin, origin_epoch=item.epoch,
                            first=item.first, last=item.last, count=item.count, reason=item.reason,
                        )
                    )  # fmt: skip
                if self.pause:
                    await asyncio.sleep(self.pause)
        except LiminalError as error:
            self._left = True
            self._recorder.write(events.Unsubscribe(**self._at(), type="info", error=_text(error)))
            return
        if not self._left:  # its bus has come to its end
            self._left = True
            self._recorder.write(events.Unsubscribe(**self._at(), type="ok", drained=isinstance(self._bus, Node)))

    def _wants(self, message: Message) -> bool:
        """The predicate: what it does not want is written down here, and what it wants when it is handed out."""
        assert self._where is not None
        every, wanted = self._where
        rest = read(_contents(message)[0])[1] % every
        if rest != wanted:
            self._message(message, wanted=False)
        if rest == 0:
            raise ValueError("the predicate of a recorded subscription fails, as it should")
        return rest == wanted

    def _message(self, message: Message, *, wanted: bool = True) -> None:
        content, fields = _contents(message)
        client, n, nonce = read(content)
        cause = message.causal
        self._recorder.write(
            events.Deliver(
                **self._at(), channel=message.channel, origin=message.origin, origin_epoch=message.epoch,
                sequence=message.sequence, message=message.id, publisher=message.publisher.number,
                client=client, n=n, nonce=nonce, hash=digest(content), wanted=wanted,
                fields=fields, version=message.schema or "",
                cause=None if cause is None else (cause.channel, cause.origin, cause.epoch, cause.id),
                orphaned=message.orphaned,
            )
        )  # fmt: skip
        self._got.add((client, n))
        self._arrived.set()

    def _at(self) -> dict[str, Any]:
        return {**self._place.at(), "id": self._number}


def _contents(message: Message) -> tuple[bytes, dict[str, Any] | None]:
    """Return the content of a message, and what else its payload holds."""
    if message.schema is None:
        return message.body, None
    value = message.payload
    return value[CONTENT].encode(), {name: one for name, one in value.items() if name != CONTENT}


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]
