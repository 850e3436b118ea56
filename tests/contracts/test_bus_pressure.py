"""The pressure of a channel: publishes that are shed, and news of it, wherever they come from."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from liminal_mesh.node import status
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.channel_metrics import channel_series
from liminal_mesh.node.errors import ChannelClosed, ChannelNotConfigured, Rejected
from liminal_mesh.node.message import Message
from liminal_mesh.node.node import Node
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.node.values import Consumption, Gap

from .holders import Held, Pair, collect, eventually, take

LOW = {"liminal-priority": "4"}
HIGH = {"liminal-priority": "9"}


def filling(bus: Bus) -> Subscription:
    """Return a subscription of ten places, four of them credit."""
    return bus.subscribe("shed", max_in_flight=4, wait="cluster")


def told(node: Node, kind: str) -> list[dict[str, Any]]:
    """Return the events of a kind, without what each of them has."""
    own = {"id", "at", "kind", "level"}
    return [
        {key: event[key] for key in event if key not in own}
        for event in node.running.hub.events
        if event["kind"] == kind
    ]


def shown(node: Node) -> Any:
    """Return what the page of channels shows of the pressure."""
    [one] = [one for one in status.channels(node.running)["channels"] if one["name"] == "shed"]
    return one["pressure"]


def measured(node: Node) -> float:
    """Return the score as the metrics show it."""
    [family] = [one for one in channel_series(node.running.hub.exchange, ["shed"]) if one.name.endswith("score")]
    [sample] = family.samples
    return sample.value


async def later(_: Sequence[Consumption]) -> float:
    """Be no function that can be asked."""
    return 0.0


async def drain(subscription: Subscription) -> list[Message | Gap]:
    """Take all that waits, and say that the last is done."""
    items: list[Message | Gap] = []
    while True:
        try:
            async with asyncio.timeout(0.05):
                items.append(await anext(subscription))
        except TimeoutError:
            return items


async def test_what_is_less_important_is_shed(held: Held) -> None:
    """PR3: from the threshold on, and before anything comes of it; the rest passes, until more is shed."""
    async with filling(held.bus) as subscription:
        for number in range(5):
            await held.bus.publish("shed", number, headers=LOW)
        with pytest.raises(Rejected, match="sheds what has a priority below 5") as error:
            await held.bus.publish("shed", "shed", headers=LOW)
        for number in range(5, 9):
            await held.bus.publish("shed", number)
        with pytest.raises(Rejected, match="below 8"):
            await held.bus.publish("shed", "shed")
        await held.bus.publish("shed", 9, headers=HIGH)
        items = await take(subscription, 10)

    pressure = error.value.pressure
    assert (pressure.decision, pressure.in_flight, pressure.max_in_flight) == ("reject", 4, 4)
    assert (pressure.buffered, pressure.max_buffered) == (1, 6)
    assert [item.payload for item in items if isinstance(item, Message)] == list(range(10))
    assert [item.sequence for item in items if isinstance(item, Message)] == list(range(1, 11))


async def test_it_is_over_when_consumers_have_caught_up(held: Held) -> None:
    """PR3: told once when it is reached and once when it is over, also if nobody publishes."""
    async with filling(held.bus) as subscription:
        for number in range(10):
            await held.bus.publish("shed", number, headers=HIGH)
        assert shown(held.node) == {"score": 1.0, "reached": [0.5, 0.9], "slow": 1.0, "slowed_by": {}, "shed_below": 8}
        await drain(subscription)
        await eventually(lambda: shown(held.node)["reached"] == [])
        await eventually(lambda: shown(held.node)["score"] <= 0.1)
        outcome = await held.bus.publish("shed", "again", headers=LOW)

    assert outcome.local == 1
    assert [(one["threshold"], one.get("signal")) for one in told(held.node, "pressure_reached")] == [
        (0.5, "scale-out"),
        (0.9, None),
    ]
    assert [(one["channel"], one["threshold"]) for one in told(held.node, "pressure_over")] == [
        ("shed", 0.5),
        ("shed", 0.9),
    ]


async def test_the_score_is_that_of_now(held: Held) -> None:
    """PR3, TR2: wherever it is shown, though nothing applies and nobody publishes."""
    async with filling(held.bus) as subscription:
        for number in range(4):
            await held.bus.publish("shed", number)
        assert (shown(held.node)["score"], measured(held.node)) == (0.4, 0.4)
        await drain(subscription)
        await eventually(lambda: shown(held.node)["score"] <= 0.1)
        assert measured(held.node) <= 0.1
    await eventually(lambda: (shown(held.node)["score"], measured(held.node)) == (0.0, 0.0))


async def test_what_applied_is_over_when_the_channel_is_closed(held: Held) -> None:
    """PR3: whoever waits for the end of it hears that; what is declared anew begins without it."""
    [declared] = [one for one in held.node.config.channels if one.name == "shed"]
    held.node.channels.set_pressure("shed", lambda _: 1.0)
    async with filling(held.bus) as subscription:
        await held.bus.publish("shed", 1)
        assert len(told(held.node, "pressure_reached")) == 2
        await held.node.channels.close("shed")
        assert [one["threshold"] for one in told(held.node, "pressure_over")] == [0.5, 0.9]
        with pytest.raises(ChannelClosed):
            await collect(subscription, [])
    await held.node.channels.create(declared)
    async with filling(held.bus):
        await held.bus.publish("shed", 2)
        assert shown(held.node) == {"score": 0.1, "reached": [], "slow": 1.0, "slowed_by": {}, "shed_below": 0}


async def test_consumers_that_are_gone_do_not_count(held: Held) -> None:
    """PR3: the score is that of those who are there, and nothing remains of it without any."""
    async with filling(held.bus):
        async with filling(held.bus) as idle:
            for number in range(8):
                await held.bus.publish("shed", number)
                await drain(idle)
            assert shown(held.node)["reached"] == []
        await held.bus.publish("shed", "alone", headers=HIGH)
        assert shown(held.node)["reached"] == [0.5, 0.9]
    await eventually(lambda: shown(held.node)["reached"] == [])
    assert shown(held.node)["score"] == 0.0
    assert (await held.bus.publish("shed", "nobody", headers=LOW)).delivered is False


async def test_what_is_shed_without_waiting_is_refused_by_itself(held: Held) -> None:
    """PR3: the next call raises it on a client, and what is important enough passes before and after it."""
    async with filling(held.bus) as subscription:
        for number in range(5):
            await held.bus.publish("shed", number)
        refused = 0
        for number in range(6):
            headers = LOW if number % 2 else HIGH
            try:
                held.bus.publish_nowait("shed", number, headers=headers)
            except Rejected:
                refused += 1
                held.bus.publish_nowait("shed", "once more", headers=HIGH)
            await held.bus.members()
        items = await drain(subscription)

    got = [item.payload for item in items if isinstance(item, Message)]
    assert refused >= 2
    assert not {1, 3, 5} & set(got[5:])


async def test_a_remote_publish_is_shed_as_a_local_one(pair: Pair) -> None:
    """PR3, CH8: where its consumers are; for them it is a gap, and for its publisher a node that dropped it."""
    async with filling(pair.there) as subscription:
        for number in range(5):
            await pair.here.publish("shed", number, ack="nodes")
        outcome = await pair.here.publish("shed", "shed", headers=LOW, ack="nodes")
        passed = await pair.here.publish("shed", "passed", headers=HIGH, ack="nodes")
        with pytest.raises(Rejected, match="sheds"):
            await pair.there.publish("shed", "shed, too", headers=LOW)
        items = await take(subscription, 7)
        statistics = pair.b.running.hub.shared.statistics

    assert (outcome.delivered, dict(outcome.nodes)) == (False, {"b": "dropped"})
    assert (passed.delivered, dict(passed.nodes)) == (True, {"b": "delivered"})
    assert isinstance(items[5], Gap)
    assert (items[5].origin, items[5].first, items[5].last, items[5].reason) == ("a", 6, 6, "overflow")
    assert isinstance(items[6], Message)
    assert items[6].payload == "passed"
    assert (statistics.shed, statistics.rejected) == (1, 1)
    assert told(pair.a, "pressure_reached") == []
    assert len(told(pair.b, "pressure_reached")) == 1


async def test_a_program_can_make_the_score(held: Held) -> None:
    """PR3: of how full each consumer is; the average stands in for what is none, and comes back."""
    seen: list[Consumption] = []

    def fullest(consumers: Sequence[Consumption]) -> float:
        seen[:] = consumers
        return max(one.utilisation for one in consumers)

    held.node.channels.set_pressure("shed", fullest)
    async with filling(held.bus) as subscription, filling(held.bus) as idle:
        for _ in range(5):
            await held.bus.publish("shed", 1)
            await drain(idle)
        assert shown(held.node)["reached"] == [0.5]
        assert {one.pid for one in seen} == {subscription.id, idle.id}
        assert sorted(one.utilisation for one in seen)[-1] == 0.5
        assert {(one.max_in_flight, one.max_buffered) for one in seen} == {(4, 6)}
        held.node.channels.set_pressure("shed", None)
        await eventually(lambda: shown(held.node)["reached"] == [])
        held.node.channels.set_pressure("shed", lambda _: 7.0)
        await held.bus.publish("shed", 2)
        assert shown(held.node)["score"] == 1.0


@pytest.mark.parametrize("score", [float("nan"), "high", None, 1j, [0.5]])
async def test_a_score_that_is_none_is_told_and_the_average_stands_in(held: Held, score: Any) -> None:
    """PR3: once in a while, not at every publish; the publish itself is not concerned."""
    held.node.channels.set_pressure("shed", lambda _: score)
    async with filling(held.bus):
        for _ in range(5):
            assert (await held.bus.publish("shed", 1)).local == 1
        assert shown(held.node)["reached"] == [0.5]
    [event] = told(held.node, "pressure_score_failed")
    assert event["channel"] == "shed"


async def test_only_a_channel_with_pressure_has_a_score(held: Held) -> None:
    """PR3: said when it is set."""
    with pytest.raises(ValueError, match="no pressure"):
        held.node.channels.set_pressure("ticks", lambda _: 0.0)
    with pytest.raises(ChannelNotConfigured):
        held.node.channels.set_pressure("shedd", lambda _: 0.0)
    for score in (later, 0.5):
        with pytest.raises(TypeError, match="score="):
            held.node.channels.set_pressure("shed", score)  # type: ignore[arg-type]
    [one] = [one for one in status.channels(held.node.running)["channels"] if one["name"] == "ticks"]
    assert one["pressure"] is None
