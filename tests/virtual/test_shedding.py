"""What is less important is shed at the node of its consumers, whatever was written into it, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest

from liminal_mesh.cluster import ClientOutcome, ClientPublish, Encoding, Envelope, Failure, OptionKey
from liminal_mesh.node.config import ChannelConfig, InboxConfig, PressureConfig
from liminal_mesh.node.errors import Rejected
from liminal_mesh.node.message import Message, encode_headers
from liminal_mesh.node.subscription import Subscription
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient

SHED = ChannelConfig(name="shed", inbox=InboxConfig(messages=6), pressure=[PressureConfig(at=0.5, shed_below=5)])
OUTCOME = 2


async def raw(cluster: Cluster, stack: AsyncExitStack, name: str = "a") -> RawClient:
    """Be a client of a node that sends what it likes."""
    outside = cluster._network.host("127.0.0.99")
    one = await stack.enter_async_context(RawClient.to(cluster[name].addresses["client"], outside))
    await one.greet("raw")
    return one


@pytest.mark.parametrize("headers", [b"\x81\xb0liminal-priority\xa1\xff", b"\x81\xa1\xff\xa10", b"\xc0"])
async def test_a_priority_that_cannot_be_read_harms_nobody(headers: bytes) -> None:
    """PR3: it is that of a publish without one, here and at another node, and the link between them stays."""
    async with Cluster(nodes=2, channels=[SHED]) as cluster, AsyncExitStack() as stack:
        client = await raw(cluster, stack)
        async with cluster["b"].subscribe("shed", max_in_flight=4, wait="cluster") as subscription:
            for number in range(5):
                await cluster["a"].publish("shed", number, ack="nodes")
            item = Envelope(0, 0, 0, 0, 0, b"x", {OptionKey.HEADERS: msgspec.Raw(headers)})
            client.send(ClientPublish(1, OUTCOME, "shed", "nodes", 5000, [item]))
            outcome = await client.expect(ClientOutcome)
            assert outcome.nodes == {"b": "delivered"}
            assert len([await anext(subscription) for _ in range(6)]) == 6
        assert not [event for event in cluster["b"].running.hub.events if event["kind"] == "link_down"]


async def test_what_is_awaited_is_shed_from_the_threshold_on() -> None:
    """PR3: also in the middle of what a client has sent at once; each hears of itself, and what passed has passed."""
    async with Cluster(nodes=2, channels=[SHED]) as cluster, AsyncExitStack() as stack:
        client = await raw(cluster, stack)
        here = cluster["a"].subscribe("shed", max_in_flight=4)
        async with here as subscription, cluster["b"].subscribe("shed", wait="cluster"):
            items = [
                Envelope(0, 0, 0, 0, Encoding.TEXT, str(number).encode(), encode_headers({"liminal-priority": "4"}))
                for number in range(10)
            ]
            client.send(ClientPublish(1, OUTCOME, "shed", "nodes", 5000, items))
            outcomes = [await client.expect(ClientOutcome) for _ in range(5)]
            refused = [frame for frame in client.seen if isinstance(frame, Failure)]
            got = [await anext(subscription) for _ in range(5)]

    assert [(one.ref, one.delivered, one.nodes) for one in outcomes] == [
        (ref, True, {"b": "delivered"}) for ref in range(1, 6)
    ]
    assert [(one.ref, one.count, one.error) for one in refused] == [(ref, 1, "Rejected") for ref in range(6, 11)]
    assert [item.payload for item in got if isinstance(item, Message)] == list("01234")


@asynccontextmanager
async def shedding(*others: str) -> AsyncIterator[tuple[Cluster, Subscription, list[Subscription]]]:
    """Hold a mesh where ``b`` has a member of a group, and sheds; and members at other nodes."""
    async with Cluster(nodes=3, channels=[SHED]) as cluster, AsyncExitStack() as stack:
        member = await stack.enter_async_context(
            cluster["b"].subscribe("shed", group="g", max_in_flight=4, wait="cluster")
        )
        for number in range(5):
            outcome = await cluster["b"].publish("shed", number)
            assert outcome.local == 1
        rest = [
            await stack.enter_async_context(cluster[name].subscribe("shed", group="g", wait="cluster"))
            for name in others
        ]
        yield cluster, member, rest


LOW = {"liminal-priority": "4"}


async def test_what_is_offered_to_a_group_is_shed_too() -> None:
    """PR3, CH8: where all its members are, as a publish there is; and for its publisher it was dropped there."""
    async with shedding() as (cluster, member, _):
        with pytest.raises(Rejected):
            await cluster["b"].publish("shed", "low", headers=LOW)
        low = await cluster["a"].publish("shed", "low", headers=LOW, ack="nodes")
        keyed = await cluster["a"].publish("shed", "keyed", headers=LOW, key="k")
        usual = await cluster["a"].publish("shed", "usual", ack="nodes")
        publisher = cluster["a"].publisher("shed", ack="nodes")
        async with publisher:
            for number in range(4):
                await publisher.send(number, headers=LOW if number % 2 else None)
        items = [await anext(member) for _ in range(8)]

    for outcome in (low, keyed):
        assert (outcome.delivered, dict(outcome.nodes)) == (False, {"b": "dropped"})
    assert (usual.delivered, dict(usual.nodes)) == (True, {"b": "delivered"})
    assert publisher.statistics.undelivered == 2
    assert [item.payload for item in items if isinstance(item, Message)] == [*range(5), "usual", 0, 2]


async def test_what_one_node_sheds_members_at_another_take() -> None:
    """PR3: as long as there are any; the group loses nothing."""
    async with shedding("c") as (cluster, member, [other]):
        for number in range(20):
            outcome = await cluster["a"].publish("shed", number, headers=LOW, ack="nodes")
            assert (outcome.delivered, outcome.nodes["c"]) == (True, "delivered")
            assert await _payload(other) == number
        assert member.statistics.waiting == 5


async def test_what_was_taken_under_a_key_is_a_duplicate_and_not_shed() -> None:
    """PR3, DD1: else a member at another node would get it a second time."""
    async with shedding("c") as (cluster, member, [other]):
        for _ in range(5):
            await anext(member)
        await asyncio.sleep(2)  # b sheds nothing any more
        first = await cluster["a"].publish("shed", "once", key="k", headers=LOW)
        assert first.delivered
        took, node = (member, cluster["b"]) if dict(first.nodes) == {"b": "delivered"} else (other, cluster["c"])
        assert took is member, "choose another key: this one is for the other node"
        node.channels.set_pressure("shed", lambda _: 1.0)
        await node.publish("shed", "look", headers={"liminal-priority": "9"})
        again = await cluster["c"].publish("shed", "once", key="k", headers=LOW)

    assert (again.delivered, again.duplicate, again.message_id) == (False, True, first.message_id)


async def _payload(subscription: Subscription) -> object:
    item = await anext(subscription)
    assert isinstance(item, Message)
    return item.payload


async def test_what_was_accepted_is_not_shed_when_it_comes_back() -> None:
    """PR3: a publish is looked at once at its own node, whatever the pressure is when another one had no room."""
    inbox = InboxConfig(messages=2, overflow="reject")
    narrow = ChannelConfig(name="narrow", inbox=inbox, pressure=[PressureConfig(at=0.9, shed_below=5)])
    async with Cluster(nodes=2, channels=[narrow]) as cluster, AsyncExitStack() as stack:
        here, there = cluster["a"], cluster["b"]
        for node in (here, there):
            node.channels.set_pressure("narrow", lambda _: 0.0)
        await stack.enter_async_context(there.subscribe("narrow", group="g", max_in_flight=1, wait="cluster"))
        for _ in range(3):
            await there.publish("narrow", "full")
        member = await stack.enter_async_context(here.subscribe("narrow", group="g", max_in_flight=1, wait="cluster"))
        await here.publish("narrow", "first", ack="nodes")
        passed_on = here.running.hub.shared.statistics.passed_on
        low = asyncio.create_task(here.publish("narrow", "low", headers=LOW, ack="nodes"))
        await asyncio.sleep(0)
        here.channels.set_pressure("narrow", lambda _: 1.0)
        here.running.hub.exchange.resolve("narrow").press.published(0)  # type: ignore[union-attr]
        with pytest.raises(Rejected):
            await here.publish("narrow", "too late", headers=LOW)
        assert (await low).delivered
        assert here.running.hub.shared.statistics.passed_on > passed_on
        assert [await _payload(member) for _ in range(2)] == ["first", "low"]


async def test_a_duplicate_is_not_shed() -> None:
    """PR3, DD1: it costs nothing, its publisher hears of the original, and no subscriber of a loss."""
    async with Cluster(nodes=3, channels=[SHED]) as cluster, AsyncExitStack() as stack:
        there = cluster["b"].subscribe("shed", max_in_flight=4, wait="cluster")
        subscription = await stack.enter_async_context(there)
        first = await cluster["a"].publish("shed", "once", key="k", headers=LOW)
        cluster["b"].channels.set_pressure("shed", lambda _: 1.0)
        await cluster["b"].publish("shed", "look", headers={"liminal-priority": "9"})
        again = await cluster["c"].publish("shed", "once", key="k", headers=LOW)
        other = await cluster["c"].publish("shed", "other", key="l", headers=LOW)
        await cluster["c"].publish("shed", "last", headers={"liminal-priority": "9"})
        items = [await anext(subscription) for _ in range(4)]

    assert (first.delivered, again.duplicate, again.message_id) == (True, True, first.message_id)
    assert (other.delivered, other.duplicate, dict(other.nodes)) == (False, False, {"b": "dropped"})
    assert [item.payload if isinstance(item, Message) else (item.first, item.last) for item in items] == [
        "once", "look", (2, 2), "last",
    ]  # fmt: skip
