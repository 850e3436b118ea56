"""The receiving end of a process of the bus: an async iterator over an inbox, the same on a node and on a client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import ClassVar, Self

from liminal_mesh.cluster import CHANNEL_SCOPE, Envelope

from .bell import Bell
from .causal import NEVER, CausalOrder
from .inbox import Anchor, Inbox, Run
from .message import Message, owned
from .predicate import Predicate
from .values import Gap, SubscriptionStatistics

__all__ = ["Receiver"]

_NOTHING: list[Envelope] = []


class Receiver:
    """Whatever is iterated over for its items (``Message`` or ``Gap``).

    Taking the next item says that the last one is done. One task iterates at a time.

    Args:
        inbox: what it takes from; None until it is open.
        where: tells which messages are wanted; the others are done when they are taken. None wants all.
        order: puts them into causal order before that; None leaves them as they come.

    Attributes:
        bell: what the bus keeps of it, and wakes it by.
    """

    scope: ClassVar[int] = CHANNEL_SCOPE
    """Of what it receives."""

    def __init__(
        self, inbox: Inbox | None = None, where: Predicate | None = None, order: CausalOrder | None = None
    ) -> None:
        self._inbox = inbox
        self._where = where
        self._order = order
        self.bell = Bell(self, inbox)
        self._items = _NOTHING
        self._run: Run | None = None
        self._at = 0
        self._end = 0
        """Of the run in hand."""
        self._stop = 0
        """Up to where it is handed out without a look: to its end, or nowhere."""
        self._size = 0
        self._paused = False
        """There may be more, but others get a turn first."""
        self._kept: deque[Message | Gap] = deque()
        """Of a batch that nobody got; before everything else."""
        self._ended = False
        self._error: Exception | None = None
        self._delivered = 0
        self._gaps = 0
        self._missed = 0
        self._nacked = 0

    # --- what each kind fills in ---

    @property
    def title(self) -> str:
        """What it is, in the words of an error."""
        raise NotImplementedError

    def _close(self) -> None:
        """Take it down; called once, whatever ended it."""
        raise NotImplementedError

    def _finished(self, count: int) -> None:
        """The receiver is done with ``count`` messages."""

    # --- the receiver's side ---

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Gap:
        at = self._at
        if at < self._stop:
            self._at = at + 1
            self._inbox.lent -= 1  # type: ignore[union-attr]  # a run in hand came from the inbox
            return Message(self._items[at], self._run, self)  # type: ignore[arg-type]
        while True:
            item = self._next()
            if item is not None:
                return item
            if self._ended and not self._paused:
                raise self._error or StopAsyncIteration
            await self._wait()

    async def batches(self, max_items: int = 500, max_wait: float = 0.01) -> AsyncIterator[list[Message | Gap]]:
        """Iterate over lists of items.

        Args:
            max_items: the most in one list.
            max_wait: how long to wait for more, in seconds, when at least one is there.

        Raises:
            ValueError: a list cannot be that short.
        """
        if max_items < 1:
            raise ValueError(f"max_items={max_items}: a batch has at least one item")
        loop = asyncio.get_running_loop()
        async for first in self:
            batch = [first]
            self._fill(batch, max_items)
            if len(batch) < max_items and max_wait > 0:
                deadline = loop.time() + max_wait
                try:
                    while len(batch) < max_items and not self._ended and await self._wait_until(deadline):
                        self._fill(batch, max_items)
                except BaseException:  # cancelled: nobody gets this batch, so the next to ask gets its items
                    self._kept.extend(batch)
                    raise
            yield batch

    @property
    def statistics(self) -> SubscriptionStatistics:
        """What was received so far; delivered, filtered and missed together are what was sent to it."""
        where, order = self._where, self._order
        filtered, errors = (0, 0) if where is None else (where.filtered, where.errors)
        in_hand = self._end - self._at + sum(isinstance(item, Message) for item in self._kept)
        in_hand += 0 if order is None else order.waiting
        waiting = in_hand + (0 if self._inbox is None else self._inbox.queued)
        delivered = self._delivered - in_hand - filtered
        orphans = 0 if order is None else order.orphans
        counts = (delivered, self._gaps, self._missed, self._nacked, waiting, filtered, errors, orphans)
        return SubscriptionStatistics(*counts)

    def note_nack(self) -> None:
        """Count a message that its handler gave back."""
        self._nacked += 1

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.title}, {self.statistics}>"

    # --- the bus's side ---

    def ready(self) -> None:
        """Something waits in the inbox."""
        self.bell.ready()

    def end(self, error: Exception | None) -> None:
        """Close it; whoever iterates gets what waits, and then ``error`` or the end of the iteration."""
        if self._ended:
            return
        self._ended, self._error = True, error
        self.ready()
        self._close()

    def _next(self) -> Message | Gap | None:
        """Take the next item that is wanted; None when nothing is there, or (``_paused``) others get a turn first."""
        if self._kept:
            return self._kept.popleft()
        where, order = self._where, self._order
        if where is None:
            return self._take() if order is None else self._in_order(order)
        while not where.tired:
            item = self._take() if order is None else self._in_order(order)
            if not isinstance(item, Message) or where.wants(item):
                return item
        self._paused = True
        return None

    def _in_order(self, order: CausalOrder) -> Message | Gap | None:
        """Take the next item in causal order; what is held is no more in hand, and uses no credit."""
        now = asyncio.get_running_loop().time()
        if order.due <= now:
            order.expire(now)
        while not order.ready:
            item = self._take()
            if item is not None:
                order.take(item, now)
            elif self._ended and order.waiting:
                order.close()
            else:
                return None
        item = order.ready.popleft()
        return owned(item, self) if isinstance(item, Message) else item

    def _take(self) -> Message | Gap | None:
        """Take the next item, opening the next run when the one in hand is finished."""
        inbox = self._inbox
        if inbox is None:
            raise RuntimeError(f"{self.title} is not entered: use it within 'async with'")
        if self._at < self._end:
            self._at += 1
            inbox.lent -= 1
            assert self._run is not None
            return Message(self._items[self._at - 1], self._run, self)
        if self._size:
            inbox.settle(1)
            finished, self._size = self._size, 0
            self._items, self._run = _NOTHING, None
            self._finished(finished)
        entry = inbox.take(inbox.credit - inbox.lent)
        while isinstance(entry, Anchor):
            assert self._order is not None, "nobody else notes anchors for a program"
            self._order.anchor(entry.origin, entry.heads)
            entry = inbox.take(inbox.credit - inbox.lent)
        if entry is None:
            return None
        if isinstance(entry, Gap):
            self._gaps += 1
            self._missed += entry.count
            return entry
        self._run, start, self._end = entry
        self._items = self._run.items
        self._at = start + 1
        self._stop = self._end if self._where is None and self._order is None else 0
        self._size = self._end - start
        self._delivered += self._size
        return Message(self._items[start], self._run, self)

    def _fill(self, batch: list[Message | Gap], most: int) -> None:
        while len(batch) < most:
            item = self._next()
            if item is None:
                return
            batch.append(item)

    async def _wait(self) -> None:
        bell = self.bell
        if bell.waiter is not None:
            raise RuntimeError(f"two tasks iterate over {self.title}: one at a time")
        loop = asyncio.get_running_loop()
        bell.waiter = loop.create_future()
        if self._where is not None:
            self._where.rest()
            if self._paused:
                self._paused = False
                loop.call_soon(bell.ready)
        due = None if self._order is None or self._order.due == NEVER else self._order.due
        timer = None if due is None else loop.call_at(due, bell.ready)
        try:
            await bell.waiter
        finally:
            bell.waiter = None
            if timer is not None:
                timer.cancel()

    async def _wait_until(self, deadline: float) -> bool:
        """Wait for something to come; False when the time is up."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._wait()
        except TimeoutError:
            return False
        return True
