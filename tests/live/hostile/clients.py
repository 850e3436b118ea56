"""A node with a client that has to be served throughout, and raw clients beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from liminal_mesh.cluster import (
    Disconnect,
    KeepAlive,
    KeepAliveReply,
)
from liminal_mesh.node import Client, Message, Subscription, connect
from liminal_mesh.node.node import Node

from ...nodes import DEADLINE_S, node_config
from ..raw_peer import RawClient


def url(node: Node) -> str:
    """Return where clients of a node connect."""
    return f"liminal://{node.addresses['client']}"


@asynccontextmanager
async def served(**limits: object) -> AsyncIterator[tuple[Node, Client, Subscription]]:
    """Run a node with a client that subscribes to ``ticks``, and see that it is still served in the end."""
    async with (
        Node(node_config("a", limits=limits, drain_timeout=0.1)) as a,
        connect(url(a)) as client,
        client.subscribe("ticks") as ticks,
    ):
        yield a, client, ticks
        assert (await client.publish("ticks", "the last")).local == 1
        async with asyncio.timeout(DEADLINE_S):
            while True:
                item = await anext(ticks)
                if isinstance(item, Message) and item.body == b"the last":
                    return


@asynccontextmanager
async def greeted(a: Node) -> AsyncIterator[RawClient]:
    """Run a raw client that was let in."""
    async with RawClient.to(a.addresses["client"]) as raw:
        await raw.greet()
        yield raw


async def goodbye(raw: RawClient) -> Disconnect:
    """Wait for the end; return the last word, which must say why."""
    last = (await raw.ended())[-1]
    assert isinstance(last, Disconnect)
    return last


async def alive(raw: RawClient) -> None:
    """See that the connection stands."""
    raw.send(KeepAlive(4711))
    assert (await raw.expect(KeepAliveReply)).id == 4711
