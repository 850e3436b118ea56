"""Who hears of the end of what a client asked of its node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from liminal_mesh.cluster import CHANNEL_SCOPE, ClientFrame, Encoding, Envelope, ProtocolError, Subscribed
from liminal_mesh.storage import LiminalError

from .acks import check_timeout
from .batch import Batch, Holder
from .error_wire import from_wire
from .payload import decode_payload
from .waits import FOREVER_S

if TYPE_CHECKING:
    from .feed_table import FeedHolder

__all__ = [
    "CONFIRM",
    "OUTCOME",
    "Answered",
    "Call",
    "Nowait",
    "Opening",
    "PublishKey",
    "Resubscription",
    "Sink",
    "error_of",
    "patience_ms",
]

CONFIRM: Final = 1
"""The mode of a publish that is confirmed."""

OUTCOME: Final = 2
"""The mode of a publish that is answered with its outcome."""

PublishKey = tuple[int, str, int, str, int]
"""Scope, channel or group, mode, acknowledgement, patience in milliseconds: what one batch frame has in common."""


class Sink(Protocol):
    """Hears of the end of a publish or a request."""

    def acknowledged(self, count: int, undelivered: int) -> None:
        """``count`` publishes were confirmed, ``undelivered`` of them taken by no subscriber."""

    def failed(self, error: Exception, count: int) -> None:
        """They were refused, failed, or their outcome is unknown."""


Queue = Callable[[PublishKey, list[Envelope], Sink], None]
"""Queues publishes whose end a sink hears of."""


class Answered:
    """Hears of the end of what is answered with a frame."""

    def acknowledged(self, count: int, undelivered: int) -> None:
        """Never comes: an answer does."""

    def failed(self, error: Exception, count: int) -> None:
        """It was refused, failed, or its outcome is unknown."""
        raise NotImplementedError

    def answer(self, frame: ClientFrame) -> None:
        """It was answered."""
        raise NotImplementedError


class Call(Answered):
    """Something that is awaited; ``phase`` says what."""

    def __init__(self, phase: str) -> None:
        self.future: asyncio.Future[ClientFrame] = asyncio.get_running_loop().create_future()
        self.phase = phase

    def failed(self, error: Exception, count: int) -> None:
        """Raise the error in who waits."""
        if not self.future.done():
            self.future.set_exception(error)

    def answer(self, frame: ClientFrame) -> None:
        """Return the answer to who waits."""
        if not self.future.done():
            self.future.set_result(frame)


class Opening(Call):
    """A feed that is opened for the first time: it stands before anything else that the node sent is looked at."""

    def __init__(self, phase: str, holder: FeedHolder) -> None:
        super().__init__(phase)
        self._holder = holder

    def answer(self, frame: ClientFrame) -> None:
        """It stands, unless who asked has given up meanwhile."""
        assert isinstance(frame, Subscribed)
        if not self.future.done():
            self._holder.stands(frame)
        super().answer(frame)


class Resubscription(Answered):
    """Something that comes back on a new connection."""

    def __init__(self, holder: FeedHolder) -> None:
        self._holder = holder

    def failed(self, error: Exception, count: int) -> None:
        """The node refuses it: whoever iterates is told. A lost connection makes another attempt, and is no refusal."""
        self._holder.refused(error)

    def answer(self, frame: ClientFrame) -> None:
        """It stands again."""
        assert isinstance(frame, Subscribed)
        self._holder.stands(frame)


class Nowait:
    """The publishes without an answer, of one channel: what was refused waits for the next call."""

    def __init__(self, channel: str, owner: Holder, queue: Queue) -> None:
        self.batch = Batch(owner, self._submit, asyncio.get_running_loop().call_soon)
        self.refused = 0
        self._unanswered = 0
        self._key: PublishKey = (CHANNEL_SCOPE, channel, CONFIRM, "accepted", 0)
        self._queue = queue
        self._error: Exception | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is known here that anybody still has to hear."""
        return not (self.batch.items or self._unanswered or self._error)

    def acknowledged(self, count: int, undelivered: int) -> None:
        """They were accepted."""
        self._unanswered -= count

    def failed(self, error: Exception, count: int) -> None:
        """They were not, or nobody knows."""
        self._unanswered -= count
        self._error = error
        self.refused += count

    def raise_refusal(self) -> None:
        """Raise what was refused since the last time."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _submit(self, envelopes: list[Envelope]) -> None:
        self._unanswered += len(envelopes)
        try:
            self._queue(self._key, envelopes, self)
        except LiminalError as error:
            self.failed(error, len(envelopes))


def error_of(name: str, fields: bytes) -> LiminalError:
    """Return the error that a node tells of.

    Raises:
        ProtocolError: its fields are no map.
    """
    decoded = decode_payload(Encoding.MSGPACK, fields)
    if not isinstance(decoded, dict):
        raise ProtocolError(f"the fields of {name} are no map")
    return from_wire(name, decoded)


def patience_ms(timeout_s: float) -> int:
    """Return a timeout as it travels; one that has passed already is none, since a frame holds nothing below zero.

    Raises:
        TypeError: it is no number.
    """
    return max(0, int(min(check_timeout(timeout_s), FOREVER_S) * 1000))
