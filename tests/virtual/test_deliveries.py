"""What a subscription is sent over the wire (CH8): numbered, whole, in order, and at nobody else's pace."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest

from liminal_mesh.cluster import ClientGap, Credit, Deliver, Envelope, ProtocolError, Subscribe, Subscribed
from liminal_mesh.cluster.frame import Frame
from liminal_mesh.node.client_feed import ClientFeed
from liminal_mesh.node.config import ChannelConfig, InboxConfig
from liminal_mesh.node.inbox import Inbox
from liminal_mesh.node.message import Message
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient
from .test_shedding import raw

CHANNELS = [
    ChannelConfig(name="wide", inbox=InboxConfig(messages=100_000, bytes=64 << 20)),
    ChannelConfig(name="narrow", inbox=InboxConfig(messages=4)),
]
BURST = 12_345
"""Much more than a frame holds, or a credit, or a lane's segment."""

Items: TypeAlias = "Deliver | ClientGap"


async def told(client: RawClient, counts: dict[int, int], *, credit: bool = True) -> list[Items]:
    """Return what a client is sent until its subscriptions have heard of so many publishes each."""
    got: list[Items] = []
    left = dict(counts)
    while any(count > 0 for count in left.values()):
        frame: Frame = await client.receive()
        if isinstance(frame, Deliver | ClientGap):
            got.append(frame)
            count = len(frame.items) if isinstance(frame, Deliver) else frame.count
            left[frame.subscription] -= count
            if credit and isinstance(frame, Deliver):
                client.send(Credit(frame.subscription, count))
    return got


def numbers(frames: Iterable[Items], subscription: int) -> list[int]:
    """Return the numbers that deliveries of one subscription bear; a gap takes one."""
    found: list[int] = []
    for frame in frames:
        if frame.subscription == subscription:
            size = len(frame.items) if isinstance(frame, Deliver) else 1
            found += range(frame.number, frame.number + size)
    return found


async def test_ch8_deliveries_are_numbered_from_one_without_holes() -> None:
    """Each subscription's for itself, over all channels and origins and with its gaps; a new one begins anew."""
    async with Cluster(nodes=2, channels=CHANNELS) as cluster, AsyncExitStack() as stack:
        client = await raw(cluster, stack)
        client.send(Subscribe(1, 5, ">", 3, "cluster", 5000), Subscribe(2, 6, "narrow", 1, "cluster", 5000))
        for _ in range(2):
            await client.expect(Subscribed)
        for _ in range(30):
            for name in "ab":
                for channel in ("wide", "narrow"):
                    await cluster[name].publish(channel, b"")
        frames = await told(client, {5: 120, 6: 60})
        client.send(Subscribe(3, 7, "wide", 3, "", 0))
        await client.expect(Subscribed)
        await cluster["a"].publish("wide", b"")
        more = await told(client, {7: 1})

    gaps = [frame for frame in frames if isinstance(frame, ClientGap)]
    assert {gap.subscription for gap in gaps} == {6}
    for subscription, size in ((5, 120), (6, 60 - sum(gap.count for gap in gaps) + len(gaps))):
        assert numbers(frames, subscription) == list(range(1, size + 1))
    assert numbers(more, 7) == [1]
    assert numbers(more, 5) in ([], [121])


@pytest.mark.parametrize("number", [0, 1, 3])
async def test_ch8_a_number_that_is_not_due_is_no_delivery(number: int) -> None:
    """A client that was told 1 awaits 2: another one is a broken node, and no silence."""
    inbox = Inbox(8, 8, 1 << 20, "drop-newest")
    feed = ClientFeed(4, inbox, lambda: None, lambda _: None)
    feed.deliver(Deliver(4, 1, "x", "b", 3, [Envelope(1, 1, 1, 1, 0, b"")]))
    for frame in (
        Deliver(4, number, "x", "b", 3, [Envelope(2, 2, 1, 1, 0, b"")]),
        ClientGap(4, number, "x", "b", 2, 2, 1, "link", 3),
    ):
        with pytest.raises(ProtocolError, match=f"subscription 4: delivery {number} where 2 was due"):
            (feed.deliver if isinstance(frame, Deliver) else feed.gap)(frame)  # type: ignore[arg-type]
    assert len(inbox) == 1


@pytest.mark.parametrize("kind", ["node", "client"])
@pytest.mark.parametrize("origin", ["a", "b"])
async def test_ch8_a_burst_larger_than_any_slice_arrives_whole_and_in_order(kind: str, origin: str) -> None:
    """From the own node and from another one, whoever holds the subscription."""
    async with Cluster(nodes=2, channels=CHANNELS) as cluster, AsyncExitStack() as stack:
        bus = cluster["a"] if kind == "node" else await stack.enter_async_context(cluster.client("a"))
        subscription = await stack.enter_async_context(bus.subscribe("wide", max_in_flight=300, wait="cluster"))
        async with cluster[origin].publisher("wide", window=BURST) as publisher:
            for number in range(BURST):
                await publisher.send(number)
        got: list[object] = []
        async for batch in subscription.batches(max_items=10_000):
            got += [item.payload for item in batch if isinstance(item, Message)]
            if len(got) >= BURST:
                break

    assert got == list(range(BURST))
    assert subscription.statistics.gaps == 0


@pytest.mark.parametrize("origin", ["a", "b"])
async def test_ch8_a_slow_reader_stalls_nobody_else(origin: str) -> None:
    """Be it one that takes nothing of what it was sent, or one that does not even read; publishers neither."""
    async with Cluster(nodes=2, channels=CHANNELS) as cluster, AsyncExitStack() as stack:
        idle, deaf = await raw(cluster, stack), await raw(cluster, stack)
        idle.send(Subscribe(1, 1, "wide", 10, "cluster", 5000))
        deaf.send(Subscribe(1, 1, "wide", 1_000_000, "cluster", 5000))
        for client in (idle, deaf):
            await client.expect(Subscribed)
        quick = await stack.enter_async_context(cluster.client("a"))
        subscription = await stack.enter_async_context(quick.subscribe("wide", wait="cluster"))
        begun = cluster.now
        for number in range(200):
            outcome = await cluster[origin].publish("wide", bytes(20_000), ack="nodes")
            assert outcome.delivered
            item = await anext(subscription)
            assert isinstance(item, Message)
            assert item.sequence == number + 1
        assert cluster.now - begun < 2
        got = await told(idle, {1: 10}, credit=False)
        assert numbers(got, 1) == list(range(1, 11))
        with pytest.raises(TimeoutError):  # it has had its credit
            async with asyncio.timeout(1):
                await idle.expect(Deliver)
