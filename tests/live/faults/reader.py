"""A subscriber that keeps books: each number of each origin comes once and in order, or was told as lost before."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from liminal_mesh.node.message import Message
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.node.values import Gap

__all__ = ["Reader"]


class Reader:
    """Reads a subscription, and counts.

    Args:
        subscription: an open one.
        whole: it was there before anything was published, so that each origin is counted from its first number.
    """

    def __init__(self, subscription: Subscription, *, whole: bool = True) -> None:
        self.subscription = subscription
        self.delivered = 0
        self.missed = 0
        self.reasons: dict[str, int] = defaultdict(int)
        self.problems: list[str] = []
        self.epochs: list[tuple[str, int]] = []
        """Runs of origins, in the order in which they were first heard of."""
        self.last_payload: object = None
        self._whole = whole
        self._last: dict[tuple[str, str], int] = {}
        self._pending: dict[tuple[str, str], int] = defaultdict(int)
        self._gate = asyncio.Event()
        self._gate.set()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.error: Exception | None = None

    def start(self) -> Reader:
        """Read from now on, in a task."""
        self._task = asyncio.create_task(self._read())
        return self

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def hold(self) -> None:
        """Take nothing for now."""
        self._gate.clear()

    def release(self) -> None:
        """Take again."""
        self._gate.set()

    @property
    def total(self) -> int:
        """All that was delivered or told as lost."""
        return self.delivered + self.missed

    async def until(self, total: int, timeout: float = 20.0) -> None:
        """Wait until so many were delivered or told as lost."""
        try:
            async with asyncio.timeout(timeout):
                while self.total < total and self.error is None:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"{self.books()}, where {total} were expected") from None
        if self.error is not None:
            raise self.error

    def check(self, published: int) -> None:
        """Assert that the books balance."""
        assert not self.problems, self.problems[:5]
        assert self.total == published, self.books()

    def books(self) -> dict[str, object]:
        """Return the counts, as JSON."""
        return {
            "delivered": self.delivered,
            "missed": self.missed,
            "reasons": dict(self.reasons),
            "problems": self.problems[:5],
            "epochs": self.epochs,
            "last": list(self._last.values()),
            "error": None if self.error is None else type(self.error).__name__,
        }

    async def _read(self) -> None:
        try:
            await self._gate.wait()
            async for item in self.subscription:
                if isinstance(item, Gap):
                    self._gap(item)
                else:
                    self._message(item)
                self._arrived.set()
                if not self._gate.is_set():
                    await self._gate.wait()
        except Exception as error:  # for who waits
            self.error = error
        finally:
            self._arrived.set()

    def _gap(self, gap: Gap) -> None:
        self.missed += gap.count
        self.reasons[gap.reason] += gap.count
        self._pending[gap.channel, gap.origin] += gap.count
        if not 0 < gap.count <= gap.last - gap.first + 1:
            self.problems.append(f"a gap that makes no sense: {gap}")

    def _message(self, message: Message) -> None:
        self.delivered += 1
        self.last_payload = message.payload
        stream, run = (message.channel, message.origin), (message.origin, message.epoch)
        if run not in self.epochs:
            self.epochs.append(run)
            if any(name == message.origin for name, _ in self.epochs[:-1]):
                self._last.pop(stream, None)  # another run counts from 1
        number = message.sequence
        last = self._last.get(stream, 0 if self._whole else None)
        missed = self._pending.pop(stream, 0)
        if last is not None and number != last + missed + 1:
            self.problems.append(f"{stream}: {number} after {last}, and {missed} told as lost between them")
        self._last[stream] = number
