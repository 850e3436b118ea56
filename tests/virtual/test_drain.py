"""How a node parts with its clients when it leaves (P10, CN4, CN6, HC3, HC4): in virtual time, to the millisecond."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from liminal_mesh import Draining, Gap, Node, OutcomeUnknown, Process
from liminal_mesh.cluster import (
    ClientPublish,
    Deliver,
    Disconnect,
    Envelope,
    Failure,
    KeepAlive,
    Subscribe,
)
from liminal_mesh.testing import Cluster

from ..contracts.holders import account, eventually, message, payloads, stay
from ..live.raw_peer import RawClient

ITEM = Envelope(0, 0, 0, 0, 0, b"x")
BUDGET_S = 30.0


async def raw(cluster: Cluster, stack: AsyncExitStack, name: str = "raw") -> RawClient:
    """Be a client of the node ``a``."""
    outside = cluster._network.host("127.0.0.99")
    one = await stack.enter_async_context(RawClient.to(cluster["a"].addresses["client"], outside))
    await one.greet(name)
    return one


async def test_hc4_a_node_without_clients_leaves_at_once() -> None:
    """Alone in no time at all, in a mesh as soon as its goodbye is told."""
    for nodes in (1, 3):
        async with Cluster(nodes=nodes) as cluster:
            began = cluster.now
            assert await cluster.stop("a")
            assert cluster.now - began < 0.1


async def test_hc3_a_node_that_is_told_to_stop_twice_stops_once() -> None:
    """Both who ask get the one answer; its clients hear one goodbye."""
    async with Cluster(nodes=2) as cluster, AsyncExitStack() as stack:
        node, one = cluster["a"], await raw(cluster, stack)
        first, second = asyncio.create_task(node.stop()), asyncio.create_task(node.stop("again"))
        said = await one.ended()
        assert [frame for frame in said if isinstance(frame, Disconnect)] == [
            Disconnect("draining", "shutdown", [str(cluster["b"].addresses["client"])])
        ]
        assert [await first, await second] == [True, True]
        assert await node.stop()


async def test_new_work_is_refused_and_says_where_to_go() -> None:
    """N2: whatever a client, or the program itself, begins once the node leaves; where its peers' clients connect."""
    async with Cluster(nodes=3) as cluster, AsyncExitStack() as stack:
        node, one = cluster["a"], await raw(cluster, stack)
        others = {str(cluster[name].addresses["client"]) for name in "bc"}
        holding = await raw(cluster, stack, "holding")
        holding.send(Subscribe(1, 1, "x", 1, "", 0))
        await node.publish("x", 1)
        await node.publish("x", 2)  # for which it has no credit
        stopping = asyncio.create_task(node.stop())
        await asyncio.sleep(0)
        one.send(ClientPublish(1, 1, "x", "", 0, [ITEM]), Subscribe(2, 2, "x", 1, "", 0))
        for _ in range(2):
            failure = await one.expect(Failure)
            assert failure.error == "Draining"
        calls = (
            node.publish("x", 3),
            node.publish("x", 3, key="k"),
            node.send_group("g", 3),
            node.join("g"),
            node.spawn(stay),
            node.subscribe("x").__aenter__(),
            _publish_windowed(node),
        )
        for call in calls:
            with pytest.raises(Draining) as refused:
                await call
            assert set(refused.value.other_addresses) == others
        with pytest.raises(Draining):
            node.publish_nowait("x", 3)
        await holding.close()
        assert await stopping
        assert set((await one.expect(Disconnect)).others) == others


async def _publish_windowed(node: Node) -> None:
    async with node.publisher("x") as publisher:
        await publisher.send(3)


async def test_cn4_a_client_that_was_told_is_here_until_it_goes() -> None:
    """Listed, heard and answered; what it says is refused, but for what needs no work; then it is sent off."""
    async with Cluster(nodes=1) as cluster, AsyncExitStack() as stack:
        node, one = cluster["a"], await raw(cluster, stack)
        stopping = asyncio.create_task(node.stop())
        assert (await one.expect(Disconnect)).code == "draining"
        began = cluster.now
        [listed] = node.connections()
        assert listed.client == "raw"
        one.send(KeepAlive(7), ClientPublish(1, 1, "x", "", 0, [ITEM]))
        rest = await one.ended()
        assert [type(frame).__name__ for frame in rest] == ["KeepAliveReply", "Failure"]
        assert cluster.now - began == pytest.approx(2.0, abs=0.1)
        assert await stopping


async def test_cn6_what_was_accepted_reaches_subscribers_before_they_are_told() -> None:
    """From this node and from its peers; the slow ones get it as they take it."""
    async with Cluster(nodes=2, config={"drain_timeout": BUDGET_S}) as cluster, AsyncExitStack() as stack:
        node, one = cluster["a"], await raw(cluster, stack)
        one.send(Subscribe(1, 1, "x", 100, "cluster", 5000))
        async with cluster.client("a") as client, client.subscribe("x", max_in_flight=4) as slow:
            await asyncio.sleep(1)
            for number in range(20):
                await node.publish("x", number)
            await cluster["b"].publish("x", 20, ack="nodes")
            stopping = asyncio.create_task(node.stop())
            told = await one.ended()
            kinds = [type(frame).__name__ for frame in told]
            assert sum(len(frame.items) for frame in told if isinstance(frame, Deliver)) == 21
            assert kinds.index("Disconnect") > max(at for at, kind in enumerate(kinds) if kind == "Deliver")
            began = cluster.now
            for number in range(21):
                await asyncio.sleep(0.1)
                assert (await message(slow)).payload == number
            assert cluster.now - began < BUDGET_S
            assert await stopping


async def test_hc3_the_mesh_stays_up_until_the_drain_is_over() -> None:
    """N5: what peers publish meanwhile still comes, nobody new is taken, and nobody suspects the node as it leaves."""
    async with Cluster(nodes=2, config={"drain_timeout": BUDGET_S}) as cluster, cluster.client("a") as client:
        node, peer = cluster["a"], cluster["b"]
        own, its = node.running.hub.events, peer.running.hub.events
        async with client.subscribe("x", max_in_flight=1, wait="cluster") as slow, node.subscribe("x") as mine:
            for number in range(5):
                await node.publish("x", number)
            stopping = asyncio.create_task(node.stop())
            await asyncio.sleep(5)
            assert (await peer.publish("x", 5, ack="nodes")).nodes == {"a": "delivered"}
            [there] = [one for one in await peer.members() if one.name == "a"]
            assert (there.state, there.reachable) == ("alive", True)
            with pytest.raises(ConnectionRefusedError):
                await RawClient.to(node.addresses["client"], cluster._network.host("127.0.0.99")).__aenter__()
            assert await payloads(mine, 6) == list(range(6))
            assert await payloads(slow, 5) == list(range(5))
            assert await stopping
        told = [event["kind"] for event in own if event["kind"] in {"draining", "link_down"}]
        assert told == ["draining", "link_down"]
        heard = [event["kind"] for event in its if event.get("node", event.get("peer")) == "a"]
        assert sorted(heard) == ["link_down", "link_up", "member_alive", "member_left", "peer_drains"]


async def test_a_client_goes_elsewhere_and_misses_nothing_that_it_had_been_promised() -> None:
    """Its publishes end, each with an answer; it comes back at another node with its subscriptions."""
    async with (
        Cluster(nodes=3) as cluster,
        cluster.client("a", name="mover") as client,
        client.subscribe("x") as here,
        cluster["c"].subscribe("x", wait="cluster") as there,
    ):
        accepted = []

        async def publish_for_ever() -> None:
            for number in range(10_000):
                await client.publish("x", number)
                accepted.append(number)

        publishing = asyncio.create_task(publish_for_ever())
        await asyncio.sleep(0.5)
        assert await cluster.stop("a")
        with pytest.raises(Draining) as refused:
            await publishing
        assert len(refused.value.other_addresses) == 2
        assert accepted
        for subscription in (here, there):
            assert await payloads(subscription, len(accepted)) == accepted
        await eventually(lambda: client.pid.node != "a")
        await eventually(lambda: len(cluster["c"].running.registry.members(0, "x")) == 2)
        await cluster["c"].publish("x", "after")
        assert (await message(there)).payload == "after"
        assert (await message(here)).payload == "after"


async def test_what_a_client_waits_for_is_answered_before_it_goes() -> None:
    """A receipt that takes a while; what takes too long stays unknown."""
    async with (
        Cluster(nodes=2, latency=(0.2, 0.2)) as cluster,
        cluster.client("a") as client,
        cluster["b"].subscribe("x", wait="cluster"),
    ):
        waiting = asyncio.create_task(client.publish("x", 1, ack="nodes"))
        await asyncio.sleep(0.25)
        stopping = asyncio.create_task(cluster["a"].stop())
        assert (await waiting).nodes == {"b": "delivered"}
        assert await stopping


async def test_a_request_that_takes_too_long_is_not_waited_for() -> None:
    """Its end is unknown to who asked."""
    async with (
        Cluster(nodes=2) as cluster,
        cluster.client("a") as client,
        cluster["b"].subscribe("x", wait="cluster"),
    ):
        cluster.partition({"a"}, {"b"})
        waiting = asyncio.create_task(client.publish("x", 1, ack="nodes", timeout=60))
        await asyncio.sleep(0.1)
        began = cluster.now
        stopping = asyncio.create_task(cluster["a"].stop())
        with pytest.raises(OutcomeUnknown, match="the node said: shutdown"):
            await waiting
        assert cluster.now - began < 3
        cluster.heal()
        await stopping


async def test_a_subscriber_that_takes_nothing_is_told_what_it_misses_when_the_time_is_up() -> None:
    """The node leaves then, and says that it was not finished; nobody else waits."""
    async with Cluster(nodes=1, config={"drain_timeout": 5.0}) as cluster, AsyncExitStack() as stack:
        node, quick = cluster["a"], await raw(cluster, stack)
        events = node.running.hub.events
        async with cluster.client("a") as client, client.subscribe("x", max_in_flight=2) as slow:
            for number in range(10):
                await node.publish("x", number)
            began = cluster.now
            stopping = asyncio.create_task(node.stop())
            await quick.expect(Disconnect)
            assert cluster.now - began < 0.1
            assert not await stopping
            assert 5.0 <= cluster.now - began < 7.0
            items = await account(slow, 10)
            assert sum(item.count for item in items if isinstance(item, Gap)) == 8
        [late] = [event for event in events if event["kind"] == "clients_cut_off"]
        assert late["count"] == 1


async def test_a_client_that_does_not_even_read_is_cut_off() -> None:
    """HC3: its connection is broken off two seconds after the deadline, and the node does not leave without that."""
    async with Cluster(nodes=1, config={"drain_timeout": 3.0}) as cluster, AsyncExitStack() as stack:
        node, stuck = cluster["a"], await raw(cluster, stack)
        stuck.send(Subscribe(1, 1, "x", 1000, "", 0))
        await asyncio.sleep(0.1)
        transport = stuck.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        for _ in range(10):
            await node.publish("x", bytes(100_000))
        server, began = node.running.server, cluster.now
        assert not await node.stop()
        assert 3.0 <= cluster.now - began <= 5.1
        assert server.empty, "its connection outlives the node"


async def test_hc3_a_node_that_nobody_lets_go_leaves_soon_after_its_time_is_up() -> None:
    """A client that reads nothing, a peer that hears nothing, a function that does not end, and a flush that waits."""
    async with Cluster(nodes=2, config={"drain_timeout": 3.0}) as cluster, AsyncExitStack() as stack:
        node, stuck = cluster["a"], await raw(cluster, stack)
        stuck.send(Subscribe(1, 1, "x", 1000, "", 0))
        await stack.enter_async_context(cluster["b"].subscribe("x", wait="cluster"))
        ends = asyncio.Event()

        async def deaf(_me: Process) -> None:
            while not ends.is_set():
                with suppress(asyncio.CancelledError):
                    await ends.wait()

        await node.spawn(deaf)
        transport = stuck.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        cluster.partition("a", "b")
        for _ in range(10):
            await node.publish("x", bytes(100_000))
        flushing = asyncio.create_task(node.flush(timeout=100))
        await asyncio.sleep(0)
        began = cluster.now
        assert not await node.stop()
        assert cluster.now - began <= 3 + 6
        await flushing  # nobody is left whom it could wait for
        ends.set()
        cluster.heal()


async def test_newcomers_are_told_at_once() -> None:
    """They have nothing here yet."""
    async with Cluster(nodes=2) as cluster, AsyncExitStack() as stack:
        outside = cluster._network.host("127.0.0.99")
        late = await stack.enter_async_context(RawClient.to(cluster["a"].addresses["client"], outside))
        await asyncio.sleep(0.1)
        began = cluster.now
        stopping = asyncio.create_task(cluster["a"].stop())
        [said] = await late.ended()
        assert isinstance(said, Disconnect)
        assert (said.code, said.others) == ("draining", [str(cluster["b"].addresses["client"])])
        assert cluster.now - began < 0.1
        assert await stopping


async def test_many_are_told_one_after_the_other_and_subscribers_first() -> None:
    """200 clients over two seconds."""
    told: dict[str, float] = {}

    async def hear(cluster: Cluster, one: RawClient, name: str) -> None:
        await one.expect(Disconnect)
        told[name] = cluster.now
        await one.close()

    async with Cluster(nodes=1) as cluster, AsyncExitStack() as stack:
        hearing = []
        for number in range(200):
            one = await raw(cluster, stack, f"{number}")
            if number % 2:
                one.send(Subscribe(1, 1, "x", 8, "", 0))
            name = f"{'s' if number % 2 else 'o'}{number}"
            hearing.append(asyncio.create_task(hear(cluster, one, name)))
        await asyncio.sleep(1)
        began = cluster.now
        assert await cluster.stop("a")
        await asyncio.gather(*hearing)
    late = {name: at - began for name, at in told.items()}
    assert max(at for name, at in late.items() if name[0] == "s") <= 1.01
    assert min(at for name, at in late.items() if name[0] == "o") >= 0.99
    assert 1.9 < max(late.values()) < 2.1


async def test_a_client_of_several_nodes_finds_one_that_was_named_to_it() -> None:
    """It knew only the one that leaves."""
    async with Cluster(nodes=2) as cluster, cluster.client("a") as client:
        await cluster.stop("a")
        await eventually(lambda: client.pid.node == "b")
        assert (await client.publish("x", 1)).message_id


async def test_publishes_while_a_client_moves_wait_for_the_next_node() -> None:
    """Of those that were not written, none is refused, and none is lost."""
    async with Cluster(nodes=2) as cluster, cluster.client("a") as client, cluster["b"].subscribe("x") as there:
        dialler = client._dialler
        assert dialler is not None
        stopping = asyncio.create_task(cluster.stop("a"))
        await eventually(lambda: not dialler.connected)
        for number in range(5):
            client.publish_nowait("x", number)
        assert await stopping
        assert await payloads(there, 5) == [0, 1, 2, 3, 4]
