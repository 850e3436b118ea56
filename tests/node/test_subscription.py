"""The subscriber's end of a subscription, over an inbox that a test fills."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from functools import partial

import pytest

from liminal_mesh.cluster import Encoding, Envelope, NodeId, Pid
from liminal_mesh.node.errors import NoConnection
from liminal_mesh.node.inbox import Inbox, Run
from liminal_mesh.node.message import Message
from liminal_mesh.node.subscription import CREDIT_MAX, Subscription
from liminal_mesh.node.values import Gap

DEADLINE_S = 10.0
ORIGIN = NodeId("b", 3)


class ByHand(Subscription):
    """A subscription that counts what it is told."""

    def __init__(self, credit: int = 4, *, refuses: Exception | None = None) -> None:
        super().__init__("ticks", credit)
        self.inbox = Inbox(credit, 8, 1 << 20, "drop-newest")
        self.refuses = refuses
        self.leaves: list[None] = []
        self.finished = 0
        self.last = 0

    @property
    def id(self) -> Pid:
        """Some pid."""
        return Pid("a", 1, 1)

    async def _open(self) -> tuple[Inbox, Callable[[], None]]:
        if self.refuses is not None:
            raise self.refuses
        return self.inbox, partial(self.leaves.append, None)

    @property
    def closes(self) -> int:
        """How often it was taken down."""
        return len(self.leaves)

    def _finished(self, count: int) -> None:
        self.finished += count

    def offer(self, count: int) -> None:
        """Let a run arrive."""
        numbers = range(self.last + 1, self.last + 1 + count)
        self.last += count
        items = [Envelope(number, number, 0, 1, Encoding.TEXT, str(number).encode()) for number in numbers]
        self.inbox.offer(Run("ticks", ORIGIN, items))
        self.ready()


async def take(subscription: Subscription, count: int) -> list[int | Gap]:
    """Return the next items: sequences, and gaps."""
    async with asyncio.timeout(DEADLINE_S):
        items = [await anext(subscription) for _ in range(count)]
    return [item.sequence if isinstance(item, Message) else item for item in items]


@pytest.mark.parametrize("credit", [0, -1, CREDIT_MAX + 1])
def test_a_credit_has_its_bounds(credit: int) -> None:
    """Before anything is opened."""
    with pytest.raises(ValueError, match="max_in_flight"):
        ByHand(credit)


async def test_taking_the_next_says_that_the_last_is_done() -> None:
    """What is in hand uses the credit; a run is told as finished when the next thing is asked for."""
    async with ByHand(4) as subscription:
        subscription.offer(3)
        assert await take(subscription, 1) == [1]
        assert (subscription.inbox.lent, subscription.finished) == (3, 0)
        assert await take(subscription, 2) == [2, 3]
        assert (subscription.inbox.lent, subscription.finished) == (1, 0)
        subscription.offer(1)
        assert await take(subscription, 1) == [4]
        assert (subscription.inbox.lent, subscription.finished) == (1, 3)


async def test_a_run_is_taken_within_the_credit() -> None:
    """In parts if it is larger."""
    async with ByHand(2) as subscription:
        subscription.offer(5)
        assert await take(subscription, 5) == [1, 2, 3, 4, 5]
        assert subscription.inbox.lent <= 2


async def test_gaps_come_in_their_place() -> None:
    """And are counted apart."""
    async with ByHand(1) as subscription:
        subscription.offer(12)
        assert await take(subscription, 10) == [*range(1, 10), Gap("ticks", "b", 10, 12, 3, "overflow", 3)]
        subscription.offer(1)
        assert await take(subscription, 1) == [13]
        statistics = subscription.statistics

    assert (statistics.delivered, statistics.gaps, statistics.missed, statistics.waiting) == (10, 1, 3, 0)


async def test_statistics_count_what_was_handed_out() -> None:
    """Not what is in hand."""
    async with ByHand(4) as subscription:
        subscription.offer(6)
        await take(subscription, 2)
        statistics = subscription.statistics

    assert (statistics.delivered, statistics.waiting) == (2, 4)


async def test_the_end_comes_after_what_waits() -> None:
    """With its reason, and again for whoever asks again."""
    async with ByHand() as subscription:
        subscription.offer(3)
        subscription.end(NoConnection("a"))
        subscription.end(None)
        assert await take(subscription, 3) == [1, 2, 3]
        for _ in range(2):
            with pytest.raises(NoConnection):
                await take(subscription, 1)

    assert subscription.closes == 1


async def test_leaving_the_block_closes_it_once() -> None:
    """However it is left."""
    with pytest.raises(ZeroDivisionError):
        async with ByHand() as subscription:
            raise ZeroDivisionError

    assert subscription.closes == 1
    with pytest.raises(StopAsyncIteration):
        await take(subscription, 1)


async def test_one_that_was_refused_is_not_closed() -> None:
    """It never stood."""
    subscription = ByHand(refuses=NoConnection("a"))
    with pytest.raises(NoConnection):
        async with subscription:
            pass

    assert subscription.closes == 0


async def test_one_that_was_dropped_is_closed_by_the_loop() -> None:
    """Not within whatever dropped it."""
    handle = [await ByHand().__aenter__()]
    leaves = handle[0].leaves
    handle.clear()
    assert not leaves
    await asyncio.sleep(0)
    assert len(leaves) == 1


def test_one_that_was_dropped_after_the_end_of_its_loop_is_silent(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There is nobody left to hand it to."""
    unraisable: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    handle = [asyncio.run(ByHand().__aenter__())]
    handle.clear()

    assert not unraisable
    assert not caplog.records


async def test_one_that_ended_while_it_was_opened_is_closed() -> None:
    """The bus may come to its end in between."""
    subscription = ByHand()
    subscription.end(None)
    async with subscription:
        assert subscription.closes == 1
    assert subscription.closes == 1


async def test_an_inbox_that_overflowed_for_good_ends_it() -> None:
    """Its policy is to disconnect."""
    subscription = ByHand(1)
    subscription.inbox = Inbox(1, 1, 1 << 20, "disconnect")
    async with subscription:
        subscription.offer(3)
        assert subscription.closes == 1
        assert await take(subscription, 3) == [1, 2, Gap("ticks", "b", 3, 3, 1, "overflow", 3)]
        with pytest.raises(Exception, match="inbox"):
            await take(subscription, 1)


async def test_a_second_task_is_told() -> None:
    """And the first is served."""
    async with ByHand() as subscription:
        first = asyncio.create_task(take(subscription, 1))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await take(subscription, 1)
        subscription.offer(1)

        assert await first == [1]


@pytest.mark.parametrize("turns", range(4))
async def test_cancelling_loses_nothing(turns: int) -> None:
    """At any moment around the arrival."""
    async with ByHand() as subscription:
        waiting = asyncio.create_task(take(subscription, 1))
        await asyncio.sleep(0)
        subscription.offer(2)
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        got = [] if waiting.cancelled() else await waiting

        assert got + await take(subscription, 2 - len(got)) == [1, 2]


async def test_a_cancelled_batch_is_put_back() -> None:
    """In front of everything, for the next batch and the next item; gaps too."""
    async with ByHand(2) as subscription:
        subscription.offer(12)
        batches = subscription.batches(max_items=100, max_wait=DEADLINE_S)
        waiting = asyncio.ensure_future(anext(batches))
        for _ in range(5):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        subscription.offer(1)
        assert (subscription.statistics.delivered, subscription.statistics.waiting) == (0, 11)
        assert await take(subscription, 2) == [1, 2]
        async with asyncio.timeout(DEADLINE_S):
            batch = await anext(subscription.batches(max_items=10, max_wait=DEADLINE_S))

        assert [item.sequence if isinstance(item, Message) else item.count for item in batch] == [*range(3, 11), 2, 13]


async def test_a_batch_is_not_waited_for_when_it_is_full_or_over() -> None:
    """Nor when nothing more can come."""
    async with ByHand(4) as subscription:
        subscription.offer(6)
        batches = subscription.batches(max_items=3, max_wait=3600.0)
        async with asyncio.timeout(DEADLINE_S):
            assert [len(await anext(batches)) for _ in range(2)] == [3, 3]
            subscription.offer(1)
            subscription.end(None)
            assert len(await anext(batches)) == 1
            with pytest.raises(StopAsyncIteration):
                await anext(batches)
