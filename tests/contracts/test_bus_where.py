"""Predicates: a subscription gets only what its function wants, from anywhere, and says what it left out."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest

from liminal_mesh.node.message import Message
from liminal_mesh.node.values import Gap

from ..nodes import DEADLINE_S, logged
from .holders import Held, Pair, collect, eventually, message, numbers, payloads, take


def even(one: Message) -> bool:
    """Want every second number."""
    return bool(one.payload % 2 == 0)


def never(one: Message) -> bool:
    """Want nothing."""
    del one
    return False


def last(one: Message) -> bool:
    """Want what says that it is the last."""
    return bool(one.payload == "last")


async def test_only_what_is_wanted_is_handed_out(held: Held) -> None:
    """CH4: the rest is counted as filtered, and both together are what was published."""
    async with held.bus.subscribe("ticks", where=even) as subscription:
        for number in range(20):
            held.bus.publish_nowait("ticks", number)

        assert await payloads(subscription, 10) == list(range(0, 20, 2))
        await held.bus.publish("ticks", 20)
        assert await payloads(subscription, 1) == [20]
        statistics = subscription.statistics

    assert (statistics.delivered, statistics.filtered, statistics.predicate_errors, statistics.missed) == (11, 10, 0, 0)


async def test_others_get_everything(held: Held) -> None:
    """CH4: a predicate is its subscription's alone."""
    async with held.bus.subscribe("ticks", where=never), held.bus.subscribe("ticks") as other:
        outcome = await held.bus.publish("ticks", 1)

        assert (outcome.local, outcome.delivered) == (2, True)
        assert await payloads(other, 1) == [1]


async def test_a_predicate_sees_all_of_a_message(held: Held) -> None:
    """CH4: it is handed the ``Message``, and the truth of what it returns counts."""
    seen: list[Message] = []

    def wanted(one: Message) -> object:
        seen.append(one)
        return one.headers.get("to")

    async with held.bus.subscribe("m.*", where=wanted) as subscription:
        await held.bus.publish("m.a", 1, headers={"to": ""})
        await held.bus.publish("m.b", 2, headers={"to": "us"})
        one = await message(subscription)

    assert (one.channel, one.payload) == ("m.b", 2)
    assert [each.channel for each in seen] == ["m.a", "m.b"]
    assert seen[1] is one


async def test_a_predicate_that_raises_has_not_wanted_the_message(held: Held, caplog: pytest.LogCaptureFixture) -> None:
    """CH4: it is counted, and told once in a while with the place where it happened, not once a message."""
    with caplog.at_level(logging.ERROR, "liminal.subscription"):
        async with held.bus.subscribe("ticks", where=even) as subscription:
            for payload in ("no number", None, "neither", 4):
                await held.bus.publish("ticks", payload)

            assert await payloads(subscription, 1) == [4]
            statistics = subscription.statistics

    assert (statistics.delivered, statistics.filtered, statistics.predicate_errors) == (1, 3, 3)
    [record] = logged(caplog, "predicate_failed")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], TypeError)


async def _eventual(one: Message) -> bool:
    return even(one)


async def _eventually(one: Message) -> AsyncIterator[bool]:
    yield even(one)


def _one_by_one(one: Message) -> Iterator[bool]:
    yield even(one)


@pytest.mark.parametrize("made", [_eventual, _eventually, _one_by_one])
async def test_a_predicate_that_returns_what_is_never_false_has_raised(held: Held, made: Any) -> None:
    """CH4: the truth of a coroutine or a generator says nothing, and it would pass everything."""
    async with held.bus.subscribe("ticks", where=lambda one: one.payload == "last" or made(one)) as subscription:
        for payload in (1, 2, "last"):
            await held.bus.publish("ticks", payload)

        assert await payloads(subscription, 1) == ["last"]
        assert subscription.statistics.predicate_errors == 2


async def test_gaps_pass_whatever_is_wanted(held: Held) -> None:
    """CH4: handed out, filtered and missed together are what was published."""
    async with held.bus.subscribe("drop-oldest", max_in_flight=2, where=last) as subscription:
        for number in range(40):
            await held.bus.publish("drop-oldest", number)
        await held.bus.publish("drop-oldest", "last")
        items: list[Message | Gap] = []
        while not items or isinstance(items[-1], Gap):
            items += await take(subscription, 1)
        statistics = subscription.statistics

    assert isinstance(items[-1], Message)
    assert statistics.missed == numbers(items) - 1 > 0
    assert statistics.filtered > 0
    assert statistics.delivered + statistics.filtered + statistics.missed == 41


@pytest.mark.parametrize("credit", [1, 2, 7])
async def test_what_is_filtered_gives_its_credit_back(held: Held, credit: int) -> None:
    """CH4: it counts as handled, so that the inbox of who wants nothing stays empty."""
    async with held.bus.subscribe("reject", max_in_flight=credit, where=never) as subscription:
        taking = asyncio.create_task(collect(subscription, []))
        for number in range(1, 60):
            await held.bus.publish("reject", number)
            await eventually(lambda number=number: subscription.statistics.filtered == number)  # type: ignore[misc]
        outcome = await held.bus.publish("reject", 60)
        taking.cancel()
        await asyncio.wait([taking])

    assert (outcome.pressure.decision, outcome.pressure.buffered) == ("accept", 0)
    assert outcome.pressure.in_flight <= 2  # what the node has not heard of yet


async def test_batches_hold_what_is_wanted(held: Held) -> None:
    """CH4: as single items do."""
    async with held.bus.subscribe("ticks", where=even) as subscription:
        for number in range(40):
            held.bus.publish_nowait("ticks", number)
        batches: list[list[object]] = []
        async with asyncio.timeout(DEADLINE_S):
            async for batch in subscription.batches(max_items=6, max_wait=0.2):
                batches.append([item.payload for item in batch if isinstance(item, Message)])
                if sum(map(len, batches)) == 20:
                    break

    assert [number for batch in batches for number in batch] == list(range(0, 40, 2))
    assert max(map(len, batches)) == 6


async def test_cancelling_who_waits_loses_nothing_that_is_wanted(held: Held) -> None:
    """CH4: not while unwanted messages are passed over, either, alone or for a batch."""
    async with held.bus.subscribe("ticks", max_in_flight=4096, where=last) as subscription:
        for _ in range(3):
            for number in range(400):
                held.bus.publish_nowait("ticks", number)
            held.bus.publish_nowait("ticks", "last")
        await eventually(lambda: subscription.statistics.waiting == 1203)
        got: list[object] = []
        rounds = 0
        while len(got) < 3:
            rounds += 1
            assert rounds < 1000
            waiting = asyncio.ensure_future(_some(subscription, got, batched=rounds % 2 == 0))
            for _ in range(rounds % 4 + 1):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        statistics = subscription.statistics

    assert got == ["last"] * 3
    assert (statistics.delivered, statistics.filtered) == (3, 1200)


async def _some(subscription: Any, got: list[object], *, batched: bool) -> None:
    """Take one item, or one batch."""
    if batched:
        items = await anext(subscription.batches(max_items=10, max_wait=0))
    else:
        items = [await anext(subscription)]
    got += [item.payload for item in items]


async def test_many_that_are_not_wanted_let_others_have_their_turns(held: Held) -> None:
    """CH4: the loop is not held up by passing them over."""
    turns = 0
    looked: Counter[int] = Counter()

    def wanted(one: Message) -> bool:
        looked[turns] += 1
        return last(one)

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with held.bus.subscribe("ticks", max_in_flight=4096, where=wanted) as subscription:
        for number in range(3000):
            held.bus.publish_nowait("ticks", number)
        await held.bus.publish("ticks", "last")
        await eventually(lambda: subscription.statistics.waiting == 3001)
        counting = asyncio.create_task(count())
        assert await payloads(subscription, 1) == ["last"]
        counting.cancel()

    assert sum(looked.values()) == 3001
    assert max(looked.values()) <= 256
    assert len(looked) >= 12


async def test_the_end_comes_after_all_that_waits_was_looked_at(held: Held) -> None:
    """CH4: closing it does not cut short what is passed over."""
    async with held.bus.subscribe("ticks", max_in_flight=4096, where=last) as subscription:
        for number in range(1000):
            held.bus.publish_nowait("ticks", number)
        await held.bus.publish("ticks", "last")
        await eventually(lambda: subscription.statistics.waiting == 1001)
    items: list[Message | Gap] = []
    await collect(subscription, items)

    assert [item.payload for item in items if isinstance(item, Message)] == ["last"]


@pytest.mark.parametrize("where", ["payload.x > 1", ""])
async def test_a_text_is_no_predicate_yet(held: Held, where: Any) -> None:
    """CH4: said when it is asked for, before anything is opened."""
    with pytest.raises(ValueError, match="CEL"):
        held.bus.subscribe("ticks", where=where)


class _Eventual:
    async def __call__(self, one: Message) -> bool:
        return even(one)


@pytest.mark.parametrize(
    "where", [7, object(), _eventual, _Eventual(), partial(_eventual), _eventually, _one_by_one, partial(_one_by_one)]
)
async def test_what_cannot_be_asked_is_no_predicate(held: Held, where: Any) -> None:
    """CH4: an async function neither, since it would have to be waited for; nor a generator, which is always true."""
    with pytest.raises(TypeError, match="where="):
        held.bus.subscribe("ticks", where=where)


async def test_a_predicate_applies_to_remote_publishes_as_to_local_ones(pair: Pair) -> None:
    """CH8: and the other node's receipt says that they were taken."""
    async with pair.there.subscribe("ticks", where=even, wait="cluster") as subscription:
        for number in range(10):
            outcome = await pair.here.publish("ticks", number, ack="nodes")
            assert (outcome.delivered, dict(outcome.nodes)) == (True, {"b": "delivered"})
            await pair.there.publish("ticks", 100 + number)
        items = await take(subscription, 10)
        statistics = subscription.statistics

    assert sorted(item.payload for item in items if isinstance(item, Message)) == [
        *range(0, 10, 2),
        *range(100, 110, 2),
    ]
    assert {item.origin for item in items} == {"a", "b"}
    assert statistics.delivered + statistics.filtered + statistics.waiting == 20
