"""Clients whose connection or node is lost: their subscriptions come back, and they know what they missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from liminal_mesh.node.client import Client
from liminal_mesh.node.errors import ChannelNotConfigured, NoConnection, OutcomeUnknown

from .fleet import Fleet, Worker
from .proxy import Proxy
from .reader import Reader
from .traffic import flood

pytestmark = pytest.mark.live


def url(*nodes: Worker) -> str:
    """Return where clients connect."""
    return "liminal://" + ",".join(node.addresses["client"] for node in nodes)


@asynccontextmanager
async def behind_proxy(node: Worker) -> AsyncIterator[tuple[Proxy, Client]]:
    """Connect a client through a proxy."""
    async with Proxy() as proxy:
        proxy.point(node.addresses["client"])
        async with Client(f"liminal://{proxy.address}") as client:
            yield proxy, client


@pytest.mark.parametrize("max_in_flight", [32, 4096])
async def test_books_balance_over_lost_connections(fleet: Fleet, max_in_flight: int) -> None:
    """Of another node's publishes and of its own node's, while both publish at speed."""
    a, b = await fleet.mesh("a", "b", inbox={"messages": 2000})
    async with (
        behind_proxy(b) as (proxy, client),
        client.subscribe("t.x", max_in_flight=max_in_flight, wait="cluster") as first,
        client.subscribe("t.>", max_in_flight=max_in_flight, wait="cluster") as second,
    ):
        readers = [Reader(one).start() for one in (first, second)]
        count = 40_000
        floods = [one.begin("flood", channel="t.x", count=count, pace=0.002) for one in (a, b)]
        for number in range(1, 5):
            await proxy.connection(number)
            await asyncio.gather(*(reader.until(reader.total + 3000) for reader in readers))
            assert proxy.reset()
        await asyncio.gather(*floods)
        for reader in readers:
            await reader.until(2 * count)
            reader.check(2 * count)
            assert reader.reasons["link"] > 0
            await reader.stop()


async def test_a_client_comes_back_to_its_restarted_node(fleet: Fleet) -> None:
    """What another node published meanwhile is a gap; the new run of its own node counts from 1."""
    a, b = await fleet.mesh("a", "b")
    async with Client(url(b)) as client, client.subscribe("t.x", wait="cluster") as subscription:
        reader = Reader(subscription).start()
        await asyncio.gather(*(one.call("publish", channel="t.x", count=50) for one in (a, b)))
        await reader.until(100)

        await b.kill()
        await a.linked()
        await a.call("publish", channel="t.x", count=30)
        mesh, listen = b.addresses["mesh"], b.addresses["client"]
        again = await fleet.node("b", [a.addresses["mesh"]], mesh=mesh, client=listen)

        await reader.until(130)
        assert (reader.delivered, dict(reader.reasons)) == (100, {"link": 30})
        await asyncio.gather(*(one.call("publish", channel="t.x", count=50) for one in (a, again)))
        await reader.until(230)
        reader.check(230)
        assert reader.delivered == 200
        assert client.pid.epoch == again.epoch
        await reader.stop()


async def test_a_client_moves_to_the_other_address(fleet: Fleet) -> None:
    """Its node is killed while a third one publishes at speed: no number comes twice, and none is missing."""
    a, b, c = await fleet.mesh("a", "b", "c", inbox={"messages": 100_000})
    async with Client(url(b, c)) as client, client.subscribe("t.*", wait="cluster") as subscription:
        reader = Reader(subscription).start()
        assert client.pid.node == "b"
        running = a.begin("flood", channel="t.x", count=50_000, pace=0.002)
        await reader.until(3000)

        await b.kill()

        await running
        await reader.until(50_000)
        reader.check(50_000)
        assert client.pid.node == "c"
        assert reader.reasons["link"] > 0
        await client.publish("t.x", b"after")
        await reader.until(50_001)
        await reader.stop()


async def test_a_client_moves_to_a_node_that_lags(fleet: Fleet) -> None:
    """What the other node delivers there later is known to the client already, and comes to it once."""
    a, b, c = await fleet.mesh("a", "b", "c", inbox={"messages": 100_000, "bytes": "64MiB"})
    await c.call("subscribe", key="x", pattern="t.x", wait="cluster")
    async with Proxy() as proxy:
        proxy.point(c.addresses["client"])
        where = f"{url(b)},{proxy.address}"
        async with Client(where) as client, client.subscribe("t.x", wait="cluster") as subscription:
            reader = Reader(subscription).start()
            await a.call("publish", channel="t.x", count=10)
            await asyncio.gather(reader.until(10), c.until("x", 10))
            c.freeze()
            await a.call("flood", channel="t.x", count=8000, size=1000)
            await reader.until(8010)
            await b.kill()
            await proxy.carried(1)  # it has greeted the node, which lies far behind
            c.thaw()
            await a.linked("c")
            await c.until("x", 8010)
            await a.call("publish", channel="t.x", count=10)
            await reader.until(8020)
            reader.check(8020)
            await reader.stop()


async def test_what_was_in_flight_is_unknown(fleet: Fleet) -> None:
    """Awaited, windowed and unawaited publishes say so, each once; then the client works on."""
    a = await fleet.node("a")
    async with behind_proxy(a) as (proxy, client):
        await client.publish("t.x", b"before")
        publisher = client.publisher("t.x")
        a.freeze()
        awaited = asyncio.create_task(client.publish("t.x", b"1"))
        await publisher.send(b"2")
        flushed = asyncio.create_task(publisher.flush())
        client.publish_nowait("t.x", b"3")
        await proxy.carried(3 * 20)
        proxy.reset()

        with pytest.raises(OutcomeUnknown):
            await awaited
        with pytest.raises(OutcomeUnknown):
            await flushed
        with pytest.raises(OutcomeUnknown):
            client.publish_nowait("t.x", b"4")

        a.thaw()
        await publisher.send(b"5")
        await publisher.flush()
        client.publish_nowait("t.x", b"6")
        await client.publish("t.x", b"7")


async def test_a_publisher_does_not_wait_for_ever_for_a_node_that_is_gone(fleet: Fleet) -> None:
    """What was written is unknown at once; what waits for another connection is unknown when its time is up."""
    a = await fleet.node("a")
    async with Client(url(a)) as client:
        publisher = client.publisher("t.x", window=10, timeout=0.2)
        await publisher.send(b"1")
        await publisher.flush()
        await a.kill()
        with pytest.raises((NoConnection, OutcomeUnknown)):  # the loss is noticed
            await client.members()
        for _ in range(10):
            await publisher.send(b"2")
        with pytest.raises(OutcomeUnknown):
            await publisher.send(b"3")
        with pytest.raises(OutcomeUnknown):
            await publisher.flush()
        assert publisher.statistics.acknowledged == 1


async def test_refusals_of_publishes_without_an_answer_surface(fleet: Fleet) -> None:
    """At the next call for that channel, and not at one for another."""
    a = await fleet.node("a")
    async with Client(url(a)) as client:
        client.publish_nowait("nowhere", b"1")
        await client.publish("t.x", b"it is answered after it")

        client.publish_nowait("t.x", b"2")
        with pytest.raises(ChannelNotConfigured):
            client.publish_nowait("nowhere", b"3")
        client.publish_nowait("nowhere", b"4")
        await client.publish("t.x", b"it is answered after it")
        with pytest.raises(ChannelNotConfigured):
            await client.writable("nowhere")


async def test_requests_between_publishes_that_wait(fleet: Fleet) -> None:
    """Each gets its own answer."""
    a = await fleet.node("a")
    async with Client(url(a)) as client, client.subscribe("t.x", max_in_flight=10_000) as subscription:
        reader = Reader(subscription).start()
        work = []
        for _ in range(50):
            work += [asyncio.create_task(client.publish("t.x", b"1")), asyncio.create_task(client.members())]
            client.publish_nowait("t.x", b"2")
        await asyncio.gather(*work)
        await flood(client, "t.x", 100)

        await reader.until(200)
        reader.check(200)
        assert reader.missed == 0
        await reader.stop()
