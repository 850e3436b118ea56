"""A node with a bound, somebody who passes it, and somebody beside who must not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack

from liminal_mesh import Message
from liminal_mesh.cluster import ClientPublish, Disconnect, Envelope, Failure, Network
from liminal_mesh.node.config import ChannelConfig, InboxConfig
from liminal_mesh.testing import Cluster

from ..live.raw_peer import RawClient, RawPeer, hello

__all__ = [
    "CONFIRM",
    "PEER_EPOCH",
    "bounded",
    "goodbye",
    "outside",
    "peer",
    "protocol_error",
    "publish",
    "raw_client",
    "refusal",
]

CONFIRM = 1
PEER_EPOCH = 7
EVERY_S = 0.05
CHANNELS = [
    ChannelConfig(name="beside"),
    ChannelConfig(name="m.>"),
    ChannelConfig(name="disconnect", inbox=InboxConfig(overflow="disconnect")),
    ChannelConfig(name="drop-oldest", inbox=InboxConfig(overflow="drop-oldest")),
]


@asynccontextmanager
async def bounded(nodes: int = 1, **limits: Any) -> AsyncIterator[Cluster]:
    """Run a mesh with these limits, and in it a client that publishes to itself and to the node, and must get it all.

    It has one connection, with one subscription, and never more than one message under way.
    """
    async with (
        Cluster(nodes, channels=CHANNELS, config={"limits": limits}) as cluster,
        cluster.client("a", name="beside") as client,
        client.subscribe("beside") as own,
        cluster["a"].subscribe("beside") as other,
    ):
        over = asyncio.Event()

        async def use() -> int:
            count = 0
            while not over.is_set():
                outcome = await client.publish("beside", count)
                assert outcome.local == 2
                for one in (own, other):
                    message = await anext(one)
                    assert isinstance(message, Message)
                    assert message.payload == count
                count += 1
                await asyncio.sleep(EVERY_S)
            return count

        before = cluster.now
        using = asyncio.create_task(use())
        yield cluster
        over.set()
        assert await using > (cluster.now - before) / EVERY_S / 2, "it was held up"
        broken = [event for event in cluster["a"].running.hub.events if event["level"] == "error"]
        assert not broken


def outside(cluster: Cluster, number: int = 1) -> Network:
    """Return the network of a host that is none of the mesh's."""
    return cluster._network.host(f"127.0.9.{number}")


@asynccontextmanager
async def raw_client(cluster: Cluster, name: str = "raw") -> AsyncIterator[RawClient]:
    """Connect to the first node, and be let in unless there is no name."""
    async with RawClient.to(cluster["a"].addresses["client"], outside(cluster)) as raw:
        if name:
            await raw.greet(name)
        yield raw


@asynccontextmanager
async def peer(cluster: Cluster, name: str = "z") -> AsyncIterator[RawPeer]:
    """Have a session with the first node."""
    async with RawPeer.to(cluster["a"].addresses["mesh"], outside(cluster)) as raw:
        await raw.join(hello(name, epoch=PEER_EPOCH))
        yield raw


def publish(ref: int, channel: str, *items: Envelope) -> ClientPublish:
    """Return a publish that is to be confirmed."""
    return ClientPublish(ref, CONFIRM, channel, "", 0, list(items))


async def refusal(raw: RawClient) -> tuple[str, dict[str, Any]]:
    """Wait for the next refusal of a request; return its kind and its facts."""
    failure = await raw.expect(Failure)
    return failure.error, msgpack.unpackb(failure.fields)


def protocol_error(cluster: Cluster) -> str:
    """Return what the first node has told of a peer that broke the protocol."""
    [told] = [one for one in cluster["a"].running.hub.events if one["kind"] == "protocol_error"]
    return str(told["reason"])


async def goodbye(raw: RawClient) -> tuple[str, str]:
    """Wait for the end of a connection; return the code and the sentence that the node has ended it with."""
    last = (await raw.ended())[-1]
    assert isinstance(last, Disconnect)
    return last.code, last.reason
