"""What a kill ends, how soon, and how the node answers its own program after that."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh.node.message import Message
from liminal_mesh.node.process import Process
from liminal_mesh.testing import Cluster


async def slow(_me: Process) -> None:
    """Do nothing, and take four seconds to clean up."""
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(4)


async def test_a_killed_node_answers_as_a_stopped_one() -> None:
    """Its own program may still hold it."""
    async with Cluster(nodes=2) as cluster:
        node = cluster["a"]
        await cluster.kill("a")

        began = cluster.now
        assert await node.stop()
        assert cluster.now == began
        with pytest.raises(RuntimeError, match="'a' is not running"):
            await node.publish("t", b"")


@pytest.mark.parametrize("by_cluster", [False, True])
async def test_a_node_can_be_killed_while_it_drains(by_cluster: bool) -> None:
    """Whoever waits for the stop hears that not all was handed on, and at once."""
    async with (
        Cluster(nodes=2) as cluster,
        cluster.client("a") as client,
        client.subscribe("t", wait="cluster", max_in_flight=1) as reader,
    ):
        for number in range(300):
            await cluster["a"].publish("t", number)
        await anext(reader)
        node = cluster["a"]
        stop = asyncio.create_task(cluster.stop("a") if by_cluster else node.stop())
        await asyncio.sleep(0.1)
        assert not stop.done()

        began = cluster.now
        await cluster.kill("a")
        assert not await stop
        assert cluster.now - began < 0.1
        assert await node.stop()
        assert list(cluster.nodes) == ["b"]
        await cluster.restart("a")
        await cluster.linked()


async def test_a_stop_that_has_only_been_asked_for_can_be_overtaken_by_a_kill() -> None:
    """In the same moment."""
    async with Cluster(nodes=2) as cluster:
        stop = asyncio.create_task(cluster["a"].stop())
        await cluster.kill("a")
        assert not await stop


async def test_a_kill_waits_for_no_function() -> None:
    """The others hear of it at once, and what the program waits for on that node ends; its functions clean up later."""
    async with Cluster(nodes=2) as cluster:
        process = await cluster["a"].spawn(slow)
        await cluster["a"].join("g", process.pid, wait="cluster")
        async with cluster["b"].monitor(process.pid) as monitor, cluster["a"].subscribe("t") as subscription:
            mailbox = cluster["a"].mailbox
            await asyncio.sleep(1)
            began = cluster.now
            await cluster.kill("a")
            assert cluster.now - began < 0.1
            assert (await monitor.down()).reason == "noconnection"
            assert await process.wait() == "shutdown"
            for ended in (subscription, mailbox):
                with pytest.raises(StopAsyncIteration):
                    await anext(ended)
            assert cluster.now - began < 0.1

            assert process.task is not None
            assert not process.task.done()
            await asyncio.sleep(5)
            assert process.task.cancelled()
            assert await cluster["b"].group_members("g") == ()


async def test_a_publish_at_a_killed_node_does_not_wait_for_its_functions() -> None:
    """It fares as if the node had stopped."""
    async with Cluster(nodes=2) as cluster, cluster["b"].subscribe("t", wait="cluster"):
        await cluster["a"].spawn(slow)
        cluster.partition("a", "b")
        publish = asyncio.create_task(cluster["a"].publish("t", b"", ack="nodes", timeout=60))
        await asyncio.sleep(0.1)
        began = cluster.now
        await cluster.kill("a")
        assert not (await publish).delivered
        assert cluster.now - began < 0.1


async def test_a_kill_that_is_cancelled_is_done_nevertheless() -> None:
    """Half a kill would be a node that is neither there nor gone."""
    async with Cluster(nodes=2) as cluster:
        node = cluster["a"]
        await node.spawn(slow)
        kill = asyncio.create_task(cluster.kill("a"))
        await asyncio.sleep(0)
        kill.cancel()
        await asyncio.wait([kill])
        await asyncio.sleep(0.1)
        with pytest.raises(RuntimeError, match="'a' is not running"):
            _ = node.running


async def test_nodes_that_stop_are_not_waited_for() -> None:
    """Neither while one drains, nor when its program has stopped it without the cluster."""
    async with Cluster(nodes=3) as cluster:
        await cluster["a"].spawn(slow)
        stop = asyncio.create_task(cluster["a"].stop())
        await asyncio.sleep(0.1)
        assert not stop.done()
        await cluster.linked()
        await stop
        await cluster.linked()
        await cluster.restart("a")
        async with cluster["a"].subscribe("t", wait="cluster") as subscription:
            await cluster["b"].publish("t", b"again")
            item = await anext(subscription)
        assert isinstance(item, Message)
