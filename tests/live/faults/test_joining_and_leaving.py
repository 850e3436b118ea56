"""What a subscription may rely on from when on, and what a node owes before it leaves."""

from __future__ import annotations

import asyncio

import pytest

from liminal_mesh.node.client import Client
from liminal_mesh.node.config import NodeConfig
from liminal_mesh.node.node import Node
from liminal_mesh.storage import LiminalError

from .fleet import Fleet
from .reader import Reader

pytestmark = pytest.mark.live


async def test_a_publish_after_the_barrier_arrives(fleet: Fleet) -> None:
    """S6: whoever publishes, on any linked node, after ``subscribe(wait="cluster")`` has returned."""
    a, b, c = await fleet.mesh("a", "b", "c")
    client = await fleet.client(b)
    for _ in range(10):
        await asyncio.gather(
            client.call("subscribe", key="x", pattern="t.x", wait="cluster", whole=False),
            a.call("subscribe", key="x", pattern="t.*", wait="cluster", whole=False),
        )
        await asyncio.gather(*(node.call("publish", channel="t.x", count=3) for node in (a, b, c)))
        for one in (client, a):
            assert (await one.until("x", 9))["delivered"] == 9
            await one.call("unsubscribe", key="x")


async def test_a_publish_on_a_fresh_link_arrives(fleet: Fleet) -> None:
    """Without a barrier too: whose interests are not known yet gets everything."""
    early = 0
    for number in range(5):
        async with Node(NodeConfig(**fleet.config("b"))) as b, b.subscribe("t.x") as subscription:
            reader = Reader(subscription).start()
            async with Node(NodeConfig(**fleet.config("a", [str(b.addresses["mesh"])]))) as a:
                early += not a.running.registry.synced("b", 0)
                outcome = await a.publish("t.x", number)
                await reader.until(1)
                reader.check(1)
                assert reader.last_payload == number
                assert set(outcome.nodes) <= {"b"}
            await reader.stop()
    assert early, "it was always synced already: this shows nothing"


async def test_a_subscription_that_joins_under_load_misses_nothing_from_its_first_message_on(fleet: Fleet) -> None:
    """On a node that is joining, while the others publish at speed."""
    a, b = await fleet.mesh("a", "b")
    floods = [node.begin("flood", channel="t.x", count=20_000, pace=0.004) for node in (a, b)]
    c = await fleet.node("c", [a.addresses["mesh"]], inbox={"messages": 50_000})
    await c.call("subscribe", key="x", pattern="t.x", whole=False)
    await asyncio.gather(*floods)
    books = await c.call("books", key="x")
    await asyncio.gather(*(node.call("publish", channel="t.x", count=1) for node in (a, b)))
    while books["last"] != [20_001, 20_001]:
        books = await c.call("books", key="x")
    assert not books["problems"], books
    assert books["missed"] == 0


async def test_a_node_that_is_told_to_end_hands_on_what_it_accepted(fleet: Fleet) -> None:
    """P10: its peers get all of it and see it leave, its client gets all of it, and its exit code is 0."""
    a, b, c = await fleet.mesh("a", "b", "c", inbox={"messages": 50_000})
    client = await fleet.client(b)
    subscribers = (b, c, client)
    for one in (a, *subscribers):
        await one.call("subscribe", key="x", pattern="t.x", wait="cluster")

    a.begin("flood", channel="t.x", count=20_000).add_done_callback(lambda _: a.terminate())

    for one in subscribers:
        assert (await one.until("x", 20_000))["delivered"] == 20_000
    assert await a.exit_code() == 0
    for node in (b, c):
        others = {"b": "c", "c": "b"}
        await node.linked(others[node.name])
        assert await node.call("members") == {"a": "left", "b": "alive", "c": "alive"}
        story = [line for line in await node.call("registry") if " a " in line]
        assert story[-1] == f"Left t.x a {a.epoch}", "it left; nobody had to purge it"


async def test_what_was_acknowledged_to_a_client_is_handed_on(fleet: Fleet) -> None:
    """Its node is told to end while it publishes: the acknowledged ones are among those that arrived."""
    a, b = await fleet.mesh("a", "b", inbox={"messages": 100_000})
    await b.call("subscribe", key="x", pattern="t.x", wait="cluster")
    async with Client(f"liminal://{a.addresses['client']}") as client:
        publisher = client.publisher("t.x", window=512, timeout=0.5)

        async def send_for_ever() -> None:
            while True:
                await publisher.send(b"x")
                if publisher.statistics.sent == 5000:
                    a.terminate()

        with pytest.raises(LiminalError):
            await send_for_ever()
        assert await a.exit_code() == 0
    await b.linked()
    books = await b.call("books", key="x")
    assert not books["problems"]
    assert books["missed"] == 0
    assert publisher.statistics.acknowledged <= books["delivered"] <= publisher.statistics.sent
