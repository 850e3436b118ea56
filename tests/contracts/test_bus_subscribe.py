"""What a subscriber gets: items, batches, gaps in their place, and an end."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh.node.errors import ChannelNotConfigured, LimitExceeded, Rejected
from liminal_mesh.node.message import Message
from liminal_mesh.node.values import Gap

from ..nodes import DEADLINE_S
from .holders import POLICIES, Held, Over, account, check_in_place, collect, message, numbers, payloads, take


async def test_a_subscription_is_a_process(held: Held) -> None:
    """Each with a pid of its own, at the node."""
    async with held.bus.subscribe("ticks") as one, held.bus.subscribe("ticks") as two:
        assert one.id.node == two.id.node == "a"
        assert one.id.epoch == held.node.epoch
        assert len({one.id, two.id, held.bus.pid}) == 3


async def test_subscribers_do_not_share(held: Held) -> None:
    """Each gets everything, at its own pace."""
    async with held.bus.subscribe("ticks") as one, held.bus.subscribe("ticks", max_in_flight=1) as two:
        for number in range(20):
            await held.bus.publish("ticks", number)

        assert await payloads(one, 20) == list(range(20))
        assert await payloads(two, 20) == list(range(20))


@pytest.mark.parametrize("credit", [1, 2, 3, 5, 64])
async def test_a_small_credit_slows_nothing_down_for_ever(held: Held, credit: int) -> None:
    """Taking the next item gives it back."""
    async with held.bus.subscribe("ticks", max_in_flight=credit) as subscription:
        for number in range(150):
            held.bus.publish_nowait("ticks", number)

        assert await payloads(subscription, 150) == list(range(150))


async def test_statistics_tell_what_it_has_seen(held: Held) -> None:
    """Handed out, gaps and what they counted, nacks."""
    async with held.bus.subscribe("drop-oldest", max_in_flight=1) as subscription:
        for number in range(20):
            await held.bus.publish("drop-oldest", number)
        items = await account(subscription, 20)
        for item in items[:1] + items[-1:]:
            if isinstance(item, Message):
                await item.nack(delay=1.0)

        statistics = subscription.statistics
        gaps = [item for item in items if isinstance(item, Gap)]
        assert statistics.delivered == len(items) - len(gaps)
        assert statistics.gaps == len(gaps)
        assert statistics.missed == sum(gap.count for gap in gaps)
        assert statistics.delivered + statistics.missed == 20
        assert statistics.nacked == len([item for item in items[:1] + items[-1:] if isinstance(item, Message)])
        assert statistics.waiting == 0


async def test_a_nack_only_counts(held: Held) -> None:
    """Nothing is redelivered on an ephemeral channel."""
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", 1)
        await (await message(subscription)).nack()
        await held.bus.publish("ticks", 2)

        assert await payloads(subscription, 1) == [2]
        assert subscription.statistics.nacked == 1


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
async def test_what_an_inbox_drops_is_told_in_its_place(held: Held, policy: str) -> None:
    """Delivered and gaps together are what was published, in order, and the inbox is bounded."""
    async with held.bus.subscribe(policy, max_in_flight=2) as subscription:
        for number in range(40):
            await held.bus.publish(policy, number)
        items = await account(subscription, 40)
        await held.bus.publish(policy, "the next one")
        items += await take(subscription, 1)

    check_in_place(items)
    gaps = [item for item in items if isinstance(item, Gap)]
    assert sum(gap.count for gap in gaps) == 34
    assert {(gap.channel, gap.origin, gap.reason) for gap in gaps} == {(policy, "a", "overflow")}
    kept = [item.payload for item in items if isinstance(item, Message)]
    assert kept[-2 if policy == "drop-oldest" else -3] == (39 if policy == "drop-oldest" else 4)


async def test_disconnect_ends_the_subscription_that_overflowed(held: Held) -> None:
    """It gets what it had, a gap, and the name of the limit; others are not concerned."""
    async with (
        held.bus.subscribe("disconnect", max_in_flight=2) as slow,
        held.bus.subscribe("disconnect", max_in_flight=64) as other,
    ):
        for number in range(9):
            await held.bus.publish("disconnect", number)
        items: list[Message | Gap] = []
        with pytest.raises(LimitExceeded) as error:
            await asyncio.wait_for(collect(slow, items), DEADLINE_S)

        assert (error.value.name, error.value.limit) == ("inbox_messages", 4)
        assert "limits.inbox_messages (or inbox.messages of the channel) is 4" in str(error.value)
        check_in_place(items)
        assert [item.payload for item in items if isinstance(item, Message)] == list(range(6))
        assert isinstance(items[-1], Gap)
        assert await payloads(other, 9) == list(range(9))
        outcome = await held.bus.publish("disconnect", b"")
        assert outcome.local == 1


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("credit", [1, 7])
async def test_nothing_is_lost_in_silence_at_full_speed(held: Held, policy: str, credit: int) -> None:
    """A burst far beyond the inbox, taken meanwhile: each number is a message or in a gap, or was refused."""
    async with held.bus.subscribe(policy, max_in_flight=credit) as subscription:
        items: list[Message | Gap] = []
        taking = asyncio.create_task(collect(subscription, items))
        published = 0
        for _ in range(100):
            for _ in range(20):
                published += await _publish(held, policy)
            await asyncio.sleep(0)
        if policy == "disconnect":
            with pytest.raises(LimitExceeded):
                await taking
        else:
            async with asyncio.timeout(DEADLINE_S):
                while numbers(items) < published:
                    await held.bus.members()
                    await asyncio.sleep(0)
            taking.cancel()
            await asyncio.wait([taking])
            assert numbers(items) == published

    check_in_place(items)


async def _publish(held: Held, policy: str) -> int:
    """Publish one; return 0 when it was refused."""
    if policy == "reject":
        try:
            await held.bus.publish(policy, b"")
        except Rejected:
            return 0
    else:
        held.bus.publish_nowait(policy, b"")
    return 1


async def test_bytes_have_a_bound_too(held: Held) -> None:
    """Few large messages overflow an inbox as many small ones do."""
    async with held.bus.subscribe("bytewise", max_in_flight=1) as subscription:
        for _ in range(20):
            await held.bus.publish("bytewise", b"x" * 1000)
        items = await account(subscription, 20)

    assert 3 <= len([item for item in items if isinstance(item, Message)]) <= 5


async def test_what_is_larger_than_an_inbox_costs_itself_alone(held: Held) -> None:
    """It is taken by nobody, and what waited before it stays."""
    async with held.bus.subscribe("bytewise", max_in_flight=1) as subscription:
        for number in range(3):
            await held.bus.publish("bytewise", number)
        outcome = await held.bus.publish("bytewise", b"x" * 5000)
        assert (outcome.delivered, outcome.local) == (False, 0)
        await held.bus.publish("bytewise", 4)
        items = await account(subscription, 5)

    assert [item.payload if isinstance(item, Message) else "gap" for item in items] == [0, 1, 2, "gap", 4]


async def test_batches_have_a_bound(held: Held) -> None:
    """And hold what is there."""
    async with held.bus.subscribe("ticks") as subscription:
        for number in range(25):
            held.bus.publish_nowait("ticks", number)
        batches: list[list[object]] = []
        async with asyncio.timeout(DEADLINE_S):
            async for batch in subscription.batches(max_items=10, max_wait=0.2):
                batches.append([item.payload for item in batch if isinstance(item, Message)])
                if sum(map(len, batches)) == 25:
                    break

    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert [payload for batch in batches for payload in batch] == list(range(25))


async def test_a_batch_waits_a_while_for_more(held: Held) -> None:
    """As long as there is room in it."""
    async with held.bus.subscribe("ticks") as subscription:
        batches = subscription.batches(max_items=3, max_wait=DEADLINE_S)
        first = asyncio.ensure_future(anext(batches))
        for number in range(3):
            await held.bus.publish("ticks", number)
        async with asyncio.timeout(DEADLINE_S / 2):
            items = await first
        assert [item.payload for item in items if isinstance(item, Message)] == [0, 1, 2]
        await held.bus.publish("ticks", 3)
        async with asyncio.timeout(DEADLINE_S):
            [last] = await anext(subscription.batches(max_items=3, max_wait=0.01))
        assert isinstance(last, Message)
        assert last.payload == 3


async def test_a_batch_holds_gaps_in_their_place(held: Held) -> None:
    """As single items do."""
    async with held.bus.subscribe("drop-oldest", max_in_flight=1) as subscription:
        for number in range(30):
            await held.bus.publish("drop-oldest", number)
        items: list[Message | Gap] = []
        async with asyncio.timeout(DEADLINE_S):
            async for batch in subscription.batches(max_items=4):
                assert 0 < len(batch) <= 4
                items += batch
                if numbers(items) == 30:
                    break

    check_in_place(items)


async def test_two_tasks_cannot_iterate_over_one_subscription(held: Held) -> None:
    """The second is told; the first goes on."""
    async with held.bus.subscribe("ticks") as subscription:
        first = asyncio.create_task(take(subscription, 1))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks"):
            await take(subscription, 1)
        await held.bus.publish("ticks", "for the first")

        [item] = await first
        assert isinstance(item, Message)


async def test_cancelling_who_waits_loses_nothing(held: Held) -> None:
    """Not in any moment: before something comes, when it has come, and when it was told."""
    async with held.bus.subscribe("ticks", max_in_flight=8) as subscription:
        items: list[Message | Gap] = []
        for number in range(100):
            waiting = asyncio.create_task(collect(subscription, items))
            for _ in range(number % 3):
                await asyncio.sleep(0)
            held.bus.publish_nowait("ticks", number)
            for _ in range(number % 5):
                await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        items += await take(subscription, 100 - len(items)) if len(items) < 100 else []

    assert [item.payload for item in items if isinstance(item, Message)] == list(range(100))


async def test_cancelling_who_waits_for_a_batch_loses_nothing(held: Held) -> None:
    """What was taken for the batch that did not come is there again, for either way to iterate."""
    async with held.bus.subscribe("ticks", max_in_flight=4) as subscription:
        for number in range(10):
            await held.bus.publish("ticks", number)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await anext(subscription.batches(max_items=100, max_wait=DEADLINE_S))
        assert subscription.statistics.delivered == 0
        assert await payloads(subscription, 3) == [0, 1, 2]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(subscription.batches(max_items=100, max_wait=DEADLINE_S))
        async with asyncio.timeout(DEADLINE_S):
            batch = await anext(subscription.batches(max_items=7, max_wait=DEADLINE_S))

        assert [item.payload for item in batch if isinstance(item, Message)] == [3, 4, 5, 6, 7, 8, 9]
        assert subscription.statistics.delivered == 10


async def _nobody_there(held: Held) -> None:
    """Wait until a publish finds no subscriber."""
    async with asyncio.timeout(DEADLINE_S):
        while (await held.bus.publish("ticks", b"")).local:  # noqa: ASYNC110 - a client's end takes its time to arrive
            await asyncio.sleep(0)


async def test_leaving_the_block_closes_it(held: Held) -> None:
    """Nothing more arrives, and publishers see that nobody is there."""
    async with held.bus.subscribe("ticks") as subscription:
        await held.bus.publish("ticks", b"taken")
        await message(subscription)
    await _nobody_there(held)

    with pytest.raises(Over):
        await take(subscription, 1)


async def test_leaving_the_block_ends_who_waits_in_another_task(held: Held) -> None:
    """It finds the end of the iteration."""
    async with held.bus.subscribe("ticks") as subscription:
        items: list[Message | Gap] = []
        waiting = asyncio.create_task(collect(subscription, items))
        await held.bus.publish("ticks", 1)
        while not items:
            await held.bus.members()
            await asyncio.sleep(0)

    await waiting
    assert [item.payload for item in items if isinstance(item, Message)] == [1]


async def test_cancelling_the_task_that_holds_it_closes_it(held: Held) -> None:
    """As leaving the block does."""

    async def hold() -> None:
        async with held.bus.subscribe("ticks") as subscription:
            opened.set()
            await collect(subscription, [])

    opened = asyncio.Event()
    task = asyncio.create_task(hold())
    await opened.wait()
    assert (await held.bus.publish("ticks", b"")).local == 1
    task.cancel()
    await asyncio.wait([task])
    await _nobody_there(held)


async def test_a_subscription_that_was_refused_leaves_nothing_behind(held: Held) -> None:
    """No group, no member."""
    with pytest.raises(ChannelNotConfigured):
        async with held.bus.subscribe("tick"):
            pass
    await held.bus.members()

    assert held.node.running.registry.groups(0) == {}


async def test_waiting_for_the_cluster_is_short_where_there_is_none(held: Held) -> None:
    """Every peer that is linked has applied it."""
    async with held.bus.subscribe("ticks", wait="cluster", timeout=0.0) as subscription:
        assert (await held.bus.publish("ticks", b"")).local == 1
        await message(subscription)
