"""What a node writes to a client that receives: numbers without holes, in turns (CH8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from liminal_mesh.cluster import (
    BATCH_MAX,
    Anchored,
    ClientGap,
    Credit,
    Deliver,
    Envelope,
    KeepAlive,
    KeepAliveReply,
    Subscribe,
)
from liminal_mesh.node.config import ChannelConfig, InboxConfig
from liminal_mesh.node.node import Node

from ..live.raw_peer import RawClient
from ..nodes import mesh

ROOM = 40
CHANNELS = (ChannelConfig(name="small", inbox=InboxConfig(messages=ROOM)), ChannelConfig(name="large"))


@asynccontextmanager
async def subscribed(node: Node, channel: str, credit: int) -> AsyncIterator[RawClient]:
    """Be a client that has subscribed as number 1."""
    async with RawClient.to(node.addresses["client"]) as raw:
        await raw.greet()
        raw.send(Subscribe(1, 1, channel, credit, "cluster", 5000))
        while not any(isinstance(frame, Anchored) and frame.origin != node.name for frame in raw.seen):
            await raw.receive()
        raw.seen.clear()
        yield raw


async def told(raw: RawClient) -> None:
    """Wait until everything was written that the client can get now."""
    raw.send(KeepAlive(len(raw.seen)))
    await raw.expect(KeepAliveReply)


@pytest.mark.parametrize("origin", ["a", "b"])
@pytest.mark.parametrize("credit", [1, 8, 100])
async def test_ch8_deliveries_are_numbered_without_holes_on_the_wire(origin: str, credit: int) -> None:
    """Messages and gaps alike, from 1, while bursts are larger than what the inbox keeps: so loss is no silence."""
    async with mesh(2, channels=CHANNELS) as (a, b), subscribed(b, "small", credit) as raw:
        publisher = a if origin == "a" else b
        published = 0
        for burst in (1, 3, 10 * ROOM, 2, 300, 1):
            for _ in range(burst):
                publisher.publish_nowait("small", b"x")
            published += burst
            await publisher.publish("small", b"the last", ack="nodes")
            published += 1
            await told(raw)
            raw.send(Credit(1, credit // 2))
        while sum(map(accounted, raw.seen)) < published:
            raw.send(Credit(1, credit))
            await told(raw)

        number, sequence = 1, 1
        for frame in raw.seen:
            if isinstance(frame, Deliver):
                assert frame.number == number
                number += len(frame.items)
                assert [item.sequence for item in frame.items] == [*range(sequence, sequence + len(frame.items))]
                sequence += len(frame.items)
            elif isinstance(frame, ClientGap):
                assert (frame.number, frame.first, frame.count) == (number, sequence, frame.last - frame.first + 1)
                number, sequence = number + 1, frame.last + 1
        assert sequence == published + 1
        assert any(isinstance(frame, ClientGap) for frame in raw.seen)


def accounted(frame: object) -> int:
    """Return how many publishes a frame tells of."""
    if isinstance(frame, Deliver):
        return len(frame.items)
    return frame.count if isinstance(frame, ClientGap) else 0


@pytest.mark.parametrize("origin", ["a", "b"])
async def test_ch8_a_burst_larger_than_any_slice_arrives_whole_and_in_order(origin: str) -> None:
    """Of a turn, of a batch, of a frame; with credit for all of it, and none is waited for."""
    count = 3 * BATCH_MAX
    async with mesh(2, channels=CHANNELS) as (a, b), subscribed(b, "large", count) as raw:
        publisher = a if origin == "a" else b
        for number in range(count):
            publisher.publish_nowait("large", number)
        items: list[Envelope] = []
        while len(items) < count:
            items += (await raw.expect(Deliver)).items

        assert [item.sequence for item in items] == list(range(1, count + 1))
        assert max(len(frame.items) for frame in raw.seen if isinstance(frame, Deliver)) <= BATCH_MAX


async def test_ch8_who_takes_nothing_stalls_nobody_else() -> None:
    """Neither a publisher, nor others, nor its own other subscriptions on the same connection."""
    async with mesh(2, channels=CHANNELS) as (a, b), subscribed(b, "small", 1) as raw:
        raw.send(Subscribe(2, 2, "large", 1000, "cluster", 5000))
        async with b.subscribe("small", max_in_flight=1000) as other:
            for number in range(500):
                outcome = await a.publish("small", number, ack="nodes")
                assert outcome.nodes == {"b": "delivered"}
                await a.publish("large", number, ack="nodes")
            mine: list[Envelope] = []
            while len(mine) < 500:
                frame = await raw.expect(Deliver)
                mine += frame.items if frame.subscription == 2 else []

            assert [item.sequence for item in mine] == list(range(1, 501))
            assert [(await anext(other)).sequence for _ in range(500)] == list(range(1, 501))  # type: ignore[union-attr]
        [stuck] = [frame for frame in raw.seen if isinstance(frame, Deliver) and frame.subscription == 1]
        assert len(stuck.items) == 1
