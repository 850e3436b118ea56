"""What a publisher hears: outcomes, pressure, Busy, and the window."""

from __future__ import annotations

import asyncio
import random

import pytest

from liminal_mesh.node.bus import Bus
from liminal_mesh.node.connecting import connect
from liminal_mesh.node.errors import Busy, LimitExceeded, NoConnection, Rejected
from liminal_mesh.node.message import Message
from liminal_mesh.node.values import Pressure
from liminal_mesh.storage import Refused

from ..nodes import DEADLINE_S
from .conftest import lone_node
from .holders import Held, payloads, take


async def test_nobody_there_is_no_delivery(held: Held) -> None:
    """CH5: and no error either."""
    outcome = await held.bus.publish("ticks", b"")

    assert outcome.delivered is False
    assert (outcome.local, outcome.duplicate, outcome.position, dict(outcome.nodes)) == (0, False, None, {})
    assert outcome.pressure == Pressure()
    assert outcome.message_id > 0


@pytest.mark.parametrize("ack", [None, "accepted", "nodes"])
async def test_each_local_subscriber_is_counted(held: Held, ack: str | None) -> None:
    """CH5: whatever is waited for, there is no other node."""
    async with held.bus.subscribe("m.a"), held.bus.subscribe("m.*"), held.bus.subscribe("ticks"):
        outcome = await held.bus.publish("m.a", b"", ack=ack)  # type: ignore[arg-type]

    assert (outcome.delivered, outcome.local, dict(outcome.nodes)) == (True, 2, {})


async def test_message_ids_grow(held: Held) -> None:
    """CH6: over all channels of a node."""
    ids = [(await held.bus.publish(channel, b"")).message_id for channel in ("ticks", "m.a", "ticks", "m.b")]

    assert ids == sorted(set(ids))


async def test_pressure_tells_what_was_decided_and_why(held: Held) -> None:
    """PR1: credit left: accept. None, but room in the inbox: defer. Both full: reject, which costs the subscriber."""
    async with held.bus.subscribe("drop-newest", max_in_flight=2) as subscription:
        outcomes = [await held.bus.publish("drop-newest", number) for number in range(7)]
        assert [(one.pressure.decision, one.pressure.in_flight, one.pressure.buffered) for one in outcomes] == [
            ("accept", 0, 0),
            ("accept", 1, 0),
            ("defer", 2, 0),
            ("defer", 2, 1),
            ("defer", 2, 2),
            ("defer", 2, 3),
            ("reject", 2, 4),
        ]
        assert {(one.pressure.max_in_flight, one.pressure.max_buffered) for one in outcomes} == {(2, 4)}
        assert [one.delivered for one in outcomes] == [True] * 6 + [False]
        assert await payloads(subscription, 6) == list(range(6))


async def test_the_worst_subscriber_makes_the_pressure(held: Held) -> None:
    """PR1: one that is idle does not hide one that is full."""
    async with held.bus.subscribe("drop-newest", max_in_flight=1), held.bus.subscribe("drop-newest"):
        for _ in range(5):
            await held.bus.publish("drop-newest", b"")
        outcome = await held.bus.publish("drop-newest", b"")

    assert (outcome.pressure.decision, outcome.pressure.max_in_flight) == ("reject", 1)
    assert (outcome.delivered, outcome.local) == (True, 1)


async def test_reject_refuses_before_anything_is_sent_to_anyone(held: Held) -> None:
    """PR1: others of the channel do not get it, its number is not used, and the error has the four numbers."""
    async with held.bus.subscribe("reject", max_in_flight=1) as full, held.bus.subscribe("reject") as other:
        for number in range(5):
            await held.bus.publish("reject", number)
        with pytest.raises(Rejected, match="full") as error:
            await held.bus.publish("reject", "refused")
        assert isinstance(error.value, Refused)
        assert error.value.pressure == Pressure("reject", 1, 1, 4, 4)

        assert await payloads(full, 5) == list(range(5))
        waiting = asyncio.create_task(take(full, 1))  # asking for more says that the last one is done
        assert await payloads(other, 5) == list(range(5))
        async with asyncio.timeout(DEADLINE_S):
            while True:  # until the node has heard of it
                try:
                    outcome = await held.bus.publish("reject", "room again")
                    break
                except Rejected:
                    continue
        assert outcome.local == 2
        assert [item.sequence for item in await take(other, 1)] == [6]  # type: ignore[union-attr]
        assert [item.sequence for item in await waiting] == [6]  # type: ignore[union-attr]


async def test_nowait_is_delivered_at_the_end_of_the_turn(held: Held) -> None:
    """In the order of the calls."""
    async with held.bus.subscribe("ticks") as subscription:
        for number in range(200):
            held.bus.publish_nowait("ticks", number)

        assert await payloads(subscription, 200) == list(range(200))


async def test_what_was_published_before_a_subscription_does_not_reach_it(held: Held) -> None:
    """Also when both happened in one turn; a client's request may pass its own publishes, but loses none of them."""
    held.bus.publish_nowait("ticks", "before")
    async with held.bus.subscribe("ticks") as subscription:
        held.bus.publish_nowait("ticks", "while")
        await held.bus.publish("ticks", "last")

        first = await payloads(subscription, 2)
        assert first == ["while", "last"] or (held.bus is not held.node and first == ["before", "while"])


async def test_a_subscriber_that_came_after_a_nowait_cannot_refuse_it(held: Held) -> None:
    """It was admitted when nobody could; what a client sent is admitted when it arrives, so this is the node's."""
    for number in range(20):
        held.node.publish_nowait("reject", number)
    async with held.node.subscribe("reject", max_in_flight=1) as subscription:
        await held.bus.publish("reject", "after")

        assert await payloads(subscription, 1) == ["after"]


async def test_nowait_hears_of_a_refusal(held: Held) -> None:
    """At once on a node, at the next call on a client; once."""
    async with held.bus.subscribe("reject", max_in_flight=1) as subscription:
        with pytest.raises(Rejected):
            await _nowait_many(held, "reject", 6)
        held.bus.publish_nowait("ticks", b"other channels are not concerned")
        await held.bus.writable("ticks")

        assert await payloads(subscription, 5) == list(range(5))


async def _nowait_many(held: Held, channel: str, count: int) -> None:
    for number in range(count):
        held.bus.publish_nowait(channel, number)
    await held.bus.publish("ticks", b"to the node and back")
    await held.bus.writable(channel)


async def test_a_publisher_sends_in_order_and_counts(held: Held) -> None:
    """Sent, acknowledged, taken by nobody, in flight."""
    async with held.bus.publisher("ticks", window=16) as publisher:
        for number in range(50):
            await publisher.send(number)
            assert publisher.statistics.in_flight <= 16
        await publisher.flush()
        alone = publisher.statistics
        async with held.bus.subscribe("ticks") as subscription:
            for number in range(50):
                await publisher.send(number)
            await publisher.flush()
            assert await payloads(subscription, 50) == list(range(50))
        both = publisher.statistics

    assert (alone.sent, alone.acknowledged, alone.undelivered, alone.in_flight) == (50, 50, 50, 0)
    assert (both.sent, both.acknowledged, both.undelivered, both.in_flight) == (100, 100, 50, 0)


async def test_leaving_a_publisher_flushes_it(held: Held) -> None:
    """Without a word."""
    async with held.bus.subscribe("ticks") as subscription:
        async with held.bus.publisher("ticks") as publisher:
            for number in range(10):
                await publisher.send(number)
        assert publisher.statistics.in_flight == 0

        assert await payloads(subscription, 10) == list(range(10))


async def test_leaving_a_publisher_by_an_error_still_sends_what_was_accepted(held: Held) -> None:
    """But does not wait for it."""
    async with held.bus.subscribe("ticks") as subscription:
        with pytest.raises(ZeroDivisionError):
            await _send_and_fail(held.bus)

        assert await payloads(subscription, 1) == ["sent"]


async def _send_and_fail(bus: Bus) -> None:
    async with bus.publisher("ticks") as publisher:
        await publisher.send("sent")
        raise ZeroDivisionError


async def _send_many(bus: Bus, channel: str, count: int) -> None:
    async with bus.publisher(channel) as publisher:
        for number in range(count):
            await publisher.send(number)


def _fill(bus: Bus) -> None:
    for _ in range(200):
        bus.publish_nowait("ticks", b"x" * (64 << 10))


async def test_a_failure_surfaces_typed_and_once(held: Held) -> None:
    """At flush, and then the publisher works again."""
    async with (
        held.bus.subscribe("reject", max_in_flight=1) as subscription,
        held.bus.subscribe("drop-newest") as other,
        held.bus.publisher("reject") as publisher,
        held.bus.publisher("drop-newest") as second,
    ):
        for number in range(9):
            await publisher.send(number)
        with pytest.raises(Rejected):
            await publisher.flush()
        await publisher.flush()
        statistics = publisher.statistics
        assert await payloads(subscription, 5) == list(range(5))
        await second.send("others are not concerned")
        await second.flush()
        assert await payloads(other, 1) == ["others are not concerned"]

    assert (statistics.sent, statistics.acknowledged, statistics.in_flight) == (9, 5, 0)


async def test_a_failure_surfaces_at_the_next_send(held: Held) -> None:
    """What that one would have sent is not sent."""
    async with held.bus.subscribe("reject", max_in_flight=1), held.bus.publisher("reject") as publisher:
        for number in range(6):
            await publisher.send(number)
        await asyncio.sleep(0)  # the end of the turn
        await held.bus.publish("ticks", b"to the node and back")
        with pytest.raises(Rejected):
            await publisher.send("not sent")
        assert publisher.statistics.sent == 6


async def test_a_failure_surfaces_at_the_end(held: Held) -> None:
    """Of the block."""
    async with held.bus.subscribe("reject", max_in_flight=1):
        with pytest.raises(Rejected):
            await _send_many(held.bus, "reject", 6)


async def test_what_can_never_be_sent_leaves_a_publisher_as_it_was(held: Held) -> None:
    """Refused at once, not counted as sent."""
    async with held.bus.subscribe("ticks") as subscription, held.bus.publisher("ticks", window=1) as publisher:
        for _ in range(3):
            with pytest.raises(LimitExceeded):
                await publisher.send(b"x" * (2 << 20))
        await publisher.send("small")
        await publisher.flush()

        assert publisher.statistics.sent == 1
        assert await payloads(subscription, 1) == ["small"]


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_mixed_arrives_in_the_order_it_was_made(held: Held, seed: int) -> None:
    """P4: publishes, with keys and without waiting, two publishers on one channel, others on another one between."""
    rng = random.Random(seed)
    bus, count = held.bus, 400
    async with (
        bus.subscribe("ticks") as subscription,
        bus.publisher("ticks", window=64) as one,
        bus.publisher("ticks") as two,
    ):
        for number in range(count):
            match rng.randrange(7):
                case 0:
                    await bus.publish("ticks", number)
                case 1:
                    await one.send(number)
                case 2:
                    await two.send(number)
                case 3:
                    bus.publish_nowait("m.a", b"another channel")
                    bus.publish_nowait("ticks", number)
                case 4:
                    await bus.publish("ticks", number, key=f"{number}")
                case _:
                    bus.publish_nowait("ticks", number)

        await asyncio.gather(one.flush(), two.flush())
        items = await take(subscription, count)
        assert [(item.sequence, item.payload) for item in items if isinstance(item, Message)] == [
            (number + 1, number) for number in range(count)
        ]


async def test_a_publisher_that_was_there_first_keeps_the_order(held: Held) -> None:
    """Though whoever had subscribed meanwhile has left, and nothing was published before."""
    publisher = held.bus.publisher("m.1")
    async with held.bus.subscribe("m.1"):
        pass
    await held.bus.publish("ticks", b"to the node and back")
    await held.node.flush()  # it has left
    async with held.bus.subscribe("m.*") as subscription:
        await publisher.send(1)
        await held.bus.publish("m.1", 2)
        await publisher.flush()

        assert await payloads(subscription, 2) == [1, 2]


async def test_the_lane_of_a_client_has_an_end(held: Held) -> None:
    """It is Busy at half of it; ``writable`` waits until it is written. A node hands over at once."""
    body = b"x" * (64 << 10)
    busy = None
    for _ in range(200):
        try:
            held.bus.publish_nowait("ticks", body)
        except Busy as error:
            busy = error
            break
    assert (busy is None) == (held.bus is held.node)
    if busy is not None:
        assert busy.retry_after > 0
    async with asyncio.timeout(DEADLINE_S):
        await held.bus.writable("ticks")
    held.bus.publish_nowait("ticks", body)


async def test_closing_a_client_wakes_whoever_waits_for_room() -> None:
    """With a word, although the lane was never written."""
    async with lone_node() as node:
        client = connect(f"liminal://{node.addresses['client']}")
        await client.__aenter__()
    # The node is gone for good: what is published waits for a connection that will not come.
    with pytest.raises(Busy):
        _fill(client)
    waiting = asyncio.create_task(client.writable("ticks"))
    await asyncio.sleep(0)
    await client.close()

    with pytest.raises(NoConnection):
        async with asyncio.timeout(DEADLINE_S):
            await waiting


async def test_a_message_that_does_not_fit_in_meets_a_rejection(held: Held) -> None:
    """PR1: by its bytes, although few messages wait; the policy then says whom it costs."""
    async with held.bus.subscribe("bytewise", max_in_flight=1):
        outcomes = [await held.bus.publish("bytewise", b"x" * 3000) for _ in range(3)]

    assert (outcomes[0].pressure.decision, outcomes[0].delivered) == ("accept", True)
    assert (outcomes[2].pressure.decision, outcomes[2].delivered) == ("reject", True)  # an older one was dropped for it
    assert outcomes[2].pressure.buffered < outcomes[2].pressure.max_buffered


async def test_no_capacity_is_zero(held: Held) -> None:
    """PR2: said when it is asked for."""
    with pytest.raises(ValueError, match="max_in_flight=0"):
        held.bus.subscribe("ticks", max_in_flight=0)
    with pytest.raises(ValueError, match="window=0"):
        held.bus.publisher("ticks", window=0)
    async with held.bus.subscribe("ticks") as subscription:
        with pytest.raises(ValueError, match="max_items=0"):
            await anext(subscription.batches(max_items=0))


@pytest.mark.parametrize("how", ["awaited", "windowed"])
async def test_who_publishes_without_a_rest_leaves_others_their_turn(held: Held, how: str) -> None:
    """Also where nobody is interested, so that there is nothing to wait for."""

    async def restless() -> None:
        async with held.bus.publisher("ticks") as publisher:
            while True:
                await (held.bus.publish("ticks", b"") if how == "awaited" else publisher.send(b""))

    task = asyncio.create_task(restless())
    for _ in range(5):  # turns, and no time: that stands still in the suite's other world, where somebody is at work
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, DEADLINE_S)


@pytest.mark.parametrize("how", ["awaited", "windowed"])
async def test_a_subscriber_in_the_same_loop_keeps_up_with_who_publishes_in_a_loop(how: str) -> None:
    """Many times what its inbox holds, without a gap: whoever has no credit gets a turn."""
    async with lone_node() as node, node.subscribe("ticks") as subscription, node.publisher("ticks") as publisher:
        taking = asyncio.create_task(payloads(subscription, 20_000))
        for number in range(20_000):
            await (node.publish("ticks", number) if how == "awaited" else publisher.send(number))
        await publisher.flush()
        assert await taking == list(range(20_000))
