"""Publishes with keys in virtual time: over partitions, deaths, moves and whole windows."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack, suppress

import pytest

from liminal_mesh.node.bus import Bus
from liminal_mesh.node.config import ChannelConfig, DedupConfig, InboxConfig
from liminal_mesh.node.errors import InFlight, KeyReused, OutcomeUnknown
from liminal_mesh.node.node import Node
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.node.values import Gap, PublishOutcome
from liminal_mesh.storage import LiminalError, Unknown
from liminal_mesh.testing import Cluster

from ..contracts.holders import eventually

CHANNEL = "x"


class Reader:
    """A subscriber that notes what it gets, in the background."""

    def __init__(self, subscription: Subscription) -> None:
        self.subscription = subscription
        self.payloads: list[object] = []
        self.gaps: list[Gap] = []

    async def run(self) -> None:
        """Take until it ends."""
        async for item in self.subscription:
            if isinstance(item, Gap):
                self.gaps.append(item)
            else:
                self.payloads.append(item.payload)


async def reader(bus: Bus, stack: AsyncExitStack, tasks: asyncio.TaskGroup) -> Reader:
    """Subscribe, and read until the stack ends."""
    one = Reader(await stack.enter_async_context(bus.subscribe(CHANNEL, wait="cluster")))
    task = tasks.create_task(one.run())
    stack.callback(task.cancel)
    return one


def remembered(node: Node) -> tuple[int, int]:
    """Return how many keys a node remembers, and how many are in flight."""
    return node.running.hub.shared.keys.dedup.of(CHANNEL)


async def insist(bus: Bus, payload: object, key: str) -> PublishOutcome:
    """Publish with a key until it is known to have been delivered, as a producer does."""
    for _ in range(100):
        try:
            outcome = await bus.publish(CHANNEL, payload, key=key, timeout=1.0)
        except InFlight as error:
            await asyncio.sleep(error.retry_after)
        except Unknown:
            await asyncio.sleep(0.5)
        else:
            if outcome.delivered or outcome.duplicate:
                return outcome
            await asyncio.sleep(0.5)
    raise AssertionError(f"{key} was never delivered")


async def test_p3_a_key_that_two_nodes_took_in_a_partition_reaches_each_subscriber_once() -> None:
    """P3: also when all of them publish it again, once they have found each other."""
    async with Cluster(nodes=3) as cluster, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        readers = [await reader(cluster[name], stack, tasks) for name in "abc"]
        cluster.partition("a", {"b", "c"})
        await asyncio.sleep(15)
        outcomes = [await cluster[name].publish(CHANNEL, "k", key="k") for name in "ab"]
        assert [(one.local, one.delivered, one.duplicate) for one in outcomes] == [(1, True, False)] * 2

        cluster.heal()
        await cluster.linked()
        again = [await cluster[name].publish(CHANNEL, "k", key="k") for name in "abc"]
        assert [one.duplicate for one in again] == [True] * 3
        assert [one.message_id for one in again[:2]] == [one.message_id for one in outcomes]
        await cluster["a"].publish(CHANNEL, "last", ack="nodes")
        assert [one.payloads for one in readers] == [["k", "last"]] * 3
        # What one side published alone is told as lost on the other, as without a key.
        assert [[(gap.origin, gap.count) for gap in one.gaps] for one in readers] == [
            [("b", 1)],
            [("a", 1)],
            [("a", 1)],
        ]
        await stack.aclose()


async def test_who_did_not_know_of_the_other_side_suppresses_it_when_it_comes() -> None:
    """A publish that nobody on its side of a cut can take is retried until the cut is healed."""
    async with Cluster(nodes=3) as cluster, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        near = await reader(cluster["c"], stack, tasks)
        cluster.partition("a", {"b", "c"})
        outcome = asyncio.create_task(insist(cluster["a"], "k", "k"))
        await asyncio.sleep(15)
        elsewhere = await cluster["b"].publish(CHANNEL, "k", key="k")
        assert (elsewhere.delivered, elsewhere.duplicate) == (True, False)
        assert not outcome.done()

        cluster.heal()
        late = await outcome
        assert (late.delivered, late.duplicate, late.message_id) == (False, True, elsewhere.message_id)
        assert near.payloads == ["k"]
        await stack.aclose()


@pytest.mark.parametrize("held", ["publish", "receipt"])
async def test_a_link_that_dies_under_a_publish_leaves_it_unknown_and_its_retry_safe(held: str) -> None:
    """Whether the publish was held up, and came when nobody counted on it any more, or its receipt was."""
    async with (
        Cluster(nodes=2, latency=(0.01, 0.01)) as cluster,
        AsyncExitStack() as stack,
        asyncio.TaskGroup() as tasks,
    ):
        far = await reader(cluster["b"], stack, tasks)
        publish = asyncio.create_task(cluster["a"].publish(CHANNEL, "k", key="k", timeout=60.0))
        await asyncio.sleep(0.005 if held == "publish" else 0.015)
        cluster.partition("a", "b")
        with pytest.raises(OutcomeUnknown, match="no receipt from b"):
            await publish
        assert remembered(cluster["a"]) == (0, 0)
        assert far.payloads == ([] if held == "publish" else ["k"])

        cluster.heal()
        await cluster.linked()
        retry = await insist(cluster["a"], "k", "k")
        assert retry.duplicate
        assert far.payloads == ["k"]
        await stack.aclose()


async def test_a_producer_that_moves_to_another_node_delivers_once() -> None:
    """Its node died with the key in flight; the next one does not know of it, and the subscriber's does."""
    async with Cluster(nodes=3) as cluster, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        far = await reader(cluster["c"], stack, tasks)
        client = await stack.enter_async_context(cluster.client("a", "b"))
        first = asyncio.create_task(client.publish(CHANNEL, "k", key="k"))
        await eventually(lambda: bool(far.payloads))
        await cluster.kill("a")
        with pytest.raises(OutcomeUnknown):
            await first

        outcome = await insist(client, "k", "k")
        assert (outcome.delivered, outcome.duplicate, dict(outcome.nodes)) == (False, True, {"c": "delivered"})
        assert client.pid.node == "b"
        assert far.payloads == ["k"]
        await stack.aclose()


async def test_a_client_that_goes_away_in_flight_leaves_no_claim_behind() -> None:
    """Its retry over another connection is told so, and then of the duplicate."""
    async with (
        Cluster(nodes=2, latency=(0.02, 0.02)) as cluster,
        AsyncExitStack() as stack,
        asyncio.TaskGroup() as tasks,
    ):
        far = await reader(cluster["b"], stack, tasks)
        async with cluster.client("a", name="one") as one:
            first = asyncio.create_task(one.publish(CHANNEL, "k", key="k"))
            await eventually(lambda: remembered(cluster["a"]) == (0, 1))
            [connection] = cluster["a"].running.server.connections.values()
            connection.wire.abort("cut by the test")
            with pytest.raises(OutcomeUnknown):
                await first
            with pytest.raises(InFlight):
                await cluster["a"].publish(CHANNEL, "k", key="k")
            assert (await insist(one, "k", "k")).duplicate
        assert remembered(cluster["a"]) == (1, 0)
        assert far.payloads == ["k"]
        await stack.aclose()


async def test_dd7_a_key_is_forgotten_after_its_window_and_nothing_is_left_to_sweep() -> None:
    """DD7: by every node, counted from the delivery; with nothing to remember there is no timer."""
    channels = [ChannelConfig(name=CHANNEL, dedup=DedupConfig(window=60.0))]
    async with Cluster(nodes=2, channels=channels) as cluster, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        far = await reader(cluster["b"], stack, tasks)
        for window in range(2):
            outcome = await cluster["a"].publish(CHANNEL, "k", key="k")
            assert outcome.delivered
            await asyncio.sleep(30)
            await cluster["a"].publish(CHANNEL, "later", key="later")
            await asyncio.sleep(29)
            assert [(await cluster[name].publish(CHANNEL, "k", key="k")).duplicate for name in "ab"] == [True, True]
            assert [remembered(cluster[name]) for name in "ab"] == [(2, 0)] * 2
            await asyncio.sleep(2)
            assert [remembered(cluster[name]) for name in "ab"] == [(1, 0)] * 2
            await asyncio.sleep(30)
            assert [remembered(cluster[name]) for name in "ab"] == [(0, 0)] * 2
            statistics = cluster["b"].running.hub.shared.keys.dedup.statistics
            assert (statistics.expired, statistics.sweeps) == (2 * window + 2, 2 * window + 2)
        assert far.payloads == ["k", "later"] * 2
        await stack.aclose()


async def test_a_window_is_the_channels_own() -> None:
    """A clock that a test sets back or forth moves none of them: it is not the time of day."""
    channels = [ChannelConfig(name=CHANNEL, dedup=DedupConfig(window=10.0)), ChannelConfig(name="long")]
    async with Cluster(nodes=1, channels=channels) as cluster:
        node = cluster["a"]
        async with node.subscribe(CHANNEL), node.subscribe("long"):
            for name in (CHANNEL, "long"):
                await node.publish(name, "k", key="k")
            await asyncio.sleep(9.9)
            assert [(await node.publish(name, "k", key="k")).duplicate for name in (CHANNEL, "long")] == [True, True]
            await asyncio.sleep(0.2)
            assert [(await node.publish(name, "k", key="k")).duplicate for name in (CHANNEL, "long")] == [False, True]


async def test_a_channel_that_opens_again_with_another_window_keeps_that_one() -> None:
    """Though it still remembers keys of the time before."""
    async with Cluster(nodes=1, channels=[]) as cluster:
        node = cluster["a"]
        await node.channels.create(CHANNEL, dedup={"window": 10.0})
        async with node.subscribe("*"):
            await node.publish(CHANNEL, "k", key="former")
            await asyncio.sleep(5)
            await node.channels.close(CHANNEL)
            await node.channels.create(CHANNEL, dedup={"window": 60.0})
            await node.publish(CHANNEL, "k", key="k")
            await asyncio.sleep(50)
            assert (await node.publish(CHANNEL, "k", key="k")).duplicate
            await asyncio.sleep(11)
            assert (await node.publish(CHANNEL, "k", key="k")).delivered


async def test_a_node_that_stops_settles_what_is_in_flight() -> None:
    """Whoever waits is told that nobody knows."""
    async with Cluster(nodes=2) as cluster, cluster["b"].subscribe(CHANNEL, wait="cluster"):
        cluster.partition("a", "b")
        publish = asyncio.create_task(cluster["a"].publish(CHANNEL, "k", key="k", timeout=60.0))
        await asyncio.sleep(0.1)
        dedup = cluster["a"].running.hub.shared.keys.dedup
        assert dedup.claimed == 1
        await cluster.stop("a")

        with pytest.raises(OutcomeUnknown):
            await publish
        assert dedup.claimed == 0


async def test_a_suppressed_number_is_no_loss_to_a_client_that_comes_back() -> None:
    """It is told where the origin stands, though it got nothing for it."""
    async with Cluster(nodes=2) as cluster, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        client = await stack.enter_async_context(cluster.client("b"))
        far = await reader(client, stack, tasks)
        await cluster["a"].publish(CHANNEL, "first", ack="nodes")
        await cluster["b"].publish(CHANNEL, "k", key="k")
        assert (await cluster["a"].publish(CHANNEL, "k", key="k")).duplicate
        await asyncio.sleep(1)
        [connection] = cluster["b"].running.server.connections.values()
        former = client.pid
        connection.wire.abort("cut by the test")
        await eventually(lambda: client.pid != former)
        await asyncio.sleep(5)
        await cluster["a"].publish(CHANNEL, "last", ack="nodes")
        await asyncio.sleep(1)

        assert (far.payloads, far.gaps) == (["first", "k", "last"], [])
        await stack.aclose()


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_a_subscriber_gets_a_key_at_most_once(seed: int) -> None:
    """P3: publishes on all nodes, and cuts of every kind; what is said to have been delivered, somebody got."""
    rng = random.Random(seed)
    keys = [f"k{number}" for number in range(6)]
    said: set[str] = set()

    async def produce(bus: Bus) -> None:
        for _ in range(15):
            key = rng.choice(keys)
            with suppress(LiminalError):
                outcome = await bus.publish(CHANNEL, key, key=key, timeout=rng.choice([0.002, 0.5, 5.0]))
                if outcome.delivered or outcome.duplicate:
                    said.add(key)
            await asyncio.sleep(rng.uniform(0, 2))

    async with Cluster(nodes=4, seed=seed) as cluster, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        readers = [await reader(cluster[name], stack, tasks) for name in "abc" for _ in range(2)]
        client = await stack.enter_async_context(cluster.client("a", "b"))
        buses: list[Bus] = [*(cluster[name] for name in "abd"), client]
        producers = [tasks.create_task(produce(bus)) for bus in buses]
        for _ in range(4):
            await asyncio.sleep(rng.uniform(0, 4))
            one, other = rng.sample("abcd", 2)
            cluster.partition(one, other, one_way=rng.random() < 0.3)
            await asyncio.sleep(rng.uniform(0, 12))
            cluster.heal()
        await asyncio.wait(producers)
        await cluster.linked()
        await asyncio.sleep(1)
        assert said <= {payload for one in readers for payload in one.payloads}
        for key in keys:
            for name in "abcd":
                await insist(cluster[name], key, key)
        await asyncio.sleep(1)

        for key in keys:
            counts = [Counter(one.payloads)[key] for one in readers]
            assert max(counts) == 1, (key, counts)
        assert [remembered(cluster[name])[1] for name in "abcd"] == [0] * 4
        await stack.aclose()


async def test_p3_a_key_is_taken_once_by_a_group_through_whichever_node_it_comes() -> None:
    """P3: the members of a group are at two nodes; a retry through another node goes to the one that knows the key."""
    async with Cluster(nodes=4) as cluster, AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        members = []
        for name in "bcc":
            subscription = cluster[name].subscribe(CHANNEL, group="g", wait="cluster")
            members.append(Reader(await stack.enter_async_context(subscription)))
            stack.callback(tasks.create_task(members[-1].run()).cancel)
        plain = await reader(cluster["c"], stack, tasks)
        keys = [f"k{number}" for number in range(60)]
        first = [await cluster["a"].publish(CHANNEL, key, key=key) for key in keys]
        assert all(one.delivered for one in first)
        await asyncio.sleep(1)
        taken = [list(one.payloads) for one in members]
        assert Counter(key for part in taken for key in part) == Counter(keys)
        assert all(taken), "each member has its part of the keys"

        for name in "dbca":
            again = [await cluster[name].publish(CHANNEL, key, key=key) for key in keys]
            assert all(one.duplicate and not one.delivered for one in again)
            assert [one.message_id for one in again] == [one.message_id for one in first]
        await asyncio.sleep(1)
        assert [one.payloads for one in members] == taken
        assert set(plain.payloads) == set(keys)
        assert len(plain.payloads) == len(keys)
        await stack.aclose()


async def test_a_key_that_a_group_has_taken_stands_for_that_message_there() -> None:
    """Another body under it is refused, also through a node that has never heard of the key."""
    async with Cluster(nodes=3) as cluster, cluster["c"].subscribe(CHANNEL, group="g", wait="cluster") as member:
        await cluster["a"].publish(CHANNEL, 1, key="k")
        with pytest.raises(KeyReused):
            await cluster["b"].publish(CHANNEL, 2, key="k")
        item = await anext(member)
        assert not isinstance(item, Gap)
        assert item.payload == 1
        assert member.statistics.waiting == 0


async def test_a_key_that_no_member_took_is_free() -> None:
    """P3: a publish that was delivered to nobody never suppresses its own retry."""
    config = ChannelConfig(name=CHANNEL, inbox=InboxConfig(messages=1, overflow="reject"))
    async with (
        Cluster(nodes=2, channels=[config]) as cluster,
        cluster["b"].subscribe(CHANNEL, group="g", max_in_flight=1, wait="cluster") as member,
    ):
        for key in "xyz":
            outcome = await cluster["a"].publish(CHANNEL, key, key=key)
            assert outcome.delivered == (key != "z")
        assert not outcome.duplicate
        for expected in "xy":
            item = await anext(member)
            assert not isinstance(item, Gap)
            assert item.payload == expected
        assert (await cluster["a"].publish(CHANNEL, "z", key="z")).delivered
