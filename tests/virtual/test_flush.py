"""``node.flush``: what was accepted has left the node, or it says who has not taken it."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh import DeadlineExceeded, Node
from liminal_mesh.testing import Cluster

from ..contracts.holders import payloads

BIG = bytes(100_000)
MANY = 8
"""So many of them are more than a connection takes that nobody reads: 256 KiB on the way, 320 KiB before it."""


async def fill(node: Node, channel: str) -> None:
    """Publish more than a connection takes."""
    for _ in range(MANY):
        await node.publish(channel, BIG)


async def test_a_flush_of_nothing_takes_no_time() -> None:
    """Alone, linked, and with clients that have nothing to get."""
    async with Cluster(nodes=2) as cluster, cluster.client("a") as client, client.subscribe("x"):
        await asyncio.sleep(1)
        began = cluster.now
        await cluster["a"].flush()
        assert cluster.now == began


async def test_what_was_published_in_the_same_turn_has_left_the_node() -> None:
    """Also what was not awaited: it is on its way to the peer and to the client, and in nobody's buffer."""
    async with (
        Cluster(nodes=2) as cluster,
        cluster.client("a") as client,
        cluster["b"].subscribe("x", wait="cluster") as far,
        client.subscribe("x") as near,
    ):
        node = cluster["a"]
        for number in range(100):
            node.publish_nowait("x", number)
        await node.flush()
        run = node.running
        [connection], mesh = run.server.connections.values(), run.hub.mesh
        assert mesh is not None
        assert run.hub.exchange.statistics.published == 100
        assert not connection.deliveries.waiting
        assert not mesh.links["b"].lane
        assert connection.wire.queued_bytes == mesh.links["b"].wire.queued_bytes == 0
        for subscription in (far, near):
            assert await payloads(subscription, 100) == list(range(100))


async def test_who_does_not_take_it_is_named_and_gets_it_in_the_end() -> None:
    """A peer by its name, a client by its pid."""
    async with (
        Cluster(nodes=3, config={"limits": {"lane_age": 100.0}}) as cluster,
        cluster.client("a") as client,
        cluster["b"].subscribe("x", wait="cluster"),
        cluster["c"].subscribe("x", wait="cluster"),
        client.subscribe("x", max_in_flight=100),
    ):
        node, pid = cluster["a"], client.pid
        cluster.partition({"a"}, {"c", "client"})
        await fill(node, "x")
        began = cluster.now
        with pytest.raises(DeadlineExceeded) as late:
            await node.flush(timeout=2)
        assert cluster.now == pytest.approx(began + 2)
        assert (late.value.phase, late.value.node) == ("flush", "a")
        assert late.value.missing == tuple(sorted([str(pid), "c"]))
        cluster.heal()
        await node.flush(timeout=2)


async def test_a_subscription_without_credit_holds_a_flush_up() -> None:
    """What waits for it has not been handed over; when it is taken, or the client is gone, the flush ends."""
    async with Cluster(nodes=1) as cluster, cluster.client("a") as client:
        async with client.subscribe("x", max_in_flight=2) as slow:
            node = cluster["a"]
            for number in range(5):
                await node.publish("x", number)
            with pytest.raises(DeadlineExceeded, match=str(client.pid)):
                await node.flush(timeout=1)
            flushing = asyncio.create_task(node.flush(timeout=60))
            assert await payloads(slow, 4) == [0, 1, 2, 3]  # each gives the one before it back
            await flushing
            for number in range(5):
                await node.publish("x", number)
            flushing = asyncio.create_task(node.flush(timeout=60))
            await asyncio.sleep(1)
            assert not flushing.done()
        await flushing


async def test_what_comes_later_is_not_waited_for() -> None:
    """A node that is never idle can be flushed."""
    async with Cluster(nodes=2) as cluster, cluster["b"].subscribe("x", wait="cluster"):
        node = cluster["a"]

        async def publish_for_ever() -> None:
            while True:
                await fill(node, "x")
                await asyncio.sleep(0.001)

        mesh = node.running.hub.mesh
        assert mesh is not None
        publishing = asyncio.create_task(publish_for_ever())
        for _ in range(3):
            await asyncio.sleep(0.1)
            assert mesh.links["b"].lane, "there is always more than goes out"
            began = cluster.now
            await node.flush(timeout=60)
            assert cluster.now < began + 1
        publishing.cancel()


async def test_a_peer_that_is_lost_meanwhile_is_not_waited_for() -> None:
    """It is told of what it missed when it comes back."""
    async with Cluster(nodes=2) as cluster, cluster["b"].subscribe("x", wait="cluster"):
        node = cluster["a"]
        cluster.partition({"a"}, {"b"})
        await fill(node, "x")
        flushing = asyncio.create_task(node.flush(timeout=60))
        await asyncio.sleep(0.1)
        assert not flushing.done()
        await cluster.kill("b")
        cluster.heal()
        began = cluster.now
        await flushing
        assert cluster.now < began + 10
