"""Publishers that are slowed for consumers at other nodes, in virtual time, where a rate is exact."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple

import pytest

from liminal_mesh.node import status
from liminal_mesh.node.bus import Bus
from liminal_mesh.node.channel_metrics import channel_series
from liminal_mesh.node.config import ChannelConfig, InboxConfig, PressureConfig
from liminal_mesh.node.errors import ChannelClosed, Rejected
from liminal_mesh.node.node import Node
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.testing import Cluster

RATE = 100
FACTOR = 4.0
INBOX = InboxConfig(messages=9900)
BRAKE = ChannelConfig(name="brake", inbox=INBOX, pressure=[PressureConfig(at=0.02, slow=FACTOR)])


class Far(NamedTuple):
    """A channel of which 200 messages wait at the second node, so that publishers at the first one are slowed."""

    cluster: Cluster
    bus: Bus
    node: Node
    subscription: Subscription
    rate: float
    """Publishes a second, as they are to be now."""

    async def measured(self, seconds: float = 4) -> float:
        """Return how much is published a second by whoever would publish as fast as before."""
        before, begun = published(self.node), self.cluster.now
        publishing = asyncio.create_task(publish(self.bus))
        await asyncio.sleep(seconds)
        publishing.cancel()
        await asyncio.wait([publishing])
        return (published(self.node) - before) / (self.cluster.now - begun)


def published(node: Node) -> int:
    """Return how many were published on the channel at a node."""
    return node.running.hub.exchange.channels.channels["brake"].sequence


def slowed(node: Node) -> bool:
    """Whether publishers on the channel are slowed at a node."""
    channel = node.running.hub.exchange.channels.channels.get("brake")
    return channel is not None and channel.slowed


async def publish(bus: Bus) -> None:
    """Publish without an end."""
    while True:
        await bus.publish("brake", b"", timeout=60)
        await asyncio.sleep(1 / RATE)


async def until_free(node: Node) -> float:
    """Wait until nobody is slowed at a node any more; return for how long."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(30):
        while slowed(node):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    return loop.time() - begun


@asynccontextmanager
async def far(kind: str = "node", near: ChannelConfig = BRAKE) -> AsyncIterator[Far]:
    """Hold such a mesh."""
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(nodes=2, channels=[BRAKE]))
        node = cluster["a"]
        if near is not BRAKE:
            await node.channels.close("brake")
            await node.channels.create(near)
        bus = node if kind == "node" else await stack.enter_async_context(cluster.client("a", name="publisher"))
        there = cluster["b"].subscribe("brake", max_in_flight=100, wait="cluster")
        subscription = await stack.enter_async_context(there)
        begun = cluster.now
        for _ in range(200):
            await bus.publish("brake", b"")
            await asyncio.sleep(1 / RATE)
        rate = 200 / (cluster.now - begun) / FACTOR
        await asyncio.sleep(0.1)
        assert slowed(node)
        yield Far(cluster, bus, node, subscription, rate)


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_publishers_at_another_node_are_slowed_as_those_at_its_own(kind: str) -> None:
    """PR3, CH8: to the same part of their rate, until the consumers there have caught up."""
    async with far(kind) as held:
        assert held.rate * 0.9 <= await held.measured(8) <= held.rate * 1.1 + 1
        while slowed(held.node):
            while held.subscription.statistics.waiting:
                await anext(held.subscription)
            await asyncio.sleep(0.1)
        assert await held.measured(2) > RATE * 0.7


async def test_consumers_that_leave_slow_nobody() -> None:
    """PR3: they are over as soon as a policy can be."""
    async with far() as held:
        waiting = [asyncio.create_task(held.bus.publish("brake", b"", timeout=60)) for _ in range(1000)]
        await held.subscription.__aexit__(None, None, None)
        assert await until_free(held.node) < 2
        async with asyncio.timeout(1):
            await asyncio.gather(*waiting)


@pytest.mark.parametrize("how", ["partition", "kill", "stop", "close"])
async def test_a_node_that_is_out_of_sight_slows_nobody(how: str) -> None:
    """PR3: nor one that has closed the channel; what it told has ended with its session, and begins with the next."""
    async with far() as held:
        match how:
            case "partition":
                held.cluster.partition("a", "b")
            case "kill":
                await held.cluster.kill("b")
            case "stop":
                await held.cluster.stop("b")
            case _:
                await held.cluster["b"].channels.close("brake")
        assert await until_free(held.node) < 10
        assert await held.measured(2) > RATE * 0.7
        if how == "partition":
            held.cluster.heal()
            await held.cluster.linked()
            assert slowed(held.node)


async def test_a_newcomer_is_told() -> None:
    """PR3: and slowed from its first second on, by the rate that it had in it."""
    async with far() as held:
        await held.cluster.kill("a")
        newcomer = await held.cluster.restart("a")
        await held.cluster.linked()
        there = held._replace(bus=newcomer, node=newcomer)
        await newcomer.publish("brake", b"")
        assert slowed(newcomer)
        assert await there.measured(1) > RATE * 0.7
        assert held.rate * 0.9 <= await there.measured(8) <= held.rate * 1.2 + 1


async def test_a_channel_without_pressure_of_its_own_is_slowed_too() -> None:
    """PR3: whatever is declared where it is published; when it is over it has none of it any more."""
    async with far(near=ChannelConfig(name="brake")) as held:
        channel = held.node.running.hub.exchange.resolve("brake")
        assert await held.measured(1) > RATE * 0.7  # it had no meter before
        assert held.rate * 0.9 <= await held.measured(8) <= held.rate * 1.2 + 1
        [shown] = status.channels(held.node.running)["channels"]
        families = {family.name: family.samples for family in channel_series(held.node.running.hub.exchange)}
        assert families["liminal_channel_pressure_score"] == []  # there is none
        assert shown["pressure"] == {
            "score": 0.0, "reached": [], "slow": FACTOR, "slowed_by": {"b": FACTOR}, "shed_below": 0,
        }  # fmt: skip
        await held.subscription.__aexit__(None, None, None)
        await until_free(held.node)
        assert channel.press is None
        assert await held.measured(2) > RATE * 0.7


async def test_the_node_that_wants_most_is_heard() -> None:
    """PR3: this one among them."""
    steep = ChannelConfig(name="brake", inbox=INBOX, pressure=[PressureConfig(at=0.01, slow=8.0)])
    async with far(near=steep) as held:
        async with held.node.subscribe("brake", max_in_flight=100):
            for _ in range(101):
                await held.bus.publish("brake", b"", timeout=60)
            [shown] = status.channels(held.node.running)["channels"]
            assert (shown["pressure"]["slow"], shown["pressure"]["slowed_by"]) == (8.0, {"a": 8.0, "b": FACTOR})
        async with asyncio.timeout(5):
            while held.node.running.hub.throttles.by("brake") != {"b": FACTOR}:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        channel = held.node.running.hub.exchange.resolve("brake")
        assert channel.press is not None
        assert channel.press.throttle.factor == FACTOR


async def test_closing_a_channel_where_it_is_published_refuses_who_waits() -> None:
    """PR3: at once; when it is declared again it is slowed as peers want it then, and has the policies of then."""
    async with far() as held:
        async with held.bus.publisher("brake", timeout=60) as publisher:
            for _ in range(100):  # in one turn, so that nobody else has one for seconds
                await publisher.send(b"")
        waiting = [asyncio.create_task(held.bus.publish("brake", b"", timeout=60)) for _ in range(200)]
        await asyncio.sleep(0.1)
        await held.node.channels.close("brake")
        async with asyncio.timeout(1):
            done = await asyncio.gather(*waiting, return_exceptions=True)
        assert sum(isinstance(one, ChannelClosed) for one in done) > 150
        held.cluster.partition("a", "b")
        await asyncio.sleep(10)
        held.cluster.heal()
        await held.cluster.linked()
        shed = ChannelConfig(name="brake", inbox=INBOX, pressure=[PressureConfig(at=0.0001, shed_below=9)])
        await held.node.channels.create(shed)
        assert slowed(held.node)
        async with held.node.subscribe("brake", max_in_flight=100):
            await held.bus.publish("brake", b"")
            with pytest.raises(Rejected):
                await held.bus.publish("brake", b"")


@pytest.mark.parametrize("kind", ["node", "client"])
async def test_its_turn_and_its_receipts_have_one_timeout(kind: str) -> None:
    """PR3: what a publish has waited for the one is taken from the other."""
    async with far(kind) as held:
        held.cluster.partition("a", "b")
        async with held.node.publisher("brake", timeout=60) as publisher:
            for _ in range(50):  # in one turn, so that nobody else has one for two seconds
                await publisher.send(b"")
        begun = held.cluster.now
        outcome = await held.bus.publish("brake", b"", ack="nodes", timeout=3)
        assert outcome.nodes == {"b": "unknown"}
        assert 2.9 < held.cluster.now - begun < 3.2
