"""The parts of the Liminal contenders, each a process: ``python -m benchmarks.liminal_parts ROLE ...``.

A bus is named by where it is: ``liminal://host:port`` for a client of a node there, ``host:port`` for a node of its
own that joins the mesh there, and ``alone`` for a node that others will join.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

from liminal_mesh.node import (
    Busy,
    ChannelConfig,
    Client,
    ClientConfig,
    ClusterConfig,
    Gap,
    HttpConfig,
    InboxConfig,
    LimitsConfig,
    Node,
    NodeConfig,
    connect,
)
from liminal_mesh.node.bus import Bus

from .result import BODY_BYTES
from .roles import loop_run, now, say

__all__ = ["CHANNEL", "INBOX", "IN_FLIGHT", "READY", "config", "link_bytes", "open_bus", "reach"]

CHANNEL = "bench.messages"
READY = "bench.ready"
BODY = bytes(BODY_BYTES)
INBOX = InboxConfig(messages=512 << 10, bytes=128 << 20)
"""What nats-py gives each subscription unless it is told otherwise; a burst of it is not what is measured."""
LIMITS = LimitsConfig(inbox_bytes_connection=1 << 30, inbox_bytes_node=1 << 30)
"""A fan-out's 1,000 inboxes count each message a thousand times, though they share it."""
IN_FLIGHT = 4096
ARRIVAL_S = 50.0
REACH_S = 10.0
RECEIPT_S = 30.0


def config(where: str, name: str | None = None, overrides: Mapping[str, str] | None = None) -> NodeConfig:
    """Return a node's configuration: free ports of loopback, and a seed if it is not ``alone``."""
    seeds = () if where == "alone" else (where,)
    return NodeConfig(
        name=name,
        client=ClientConfig(listen="127.0.0.1:0"),
        http=HttpConfig(listen="127.0.0.1:0"),
        cluster=ClusterConfig(listen="127.0.0.1:0", seeds=seeds, dial_overrides=overrides or {}),
        channels=[ChannelConfig(name=CHANNEL, inbox=INBOX), ChannelConfig(name=READY)],
        limits=LIMITS,
    )


def open_bus(where: str) -> Node | Client:
    """Return the bus at a place, for ``async with``."""
    return connect(where) if where.startswith("liminal://") else Node(config(where))


async def reach(bus: Bus) -> None:
    """Wait until the other side's subscriptions are known here; they are told in order, and this one is the last."""
    async with asyncio.timeout(REACH_S):
        while not (await bus.publish(READY, b"", ack="nodes")).delivered:
            await asyncio.sleep(0.02)


def link_bytes(bus: Bus) -> int:
    """Return how many bytes a node has written to its links so far; 0 for a client."""
    mesh = bus.running.hub.mesh if isinstance(bus, Node) else None
    return sum(link.wire.bytes_out for link in mesh.links.values()) if mesh is not None else 0


async def _node(where: str) -> None:
    async with Node(config(where)) as node:
        while where != "alone" and len(await node.members()) < 2:
            await asyncio.sleep(0.01)
        addresses = node.addresses
        say(client=f"liminal://{addresses['client']}", mesh=str(addresses["mesh"]))
        await asyncio.get_running_loop().create_future()


async def _subscribe(where: str, messages: int, subscribers: int) -> None:
    """Count messages and gaps on every subscription until all are accounted for."""
    async with open_bus(where) as bus, asyncio.TaskGroup() as tasks:
        standing = asyncio.Semaphore(0)
        counts = [tasks.create_task(_count(bus, messages, standing)) for _ in range(subscribers)]
        for _ in counts:
            await standing.acquire()
        async with bus.subscribe(READY, wait="cluster"):
            say(mesh=str(bus.addresses["mesh"]) if isinstance(bus, Node) else "")
            async with asyncio.timeout(ARRIVAL_S):
                counted = [await one for one in counts]
            say(end=max(at for at, _ in counted), missed=sum(missed for _, missed in counted))
            await asyncio.get_running_loop().create_future()


async def _count(bus: Bus, messages: int, standing: asyncio.Semaphore) -> tuple[float, int]:
    """Return when the last one was here, and how many came as gaps."""
    got = missed = 0
    async with bus.subscribe(CHANNEL, max_in_flight=IN_FLIGHT) as subscription:
        standing.release()
        async for item in subscription:
            if type(item) is Gap:
                missed += item.count
            else:
                got += 1
            if got + missed >= messages:
                break
        at = now()
        await asyncio.sleep(0)
        # Nothing is lost in silence, and nothing comes twice.
        assert got + missed == messages, f"{got} delivered and {missed} in gaps, where {messages} were published"
        assert subscription.statistics.waiting == 0, "more than was published"
    return at, missed


async def _publish(where: str, verb: str, messages: int, window: int) -> None:
    async with open_bus(where) as bus:
        await reach(bus)
        before = link_bytes(bus)
        say(start=now())
        await (_nowait(bus, messages) if verb == "nowait" else _windowed(bus, messages, window))
        end = now()
        if isinstance(bus, Node):
            await bus.flush(timeout=RECEIPT_S)
        say(end=end, link_bytes=link_bytes(bus) - before)
        await asyncio.get_running_loop().create_future()


async def _nowait(bus: Bus, messages: int) -> None:
    publish = bus.publish_nowait
    for _ in range(messages):
        try:
            publish(CHANNEL, BODY)
        except Busy:
            await bus.writable(CHANNEL)
            publish(CHANNEL, BODY)


async def _windowed(bus: Bus, messages: int, window: int) -> None:
    async with bus.publisher(CHANNEL, window=window, ack="nodes", timeout=RECEIPT_S) as publisher:
        send = publisher.send
        for _ in range(messages):
            await send(BODY)
    acknowledged = publisher.statistics.acknowledged
    assert acknowledged == messages, f"{acknowledged} receipts for {messages} publishes"


if __name__ == "__main__":
    role, place, *numbers = sys.argv[1:]
    if role == "node":
        loop_run(_node(place))
    elif role == "subscribe":
        loop_run(_subscribe(place, int(numbers[0]), int(numbers[1])))
    else:
        loop_run(_publish(place, numbers[0], int(numbers[1]), int(numbers[2])))
